"""K3: the process dies before and after every statement and every outside call of what changes money or documents.

Each scenario is acted once to count its calls. Then, for every point, two accounts of its own act and the process dies there. The
client of the one comes back with its key after the next start: it gets the answer that it would have got, once more the same
bytes, and its account is as if nothing had happened. The client of the other never comes back: two days later its account is
whole or untouched, and what the gateway took is what the books say. In the end every invariant holds.

By default a point is before the first call, and after each that writes, locks, commits or goes outside: to die beside a read is
to die before it. `--nightly` dies before and after every call.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
import structlog

from billing import invoices, metering
from billing.app.check import run_all
from billing.core import ids
from tests.support import databases, postgres
from tests.support.cloud import JANUARY, pay_in, price, publish, report
from tests.support.cloud import event as usage
from tests.support.crashing import Died, Yard, footprints, open_yard
from tests.support.every_route import EVENTS, event
from tests.support.house import Reply, Resident

if TYPE_CHECKING:
    from structlog.typing import EventDict

# What a driver says when its connection is gone.
DYING_WORDS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
# What a client that never came back leaves open: its intent has no answer, and what nobody asked for was not made.
OF_CLIENTS = {"idempotency_keys", "idempotency_keys:", "document_pdfs"}
GONERS_EVERY = 3  # by default, who never comes back dies at a third of the points


@dataclass
class Case:
    """An account of its own, and what its client names."""

    resident: Resident
    key: str
    names: dict[str, str] = field(default_factory=dict)


Act = Callable[[Yard, Case], Awaitable[Reply]]
Prepare = Callable[[Yard, list[Case]], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What a client asks for, and what its account needs before."""

    name: str
    act: Act
    prepare: Prepare
    calls: int
    """Statements and outside calls that it has at least; a change that leaves it fewer may lower this."""
    is_replayed: bool = True
    """Whether the answer is kept under the client's key; else asking again is harmless by what is asked."""


async def nothing(yard: Yard, cases: list[Case]) -> None:
    """The account alone."""


async def with_cash(yard: Yard, cases: list[Case]) -> None:
    async with yard.database.transaction() as tx:
        for case in cases:
            await pay_in(tx, case.resident.account_id, 10_000)


async def with_hold(yard: Yard, cases: list[Case]) -> None:
    await with_cash(yard, cases)
    for case in cases:
        made = await hold(yard, Case(case.resident, f"{case.key}-hold"))
        case.names["hold_id"] = made.body["hold"]["id"]


async def with_method(yard: Yard, cases: list[Case]) -> None:
    for case in cases:
        made = await attach(yard, Case(case.resident, f"{case.key}-method"))
        case.names["method"] = made.body["payment_method"]["id"]


async def with_top_up(yard: Yard, cases: list[Case]) -> None:
    await with_method(yard, cases)
    for case in cases:
        made = await top_up(yard, Case(case.resident, f"{case.key}-top-up", case.names))
        case.names["payment_id"] = made.body["transaction"]["payment_id"]


async def with_usage(yard: Yard, cases: list[Case]) -> None:
    async with yard.database.transaction() as tx:
        for case in cases:
            await report(tx, case.resident.account_id)
        await metering.ingest(tx, [usage(case.resident.account_id, case.key, 20) for case in cases])


async def with_invoice(yard: Yard, cases: list[Case]) -> None:
    await with_method(yard, cases)
    await with_usage(yard, cases)
    await close(yard, *(case.resident.account_id for case in cases))
    for case in cases:
        shown = await yard.call("GET", "/v1/account/invoices", key=case.resident.key)
        case.names["invoice_id"] = shown.body["invoices"][0]["id"]


async def with_cash_and_usage(yard: Yard, cases: list[Case]) -> None:
    """Some of it is paid at the issue."""
    async with yard.database.transaction() as tx:
        for case in cases:
            await pay_in(tx, case.resident.account_id, 7)
    await with_usage(yard, cases)


