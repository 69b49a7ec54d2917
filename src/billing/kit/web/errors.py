"""Errors as answers: one shape, one table of statuses, nothing of our insides."""

from __future__ import annotations

import traceback
from types import FrameType

import asyncpg
import structlog
from litestar.exceptions import HTTPException

from billing.core.errors import (
    BillingError,
    Conflict,
    Details,
    Forbidden,
    InvalidParameter,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
)
from billing.kit.gathering import GatheredTimeout
from billing.kit.sessions import OUT_OF_REACH
from billing.kit.web.answers import Answer

_log = structlog.get_logger("billing.web")


class MethodNotAllowed(BillingError):
    """The path exists, but not with this method."""

    message = "This path does not have that method"


class PayloadTooLarge(BillingError):
    """The body is larger than allowed."""

    message = "The body is larger than 1 MB"


class UnsupportedMediaType(BillingError):
    """The body is of another type than this path takes."""


class RateLimited(BillingError):
    """Too many calls of a key within an hour, or too many wrong keys from an address."""

    message = "Too many calls within an hour; try again after Retry-After seconds"

    def __init__(self, *, details: Details, retry_after_s: int) -> None:
        super().__init__(details=details)
        self.retry_after_s = retry_after_s


class InternalError(BillingError):
    """Something went wrong that no caller can help."""

    message = "Something went wrong on our side; quote the request id to support"


# The family of an error decides its status; the first that fits.
_STATUSES: tuple[tuple[type[BillingError], int], ...] = (
    (InvalidParameter, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (Conflict, 409),
    (PayloadTooLarge, 413),
    (UnsupportedMediaType, 415),
    (Refused, 422),
    (RateLimited, 429),
    (Unavailable, 503),
)

_OUT_OF_REACH = (*OUT_OF_REACH, GatheredTimeout)


def status_of(error: BillingError) -> int:
    """The status of an error by its family."""
    return status_of_family(type(error))


def status_of_family(error: type[BillingError]) -> int:
    """The status of a class of errors."""
    return next((status for family, status in _STATUSES if issubclass(error, family)), 500)


def translate(error: Exception) -> BillingError:
    """What a caller is told about an exception of ours, of the router or of the driver."""
    match error:
        case BillingError() if status_of(error) < 500 or isinstance(error, Unavailable):
            return error
        case HTTPException():
            return _of_router(error)
        case asyncpg.DataError() | asyncpg.UntranslatableCharacterError():
            return InvalidParameter.one("body", "", "holds a value that is out of range")
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            return InvalidParameter.one("body", "", "holds a value that is out of range")
        case _:
            return Unavailable() if _is_out_of_reach(error) else InternalError()


def answer_of_error(error: Exception, *, request_id: str) -> Answer:
    """The answer of an exception; what nobody expected is logged with its traceback and hidden."""
    told = translate(error)
    status = status_of(told)
    details = told.details
    if isinstance(told, InternalError):
        _log.error("unexpected_error", exc_info=error)
        details = {"request_id": request_id}
    elif isinstance(told, Unavailable):
        _log.warning("unavailable", reason=type(error.__cause__ or error).__name__)
    elif status in {401, 403, 429}:
        _log.warning("denied", code=told.code)
    body = {"error": {"code": told.code, "message": str(told), "details": details}}
    return Answer.of(body, status=status, headers=_headers_of(told, error))


def _headers_of(told: BillingError, error: Exception) -> dict[str, str]:
    if isinstance(told, Unavailable | RateLimited):
        return {"Retry-After": str(told.retry_after_s)}
    if isinstance(told, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(told, MethodNotAllowed) and isinstance(error, HTTPException):
        methods = (error.headers or {}).get("allow", "")
        return {"Allow": ", ".join(sorted(method.strip() for method in methods.split(",")))}
    return {}


def _of_router(error: HTTPException) -> BillingError:
    match error.status_code:
        case 404:
            return NotFound()
        case 405:
            return MethodNotAllowed()
        case 400:
            return InvalidParameter.one("header", "Host", "is not valid")
        case _:
            return InternalError()


def _is_out_of_reach(error: Exception) -> bool:
    """Whether the database cannot be reached, or cannot do this now: another try may well succeed."""
    if isinstance(error, _OUT_OF_REACH):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "closing" in str(error)
    if isinstance(error, OSError):  # refused, no socket, timed out: the database's only if its driver said so
        return any(_module_of(frame).startswith("asyncpg.") for frame, _ in traceback.walk_tb(error.__traceback__))
    return False


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
