"""quality.md S8: every list with every subset of its filters, page by page against a naive oracle, and along the cursor while
rows are inserted: nothing missing, nothing twice.

The oracle is the whole list, filtered and sorted in Python by what its items show. A list that is not told here fails.
"""

from __future__ import annotations

import random
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from urllib.parse import urlencode

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from billing.app.http import OPERATOR, PUBLIC
from billing.core import ids
from billing.kit.web import Meta
from tests.support.plenty import grow
from tests.support.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

Item = dict[str, Any]
Fits = Callable[[Item, str], bool]

SEEDED = 23
SEED = 20240131


def same(member: str) -> Fits:
    return lambda item, wanted: item[member] == wanted


def since(member: str) -> Fits:
    return lambda item, wanted: item[member][:10] >= wanted


def until(member: str) -> Fits:
    return lambda item, wanted: item[member][:10] <= wanted


def mentions(item: Item, wanted: str) -> bool:
    return any(wanted.lower() in (item[name] or "").lower() for name in ("email", "name", "company"))


def is_actor(item: Item, wanted: str) -> bool:
    return wanted in {item["actor"]["kind"], item["actor"]["id"]}


@dataclass(frozen=True)
class Listed:
    """How a list is ordered and filtered: what an item shows at each place of the order, and what each filter lets through."""

    members: str
    key: tuple[str, ...]
    descending: bool = False
    filters: Mapping[str, Fits] = field(default_factory=dict[str, Fits])
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    hidden: tuple[str, tuple[str, ...]] = ("", ())
    """The filter that shows what is hidden otherwise, and its values."""

    def sort_key(self, item: Item) -> tuple[Any, ...]:
        return tuple(item[name] for name in self.key)


NEWEST = ("created_at", "id")
DAYS = ("2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07", "2024-02-01")
INVOICES = Listed(
    "invoices",
    NEWEST,
    descending=True,
    filters={"status": same("status"), "from_date": since("created_at"), "to_date": until("created_at")},
    values={"status": ("pending", "overdue", "paid", "void", "uncollectible"), "from_date": DAYS, "to_date": DAYS},
    hidden=("status", ("void", "uncollectible")),
)
STATUSES = ("running", "stopped", "deleted")
RESOURCES = Listed(
    "resources",
    ("created_at", "id"),
    filters={"service": same("service"), "status": same("status")},
    values={"service": ("compute", "storage"), "status": STATUSES},
    hidden=("status", ("deleted",)),
)
KEYS = Listed("api_keys", NEWEST, descending=True)
PROJECTS = Listed("projects", ("created_at", "id"))
CREDITS = Listed("credits", ("granted_at", "id"), descending=True)
ALERTS = Listed("alerts", ("created_at", "id"))
LINES = Listed("lines", ("ordinal",))
WEBHOOKS = Listed("webhooks", ("created_at", "id"))
TOLD = Listed("notifications", NEWEST, descending=True)
SENT = {"status": ("delivered", "failed", "pending")}
WALLETS = Listed("wallets", ("place",))