async def close(yard: Yard, *account_ids: UUID) -> None:
    async with yard.database.transaction() as tx:
        run = await invoices.request_run(tx, period=JANUARY, only_accounts=account_ids)
    await invoices.advance(yard.database, run_id=run.run_id)


async def attach(yard: Yard, case: Case) -> Reply:
    return await post(yard, case, "/v1/account/payment-methods", {"type": "card", "token": "tok_visa"})


async def top_up(yard: Yard, case: Case) -> Reply:
    body = {"amount": "50.00", "currency": "USD", "payment_method": case.names["method"]}
    return await post(yard, case, "/v1/account/wallets/topup", body)


async def pay(yard: Yard, case: Case) -> Reply:
    return await post(yard, case, f"/v1/account/invoices/{case.names['invoice_id']}/pay", {})


async def create_key(yard: Yard, case: Case) -> Reply:
    return await post(yard, case, "/v1/account/api-keys", {"name": "Another", "permissions": ["read"]})


async def hold(yard: Yard, case: Case) -> Reply:
    body = {"amount": "1.00", "currency": "USD", "reference": case.key, "expires_at": "2024-03-01T00:00:00Z"}
    return await yard.command(f"/accounts/{case.resident.id}/holds", body, key=case.key)


async def capture(yard: Yard, case: Case) -> Reply:
    return await yard.command(f"/holds/{case.names['hold_id']}/capture", {"amount": "0.40"}, key=case.key)


async def release(yard: Yard, case: Case) -> Reply:
    return await yard.command(f"/holds/{case.names['hold_id']}/release", {}, key=case.key)


async def refund(yard: Yard, case: Case) -> Reply:
    body = {"amount": "20.00", "reason": "asked for"}
    return await yard.command(f"/payments/{case.names['payment_id']}/refunds", body, key=case.key)


async def void(yard: Yard, case: Case) -> Reply:
    return await yard.command(f"/invoices/{case.names['invoice_id']}/void", {}, key=case.key)


async def ingest(yard: Yard, case: Case) -> Reply:
    data = {"account_id": case.resident.id, "meter": "m", "quantity": 10}
    batch = [{**event(case.resident.id, f"{case.key} {n}"), "subject": "r", "data": data} for n in range(3)]
    headers = {"Content-Type": EVENTS}
    return await yard.call("POST", "/operator/v1/events", key=yard.operator_key, body=batch, headers=headers)


async def run_close(yard: Yard, case: Case) -> Reply:
    """The operator asks for the close of the account's month, and the worker makes it: draft, number, issue."""
    body = {"kind": "close", "period": "2024-01", "account_ids": [case.resident.id]}
    reply = await yard.command("/runs", body, key=case.key)
    if reply.status < 300:
        run_id = ids.decode("run", reply.body["run"]["id"])
        assert run_id is not None
        await invoices.advance(yard.database, run_id=run_id)
    return reply


async def post(yard: Yard, case: Case, path: str, body: object) -> Reply:
    return await yard.call("POST", path, key=case.resident.key, body=body, headers={"Idempotency-Key": case.key})


SCENARIOS = [
    Scenario("payment method", attach, nothing, 15),
    Scenario("top-up", top_up, with_method, 20),
    Scenario("invoice payment", pay, with_invoice, 40),
    Scenario("key", create_key, nothing, 8),
    Scenario("hold", hold, with_cash, 12),
    Scenario("capture", capture, with_hold, 9),
    Scenario("release", release, with_hold, 9),
    Scenario("refund", refund, with_top_up, 20),
    Scenario("void", void, with_invoice, 12),
    Scenario("usage events", ingest, with_usage, 2, is_replayed=False),
    Scenario("close", run_close, with_cash_and_usage, 40),
]


@pytest_asyncio.fixture
async def yard(database_server: Path, tmp_path: Path) -> AsyncIterator[Yard]:
    name = await databases.clone(database_server)
    async with open_yard(postgres.dsn(database_server, name), tmp_path) as opened:
        async with opened.database.transaction() as tx:
            await publish(tx, price(meter="m", unit_price="0.01"))
        yield opened
    await databases.drop(database_server, name)


