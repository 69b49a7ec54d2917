"""What must be found nowhere, on the whole application: keys, cards and canaries in logs, dumps and the write-ahead log, and the
times of wrong keys (quality.md X4, X5, X8, X12, X20)."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import pytest
import pytest_asyncio
import structlog

from billing import api_keys
from billing.api_keys import operations, rules
from billing.core.errors import Unauthorized
from billing.kit import log
from billing.kit.auth import OPERATOR_PREFIX, PUBLIC_PREFIXES
from billing.kit.db import Tx
from tests.support import attacks, databases, postgres
from tests.support.every_route import TABLE, Route, fresh
from tests.support.house import House, Reply
from tests.support.world import World, open_app, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

CANARY = "canary7f3a9b"
PREFIXES = {True: PUBLIC_PREFIXES[0], False: OPERATOR_PREFIX}
PANS = ("4111111111111111", "5555 5555 5555 4444", "3782-822463-10005")
KEYS, KEYS_NIGHTLY = 100, 1_000
T_LIMIT = 4.5


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(database_server: Path) -> AsyncIterator[tuple[Path, str]]:
    """The server's folder and the name of the database."""
    name = await databases.clone(database_server)
    yield database_server, name
    await databases.drop(database_server, name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(place: tuple[Path, str]) -> AsyncIterator[World]:
    async with open_world(postgres.dsn(*place)) as opened:
        yield opened


class Written(io.StringIO):
    """What the log says, once all of it is written."""

    def getvalue(self) -> str:
        logging.getLogger().handlers[0].flush()
        return super().getvalue()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that the program logs, the least important too."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    written = Written()
    log.configure(level="debug", style="json", stream=written)
    structlog.configure(cache_logger_on_first_use=False)  # or the program's loggers would write there for ever
    yield written
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


async def call(world: World, route: Route, key: str, body: object = None, **headers: str) -> Reply:
    """A call of a route, with all it needs."""
    sent = {"Content-Type": route.media_type, "Idempotency-Key": fresh(), **headers}
    if route.method != "POST":
        del sent["Idempotency-Key"]
    return await world.house.call(route.method, route.path(world.mine), key=key, body=body, headers=sent)


def texts_of(body: Any) -> list[tuple[str | int, ...]]:
    """Where a body holds a text."""
    return [path for path, value in attacks.members(body) if isinstance(value, str)]


class TestLogs:
    async def test_hold_no_secret_of_any_call(self, world: World, logged: io.StringIO) -> None:
        """A wrong and a right key, cookies, tokens and bodies with a canary, on every route."""
        headers = {"Cookie": f"session={CANARY}", "X-Api-Key": CANARY, "User-Agent": CANARY, "Referer": CANARY}
        unknown = {is_public: rules.new_secret(prefix, lambda _: 7) for is_public, prefix in PREFIXES.items()}
        for route in TABLE.values():
            key = world.jane.key if route.is_public else world.house.operator_key
            body = None
            if route.body is not None:
                body = route.body(world.mine)
                for path in texts_of(body):
                    body = attacks.replaced(body, path, CANARY)
            await call(world, route, key, body, **headers)
            for wrong in unknown.values():  # of its plane, and of the other one
                assert (await call(world, route, wrong, body, **headers)).status in {401, 404}
        text = logged.getvalue()
        assert text.count('"event": "denied"') >= 2 * len(TABLE), "every denial has its line"
        secrets = [CANARY, world.jane.key, world.house.operator_key, *unknown.values()]
        assert not [secret for secret in secrets if secret in text]

    async def test_say_who_was_denied_what_and_from_where(self, world: World, logged: io.StringIO) -> None:
        await world.house.call("GET", "/v1/account", key="ls_prod_nobody", headers={"X-Request-Id": "r-77"})
        (line,) = [json.loads(line) for line in logged.getvalue().splitlines()]
        assert {name: line[name] for name in ("event", "code", "method", "route", "ip", "request_id")} == {
            "event": "denied",
            "code": "unauthorized",
            "method": "GET",
            "route": "/v1/account",
            "ip": "127.0.0.1",
            "request_id": "r-77",
        }
        assert line["timestamp"].endswith("Z")

    async def test_take_no_line_from_a_caller(self, world: World, logged: io.StringIO) -> None:
        forged = 'r\n{"event": "forged"}'
        for name in ("X-Request-Id", "Idempotency-Key", "X-Forwarded-For"):
            await world.house.call("GET", "/v1/account", key="ls_prod_x", headers={name: forged.replace("\n", " ")})
        assert {json.loads(line)["event"] for line in logged.getvalue().splitlines()} == {"denied"}


class TestCardNumbers:
    async def test_are_refused_in_every_text_of_every_public_body_and_kept_nowhere(
        self, world: World, place: tuple[Path, str], logged: io.StringIO
    ) -> None:
        tried = 0
        for name, route in TABLE.items():
            if route.is_public and route.body is not None:
                right = route.body(world.mine)
                for number, path in enumerate(texts_of(right)):
                    body = attacks.replaced(right, path, PANS[number % len(PANS)])
                    reply = await call(world, route, world.jane.key, body)
                    assert (reply.status, reply.code) == (422, "card_number_refused"), (name, path)
                    assert not any(pan in reply.text for pan in PANS)
                    tried += 1
        assert tried > 20
        dumped = dump(*place)
        assert not [pan for pan in PANS if pan in dumped or pan in logged.getvalue()]

    async def test_have_no_column_but_their_last_digits(self, world: World) -> None:
        async with world.house.database.reading() as tx:
            rows = await tx.connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'payment_methods'::regclass AND attnum > 0"
            )
        cards = {row["attname"] for row in rows} & {"pan", "number", "card_number", "cvc", "cvv", "track", "last4"}
        assert cards == {"last4"}


