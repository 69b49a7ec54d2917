"""K1, K2, M3: real processes killed with SIGKILL at random instants under load. A client's own journal says what was acknowledged.

`serve` and its worker die together and start anew on a database that stays; then the database itself dies, on a disk that it syncs.
By default 2 kills of the server; `--nightly` 500, with 8 clients, and 100 of the database. What a kill costs is the next start, so
that the 100,000 top-ups of K1 would take another night.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from billing.kit.embedded_postgres import processes
from tests.support.serving import Serving, run, serving

CLIENTS, CLIENTS_NIGHTLY = 4, 8
KILLS, KILLS_NIGHTLY = 2, 500
DATABASE_KILLS = 100
GIVE_UP_S = (
    600  # where starts take long, the server is there for a tenth of the time, and one of the clients may miss it often
)
PAUSE_S = 0.05
AMOUNT = "1.25"
ASKED_S = 60
CAUGHT_UP_S = 180.0  # by then each job has run again: one that a killed process had begun is taken over by the next


@dataclass
class Client:
    """Tops up and sends usage, one call after the other, each until it is acknowledged; what was is in its journal, on disk."""

    number: int
    journal: Path
    key: str
    account_id: str
    method: str
    operator_key: str
    base: str = ""
    is_ending: bool = False
    calls: int = 0
    tries: int = 0
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(trust_env=False))

    def run(self) -> None:
        with self.journal.open("a", encoding="utf-8") as journal, self.http:
            while not self.is_ending:
                self.calls += 1
                for acknowledged in (self.top_up(), self.use()):
                    journal.write(json.dumps(acknowledged) + "\n")
                    journal.flush()
                    os.fsync(journal.fileno())

    def top_up(self) -> dict[str, Any]:
        body = {"amount": AMOUNT, "currency": "USD", "payment_method": self.method}
        name = f"top-up-{self.number}-{self.calls}"
        answer = self.insist("/v1/account/wallets/topup", self.key, body, name=name, content_type="application/json")
        return {"payment": answer["transaction"]["payment_id"]}

    def use(self) -> dict[str, Any]:
        name = f"{self.number}-{self.calls}"
        data = {"account_id": self.account_id, "meter": "sms", "quantity": 1}
        event = {
            "specversion": "1.0",
            "id": name,
            "source": "chaos",
            "type": "usage",
            "subject": "sender",
            "data": data,
        }
        batch = [{**event, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))}]
        media_type = "application/cloudevents-batch+json"
        answer = self.insist("/operator/v1/events", self.operator_key, batch, name=name, content_type=media_type)
        assert answer["results"][0]["status"] in {"accepted", "duplicate"}, answer
        return {"event": name}

    def insist(self, path: str, key: str, body: object, *, name: str, content_type: str) -> Any:
        """Ask until there is an answer of success, as one who pays does."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name, "Content-Type": content_type}
        give_up_at, heard = time.monotonic() + GIVE_UP_S, "nothing"
        while time.monotonic() < give_up_at:
            self.tries += 1
            try:
                answer = self.http.post(self.base + path, content=json.dumps(body), headers=headers)
            except httpx2.HTTPError as error:
                heard = repr(error)
                time.sleep(PAUSE_S)
                continue
            if answer.status_code in {200, 201}:
                return answer.json()
            heard = answer.text
            assert answer.status_code in {409, 503}, heard  # under way at the one that died, or nobody is there
            time.sleep(PAUSE_S)
        raise AssertionError(f"{name} was not answered in {GIVE_UP_S} s; at last: {heard}")


@dataclass
class Load:
    """The clients and their journals."""

    clients: list[Client]
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self.threads = [threading.Thread(target=client.run) for client in self.clients]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        for client in self.clients:
            client.is_ending = True
        for thread in self.threads:
            thread.join(timeout=GIVE_UP_S + 10)

    def point_to(self, server: Serving) -> None:
        for client in self.clients:
            client.base = server.ready["operator_url"].removesuffix("/operator/v1")

    def acknowledged(self, what: str) -> list[str]:
        lines = [line for client in self.clients for line in client.journal.read_text().splitlines()]
        return [told[what] for told in map(json.loads, lines) if what in told]


def open_accounts(server: Serving, folder: Path, *, clients: int = CLIENTS) -> Load:
    """Accounts with a card and a sender of messages that cost a cent."""
    operator_key, names = server.ready["operator_key"], count(1)
    with server.operator() as operator:

        def ask(method: str, path: str, body: object) -> Any:
            headers = {"Idempotency-Key": f"open-{next(names)}", "Content-Type": "application/json"}
            answer = operator.request(method, path, content=json.dumps(body), headers=headers)
            assert answer.status_code < 300, answer.text
            return answer.json()

        price = {"service": "messaging", "meter": "sms", "model": "per_unit", "unit_price": 0.01}
        ask("POST", "/rate-cards", {"name": "C", "currency": "USD", "valid_from": "2024-01-01", "prices": [price]})
        opened_for: list[Client] = []
        for number in range(clients):
            opened = ask("POST", "/accounts", {"email": f"c{number}@example.com", "name": "C", "currency": "USD"})
            account_id, key = opened["account"]["id"], opened["api_key"]["key"]
            state = {"type": "sms", "service": "messaging", "name": "S", "region": "nairobi", "status": "running"}
            ask("PUT", f"/accounts/{account_id}/resources/sender", {**state, "effective_at": "2024-01-01T00:00:00Z"})
            added = httpx2.post(
                f"{server.ready['base_url']}/account/payment-methods",
                json={"type": "card", "token": "tok_visa"},
                headers={"Authorization": f"Bearer {key}"},
                trust_env=False,
            ).json()
            method = added["payment_method"]["id"]
            opened_for.append(Client(number, folder / f"journal-{number}", key, account_id, method, operator_key))
    return Load(opened_for)