@pytest.fixture
def captured() -> Iterator[Sequence[EventDict]]:
    """What is logged, and nothing of it printed: a traceback with all its values takes a second."""
    with structlog.testing.capture_logs() as events:
        yield events


async def furnish(yard: Yard, scenario: Scenario, count: int, named: str) -> list[Case]:
    cases = [Case(await yard.open_account(), f"{named}-{n}") for n in range(count)]
    await scenario.prepare(yard, cases)
    await yard.flush_notes()
    return cases


async def die(yard: Yard, scenario: Scenario, case: Case, *, at: int, is_after: bool) -> None:
    """Act until the process dies, and start it again. What it may still have said on its way out, nobody hears."""
    yard.fuse.watch(burns_at=at, is_after=is_after)
    with suppress(Died, *DYING_WORDS):
        await scenario.act(yard, case)
    assert yard.fuse.is_burnt
    await yard.mend()


async def come_back(yard: Yard, scenario: Scenario, case: Case, first: Reply) -> None:
    """The client asks again with its key, and once more."""
    reply = await scenario.act(yard, case)
    again = await scenario.act(yard, case)
    assert (reply.status, again.status) == (first.status, first.status), reply.text
    if scenario.is_replayed:
        assert again.headers["Idempotent-Replayed"] == "true"
        # (a key's secret is shown once, and to nobody if the process died then)
        assert re.sub(r'"key":"\w+"', '"key":null', reply.text) == again.text


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
class TestCrash:
    async def test_at_every_point_leaves_nothing_lost_and_nothing_doubled(
        self, yard: Yard, scenario: Scenario, request: pytest.FixtureRequest
    ) -> None:
        whole, untouched = await furnish(yard, scenario, 2, "spare")
        yard.fuse.watch()
        first = await scenario.act(yard, whole)
        calls, yard.fuse.is_watched = yard.fuse.calls, False
        is_nightly = bool(request.config.getoption("--nightly"))
        points = [(1, False), *((at, True) for at, call in enumerate(calls, 1) if is_nightly or not call.is_read)]
        if is_nightly:
            points += [(at, False) for at in range(2, len(calls) + 1)]
        leaving = points if is_nightly else points[::GONERS_EVERY]
        comers = await furnish(yard, scenario, len(points), "comer")
        goners = await furnish(yard, scenario, len(leaving), "goner")
        for (at, is_after), goner in zip(leaving, goners, strict=True):
            await die(yard, scenario, goner, at=at, is_after=is_after)
        for (at, is_after), comer in zip(points, comers, strict=True):
            await die(yard, scenario, comer, at=at, is_after=is_after)
            await come_back(yard, scenario, comer, first)
        await yard.work()
        stored = await stores(yard, [whole, *comers])
        for (at, _), case in zip(points, comers, strict=True):
            assert stored[case.key] == stored[whole.key], (
                str(calls[at - 1]),
                differences(stored[case.key], stored[whole.key]),
            )
        yard.clock.advance(timedelta(days=2))
        await yard.work()
        stored = {
            key: without_clients(found) for key, found in (await stores(yard, [whole, untouched, *goners])).items()
        }
        for (at, _), case in zip(leaving, goners, strict=True):
            wanted = [stored[whole.key], stored[untouched.key]]
            assert stored[case.key] in wanted or is_given_up(stored[case.key]), (
                str(calls[at - 1]),
                [differences(stored[case.key], one) for one in wanted],
            )
        await self.gateway_agrees(yard, [*comers, *goners])
        assert [check for check in await run_all(yard.database) if check.violations] == []
        told = f"{scenario.name}: died at {len(points)} points beside {len(calls)} calls"
        sys.stdout.write(f"{told}\n")
        assert len(calls) >= scenario.calls, told

    async def gateway_agrees(self, yard: Yard, cases: list[Case]) -> None:
        """What the gateway took is what the books say."""
        rows = await yard.owner.fetch(
            """
            SELECT account_id, balance_minor + taken_minor AS off_minor
            FROM accounts
            JOIN balances USING (account_id)
            CROSS JOIN LATERAL (
                SELECT (coalesce(sum(c.amount_minor) FILTER (WHERE c.status = 'succeeded'), 0)
                        - coalesce(sum(r.amount_minor), 0))::bigint AS taken_minor
                FROM payments
                JOIN sandbox.charges AS c ON c.key = payment_id::text
                LEFT JOIN sandbox.refunds AS r ON r.charge_key = c.key AND r.status = 'succeeded'
                WHERE payments.account_id = accounts.account_id
            ) AS taken
            WHERE ledger_account = 'gateway:sandbox' AND account_id = ANY ($1)
            """,
            [case.resident.account_id for case in cases],
        )
        assert [row for row in rows if row["off_minor"]] == []


