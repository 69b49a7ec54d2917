"""Opening an account on the wire."""

from __future__ import annotations

from msgspec import Struct, structs

from billing import accounts, api_keys
from billing.core.errors import Fault, InvalidParameter
from billing.onboarding.operations import OpenedAccount


class AccountOpen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts of the operator API."""

    email: str
    name: str
    currency: str
    company: str | None = None
    timezone: str = "UTC"
    country: str | None = None
    phone: str | None = None


class AccountOpenedAnswer(Struct, frozen=True, kw_only=True):
    """The new account and its first key; a replay shows the key without its secret."""

    account: accounts.OperatorAccount
    api_key: api_keys.KeyIssued


def refuse_faults(wanted: AccountOpen) -> None:
    """Raises InvalidParameter with every fault of an account that is asked for."""
    reasons = {member: accounts.member_reason(member, value) for member, value in structs.asdict(wanted).items()}
    faults = [Fault("body", member, reason) for member, reason in reasons.items() if reason is not None]
    if faults:
        raise InvalidParameter(faults)


def show(opened: OpenedAccount) -> AccountOpenedAnswer:
    """The new account and its first key with the secret."""
    return AccountOpenedAnswer(
        account=accounts.show_to_operator(opened.account), api_key=api_keys.show_issued(opened.key)
    )


def without_secret(answer: AccountOpenedAnswer) -> AccountOpenedAnswer:
    """What is kept of the answer for a replay."""
    return structs.replace(answer, api_key=structs.replace(answer.api_key, key=None))
