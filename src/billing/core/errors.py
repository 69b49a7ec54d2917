"""Expected failures. The wire code is the class name in snake case; the family decides the status.

BillingError
├── InvalidParameter      400  one or more faults in what was sent
│   └── IdempotencyKeyRequired
├── Unauthorized          401
├── Forbidden             403
│   ├── IpNotAllowed
│   └── AccountSuspended
├── NotFound              404
├── Conflict              409
│   └── IdempotencyInProgress
├── Refused               422  well-formed, but refused by state or money; slices derive theirs from it
│   └── IdempotencyKeyReused
└── Unavailable           503  try again later
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Details = Mapping[str, object]
Where = Literal["body", "query", "path", "header"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where it is, its path there, and why it is wrong."""

    where: Where
    path: str
    reason: str


class BillingError(Exception):
    """An expected failure that a caller is told about."""

    message = "The request failed"

    def __init__(self, message: str | None = None, *, details: Details | None = None) -> None:
        super().__init__(message or self.message)
        self.details: dict[str, object] = dict(details or {})

    @property
    def code(self) -> str:
        """The wire code: the class name in snake case."""
        return wire_code(type(self))


def wire_code(error: type[BillingError]) -> str:
    """The wire code of a class of errors."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()


class InvalidParameter(BillingError):
    """What was sent cannot be read; every fault is listed."""

    def __init__(self, faults: Sequence[Fault], *, message: str | None = None) -> None:
        count = len(faults)
        subject = "1 field is" if count == 1 else f"{count} fields are"
        super().__init__(
            message or f"{subject} not valid",
            details={"faults": [{"in": f.where, "path": f.path, "reason": f.reason} for f in faults]},
        )
        self.faults = tuple(faults)

    @classmethod
    def one(cls, where: Where, path: str, reason: str) -> InvalidParameter:
        """The error for a single fault."""
        return cls([Fault(where, path, reason)])


class IdempotencyKeyRequired(InvalidParameter):
    """The operation moves money or creates a document and needs an Idempotency-Key."""

    def __init__(self) -> None:
        super().__init__(
            [Fault("header", "Idempotency-Key", "is required for this operation")],
            message="This operation needs an Idempotency-Key header",
        )


class Unauthorized(BillingError):
    """No key, or one that is malformed, unknown, expired or revoked."""

    message = "A valid API key is required"


class Forbidden(BillingError):
    """The key lacks the permission."""

    message = "This API key does not have the permission that this operation needs"


class IpNotAllowed(Forbidden):
    """The key may not be used from the caller's address."""

    message = "This API key may not be used from this address"


class AccountSuspended(Forbidden):
    """The account is suspended: reads and payments only."""

    message = "The account is suspended; pay what is due to restore it"


class NotFound(BillingError):
    """Unknown path or id, or another account's."""

    message = "There is nothing here"


class Conflict(BillingError):
    """Something else is under way."""


class IdempotencyInProgress(Conflict):
    """A request with the same Idempotency-Key is still running."""

    message = "A request with this Idempotency-Key is still running"


class Refused(BillingError):
    """Well-formed, but refused by state or money."""


class IdempotencyKeyReused(Refused):
    """The Idempotency-Key was used with another body."""

    message = "This Idempotency-Key was used with another request"


class Unavailable(BillingError):
    """A part that is needed is not there right now."""

    message = "The service is not available right now; try again shortly"
    retry_after_s = 2
