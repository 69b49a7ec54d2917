"""Keys of accounts and of operators. See README.md."""

from billing.api_keys.model import PUBLIC_PREFIX, ApiKey, IssuedKey, IssuedOperatorKey, OperatorKey, Scope
from billing.api_keys.operations import Keyring, create_operator_key, issue, mint, revoke, revoke_operator_key
from billing.api_keys.rules import SCOPES
from billing.api_keys.schemas import KeyIssued, show_issued
from billing.api_keys.store import has_operator_keys, list_operator_keys

__all__ = [
    "PUBLIC_PREFIX",
    "SCOPES",
    "ApiKey",
    "IssuedKey",
    "IssuedOperatorKey",
    "KeyIssued",
    "Keyring",
    "OperatorKey",
    "Scope",
    "create_operator_key",
    "has_operator_keys",
    "issue",
    "list_operator_keys",
    "mint",
    "revoke",
    "revoke_operator_key",
    "show_issued",
]
