"""Pages of other origins that may call from a browser: those that the installation names, and no others.

Keys travel in a header that a page sets itself, never in cookies, so credentials are not allowed: an origin opens nothing
that a key does not open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

REQUEST_HEADERS = "Accept, Accept-Encoding, Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-Id"
EXPOSED_HEADERS = (
    "Content-Disposition, ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
)
PREFLIGHT_AGE_S = 600

RawHeaders = Iterable[tuple[bytes, bytes]]


def cors_headers(origins: Collection[str], *, method: str, asked: RawHeaders, answer: RawHeaders) -> RawHeaders:
    """What is added to an answer for the page that asked; to a preflight, which methods and headers it may use."""
    sent = dict(asked)
    vary = (b"vary", b"Origin")
    origin = sent.get(b"origin", b"").decode("latin-1")
    if origin not in origins:
        return [vary]
    added = [vary, (b"access-control-allow-origin", origin.encode("latin-1"))]
    if method != "OPTIONS" or b"access-control-request-method" not in sent:
        return [*added, (b"access-control-expose-headers", EXPOSED_HEADERS.encode())]
    allowed = dict(answer).get(b"allow")
    if allowed is None:  # there is nothing to be called
        return added
    return [
        *added,
        (b"access-control-allow-methods", allowed),
        (b"access-control-allow-headers", REQUEST_HEADERS.encode()),
        (b"access-control-max-age", str(PREFLIGHT_AGE_S).encode()),
    ]
