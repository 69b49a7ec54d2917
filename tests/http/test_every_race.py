"""X18: every call that writes, by 50 callers at once: none is an error of the server, losers are told what the documents say, one
winner where there can be only one, and every invariant holds afterwards. The calls are those of `tests/support/every_route.py`.

By default 12 callers of each call, `--nightly` 50; where there is one winner always 50.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing.app.check import run_all
from tests.support import databases, postgres
from tests.support.every_route import TABLE, Route, fresh
from tests.support.house import Reply
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLERS, CALLERS_BY_DEFAULT = 50, 12
WAIT_S = 60  # on a slow machine, too, each caller comes to race, and none is sent away for want of a session
WRITES = sorted(name for name, route in TABLE.items() if route.method != "GET")
# Where one caller can win, how the winner and the others are answered.
ONE_WINNER = {
    "DELETE /v1/account/alerts/{alert_id:str}": ("204", "not_found"),
    "DELETE /v1/account/api-keys/{key_id:str}": ("204", "not_found"),
    "DELETE /v1/account/webhooks/{webhook_id:str}": ("204", "not_found"),
    "DELETE /v1/account/payment-methods/{payment_method_id:str}": ("204", "not_found"),
    "DELETE /v1/projects/{project_id:str}": ("204", "not_found"),
    "POST /operator/v1/projects/{project_id:str}/restore": ("200", "project_not_restorable"),
}
# What a caller may hear besides success: too late, no room for more, or the same is under way.
TOO_LATE = {
    "chargeback_exceeds_payment",
    "credit_note_exceeds_invoice",
    "credit_not_undoable",
    "delivery_under_way",
    "hold_not_open",
    "insufficient_balance",
    "invoice_not_payable",
    "invoice_not_voidable",
    "not_found",
    "payment_in_progress",
    "payment_not_pending",
    "project_not_restorable",
    "refund_exceeds_payment",
    "too_many_webhooks",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(database_server: Path) -> AsyncIterator[World]:
    name = await databases.clone(database_server)
    async with open_world(postgres.dsn(database_server, name), connections=16, wait_s=WAIT_S) as opened:
        yield opened
    await databases.drop(database_server, name)


async def call(world: World, route: Route) -> Reply:
    """One of the callers, who all ask for the same with keys of their own."""
    return await world.house.call(
        route.method,
        route.path(world.mine),
        key=world.jane.key if route.is_public else world.house.operator_key,
        body=None if route.body is None else route.body(world.mine),
        headers={"Content-Type": route.media_type, "Idempotency-Key": fresh()}
        if route.method == "POST"
        else {"Content-Type": route.media_type},
    )


def told(reply: Reply) -> str:
    return str(reply.status) if reply.status < 400 else reply.code


class TestLimit:
    async def test_of_alerts_is_held_by_50_at_once(self, world: World) -> None:
        """100 are allowed, whoever asks when."""
        listed = await world.house.call("GET", "/v1/account/alerts?per_page=1", key=world.bob.key)
        free = 100 - listed.body["meta"]["total"]
        body = {"type": "budget", "threshold": 5, "condition": "greater_than", "notification_methods": ["email"]}

        async def create() -> Reply:
            return await world.house.call("POST", "/v1/account/alerts", key=world.bob.key, body=body)

        replies = [reply for _ in range(3) for reply in await asyncio.gather(*(create() for _ in range(CALLERS)))]
        assert Counter(reply.status for reply in replies) == {201: free, 422: 150 - free}


class TestDefaultMethod:
    async def test_is_one_whoever_sets_it(self, world: World) -> None:
        async def set_default(number: int) -> Reply:
            name = ("payment_method_id", "slow_method_id", "spare_method_id")[number % 3]
            path = f"/v1/account/payment-methods/{world.mine[name]}"
            return await world.house.call("PUT", path, key=world.jane.key, body={"set_default": True})

        replies = await asyncio.gather(*(set_default(number) for number in range(CALLERS)))
        assert {reply.status for reply in replies} == {200}
        listed = await world.house.call("GET", "/v1/account/payment-methods", key=world.jane.key)
        assert sum(method["is_default"] for method in listed.body["payment_methods"]) == 1


class TestRun:
    async def test_of_a_month_is_one_for_50_who_ask(self, world: World) -> None:
        body = {"kind": "close", "period": "2023-12"}

        async def ask() -> Reply:
            headers = {"Idempotency-Key": fresh()}
            return await world.house.operate("POST", "/runs", body=body, headers=headers)

        replies = await asyncio.gather(*(ask() for _ in range(CALLERS)))
        assert {reply.status for reply in replies} == {202}
        assert len({reply.body["run"]["id"] for reply in replies}) == 1


class TestSuspension:
    async def test_and_restoring_at_once_end_in_one_of_both(self, world: World) -> None:
        account = f"/accounts/{world.jane.id}"
        verbs = ("suspend", "restore") * (CALLERS // 2)
        replies = await asyncio.gather(*(world.house.operate("POST", f"{account}/{verb}") for verb in verbs))
        assert {reply.status for reply in replies} <= {200, 204}
        shown = await world.house.operate("GET", account)
        assert shown.body["account"]["status"] in {"active", "suspended"}
        assert (await world.house.operate("POST", f"{account}/restore")).status < 300


class TestEveryWrite:
    async def test_bears_many_callers_at_once(self, world: World, pytestconfig: pytest.Config) -> None:
        callers = CALLERS if pytestconfig.getoption("--nightly") else CALLERS_BY_DEFAULT
        heard: dict[str, Counter[str]] = {}
        for name in WRITES:
            count = CALLERS if name in ONE_WINNER else callers
            replies = await asyncio.gather(*(call(world, TABLE[name]) for _ in range(count)))
            heard[name] = Counter(told(reply) for reply in replies)
            if name in ONE_WINNER:
                winner, loser = ONE_WINNER[name]
                assert heard[name] == {winner: 1, loser: count - 1}, name
        odd = {name: answers for name, answers in heard.items() if odd_ones(answers)}
        assert odd == {}
        broken = {check.name for check in await run_all(world.house.database) if check.violations}
        assert broken <= {"nobody is owed by a chargeback"}
        sys.stdout.write(f"{len(heard)} calls, {sum(answers.total() for answers in heard.values())} callers\n")


def odd_ones(answers: Counter[str]) -> set[str]:
    """Answers that are neither success nor a loser's."""
    return {answer for answer in answers if not answer.startswith("2")} - TOO_LATE
