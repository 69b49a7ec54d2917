"""How an answer's body is sent: not again to whom has it (RFC 9110, 13), and compressed for whom takes that (12.5.3).

A strong ETag stands for bytes, so the compressed form has one of its own: `"…-gzip"`.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from litestar.types import HTTPScope

COMPRESSED_ABOVE_BYTES = 1_000
# A PDF is compressed within; other media are not ours.
COMPRESSED_TYPES = ("application/json", "text/")

_LEVEL = 6
_IN_A_THREAD_ABOVE_BYTES = 50_000
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_CODING = re.compile(r"\s*([!#$%&'*+.^_`|~0-9a-z-]+)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")


class Sent(NamedTuple):
    """What goes over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def etag_of(body: bytes) -> str:
    """The strong ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


async def choose(scope: HTTPScope, sent: Sent) -> Sent:
    """The form of an answer that its request asks for: compressed or not, and nothing where the caller has it."""
    headers = scope["headers"]
    chosen = sent
    if _is_compressible(sent):
        chosen = sent._replace(headers={**sent.headers, "Vary": "Accept-Encoding"})
        if accepts_gzip(_values(headers, b"accept-encoding")):
            chosen = await _compressed(chosen)
    etag = chosen.headers.get("ETag")
    if etag is not None and sent.status == 200 and scope["method"] in {"GET", "HEAD"}:
        held = _values(headers, b"if-none-match")
        if held and is_held(held, etag):
            kept = {name: value for name, value in chosen.headers.items() if name in {"ETag", "Vary"}}
            return Sent(304, kept, b"")
    return chosen


def accepts_gzip(values: Iterable[str]) -> bool:
    """Whether a caller takes gzip, and not rather no compression."""
    weights: dict[str, float] = {}
    for part in ",".join(values).lower().split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            weights[match[1]] = float(match[2] or 1)
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0)))
    return weight > 0 and weight >= weights.get("identity", 0)


def is_held(values: Iterable[str], etag: str) -> bool:
    """Whether If-None-Match names an ETag, by weak comparison."""
    given = ",".join(values)
    return given.strip() == "*" or etag in _ETAG.findall(given)


def _is_compressible(sent: Sent) -> bool:
    return len(sent.body) > COMPRESSED_ABOVE_BYTES and sent.headers.get("Content-Type", "").startswith(COMPRESSED_TYPES)


async def _compressed(sent: Sent) -> Sent:
    if len(sent.body) > _IN_A_THREAD_ABOVE_BYTES:
        body = await asyncio.to_thread(_gzip, sent.body)
    else:
        body = _gzip(sent.body)
    headers = {**sent.headers, "Content-Encoding": "gzip"}
    if "ETag" in headers:
        headers["ETag"] = f'{headers["ETag"][:-1]}-gzip"'
    return Sent(sent.status, headers, body)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]
