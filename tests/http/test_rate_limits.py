"""How often a key may call, and an address may show wrong ones: which calls count where, and what callers are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
import structlog
from litestar import get

from billing.accounts import operator_routes as accounts_operator
from billing.accounts import routes as accounts_public
from billing.app.http import PUBLIC
from billing.core.errors import BillingError, Unauthorized
from billing.kit.auth import Caller
from billing.kit.ratelimit import MemoryWindows
from billing.kit.web import build_app
from billing.kit.web.rate_limits import RATE_CLASS, RateLimits
from billing.payments import routes as payments_public
from billing.projects import routes as projects_public
from tests.support.house import Clock, House, Reply, Resident, open_house

HOUR = timedelta(hours=1)
# Of docs/rate-limits.md and the contract: what a path counts in beside `general`, by how it begins; the first that fits.
CLASSES: dict[str, str | None] = {
    "/account/wallets": "billing",
    "/account/billing": "billing",
    "/account/usage": "billing",
    "/account/payment-methods": "billing",
    "/account/invoices": "billing",
    "/account/credits": "billing",
    "/account/credit-notes": "billing",
    "/projects": "project",
    "/account/transactions/{transaction_id:str}/receipt": "billing",
    "/account/transactions": None,
    "/account/api-keys": None,
    "/account/analytics": None,
    "/account/alerts": None,
    "/account/explain": None,
    "/account/notification": None,
    "/account": None,
}
SHOWN = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy")
NO_SUCH_KEY = "ls_prod_0000000000000000000000000000000JBYpH"
Open = Callable[..., Any]


def limited(**calls: int) -> Callable[[Clock], RateLimits]:
    """Limits of a house, the contract's unless told."""
    operator, failures = calls.pop("operator", None), calls.pop("failures", 1000)

    def make(clock: Clock) -> RateLimits:
        return RateLimits(MemoryWindows(clock), clock=clock, calls=calls, operator_calls=operator, failures=failures)

    return make


@pytest_asyncio.fixture
async def opened(module_dsn: str) -> AsyncIterator[Open]:
    """Opens the house with some limits."""
    houses: list[Any] = []

    async def open_with(**calls: int) -> House:
        house = open_house(
            module_dsn,
            public=[*accounts_public.HANDLERS, *projects_public.HANDLERS, payments_public.list_methods],
            operator=accounts_operator.HANDLERS,
            values={"currencies": frozenset({"USD"})},
            limited=limited(**calls),
        )
        houses.append(house)
        return await house.__aenter__()

    yield open_with
    for house in houses:
        await house.__aexit__(None, None, None)


async def look(house: House, resident: Resident, *paths: str) -> list[Reply]:
    return [await house.call("GET", f"/v1{path}", key=resident.key) for path in paths]


class TestClasses:
    def test_are_those_of_the_table_for_every_route(self) -> None:
        declared = {
            f"{method} {path}": handler.opt.get(RATE_CLASS)
            for handler in PUBLIC
            for path in sorted(handler.paths)
            for method in handler.http_methods
        }
        assert declared == {route: _class_of(route.partition(" ")[2]) for route in declared}

    async def test_count_a_call_in_its_class_and_in_general(self, opened: Open) -> None:
        house = await opened(general=6, billing=2, project=3)
        jane = await house.open_account()
        paths = [*["/account/payment-methods"] * 3, *["/projects"] * 4, "/account", "/account"]
        replies = await look(house, jane, *paths)
        assert [reply.status for reply in replies] == [200, 200, 429, 200, 200, 200, 429, 200, 429]
        refused = [reply.body["error"]["details"]["class"] for reply in replies if reply.status == 429]
        assert refused == ["billing", "project", "general"]

    async def test_are_counted_per_key(self, opened: Open) -> None:
        house = await opened(billing=1)
        jane = await house.open_account()
        other = await house.issue(jane, "read")
        assert [reply.status for reply in await look(house, jane, *["/account/payment-methods"] * 2)] == [200, 429]
        assert (await house.call("GET", "/v1/account/payment-methods", key=other)).status == 200

    async def test_admit_exactly_their_limit_of_5000_calls_at_once(self, opened: Open) -> None:
        house = await opened()
        async with _stub(house) as client:
            answers = await asyncio.gather(*(client.get("/v1/billed", headers=_BEARER) for _ in range(5000)))
            free = await client.get("/v1/free", headers=_BEARER)
        assert Counter(answer.status_code for answer in answers) == {200: 100, 429: 4900}
        left = sorted(int(answer.headers["X-RateLimit-Remaining"]) for answer in answers if answer.status_code == 200)
        assert left == list(range(100))
        assert free.headers["X-RateLimit-Remaining"] == "899"