LISTS = {
    "/v1/account/api-keys": KEYS,
    "/v1/account/wallets": WALLETS,
    "/v1/account/credits": CREDITS,
    "/v1/account/alerts": ALERTS,
    "/v1/account/notifications": TOLD,
    "/v1/account/webhooks": WEBHOOKS,
    "/v1/account/webhooks/{webhook_id:str}/deliveries": Listed(
        "deliveries", NEWEST, descending=True, filters={"status": same("status")}, values=SENT
    ),
    "/v1/account/payment-methods": Listed("payment_methods", NEWEST, descending=True),
    "/v1/account/invoices": INVOICES,
    "/v1/account/invoices/{invoice_id:str}/lines": LINES,
    "/v1/account/billing/history": Listed(
        "transactions",
        NEWEST,
        descending=True,
        filters={"from_date": since("created_at"), "to_date": until("created_at"), "type": same("type")},
        values={"from_date": DAYS, "to_date": DAYS, "type": ("charge", "payment", "refund")},
    ),
    "/v1/projects": PROJECTS,
    "/v1/projects/{project_id:str}/resources": RESOURCES,
    "/operator/v1/accounts": Listed(
        "accounts",
        ("id",),
        descending=True,
        filters={"status": same("status"), "q": mentions},
        values={"status": ("active", "suspended", "closed"), "q": ("plenty", "NAME 1", "company 0", "nobody")},
    ),
    "/operator/v1/accounts/{account_id:str}/api-keys": KEYS,
    "/operator/v1/accounts/{account_id:str}/resources": RESOURCES,
    "/operator/v1/accounts/{account_id:str}/projects": PROJECTS,
    "/operator/v1/accounts/{account_id:str}/credits": CREDITS,
    "/operator/v1/accounts/{account_id:str}/alerts": ALERTS,
    "/operator/v1/accounts/{account_id:str}/wallets": WALLETS,
    "/operator/v1/accounts/{account_id:str}/notifications": TOLD,
    "/operator/v1/deliveries": Listed(
        "deliveries",
        NEWEST,
        descending=True,
        filters={"status": same("status"), "account_id": same("account_id")},
        values={"status": ("sent", "failed", "suppressed"), "account_id": ("{account_id}",)},
    ),
    "/operator/v1/accounts/{account_id:str}/webhooks": WEBHOOKS,
    "/operator/v1/webhooks/deliveries": Listed(
        "deliveries",
        ("created_at", "id", "webhook_id"),
        descending=True,
        filters={"status": same("status"), "account_id": same("account_id")},
        values={**SENT, "account_id": ("{account_id}",)},
    ),
    "/operator/v1/accounts/{account_id:str}/invoices": INVOICES,
    "/operator/v1/invoices/{invoice_id:str}/lines": LINES,
    "/operator/v1/accounts/{account_id:str}/holds": Listed(
        "holds",
        NEWEST,
        descending=True,
        filters={"status": same("status")},
        values={"status": ("open", "captured", "released", "expired")},
    ),
    "/operator/v1/accounts/{account_id:str}/payments": Listed(
        "payments",
        NEWEST,
        descending=True,
        filters={"kind": same("kind"), "status": same("status")},
        values={"kind": ("topup", "recorded"), "status": ("pending", "completed", "failed")},
    ),
    "/operator/v1/accounts/{account_id:str}/ledger": Listed("transfers", ("number",), descending=True),
    "/operator/v1/payments/{payment_id:str}/refunds": Listed("refunds", NEWEST, descending=True),
    "/operator/v1/invoices/{invoice_id:str}/credit-notes": Listed("credit_notes", NEWEST, descending=True),
    "/operator/v1/rate-cards": Listed(
        "rate_cards",
        ("id",),
        descending=True,
        filters={"account_id": same("account_id"), "currency": same("currency")},
        values={"account_id": ("{account_id}",), "currency": ("USD", "KES", "ZAR")},
    ),
    "/operator/v1/meters": Listed("meters", ("meter",)),
    "/operator/v1/tax-rates": Listed("tax_rates", ("country", "name", "valid_from")),
    "/operator/v1/events/quarantine": Listed(
        "events",
        ("received_at", "account_id", "source", "id"),
        filters={"account_id": same("account_id")},
        values={"account_id": ("{account_id}",)},
    ),
    "/operator/v1/runs": Listed("runs", NEWEST, descending=True),
    "/operator/v1/runs/{run_id:str}/parked": Listed("parked", ("account_id",)),
    "/operator/v1/audit": Listed(
        "entries",
        ("number",),
        descending=True,
        filters={
            "account_id": same("account_id"),
            "actor": is_actor,
            "action": lambda item, wanted: item["action"].startswith(wanted),
            "from_date": since("occurred_at"),
            "to_date": until("occurred_at"),
        },
        values={
            "account_id": ("{account_id}",),
            "actor": ("operator", "account_key", "system"),
            "action": ("key", "key.revoked", "run", "POST "),
            "from_date": DAYS,
            "to_date": DAYS,
        },
    ),
}
TIED_TO_MEMORY = [path for path, listed in LISTS.items() if listed is WALLETS]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(module_dsn: str) -> AsyncIterator[World]:
    async with open_world(module_dsn) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gardener(module_dsn: str, world: World) -> AsyncIterator[Gardener]:
    connection = await asyncpg.connect(module_dsn)
    opened = Gardener(connection, world)
    await opened.plant(SEEDED)
    await connection.execute(
        """
        INSERT INTO balances (account_id, currency, ledger_account, balance_minor)
        SELECT $1, currency, 'wallet:cash', 100 FROM unnest('{GHS,KES,NGN,TZS,ZAR}'::text[]) AS currency
        """,
        ids.decode("acc", world.jane.id),
    )
    yield opened
    await connection.close()


