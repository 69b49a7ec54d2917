"""Wire shapes of wallets, holds, credits and the books."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from billing import accounts, ledger
from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import Check, Meta, PageQuery
from billing.wallets.model import CreditStanding, CreditStatus, Hold, Wallet
from billing.wallets.rules import MONEY_CHECKS, read_amount

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

REFERENCE_LONGEST = 200
REASON_LONGEST = 500
CREDIT_PREFIX = "cred"
PRIORITY_DEFAULT = 100
# By template, or its first word: the prefix of the ids that its transfers refer to.
_REFERRED = {
    "topup": "pay",
    "payment": "pay",
    "invoice.payment_started": "pay",
    "invoice.payment_settled": "pay",
    "invoice.payment_failed": "pay",
    "refund": "ref",
    "chargeback": "chb",
    "owed": "txn",
    "credit": "cred",
    "hold": "hold",
    "invoice": "inv",
    "credit_note": "cn",
}
PRIORITY_MAX = 1000


class WalletOut(msgspec.Struct, frozen=True, kw_only=True):
    """One currency's wallet."""

    currency: str
    available_balance: Decimal
    pending_balance: Decimal
    reserved_balance: Decimal
    total_balance: Decimal


class WalletsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account/wallets."""

    wallets: list[WalletOut]
    meta: Meta


def _reference_faults(*, reference: str) -> list[Fault]:
    return text_faults("reference", reference, longest=REFERENCE_LONGEST)


def _reason_faults(*, reason: str) -> list[Fault]:
    return text_faults("reason", reason, longest=REASON_LONGEST)


def _expiry_faults(*, expires_at: datetime | None, now: datetime) -> list[Fault]:
    is_past = expires_at is not None and expires_at <= now
    return [Fault("body", "expires_at", "must be in the future")] if is_past else []


def _priority_faults(*, priority: int) -> list[Fault]:
    is_wrong = not 0 <= priority <= PRIORITY_MAX
    return [Fault("body", "priority", f"must be from 0 to {PRIORITY_MAX}")] if is_wrong else []


class HoldIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/holds."""

    amount: Decimal
    currency: str
    reference: str
    expires_at: datetime

    checks: ClassVar[tuple[Check, ...]] = (_reference_faults, *MONEY_CHECKS, _expiry_faults)

    def read_minor(self, *, enabled: Set[str], now: datetime) -> int:
        """The amount in minor units. Raises InvalidParameter with every fault of the body, CurrencyNotSupported."""
        faults = _expiry_faults(expires_at=self.expires_at, now=now)
        return read_amount(self.amount, self.currency, enabled=enabled, other_faults=faults)


class CaptureIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /holds/{id}/capture; without an amount all that is held."""

    amount: Decimal | None = None


class EmptyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body without members."""


class HoldOut(msgspec.Struct, frozen=True, kw_only=True):
    """A hold."""

    id: str
    reference: str
    amount: Decimal
    captured: Decimal | None
    currency: str
    status: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class HoldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, wrapped by its name."""

    hold: HoldOut


class CreditIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/credits."""

    amount: Decimal
    currency: str
    reason: str
    expires_at: datetime | None = None
    priority: int = PRIORITY_DEFAULT

    checks: ClassVar[tuple[Check, ...]] = (_reason_faults, *MONEY_CHECKS, _priority_faults, _expiry_faults)

    def read_minor(self, *, enabled: Set[str], now: datetime) -> int:
        """The amount in minor units. Raises InvalidParameter with every fault of the body, CurrencyNotSupported."""
        faults = _expiry_faults(expires_at=self.expires_at, now=now)
        return read_amount(self.amount, self.currency, enabled=enabled, other_faults=faults)


class CreditOut(msgspec.Struct, frozen=True, kw_only=True):
    """Promotional credit and how it stands."""

    id: str
    amount: Decimal
    remaining: Decimal
    currency: str
    reason: str
    priority: int
    granted_at: datetime
    expires_at: datetime | None
    status: CreditStatus


class CreditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A credit, wrapped by its name."""

    credit: CreditOut


class CreditsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account/credits, and GET /accounts/{id}/credits of the operator API."""

    credits: list[CreditOut]
    meta: Meta


class HoldsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /accounts/{id}/holds."""

    status: Literal["open", "captured", "released", "expired"] | None = None


class HoldsOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /accounts/{id}/holds."""

    holds: list[HoldOut]
    meta: Meta


class UndoIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts/{id}/credits/{id}/undo."""

    reason: str

    checks: ClassVar[tuple[Check, ...]] = (_reason_faults,)


class BalanceOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger account's balance; below 0 for what stands outside the account."""

    ledger_account: str
    currency: str
    balance: Decimal


class TransferOut(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer."""

    number: int
    template: str
    reference: str
    source: str
    destination: str
    amount: Decimal
    currency: str
    effective_at: datetime
    recorded_at: datetime


class LedgerOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /accounts/{id}/ledger."""

    balances: list[BalanceOut]
    transfers: list[TransferOut]
    meta: Meta


def text_faults(path: str, text: str, *, longest: int) -> list[Fault]:
    """The fault of a text that people read, if it has one."""
    reason = accounts.text_reason(text, longest=longest)
    return [] if reason is None else [Fault("body", path, reason)]


def read_capture(body: CaptureIn, currency: str) -> int | None:
    """The amount to capture in minor units, None for all. Raises InvalidParameter."""
    if body.amount is None:
        return None
    try:
        return money.to_minor(body.amount, currency)
    except money.NotAnAmount as error:
        raise InvalidParameter.one("body", "amount", str(error)) from None


def show_wallet(wallet: Wallet) -> WalletOut:
    """A wallet as its owner sees it."""
    return WalletOut(
        currency=wallet.currency,
        available_balance=money.to_major(wallet.available_minor, wallet.currency),
        pending_balance=money.to_major(wallet.pending_minor, wallet.currency),
        reserved_balance=money.to_major(wallet.reserved_minor, wallet.currency),
        total_balance=money.to_major(wallet.total_minor, wallet.currency),
    )


def show_hold(hold: Hold, *, now: datetime) -> HoldAnswer:
    """A hold as it stands at an instant."""
    captured = None if hold.captured_minor is None else money.to_major(hold.captured_minor, hold.currency)
    return HoldAnswer(
        hold=HoldOut(
            id=ids.encode("hold", hold.hold_id),
            reference=hold.reference,
            amount=money.to_major(hold.amount_minor, hold.currency),
            captured=captured,
            currency=hold.currency,
            status=hold.shown_status(now),
            created_at=hold.created_at,
            expires_at=hold.expires_at,
            ended_at=hold.ended_at,
        )
    )


def show_credit(standing: CreditStanding, *, now: datetime) -> CreditOut:
    """A promotional credit as it stands at an instant."""
    credit = standing.credit
    return CreditOut(
        id=ids.encode(CREDIT_PREFIX, credit.credit_id),
        amount=money.to_major(credit.amount_minor, credit.currency),
        remaining=money.to_major(standing.remaining_minor, credit.currency),
        currency=credit.currency,
        reason=credit.reason,
        priority=credit.priority,
        granted_at=credit.granted_at,
        expires_at=credit.expires_at,
        status=standing.status_at(now),
    )


def show_reference(template: str, reference: str) -> str:
    """What a transfer refers to, by the id that it has elsewhere. What paid a debt is known as a transaction."""
    prefix = _REFERRED.get(template) or _REFERRED[template.partition(".")[0]]
    return ids.encode(prefix, ids.UUID(reference))


def show_books(
    balances_minor: Mapping[tuple[str, str], int], transfers: Sequence[ledger.PostedTransfer], *, meta: Meta
) -> LedgerOut:
    """An account's books: every balance and a page of transfers."""
    return LedgerOut(
        balances=[
            BalanceOut(ledger_account=ledger_account, currency=currency, balance=money.to_major(minor, currency))
            for (currency, ledger_account), minor in balances_minor.items()
        ],
        transfers=[
            TransferOut(
                number=transfer.number,
                template=transfer.template,
                reference=show_reference(transfer.template, transfer.reference),
                source=transfer.source,
                destination=transfer.destination,
                amount=money.to_major(transfer.amount_minor, transfer.currency),
                currency=transfer.currency,
                effective_at=transfer.effective_at,
                recorded_at=transfer.recorded_at,
            )
            for transfer in transfers
        ],
        meta=meta,
    )