def _class_of(path: str) -> str | None:
    (found, *_) = [one for one in CLASSES if path == one or path.startswith(f"{one}/")]
    return CLASSES[found]


_BEARER = {"Authorization": "Bearer ls_test_stub"}


@get("/free")
async def _free(reader: Caller) -> dict[str, Any]:
    return {}


@get("/billed", opt={RATE_CLASS: "billing"})
async def _billed(reader: Caller) -> dict[str, Any]:
    return {}


def _stub(house: House) -> httpx2.AsyncClient:
    """An application that looks nothing up."""
    caller = Caller(
        account_id=UUID(int=1),
        key_id=UUID(int=1),
        permissions=frozenset({"read"}),
        account_status="active",
        currency="USD",
    )

    async def read_caller(*, token: str, ip: str) -> Caller:
        return caller

    app = build_app(
        database=house.database,
        read_caller=read_caller,
        read_operator=house.keyring.read_operator,
        public=[_free, _billed],
        rate_limits=limited()(house.clock),
    )
    transport = httpx2.ASGITransport(app=cast("Any", app), client=("127.0.0.1", 50_000))
    return httpx2.AsyncClient(transport=transport, base_url="http://billing.test")


class TestTooManyCalls:
    async def test_are_told_what_the_limit_is_and_when_to_come_again(self, opened: Open) -> None:
        house = await opened(billing=1)
        jane = await house.open_account()
        await look(house, jane, "/account/payment-methods")
        house.clock.advance(timedelta(minutes=15, seconds=0.5))
        (reply,) = await look(house, jane, "/account/payment-methods")
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "rate_limited", "2700")
        assert reply.body["error"]["details"] == {"limit": 1, "class": "billing", "retry_after_s": 2700}
        assert reply.headers["X-RateLimit-Remaining"] == "0"
        assert reply.headers["RateLimit"] == '"billing";r=0;t=2700, "general";r=999;t=2700'

    async def test_do_not_count(self, opened: Open) -> None:
        house = await opened(general=3, billing=1)
        jane = await house.open_account()
        replies = await look(house, jane, *["/account/payment-methods"] * 10, "/account", "/account", "/account")
        assert [reply.status for reply in replies] == [200, *[429] * 9, 200, 200, 429]

    async def test_are_admitted_again_as_the_hour_moves(self, opened: Open) -> None:
        house = await opened(general=2)
        jane = await house.open_account()
        await look(house, jane, "/account")
        house.clock.advance(HOUR / 2)
        assert [reply.status for reply in await look(house, jane, "/account", "/account")] == [200, 429]
        house.clock.advance(HOUR / 2 - timedelta(microseconds=1))
        assert [reply.status for reply in await look(house, jane, "/account")] == [429]
        house.clock.advance(timedelta(microseconds=1))
        assert [reply.status for reply in await look(house, jane, "/account", "/account")] == [200, 429]

    async def test_are_refused_before_query_and_body_are_read(self, opened: Open) -> None:
        house = await opened(general=1)
        jane = await house.open_account()
        assert (await house.call("GET", "/v1/account?wrong=1", key=jane.key)).status == 400
        assert (await house.call("GET", "/v1/account?wrong=1", key=jane.key)).status == 429
        assert (await house.call("POST", "/v1/projects", key=jane.key, body=b"{")).status == 429

    async def test_leave_a_row_in_the_log(self, opened: Open) -> None:
        house = await opened(general=1)
        jane = await house.open_account()
        with structlog.testing.capture_logs() as logs:
            await look(house, jane, "/account", "/account")
        assert [(log["event"], log["code"]) for log in logs] == [("denied", "rate_limited")]


