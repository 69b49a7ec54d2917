"""The parameters by which a handler says what a key must be allowed to: `reader`, `writer`, `<scope>_operator`."""

from __future__ import annotations

from billing.core.errors import AccountSuspended, BillingError, Forbidden
from billing.kit.auth import OPERATOR_SCOPES, Caller, Operator, Plane

PERMISSIONS = {"reader": "read", "writer": "write"}
SCOPES = {f"{scope}_operator": scope for scope in OPERATOR_SCOPES}
GUARDS: dict[Plane, frozenset[str]] = {
    "public": frozenset(PERMISSIONS),
    "operator": frozenset(SCOPES),
    "plain": frozenset(),
}


def refusal_of(who: Caller | Operator, guard: str, *, suspended_ok: bool) -> BillingError | None:
    """Why a key may not make the calls that a guard stands for, if it may not."""
    if isinstance(who, Operator):
        return None if who.has_scope(SCOPES[guard]) else Forbidden()
    if PERMISSIONS[guard] not in who.permissions:
        return Forbidden()
    if guard == "writer" and who.account_status != "active" and not suspended_ok:
        return AccountSuspended()
    return None
