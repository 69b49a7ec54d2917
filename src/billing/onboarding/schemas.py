"""Opening an account on the wire."""

from __future__ import annotations

from msgspec import Struct, structs

from billing import accounts, api_keys
from billing.onboarding.operations import OpenedAccount


class AccountOpenedAnswer(Struct, frozen=True, kw_only=True):
    """The new account and its first key; a replay shows the key without its secret."""

    account: accounts.OperatorAccount
    api_key: api_keys.KeyIssued


def show(opened: OpenedAccount) -> AccountOpenedAnswer:
    """The new account and its first key with the secret."""
    return AccountOpenedAnswer(
        account=accounts.show_to_operator(opened.account), api_key=api_keys.show_issued(opened.key)
    )


def without_secret(answer: AccountOpenedAnswer) -> AccountOpenedAnswer:
    """What is kept of the answer for a replay."""
    return structs.replace(answer, api_key=structs.replace(answer.api_key, key=None))