class TestRefusedCalls:
    async def test_of_a_key_without_the_permission_do_not_count_and_show_what_is_left(self, opened: Open) -> None:
        house = await opened(general=1)
        jane = await house.open_account()
        reads = await house.issue(jane, "read")
        refused = await house.call("POST", "/v1/projects", key=reads, body={"name": "P"})
        assert (refused.status, refused.headers["X-RateLimit-Remaining"]) == (403, "1")
        assert (await house.call("GET", "/v1/account", key=reads)).status == 200
        assert (await house.call("POST", "/v1/projects", key=reads, body={"name": "P"})).status == 403

    async def test_of_a_suspended_account_do_not_count(self, opened: Open) -> None:
        house = await opened(general=1)
        jane = await house.open_account()
        await house.suspend(jane)
        assert (await house.call("POST", "/v1/projects", key=jane.key, body={"name": "P"})).code == "account_suspended"
        assert (await house.call("GET", "/v1/account", key=jane.key)).status == 200


class TestHeaders:
    async def test_tell_what_is_left_of_the_scarcest_class(self, opened: Open) -> None:
        house = await opened()
        jane = await house.open_account()
        (reply,) = await look(house, jane, "/account/payment-methods")
        assert {name: reply.headers[name] for name in SHOWN} == {
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": "99",
            "X-RateLimit-Reset": str(int(house.clock().timestamp()) + 3600),
            "RateLimit": '"billing";r=99;t=3600, "general";r=999;t=3600',
            "RateLimit-Policy": '"billing";q=100;w=3600, "general";q=1000;w=3600',
        }
        (reply,) = await look(house, jane, "/account")
        assert (reply.headers["X-RateLimit-Limit"], reply.headers["X-RateLimit-Remaining"]) == ("1000", "998")
        assert reply.headers["RateLimit-Policy"] == '"general";q=1000;w=3600'

    async def test_are_on_every_answer_to_a_key(self, opened: Open) -> None:
        house = await opened(general=9)
        jane = await house.open_account()
        calls: list[tuple[str, str, object, int]] = [
            ("GET", "/v1/account", None, 200),
            ("HEAD", "/v1/account", None, 200),
            ("POST", "/v1/projects", {"name": "P"}, 201),
            ("POST", "/v1/projects", {}, 400),
            ("POST", "/v1/projects", b"{" * 2_000_000, 413),
            ("GET", f"/v1/projects/prj_{'0' * 26}", None, 404),
            ("PUT", "/v1/account", {"company": "Acme"}, 200),
        ]
        for left, (method, path, body, status) in enumerate(calls, start=1):
            reply = await house.call(method, path, key=jane.key, body=body)
            assert (reply.status, reply.headers["X-RateLimit-Remaining"]) == (status, str(9 - left))

    @pytest.mark.parametrize(("path", "key"), [("/v1/account", None), ("/v1/account", NO_SUCH_KEY), ("/v1/no", None)])
    async def test_are_not_on_answers_to_nobody(self, opened: Open, path: str, key: str | None) -> None:
        house = await opened()
        reply = await house.call("GET", path, key=key)
        assert not [name for name in SHOWN if name in reply.headers]