def dump(folder: Path, name: str) -> str:
    """A database as text, with all of its rows."""
    command = [postgres.binaries_folder() / "pg_dump", postgres.dsn(folder, name)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def search(wanted: Path, kept: list[Path]) -> str:
    """The files that hold one of many texts."""
    command = ["/usr/bin/env", "grep", "-aFl", "-f", wanted, *kept]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class TestKeys:
    async def test_are_in_no_dump_log_or_write_ahead_log(
        self, world: World, place: tuple[Path, str], logged: io.StringIO, tmp_path: Path, pytestconfig: pytest.Config
    ) -> None:
        count = KEYS_NIGHTLY if pytestconfig.getoption("--nightly") else KEYS
        async with world.house.database.transaction() as tx:
            secrets = [await issue(tx, world) for _ in range(count)]
        for secret in secrets[:20]:
            assert (await world.house.call("GET", "/v1/account", key=secret)).status == 200
            assert (await world.house.call("GET", "/v1/account", key=secret[:-1] + "x")).status in {200, 401}
        wanted = tmp_path / "secrets"
        wanted.write_text("".join(f"{secret.removeprefix(PUBLIC_PREFIXES[0])}\n" for secret in secrets))
        dumped = tmp_path / "dump"
        dumped.write_text(dump(*place) + logged.getvalue())
        folder = place[0] / "database"
        kept = [dumped, *(folder / "data" / "pg_wal").glob("0*"), *folder.glob("*.log")]
        assert len(kept) > 2
        assert search(wanted, kept) == ""
        digest = rules.digest_of(secrets[0]).hex()
        assert digest in dumped.read_text(), "what is searched is what they are kept in"

    async def test_are_refused_from_their_revocation_on_by_every_process(self, place: tuple[Path, str]) -> None:
        """Two applications on one database, 1,000 calls at once after the answer 204."""
        async with open_app(postgres.dsn(*place)) as one, open_app(postgres.dsn(*place)) as other:
            resident = await one.open_account()
            doomed = await one.issue(resident, "read")
            listed = await one.call("GET", "/v1/account/api-keys", key=resident.key)
            (key_id,) = [key["id"] for key in listed.body["api_keys"] if key["name"] == "Another key"]
            for house in (one, other):
                assert (await house.call("GET", "/v1/projects", key=doomed)).status == 200

            async def use(house: House) -> int:
                return (await house.call("GET", "/v1/projects", key=doomed)).status

            under_way = [asyncio.create_task(use(house)) for house in (one, other) for _ in range(20)]
            gone = await one.call("DELETE", f"/v1/account/api-keys/{key_id}", key=resident.key)
            assert gone.status == 204
            after = await asyncio.gather(*(use(house) for house in (one, other) for _ in range(500)))
            assert set(after) == {401}
            assert set(await asyncio.gather(*under_way)) <= {200, 401}

    @pytest.mark.nightly
    async def test_that_are_nearly_right_take_no_longer_than_others(self, world: World) -> None:
        """X4: a key that differs from a right one in its last symbol alone, against one that differs everywhere."""
        async with world.house.database.reading() as tx:
            right = await issue(tx, world)
            body = right.removeprefix(PUBLIC_PREFIXES[0])[:29]
            near = next(key for key in with_symbols(body) if key != right)
            miss = rules.new_secret(PUBLIC_PREFIXES[0], lambda _: 5)
            keyring = operations.Keyring(world.house.database)
            times: dict[str, list[float]] = {near: [], miss: []}
            for number in range(100_000):
                key = (near, miss)[number % 2]
                start = time.perf_counter_ns()
                with pytest.raises(Unauthorized):
                    await keyring.read_caller(token=key, ip="127.0.0.1")
                times[key].append(time.perf_counter_ns() - start)
        samples = [sorted(taken)[: int(len(taken) * 0.95)] for taken in times.values()]
        spread = sum(variance(sample) / len(sample) for sample in samples) ** 0.5
        t = abs(fmean(samples[0]) - fmean(samples[1])) / spread
        sys.stdout.write(f"t = {t:.2f}\n")
        assert t < T_LIMIT


async def issue(tx: Tx, world: World) -> str:
    made = await api_keys.issue(tx, account_id=world.jane.account_id, name="One of many", permissions=["read"])
    return made.secret


def with_symbols(body: str) -> Iterator[str]:
    """Well-formed keys that begin with 29 symbols."""
    for symbol in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
        yield f"{PUBLIC_PREFIXES[0]}{body}{symbol}{rules._checksum(body + symbol)}"


class TestMembersThatAreNotTheCallers:
    @pytest.mark.parametrize(
        "member", ["status", "verified", "currency", "balance", "available_balance", "account_id", "id", "created_at"]
    )
    async def test_are_refused(self, world: World, member: str) -> None:
        """X8: what only the operator or the program may say."""
        for path, right in (("/v1/account", {"name": "Jane"}), ("/v1/projects", {"name": "P"})):
            method = "PUT" if path == "/v1/account" else "POST"
            reply = await world.house.call(method, path, key=world.jane.key, body={**right, member: "active"})
            assert reply.status == 400
            assert [fault["path"] for fault in reply.body["error"]["details"]["faults"]] == [member]


class TestOneBeyondEachLimit:
    async def test_is_refused_at_once(self, world: World) -> None:
        """X9: nothing is read, asked or counted for it first."""
        house, key = world.house, world.jane.key
        long_list = json.dumps([{}] * 1001).encode()
        pages = "/v1/account/billing/history"
        calls: list[tuple[str, str, str, object, int]] = [
            ("POST", "/v1/projects", key, b'{"name": "' + b"x" * 1_048_577 + b'"}', 413),
            ("POST", "/v1/projects", key, b"[" * 10_000, 400),
            ("POST", "/v1/projects", key, b'{"name": ' + b"9" * 900_000 + b"}", 400),
            ("POST", "/v1/projects", key, b'{"name": "P", "budget_limit": 1e999}', 400),
            ("POST", "/operator/v1/events", house.operator_key, long_list, 400),
            ("GET", f"{pages}?per_page=101", key, None, 400),
            ("GET", f"{pages}?page=100000000", key, None, 400),
            ("GET", f"{pages}?cursor={'x' * 5000}", key, None, 400),
            ("GET", "/v1/account/analytics/costs?from_date=2019-01-01&to_date=2024-01-01", key, None, 400),
            ("GET", f"/v1/account?{'&'.join(f'p{n}=1' for n in range(500))}", key, None, 400),
            ("GET", f"/v1/projects/{'x' * 8000}", key, None, 404),
        ]
        for method, path, caller, body, status in calls:
            headers = {"Content-Type": TABLE["POST /operator/v1/events"].media_type} if "events" in path else None
            taken: list[float] = []
            for _ in range(3):
                start = time.perf_counter()
                reply = await house.call(method, path, key=caller, body=body, headers=headers)
                taken.append(time.perf_counter() - start)
                assert reply.status == status, (path, reply.text[:300])
            assert min(taken) < 0.05, (path, taken)
