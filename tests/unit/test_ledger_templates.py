"""The named templates: each moves what the table at the head of `ledger/rules.py` says, once per object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from billing.ledger import rules
from billing.ledger.model import Transfer
from billing.wallets import schemas

AT = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)
ACCOUNT, OBJECT = UUID(int=1), UUID(int=2)
OF: dict[str, Any] = {"account_id": ACCOUNT, "currency": "USD", "at": AT}
MOVE: dict[str, Any] = {**OF, "amount_minor": 100}
INVOICE: dict[str, Any] = {**OF, "invoice_id": OBJECT}
PARTS: dict[str, Any] = {"net_minor": 100, "taxes_minor": {"<name>": 16}}


def samples() -> list[Transfer]:
    """Every movement of every template."""
    gateway: dict[str, Any] = {"gateway_name": "<name>"}
    credit: dict[str, Any] = {**MOVE, "credit_id": OBJECT}
    hold: dict[str, Any] = {**MOVE, "hold_id": OBJECT}
    payment: dict[str, Any] = {**MOVE, "payment_id": OBJECT}
    refund: dict[str, Any] = {**MOVE, "refund_id": OBJECT}
    returned: dict[str, Any] = {**INVOICE, "amount_minor": 100}
    return [
        rules.topup_started(**payment, **gateway),
        rules.topup_settled(**payment),
        rules.topup_failed(**payment, **gateway),
        rules.payment_recorded(**payment),
        rules.refund_started(**refund),
        rules.refund_settled(**refund, **gateway),
        rules.refund_failed(**refund),
        *rules.chargeback_taken(**OF, chargeback_id=OBJECT, cash_minor=60, owed_minor=40, **gateway),
        rules.owed_paid(**MOVE, reference=OBJECT),
        rules.credit_granted(**credit),
        rules.hold_placed(**hold),
        rules.hold_captured(**hold),
        rules.hold_released(**hold),
        *rules.invoice_issued(**INVOICE, **PARTS),
        *rules.invoice_credited(**INVOICE, net_minor=-100, taxes_minor={"<name>": -16}),
        rules.credit_expired(**credit, ordinal=0),
        *rules.invoice_voided(**INVOICE, **PARTS),
        *rules.credit_note_issued(**OF, **PARTS, credit_note_id=OBJECT),
        rules.credit_note_returned(**MOVE, credit_note_id=OBJECT, ordinal=0, destination="wallet:cash"),
        rules.credit_note_returned(**MOVE, credit_note_id=OBJECT, ordinal=1, destination=f"promo:{OBJECT}"),
        rules.invoice_payment_returned(**returned, ordinal=1, destination="wallet:cash"),
        rules.invoice_payment_returned(**returned, ordinal=2, destination=f"promo:{OBJECT}"),
        rules.invoice_written_off(**INVOICE, amount_minor=100),
        rules.invoice_paid_from_credit(**credit, invoice_id=OBJECT, ordinal=1),
        rules.invoice_paid_from_cash(**MOVE, invoice_id=OBJECT, ordinal=2),
        rules.invoice_payment_started(**payment, **gateway),
        rules.invoice_payment_settled(**payment),
        rules.invoice_payment_failed(**payment, **gateway),
        rules.invoice_paid_from_method(**MOVE, invoice_id=OBJECT, ordinal=3),
        rules.credit_undone(**credit),
    ]


def told() -> list[tuple[str, str, str]]:
    """(template, source, destination) of the table."""
    movements: list[tuple[str, str, str]] = []
    for line in (rules.__doc__ or "").splitlines():
        if "→" in line:
            template, movement = line.split(maxsplit=1)
            sources, destinations = (
                side.split(" for ")[0].strip(" ,").replace(" or ", ", ").split(", ") for side in movement.split("→")
            )
            movements += [(template, source, destination) for source in sources for destination in destinations]
    return movements


def test_move_what_their_table_says() -> None:
    made = [
        (one.template, one.source.replace(str(OBJECT), "<grant>"), one.destination.replace(str(OBJECT), "<grant>"))
        for one in samples()
    ]
    assert sorted(made) == sorted(told())


def test_refer_to_something_that_has_an_id() -> None:
    shown = {one.template: schemas.show_reference(one.template, one.reference) for one in samples()}
    prefixes = {"pay", "ref", "chb", "txn", "cred", "hold", "inv", "cn"}
    assert {reference.partition("_")[0] for reference in shown.values()} == prefixes


def test_move_it_once_per_object() -> None:
    assert {one.reference for one in samples()} == {str(OBJECT)}
    assert len({(one.template, one.ordinal) for one in samples()}) == len(samples())


def test_keep_account_currency_and_time() -> None:
    assert {(one.account_id, one.currency, one.effective_at) for one in samples()} == {(ACCOUNT, "USD", AT)}


@pytest.mark.parametrize(("template", "sign"), [("issued", 1), ("voided", 1), ("credited", -1)])
def test_leave_out_the_parts_of_a_document_that_are_0(template: str, sign: int) -> None:
    make = getattr(rules, f"invoice_{template}")
    assert make(**INVOICE, net_minor=0, taxes_minor={"VAT": 0}) == []
    (tax,) = make(**INVOICE, net_minor=0, taxes_minor={"A": 0, "B": 7 * sign})
    assert ("tax:B" in (tax.source, tax.destination), tax.ordinal, tax.amount_minor) == (True, 2, 7)


def test_leave_out_the_parts_of_a_credit_note_that_are_0() -> None:
    note: dict[str, Any] = {**OF, "credit_note_id": OBJECT}
    assert rules.credit_note_issued(**note, net_minor=0, taxes_minor={"VAT": 0}) == []
    (tax,) = rules.credit_note_issued(**note, net_minor=0, taxes_minor={"A": 0, "B": 7})
    assert (tax.source, tax.ordinal, tax.amount_minor) == ("tax:B", 2, 7)


@pytest.mark.parametrize(("cash_minor", "owed_minor", "sources"), [(5, 0, ["wallet:cash"]), (0, 5, ["owed"])])
def test_leave_out_the_parts_of_a_chargeback_that_are_0(cash_minor: int, owed_minor: int, sources: list[str]) -> None:
    parts = rules.chargeback_taken(
        **OF, chargeback_id=OBJECT, gateway_name="x", cash_minor=cash_minor, owed_minor=owed_minor
    )
    assert [part.source for part in parts] == sources


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_move_more_than_nothing(amount_minor: int) -> None:
    with pytest.raises(AssertionError):
        rules.owed_paid(**OF, reference=OBJECT, amount_minor=amount_minor)
