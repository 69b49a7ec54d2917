"""How often a key may call, and an address may fail to show one: judged before a call's query and body are read.

docs/rate-limits.md tells the rules.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from billing.core.errors import Forbidden, Unauthorized
from billing.kit.ratelimit import WINDOW_S, Limit, MemoryWindows, Recent, Verdict, Windows, microseconds
from billing.kit.web.errors import RateLimited

if TYPE_CHECKING:
    from billing.kit.auth import Plane
    from billing.kit.db import Clock

Who_co = TypeVar("Who_co", covariant=True)
Result = TypeVar("Result")
HeaderLines = list[tuple[bytes, bytes]]

RATE_CLASS = "rate_class"
"""Under this name a public handler's `opt` says in which class its calls count beside `general`: `billing` or `project`."""
LIMITS_SIGNATURES = "limits_signatures"
"""Under this name a keyless handler's `opt` says that its Forbidden counts as a signature that was refused."""
GENERAL = "general"
OPERATOR = "operator"
FAILED_AUTHENTICATIONS = "failed_authentications"
REFUSED_SIGNATURES = "refused_signatures"
CALLS_DEFAULT = {GENERAL: 1000, "billing": 100, "project": 500}
FAILURES_DEFAULT = 1000
_ADDRESSES_MAX = 100_000


class Reader(Protocol[Who_co]):
    """Reads the key of a call."""

    async def __call__(self, *, token: str, ip: str) -> Who_co:
        """Whose it is. Raises Unauthorized."""
        ...


class RateLimits:
    """The limits of an installation over the windows that keep their calls. `operator_calls` of None limits no operator."""

    def __init__(
        self,
        windows: Windows,
        *,
        clock: Clock,
        calls: dict[str, int] | None = None,
        operator_calls: int | None = None,
        failures: int = FAILURES_DEFAULT,
    ) -> None:
        self._windows = windows
        self._calls = {**CALLS_DEFAULT, **(calls or {})}
        self._operator_calls = operator_calls
        self.attempts = Attempts(clock, failures=failures)

    def limits_of(self, rate_class: str | None, *, plane: Plane) -> tuple[Limit, ...]:
        """In which limits a handler's calls count, the narrowest first. Raises ValueError for a class that does not exist."""
        if plane == "operator":
            return () if self._operator_calls is None else (Limit(OPERATOR, self._operator_calls),)
        names = [rate_class, GENERAL] if rate_class is not None else [GENERAL]
        unknown = [name for name in names if name not in self._calls]
        if unknown:
            raise ValueError(f"there is no rate class {unknown[0]!r}")
        return tuple(Limit(name, self._calls[name]) for name in names)

    async def take(self, key_id: UUID, limits: tuple[Limit, ...]) -> Verdict:
        """Count a call of a key in all of the limits, or in none."""
        return await self._windows.take(key_id.hex, limits)

    async def peek(self, key_id: UUID, limits: tuple[Limit, ...]) -> Verdict:
        """What is left to a key, without counting a call."""
        return await self._windows.peek(key_id.hex, limits)


class Attempts:
    """Keys that were shown and not accepted, counted by address.

    An address that has used up its failures is not let try further keys: they are refused unread, right ones too, or the
    limit would not stop a guess. A key that was accepted within the last hour passes all the same, so that nobody who
    shares an address (a proxy, a carrier's network) with a guesser is shut out of what he has been using.
    """

    def __init__(self, clock: Clock, *, failures: int) -> None:
        self._limits = (Limit(FAILED_AUTHENTICATIONS, failures),)
        self._signatures = (Limit(REFUSED_SIGNATURES, failures),)
        self._failures = MemoryWindows(clock, holders_max=_ADDRESSES_MAX)
        self._clock = clock
        self._accepted: Recent[bytes, bool] = Recent()

    async def counting(self, ip: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """A call that proves by a signature who makes it. Raises RateLimited for an address that failed to too often.

        These failures stand apart from those with keys: neither shuts the other out.
        """
        address = _neighbourhood(ip)
        verdict = self._failures.judge(address, self._signatures, counts=False)
        if not verdict.is_admitted:
            raise refusal(verdict)
        try:
            return await call()
        except Forbidden:
            self._failures.judge(address, self._signatures, counts=True)
            raise

    def watching(self, read: Reader[Who_co]) -> Reader[Who_co]:
        """A reader of keys that heeds the limit: it raises RateLimited where Unauthorized was raised too often."""

        async def watched(*, token: str, ip: str) -> Who_co:
            return await self._watch(read, token=token, ip=ip)

        return watched

    async def _watch(self, read: Reader[Who_co], *, token: str, ip: str) -> Who_co:
        address = _neighbourhood(ip)
        digest = hashlib.sha256(token.encode()).digest()
        now_us = microseconds(self._clock())
        if self._accepted.get(digest, now_us=now_us) is None:
            verdict = self._failures.judge(address, self._limits, counts=False)
            if not verdict.is_admitted:
                raise refusal(verdict)
        try:
            who = await read(token=token, ip=ip)
        except Unauthorized:
            verdict = self._failures.judge(address, self._limits, counts=True)
            if not verdict.is_admitted:
                raise refusal(verdict) from None
            raise
        self._accepted.set(digest, True)
        return who


def refusal(verdict: Verdict) -> RateLimited:
    """The error of a call that was not admitted."""
    quota = verdict.scarcest
    details = {"limit": quota.limit.calls, "class": quota.limit.name, "retry_after_s": quota.resets_in_s}
    return RateLimited(details=details, retry_after_s=quota.resets_in_s)


def header_lines(verdict: Verdict) -> HeaderLines:
    """The headers that tell what is left: of the scarcest limit in the old form, of all in that of the IETF's draft 10."""
    scarcest = verdict.scarcest
    left = ", ".join(
        [f'"{limit.name}";r={remaining};t={resets_in_s}' for limit, remaining, resets_in_s in verdict.quotas]
    )
    return [
        (b"x-ratelimit-limit", b"%d" % scarcest.limit.calls),
        (b"x-ratelimit-remaining", b"%d" % scarcest.remaining),
        (b"x-ratelimit-reset", b"%d" % (verdict.now_s + scarcest.resets_in_s)),
        (b"ratelimit", left.encode()),
        (b"ratelimit-policy", _policy(tuple([limit for limit, _, _ in verdict.quotas]))),
    ]


@lru_cache
def _policy(limits: tuple[Limit, ...]) -> bytes:
    return ", ".join(f'"{limit.name}";q={limit.calls};w={WINDOW_S}' for limit in limits).encode()


def _neighbourhood(ip: str) -> str:
    """An address as it is counted: of IPv6 the network of 64 bits, which one household or server has to itself."""
    if ":" not in ip:
        return ip
    return str(ipaddress.ip_network((ip, 64), strict=False))
