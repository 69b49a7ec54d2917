"""Keys of accounts and of operators. See README.md."""

from billing.api_keys.model import OPERATOR_PREFIX, PUBLIC_PREFIX, ApiKey, IssuedKey, IssuedOperatorKey, Scope
from billing.api_keys.operations import Keyring, create_operator_key, issue, mint, revoke
from billing.api_keys.rules import SCOPES, is_well_formed
from billing.api_keys.schemas import KeyIssued, show_issued
from billing.api_keys.store import has_operator_keys

__all__ = [
    "OPERATOR_PREFIX",
    "PUBLIC_PREFIX",
    "SCOPES",
    "ApiKey",
    "IssuedKey",
    "IssuedOperatorKey",
    "KeyIssued",
    "Keyring",
    "Scope",
    "create_operator_key",
    "has_operator_keys",
    "is_well_formed",
    "issue",
    "mint",
    "revoke",
    "show_issued",
]