class TestOperators:
    async def test_have_no_limit_unless_one_is_set(self, opened: Open) -> None:
        house = await opened(general=1)
        replies = [await house.operate("GET", "/accounts") for _ in range(5)]
        assert {reply.status for reply in replies} == {200}
        assert "X-RateLimit-Limit" not in replies[0].headers

    async def test_are_held_to_the_one_that_is_set(self, opened: Open) -> None:
        house = await opened(operator=2)
        replies = [await house.operate("GET", "/accounts") for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert replies[-1].body["error"]["details"]["class"] == "operator"
        assert replies[0].headers["RateLimit"] == '"operator";r=1;t=3600'


class TestWrongKeys:
    async def test_are_limited_by_address(self, opened: Open) -> None:
        house = await opened(failures=2)
        replies = [await house.call("GET", "/v1/account", key=NO_SUCH_KEY) for _ in range(4)]
        assert [reply.status for reply in replies] == [401, 401, 429, 429]
        assert replies[-1].body["error"]["details"] == {
            "limit": 2,
            "class": "failed_authentications",
            "retry_after_s": 3600,
        }
        assert replies[-1].headers["Retry-After"] == "3600"
        house.clock.advance(HOUR)
        assert (await house.call("GET", "/v1/account", key=NO_SUCH_KEY)).status == 401

    async def test_of_either_plane_count_together(self, opened: Open) -> None:
        house = await opened(failures=2)
        assert (await house.call("GET", "/v1/account", key="ls_prod_wrong")).status == 401
        assert (await house.call("GET", "/operator/v1/accounts", key="ls_op_wrong")).status == 401
        assert (await house.call("GET", "/v1/account", key="ls_prod_wrong")).status == 429
        assert (await house.call("GET", "/operator/v1/accounts", key="ls_op_wrong")).status == 429

    async def test_do_not_shut_out_keys_in_use_at_the_same_address(self, opened: Open) -> None:
        house = await opened(failures=1)
        jane, bob = await house.open_account(), await house.open_account()
        await look(house, jane, "/account")
        await house.call("GET", "/v1/account", key=NO_SUCH_KEY)
        assert [reply.status for reply in await look(house, jane, "/account", "/account")] == [200, 200]
        assert [reply.status for reply in await look(house, bob, "/account")] == [429]
        house.clock.advance(HOUR)
        assert [reply.status for reply in await look(house, bob, "/account")] == [200]

    async def test_are_not_looked_up_once_there_were_too_many(self, opened: Open) -> None:
        house = await opened(failures=1)
        jane = await house.open_account()
        await house.call("GET", "/v1/account", key=NO_SUCH_KEY)
        await house.database.pool.close()
        assert (await house.call("GET", "/v1/account", key=jane.key)).status == 429

    async def test_include_one_that_was_right_until_it_was_revoked(self, opened: Open) -> None:
        house = await opened(failures=1)
        jane = await house.open_account()
        await look(house, jane, "/account")
        async with house.database.transaction() as tx:
            await tx.connection.execute(
                "UPDATE api_keys SET revoked_at = $2 WHERE account_id = $1", jane.account_id, tx.now
            )
        assert [reply.status for reply in await look(house, jane, "/account", "/account")] == [401, 429]

    async def test_do_not_count_without_a_key(self, opened: Open) -> None:
        house = await opened(failures=1)
        assert [(await house.call("GET", "/v1/account")).status for _ in range(3)] == [401, 401, 401]

    async def test_leave_the_other_planes_keys_at_404(self, opened: Open) -> None:
        house = await opened(failures=1)
        await house.call("GET", "/v1/account", key=NO_SUCH_KEY)
        assert (await house.call("GET", "/v1/account", key=house.operator_key)).status == 404

    async def test_are_counted_by_network_of_an_ipv6_household(self) -> None:
        attempts = limited(failures=1)(Clock()).attempts
        seen = [
            await _refused(attempts.watching(_nobody), ip) for ip in ("2001:db8::1", "2001:db8::2", "2001:db8:1::1")
        ]
        assert seen == ["unauthorized", "rate_limited", "unauthorized"]


async def _nobody(*, token: str, ip: str) -> Caller:
    raise Unauthorized


async def _refused(read: Any, ip: str) -> str:
    with pytest.raises(BillingError) as caught:
        await read(token="wrong", ip=ip)
    return caught.value.code