INSIDES = ("SELECT", "secret-canary", "Traceback", "asyncpg", "RuntimeError", 'File "', "lineserve_")
FAULTY = [one for one in SCENARIOS if one.name in {"payment method", "top-up", "key", "hold"}]
FAULTS = (
    RuntimeError("SELECT digest FROM api_keys failed for secret-canary"),
    asyncpg.PostgresSyntaxError('syntax error at or near "secret-canary" in SELECT digest FROM lineserve_app'),
    asyncpg.InternalServerError("secret-canary"),
    KeyError("secret-canary"),
)


class TestFault:
    @pytest.mark.parametrize("scenario", FAULTY, ids=[one.name for one in FAULTY])
    async def test_at_every_point_tells_nothing_of_our_insides_and_leaves_the_key_good(
        self, yard: Yard, scenario: Scenario, captured: Sequence[EventDict]
    ) -> None:
        """X19: what nobody expected is answered with 500, an id and no more; nothing of it is kept, so that a retry works."""
        (spare,) = await furnish(yard, scenario, 1, "spare")
        yard.fuse.watch()
        first = await scenario.act(yard, spare)
        calls, yard.fuse.is_watched = len(yard.fuse.calls), False
        cases = await furnish(yard, scenario, calls, "case")
        for at, case in enumerate(cases, 1):
            yard.fuse.watch(burns_at=at, fault=FAULTS[at % len(FAULTS)])
            reply = await scenario.act(yard, case)
            yard.fuse.is_watched = False
            assert reply.status < 500 or captured[-1]["event"] in {"unexpected_error", "unavailable"}
            if reply.status >= 500:
                assert reply.code in {"internal_error", "unavailable"}
                assert reply.headers["x-request-id"]
            assert not [word for word in INSIDES if word in reply.text], reply.text
            assert (await scenario.act(yard, case)).status == first.status, (at, reply.text)
        assert [check for check in await run_all(yard.database) if check.violations] == []
        sys.stdout.write(f"{scenario.name}: {calls} faults\n")


Footprint = dict[str, Any]


async def stores(yard: Yard, cases: list[Case]) -> dict[str, Footprint]:
    """What is stored of the accounts of some cases."""
    found = await footprints(yard.owner, [case.resident.account_id for case in cases])
    return {case.key: found[case.resident.account_id] for case in cases}


def without_clients(stored: Footprint) -> Footprint:
    return {name: told for name, told in stored.items() if name not in OF_CLIENTS}


def is_given_up(stored: Footprint) -> bool:
    """Whether the gateway was never asked, so that the money went back."""
    return any(told.endswith(" cancelled") for name in ("payments:", "refunds:") for told in stored.get(name, ()))


def differences(stored: Footprint, wanted: Footprint) -> dict[str, tuple[Any, Any]]:
    names = {*stored, *wanted}
    return {name: (stored.get(name), wanted.get(name)) for name in names if stored.get(name) != wanted.get(name)}