class Gardener:
    """Puts rows into every table."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], world: World) -> None:
        self._connection = connection
        self._world = world
        self._last = 0

    async def plant(self, count: int) -> None:
        """As many further rows in each table, at instants among those that are there."""
        owners = {
            name.removesuffix("_id"): str(ids.decode(prefix, self._world.mine[name]))
            for name, prefix in (
                ("project_id", "proj"),
                ("invoice_id", "inv"),
                ("payment_id", "pay"),
                ("run_id", "run"),
                ("webhook_id", "wh"),
            )
        }
        account = str(ids.decode("acc", self._world.jane.id))
        first, self._last = self._last + 1, self._last + count
        await grow(self._connection, first=first, last=self._last, account=account, **owners)


@dataclass(frozen=True)
class Asker:
    """Reads one list."""

    world: World
    template: str

    @property
    def listed(self) -> Listed:
        return LISTS[self.template]

    async def part(self, **query: object) -> dict[str, Any]:
        """One answer, its items under `items`."""
        house = self.world.house
        path = self.template
        for name, value in self.world.mine.items():
            path = path.replace(f"{{{name}:str}}", value)
        key = self.world.jane.key if path.startswith("/v1/") else house.operator_key
        reply = await house.call("GET", f"{path}?{urlencode(query)}", key=key)
        assert reply.status == 200, (path, query, reply.text)
        items = reply.body[self.listed.members]
        return {"meta": reply.body["meta"], "items": [self._placed(item) for item in items]}

    async def along(self, **query: object) -> AsyncIterator[list[Item]]:
        """Part after part along the cursor."""
        cursor: str | None = ""
        while cursor is not None:
            answer = await self.part(**query, cursor=cursor)
            assert answer["meta"]["total"] is None
            yield answer["items"]
            cursor = answer["meta"]["next_cursor"]

    async def whole(self, **query: object) -> list[Item]:
        """The list by its pages."""
        first = await self.part(**query, per_page=100)
        rest = [await self.part(**query, per_page=100, page=page) for page in range(2, first["meta"]["pages"] + 1)]
        return [item for answer in (first, *rest) for item in answer["items"]]

    async def everything(self) -> list[Item]:
        """What is hidden unless asked for, too."""
        name, values = self.listed.hidden
        parts = [await self.whole(), *[await self.whole(**{name: value}) for value in values]]
        return [item for part in parts for item in part]

    def value(self, text: str) -> str:
        return text.format(**self.world.mine)

    def oracle(self, everything: list[Item], query: Mapping[str, str]) -> list[Item]:
        """What the list has to show, in its order."""
        name, values = self.listed.hidden
        shown = [
            item
            for item in everything
            if all(self.listed.filters[one](item, wanted) for one, wanted in query.items())
            and (name in query or not name or item[name] not in values)
        ]
        return sorted(shown, key=self.listed.sort_key, reverse=self.listed.descending)

    def _placed(self, item: Item) -> Item:
        """An item with what its order looks at, where it shows that in other words."""
        match self.listed.members:
            case "wallets":
                return {**item, "place": (item["currency"] != "USD", item["currency"])}
            case "lines":
                return {**item, "ordinal": ids.decode_part("line", item["id"]) or item["id"]}
            case _:
                return item


def each(names: Iterator[str] | list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("template", sorted(names))


def identity(listed: Listed, item: Item) -> tuple[Any, ...]:
    return listed.sort_key(item)


async def test_every_list_is_told():
    found = {
        f"{base}{path}"
        for base, handlers in (("/v1", PUBLIC), ("/operator/v1", OPERATOR))
        for handler in handlers
        for path in handler.paths
        if "GET" in handler.http_methods and _is_list(typing.get_type_hints(handler.fn).get("return"))
    }
    assert found == set(LISTS)


def _is_list(answer: object) -> bool:
    return (
        isinstance(answer, type)
        and issubclass(answer, msgspec.Struct)
        and typing.get_type_hints(answer).get("meta") is Meta
    )


@each(list(LISTS))
class TestList:
    async def test_agrees_with_the_oracle_for_every_subset_of_its_filters(
        self, world: World, gardener: Gardener, template: str
    ):
        asker = Asker(world, template)
        listed, chance = asker.listed, random.Random(SEED)
        everything = await asker.everything()
        assert len(everything) >= (6 if listed is WALLETS else SEEDED - SEEDED // 7)
        assert len({identity(listed, item) for item in everything}) == len(everything)
        subsets = [names for size in range(len(listed.filters) + 1) for names in combinations(listed.filters, size)]
        for names in subsets * 2:
            query = {name: asker.value(chance.choice(listed.values[name])) for name in names}
            if query.get("from_date", "") > query.get("to_date", "9"):
                query["from_date"], query["to_date"] = query["to_date"], query["from_date"]
            expected = asker.oracle(everything, query)
            per_page = chance.choice((3, 7, 100)) if len(expected) < 60 else 40
            await self._agrees(asker, query, expected, per_page=per_page)

    async def _agrees(self, asker: Asker, query: dict[str, str], expected: list[Item], *, per_page: int) -> None:
        pages = -(-len(expected) // per_page)
        for page in range(1, pages + 2):
            answer = await asker.part(**query, page=page, per_page=per_page)
            assert answer["items"] == expected[(page - 1) * per_page : page * per_page], (query, page, per_page)
            shown = {name: answer["meta"][name] for name in ("total", "page", "per_page", "pages")}
            assert shown == {"total": len(expected), "page": page, "per_page": per_page, "pages": pages}
            assert (answer["meta"]["next_cursor"] is None) == (page >= pages)
        along = [part async for part in asker.along(**query, per_page=per_page)]
        assert [item for part in along for item in part] == expected, query
        assert {len(part) for part in along[:-1]} <= {per_page}


@each([path for path in LISTS if path not in TIED_TO_MEMORY])
class TestCursor:
    async def test_misses_nothing_and_doubles_nothing_while_rows_are_inserted(
        self, world: World, gardener: Gardener, template: str
    ):
        asker = Asker(world, template)
        listed = asker.listed
        before = {identity(listed, item) for item in await asker.whole()}
        seen: list[tuple[Any, ...]] = []
        rounds = 5
        async for part in asker.along(per_page=min(max(len(before) // rounds, 1), 100)):
            seen += [identity(listed, item) for item in part]
            if rounds > 0:
                await gardener.plant(2)
            rounds -= 1
        assert len(seen) == len(set(seen))
        assert before <= set(seen)
        assert seen == sorted(seen, reverse=listed.descending)