async def hear_of_charges(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the gateway be asked now for what it could not answer for during a fault: top-ups stay pending then, until a job asks."""
    await connection.execute("UPDATE payments SET next_check_at = now() WHERE status = 'pending'")
    async with asyncio.timeout(ASKED_S):
        while await connection.fetchval(  # noqa: ASYNC110  another process does it
            """
            SELECT exists(
                SELECT FROM payments JOIN sandbox.charges AS c ON c.key = payment_id::text
                WHERE payments.status = 'pending' AND c.status = 'succeeded'
            )
            """
        ):
            await asyncio.sleep(0.2)


async def nothing_lost(dsn: str, load: Load) -> str:
    """What was acknowledged is there once, and what the gateway took is what the books say; what never reached the gateway is
    pending. Returns the figures.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await hear_of_charges(connection)
        pending = await connection.fetchval("SELECT count(*) FROM payments WHERE status = 'pending'")
        charges = await connection.fetchval("SELECT count(*) FROM sandbox.charges WHERE status = 'succeeded'")
        credited = await connection.fetchval("SELECT count(*) FROM transfers WHERE template = 'topup.settled'")
        payments = await connection.fetchval("SELECT count(*) FROM payments WHERE status = 'completed'")
        events = {row["event_id"] for row in await connection.fetch("SELECT event_id FROM usage_events")}
        counted = await connection.fetchval("SELECT sum(quantity)::bigint FROM usage_events")
    finally:
        await connection.close()
    paid, sent = load.acknowledged("payment"), load.acknowledged("event")
    assert charges == credited == payments
    assert len(paid) == len(set(paid)) == payments + pending
    assert set(sent) == events
    assert counted == len(sent)
    tries = sum(one.tries for one in load.clients)
    return f"{len(paid)} top-ups ({pending} pending) and {len(sent)} events acknowledged in {tries} tries"


def require_whole(**settings: str) -> None:
    """Every invariant holds, soon if not at once: jobs that were killed again and again have to come to their end first."""
    give_up_at = time.monotonic() + CAUGHT_UP_S
    while "All invariants hold." not in (checked := run("check", **settings)).stdout:
        assert time.monotonic() < give_up_at, checked.stdout
        time.sleep(5)


def unexpected_in(server: Serving) -> list[str]:
    """What the server logged of faults that nobody expected, each with its traceback."""
    return [line for line in server.output.read_text(errors="replace").splitlines() if '"unexpected_error"' in line]


@contextlib.contextmanager
def under_load(server: Serving, folder: Path, *, clients: int = CLIENTS) -> Iterator[Load]:
    load = open_accounts(server, folder, clients=clients)
    load.point_to(server)
    load.start()
    try:
        yield load
    finally:
        load.end()


NO_LIMITS = {f"LINESERVE_RATE_LIMIT_{name}": "1000000000" for name in ("GENERAL", "BILLING", "PROJECT", "FAILURES")}


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that the database's login can pass."""
    with tempfile.TemporaryDirectory(prefix="ls-kills-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class TestServer:
    def test_killed_at_random_loses_and_doubles_nothing(
        self, database_dsn: str, tmp_path: Path, seed: int, pytestconfig: pytest.Config
    ) -> None:
        is_nightly = pytestconfig.getoption("--nightly")
        kills, clients = (KILLS_NIGHTLY, CLIENTS_NIGHTLY) if is_nightly else (KILLS, CLIENTS)
        rng = random.Random(seed)
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), **NO_LIMITS}
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(serving(tmp_path, **settings))
            load = stack.enter_context(under_load(server, tmp_path, clients=clients))
            for _ in range(kills):
                time.sleep(rng.uniform(0.1, 1.0))
                server.process.kill()
                server.process.wait()
                server = stack.enter_context(serving(tmp_path, **settings))
                load.point_to(server)
            load.end()
            told = asyncio.run(nothing_lost(database_dsn, load))
            sys.stdout.write(f"seed {seed}: {kills} kills, {told}\n")
            require_whole(**settings)


class TestDatabase:
    @pytest.mark.nightly
    def test_killed_at_random_keeps_what_was_acknowledged(self, passable: Path, seed: int) -> None:
        """Its own one, which syncs (the start is refused else): all of its processes at once, in the midst of commits."""
        folder = passable
        rng = random.Random(seed)
        settings = {"LINESERVE_HOME": str(folder / "home"), "LINESERVE_ALLOW_UNSAFE_DATABASE": "", **NO_LIMITS}
        with serving(folder, **settings) as server:
            data = folder / "home" / "database" / "data"
            with under_load(server, folder) as load:
                for _ in range(DATABASE_KILLS):
                    time.sleep(rng.uniform(0.2, 0.6))
                    for pid in processes.servers_in(data):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    time.sleep(0.2)
            socket_folder = (data / "postmaster.pid").read_text().splitlines()[4]
            dsn = f"postgresql://lineserve_owner@/lineserve?host={socket_folder}"
            assert unexpected_in(server) == []
            told = asyncio.run(nothing_lost(dsn, load))
        sys.stdout.write(f"seed {seed}: {DATABASE_KILLS} kills of the database, {told}\n")
        assert "All invariants hold." in run("check", **settings).stdout
