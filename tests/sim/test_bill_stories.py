"""Stories in which the model of invoices or the program was once wrong, told again by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from tests.sim.books import PLANS
from tests.sim.test_bills import Bills
from tests.sim.test_model import NO_REFUNDS, Till


def begun(dsn: str) -> Bills:
    """An account at the begin of its story."""
    return type("Account", (Bills,), {"dsn": dsn})()


def first_of(few: Iterable[UUID]) -> Callable[[object], UUID]:
    """Draws the first, whatever it is asked for."""
    return lambda _: next(iter(few))


class TestStories:
    def test_have_no_bill_of_a_month_without_charges(self, shared_dsn: str) -> None:
        """Seed 31: what is stopped on the large plan costs nothing, and such a month has no number."""
        account = begun(shared_dsn)
        account.tax(percent_of_vat=0)
        account.live_on(days=3)
        for name in ("one", "two"):
            account.change(name=name, plan=PLANS[1], status="stopped", units=1, hours=0)
        for _ in range(3):
            account.live_on(days=28)
        for _ in range(3):
            account.close(1)
        account.bills_are_the_models()
        account.balances_are_the_models()
        account.numbers_are_the_models()
        assert [bill.month.month for bill in account.books.bills.values()] == [1, 2]
        Till.teardown(account)

    def test_take_what_a_failed_refund_leaves_for_money_that_arrives(self, shared_dsn: str) -> None:
        """Seed 77: the gateway refused to give back, and the job acted on what was in the wallet again."""
        account = begun(shared_dsn)
        account.tax(percent_of_vat=16)
        account.top_up(amount=1, token=NO_REFUNDS)
        account.collect()
        account.refund(data=cast("Any", SimpleNamespace(draw=first_of(account.model.left))), amount=1)
        account.collect()
        account.balances_are_the_models()
        Till.teardown(account)
