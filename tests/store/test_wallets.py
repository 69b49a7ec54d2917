"""Wallets, holds and promotional credit on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from billing import accounts, catalog, ledger, metering, projects, wallets
from billing.core.errors import InvalidParameter, NotFound
from billing.core.period import Period
from billing.kit.db import Database, Tx, open_pool
from billing.wallets import operations, rules, store
from billing.wallets.model import CaptureAboveHold, Cash, Hold, HoldNotOpen, HoldReferenceReused, Wallet
from tests.conftest import NOW

ENABLED = frozenset({"USD", "KES", "JPY"})


async def open_account(tx: Tx, *, cash_minor: int = 0, currency: str = "USD") -> UUID:
    account = await accounts.open_account(tx, email="a@example.org", name="A", currency=currency)
    await ledger.open_head(tx.connection, account_id=account.account_id)
    if cash_minor:
        await pay_in(tx, account.account_id, cash_minor, currency)
    return account.account_id


async def pay_in(tx: Tx, account_id: UUID, amount_minor: int, currency: str) -> None:
    payment_id = tx.new_id()
    await ledger.post(
        tx.connection,
        ledger.payment_recorded(
            account_id=account_id, payment_id=payment_id, currency=currency, amount_minor=amount_minor, at=tx.now
        ),
        recorded_at=tx.now,
    )


async def read(tx: Tx, account_id: UUID, *, reserve: wallets.Reserve = wallets.nothing_reserved) -> list[Wallet]:
    return await wallets.list_wallets(
        tx.connection, account_id=account_id, own_currency="USD", now=tx.now, reserve=reserve
    )


async def place(
    tx: Tx, account_id: UUID, amount_minor: int, *, reference: str = "order-1", days: int = 1, **others: object
) -> Hold:
    return await operations.place_hold(
        tx,
        account_id=account_id,
        own_currency="USD",
        currency=str(others.get("currency", "USD")),
        amount_minor=amount_minor,
        reference=reference,
        expires_at=tx.now + timedelta(days=days),
        reserve=others.get("reserve", wallets.nothing_reserved),  # pyright: ignore[reportArgumentType]  # test's own
    )


def later(tx: Tx, **delta: float) -> Tx:
    return replace(tx, now=tx.now + timedelta(**delta))


class TestOfCurrency:
    def test_is_empty_where_there_was_never_money(self) -> None:
        held = [Wallet("USD", 1, 2, 3)]
        assert rules.of_currency(held, "USD") == held[0]
        assert rules.of_currency(held, "KES") == Wallet("KES", 0, 0, 0)


class TestReadAmount:
    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [("1", "USD", 100), ("100.00", "USD", 10000), ("0.01", "USD", 1), ("1E2", "USD", 10000), ("7", "JPY", 7)],
    )
    def test_gives_minor_units(self, amount: str, currency: str, minor: int) -> None:
        assert rules.read_amount(Decimal(amount), currency, enabled=ENABLED) == minor

    @pytest.mark.parametrize(
        ("amount", "currency", "paths"),
        [
            ("0", "USD", ["amount"]),
            ("-1", "USD", ["amount"]),
            ("0.001", "USD", ["amount"]),
            ("1.5", "JPY", ["amount"]),
            ("1e30", "USD", ["amount"]),
            ("NaN", "USD", ["amount"]),
            ("Infinity", "EUR", ["amount"]),
            ("1", "usd", ["currency"]),
            ("-1", "", ["currency", "amount"]),
            ("-1", "XQX", ["amount"]),
        ],
    )
    def test_names_each_fault(self, amount: str, currency: str, paths: list[str]) -> None:
        with pytest.raises(InvalidParameter) as refused:
            rules.read_amount(Decimal(amount), currency, enabled=ENABLED)
        assert [fault.path for fault in refused.value.faults] == paths

    @pytest.mark.parametrize("currency", ["EUR", "XQX"])
    def test_refuses_a_currency_that_is_not_enabled(self, currency: str) -> None:
        with pytest.raises(accounts.CurrencyNotSupported):
            rules.read_amount(Decimal("1.00"), currency, enabled=ENABLED)


class TestReserveOf:
    @pytest.mark.parametrize(
        ("cash", "unbilled", "credit", "next_day", "reserve"),
        [
            (1000, 300, 0, 20, 320),
            (1000, 300, 100, 20, 220),
            (1000, 300, 500, 20, 20),
            (100, 300, 0, 20, 100),
            (0, 300, 0, 20, 0),
            (1000, 0, 0, 0, 0),
        ],
    )
    def test_takes_what_is_owed_and_a_day_more(
        self, cash: int, unbilled: int, credit: int, next_day: int, reserve: int
    ) -> None:
        assert (
            rules.reserve_of(cash_minor=cash, unbilled_minor=unbilled, credit_minor=credit, next_day_minor=next_day)
            == reserve
        )


class TestListWallets:
    async def test_shows_the_own_currency_though_it_never_had_money(self, tx: Tx) -> None:
        account_id = await open_account(tx)
        assert await read(tx, account_id) == [Wallet("USD", 0, 0, 0)]

    async def test_shows_another_currency_once_it_has_had_money(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        await pay_in(tx, account_id, 9900, "KES")
        await pay_in(tx, account_id, 3, "JPY")
        assert await read(tx, account_id) == [
            Wallet("USD", 500, 0, 0),
            Wallet("JPY", 3, 0, 0),
            Wallet("KES", 9900, 0, 0),
        ]

    def test_leaves_out_a_wallet_whose_only_money_never_came(self) -> None:
        balances = {("KES", ledger.WALLET_PENDING): 0, ("KES", "gateway:sandbox"): 0}
        assert list(rules.cash_by_currency(balances, expired_minor={}, own_currency="USD")) == ["USD"]

    async def test_reserves_in_the_own_currency_alone(self, tx: Tx) -> None:
        asked: list[dict[UUID, tuple[str, int]]] = []

        async def reserve(_: object, __: datetime, cash: Mapping[UUID, wallets.OwnCash]) -> Mapping[UUID, int]:
            asked.append(dict(cash))
            return dict.fromkeys(cash, 120)

        account_id = await open_account(tx, cash_minor=500)
        await pay_in(tx, account_id, 9900, "KES")
        own, other = await read(tx, account_id, reserve=reserve)
        assert (own.available_minor, own.reserved_minor, own.total_minor) == (380, 120, 500)
        assert (other.available_minor, other.reserved_minor) == (9900, 0)
        assert asked == [{account_id: ("USD", 500)}]

    def test_refuses_a_reserve_above_the_cash(self) -> None:
        with pytest.raises(AssertionError):
            rules.shown("USD", Cash(cash_minor=5, pending_minor=0, held_minor=0), reserve_minor=6)

    async def test_does_not_show_another_account(self, tx: Tx) -> None:
        await open_account(tx, cash_minor=500)
        account_id = await open_account(tx)
        assert await read(tx, account_id) == [Wallet("USD", 0, 0, 0)]


async def run_server(tx: Tx, account_id: UUID) -> None:
    """A server at 1.00 an hour that has run for the 10 hours of this month."""
    month = Period.containing(tx.now).start
    price = catalog.PriceDefinition(service="compute", plan="s1", model="hourly", hourly_price=Decimal("1.00"))
    await catalog.publish_rate_card(tx, name="list", currency="USD", valid_from=month, prices=[price])
    project = await projects.create_default(tx, account_id=account_id)
    await metering.record_state(
        tx,
        metering.StateReport(
            account_id=account_id,
            resource_id="vps_1",
            project_id=project.project_id,
            type="vps",
            service="compute",
            name="web",
            region="nairobi",
            status="running",
            effective_at=month,
            plan="s1",
            units=Decimal(1),
        ),
    )


class TestReserveForUsage:
    @pytest.mark.parametrize(("cash_minor", "reserved_minor"), [(10_000, 3_400), (2_000, 2_000), (0, 0)])
    async def test_takes_the_open_month_and_a_day_more(self, tx: Tx, cash_minor: int, reserved_minor: int) -> None:
        account_id = await open_account(tx, cash_minor=cash_minor)
        await run_server(tx, account_id)
        (wallet,) = await read(tx, account_id, reserve=wallets.reserve_for_usage)
        assert (wallet.reserved_minor, wallet.total_minor) == (reserved_minor, cash_minor)

    async def test_lets_valid_credit_pay_first(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=10_000)
        await run_server(tx, account_id)
        for amount_minor, currency, days in [(400, "USD", None), (300, "USD", 30), (7, "KES", None)]:
            await wallets.grant_credit(
                tx,
                account_id=account_id,
                currency=currency,
                amount_minor=amount_minor,
                reason="welcome",
                priority=100,
                expires_at=tx.now + timedelta(days=days) if days else None,
            )
        (wallet,) = await read(tx, account_id, reserve=wallets.reserve_for_usage)
        assert wallet.reserved_minor == 300 + 2_400

    async def test_takes_nothing_when_nothing_runs(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        assert await read(tx, account_id, reserve=wallets.reserve_for_usage) == [Wallet("USD", 500, 0, 0)]


class TestHold:
    async def test_sets_money_aside(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        hold = await place(tx, account_id, 200)
        assert hold.is_open(tx.now)
        assert await read(tx, account_id) == [Wallet("USD", 300, 0, 200)]

    async def test_refuses_more_than_is_available(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        await place(tx, account_id, 200)
        with pytest.raises(ledger.InsufficientBalance) as refused:
            await place(tx, account_id, 301, reference="order-2")
        assert refused.value.details == {
            "required": Decimal("3.01"),
            "available": Decimal("3.00"),
            "currency": "USD",
        }
        assert str(refused.value.details["available"]) == "3.00"

    async def test_leaves_what_is_reserved(self, tx: Tx) -> None:
        async def reserve(_: object, __: datetime, cash: Mapping[UUID, wallets.OwnCash]) -> Mapping[UUID, int]:
            return dict.fromkeys(cash, 400)

        account_id = await open_account(tx, cash_minor=500)
        with pytest.raises(ledger.InsufficientBalance):
            await place(tx, account_id, 101, reserve=reserve)
        assert (await place(tx, account_id, 100, reserve=reserve)).amount_minor == 100

    async def test_is_replayed_by_reference_and_content(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        first = await place(tx, account_id, 200)
        assert await place(tx, account_id, 200) == first
        with pytest.raises(HoldReferenceReused):
            await place(tx, account_id, 201)
        assert await read(tx, account_id) == [Wallet("USD", 300, 0, 200)]

    async def test_is_spendable_in_the_first_read_after_its_expiry(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        await place(tx, account_id, 500)
        assert await read(later(tx, days=1, microseconds=-1), account_id) == [Wallet("USD", 0, 0, 500)]
        assert await read(later(tx, days=1), account_id) == [Wallet("USD", 500, 0, 0)]

    async def test_gives_its_money_to_the_next_one_after_its_expiry(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        expired = await place(tx, account_id, 500)
        after = later(tx, days=2)
        await place(after, account_id, 400, reference="order-2")
        assert await read(after, account_id) == [Wallet("USD", 100, 0, 400)]
        assert (
            await store.get_hold(tx.connection, account_id=account_id, hold_id=expired.hold_id)
        ).status == "released"
        assert await read(later(tx, days=400), account_id) == [Wallet("USD", 500, 0, 0)]

    async def test_is_captured_in_part_and_the_rest_goes_back(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        placed = await place(tx, account_id, 200)
        hold = await operations.lock_open_hold(tx, hold_id=placed.hold_id)
        with pytest.raises(CaptureAboveHold):
            await operations.capture_hold(tx, hold=hold, amount_minor=201)
        captured = await operations.capture_hold(tx, hold=hold, amount_minor=150)
        assert captured == await store.get_hold(tx.connection, account_id=account_id, hold_id=hold.hold_id)
        assert await read(tx, account_id) == [Wallet("USD", 350, 0, 0)]
        balances = await ledger.list_balances(tx.connection, account_id=account_id)
        assert balances["USD", "revenue"] == 150

    async def test_ends_once(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        hold = await place(tx, account_id, 200)
        await operations.release_hold(tx, hold=hold)
        assert await read(tx, account_id) == [Wallet("USD", 500, 0, 0)]
        with pytest.raises(HoldNotOpen):
            await operations.lock_open_hold(tx, hold_id=hold.hold_id)

    async def test_cannot_be_taken_after_its_expiry(self, tx: Tx) -> None:
        account_id = await open_account(tx, cash_minor=500)
        hold = await place(tx, account_id, 200)
        with pytest.raises(HoldNotOpen) as refused:
            await operations.lock_open_hold(later(tx, days=1), hold_id=hold.hold_id)
        assert refused.value.details == {"status": "expired"}

    async def test_is_unknown_by_another_id(self, tx: Tx) -> None:
        with pytest.raises(NotFound):
            await operations.lock_open_hold(tx, hold_id=tx.new_id())


class TestHoldRace:
    async def test_takes_no_more_than_is_there(self, database_dsn: str) -> None:
        pool = await open_pool(database_dsn, size=8)
        database = Database(pool, lambda: NOW)
        try:
            async with database.transaction() as tx:
                account_id = await open_account(tx, cash_minor=1_000)
            refusals: list[dict[str, object]] = []

            async def spend(number: int) -> int:
                try:
                    async with database.transaction() as tx:
                        return (await place(tx, account_id, 70, reference=f"order-{number}")).amount_minor
                except ledger.InsufficientBalance as refused:
                    refusals.append(refused.details)
                    return 0

            taken_minor = sum(await asyncio.gather(*(spend(number) for number in range(64))))
            async with database.transaction() as tx:
                assert await read(tx, account_id) == [Wallet("USD", 20, 0, 980)]
        finally:
            await pool.close()
        assert taken_minor == 14 * 70
        assert refusals == 50 * [{"required": Decimal("0.70"), "available": Decimal("0.20"), "currency": "USD"}]


class TestGrantCredit:
    async def test_is_credit_and_no_money(self, tx: Tx) -> None:
        account_id = await open_account(tx)
        credit = await wallets.grant_credit(
            tx,
            account_id=account_id,
            currency="USD",
            amount_minor=2500,
            reason="welcome",
            priority=100,
            expires_at=None,
        )
        balances = await ledger.list_balances(tx.connection, account_id=account_id)
        assert balances == {("USD", ledger.promo(credit.credit_id)): 2500, ("USD", "promotions"): -2500}
        assert await read(tx, account_id) == [Wallet("USD", 0, 0, 0)]

    async def test_is_spent_by_priority_then_expiry_then_age(self, tx: Tx) -> None:
        account_id = await open_account(tx)
        wanted = [("third", 100, None), ("second", 100, 5), ("first", 1, None), ("fourth", 100, None)]
        for hours, (reason, priority, days) in enumerate(wanted):
            await wallets.grant_credit(
                later(tx, hours=hours),
                account_id=account_id,
                currency="USD",
                amount_minor=1,
                reason=reason,
                priority=priority,
                expires_at=tx.now + timedelta(days=days) if days else None,
            )
        found = await wallets.list_unspent_credits(tx.connection, account_ids=[account_id])
        assert [(credit.reason, left_minor) for credit, left_minor in found[account_id]] == [
            ("first", 1),
            ("second", 1),
            ("third", 1),
            ("fourth", 1),
        ]
