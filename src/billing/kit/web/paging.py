"""Parts of a list: the members of a query that ask for one, cursors, and what an answer says about it.

A cursor is opaque to callers: a version, a digest of the list, its filters and the key, and the key of the last item that
was shown. The digest holds no secret; it tells a cursor of another list, or an altered one, from one of ours. What a key
opens is decided by the statement, which names the account whatever the cursor says.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from billing.core.errors import Fault
from billing.core.page import (
    PER_PAGE_DEFAULT,
    PER_PAGE_MAX,
    REACH_MAX,
    KeyText,
    Page,
    PageMeta,
    PageRequest,
    bad_cursor,
)
from billing.kit.web.schemas import Check

CURSOR_LONGEST = 4000  # the key may hold two names of 200 characters of any script

_VERSION = b"\x01"
_DIGEST_BYTES = 12
_NOT_FILTERS = {"page", "per_page", "cursor"}


def _one_way_faults(*, page: int | None, cursor: str | None) -> Iterator[Fault]:
    if page is not None and cursor is not None:
        yield Fault("query", "page", "must not be given together with cursor")
        yield Fault("query", "cursor", "must not be given together with page")


def _reach_faults(*, page: int | None, per_page: int) -> Iterator[Fault]:
    if (page or 1) * per_page > REACH_MAX:
        reason = f"reaches beyond item {REACH_MAX} of the list; go on with cursor, which meta.next_cursor holds"
        yield Fault("query", "page", reason)


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the query of every list: a page by its number (1 unless told), or the part that follows a cursor."""

    page: Annotated[int, msgspec.Meta(ge=1, le=REACH_MAX)] | None = None
    per_page: Annotated[int, msgspec.Meta(ge=1, le=PER_PAGE_MAX)] = PER_PAGE_DEFAULT
    cursor: Annotated[str, msgspec.Meta(max_length=CURSOR_LONGEST)] | None = None

    checks: ClassVar[tuple[Check, ...]] = (_one_way_faults, _reach_faults)


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Where a part stands in its list. Along a cursor nothing is counted: total, page and pages are null."""

    total: int | None
    page: int | None
    per_page: int
    pages: int | None
    next_cursor: str | None
    """The cursor of what follows; null at the end of the list."""


def page_request(query: PageQuery, *, place: str) -> PageRequest:
    """The part of a list that a query asks for; `place` tells this list from all others, and whose it is.

    Raises InvalidParameter for a cursor that does not belong there.
    """
    place = f"{place}\n{_filters(query)}"
    if query.cursor is None:
        return PageRequest(page=query.page or 1, per_page=query.per_page, place=place)
    after = read_cursor(query.cursor, place=place) if query.cursor else ()
    return PageRequest(per_page=query.per_page, after=after, place=place)


def meta(page: PageRequest, found: Page[Any]) -> Meta:
    """The `meta` of a part of a list."""
    next_cursor = None if found.next_key is None else write_cursor(found.next_key, place=page.place)
    if found.total is None:
        return Meta(total=None, page=None, per_page=page.per_page, pages=None, next_cursor=next_cursor)
    pages = PageMeta(total=found.total, page=page.page, per_page=page.per_page).pages
    return Meta(total=found.total, page=page.page, per_page=page.per_page, pages=pages, next_cursor=next_cursor)


def write_cursor(key: KeyText, *, place: str) -> str:
    """The cursor behind the item of a key."""
    content = msgspec.json.encode(key)
    return urlsafe_b64encode(_VERSION + _digest(place, content) + content).rstrip(b"=").decode("ascii")


def read_cursor(cursor: str, *, place: str) -> KeyText:
    """The key that a cursor holds. Raises InvalidParameter for one that was not written for this place."""
    try:
        read = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        digest, content = read[1 : 1 + _DIGEST_BYTES], read[1 + _DIGEST_BYTES :]
        if read[:1] != _VERSION or digest != _digest(place, content):
            raise bad_cursor()
        key = msgspec.json.decode(content, type=KeyText)
    except (ValueError, msgspec.DecodeError):  # no ASCII, no base64, no JSON
        raise bad_cursor() from None
    if write_cursor(key, place=place) != cursor:  # base64 with other spare bits, or padding
        raise bad_cursor()
    return key


def link_header(path: str, query_string: str, about: Meta) -> str:
    """The `Link` header (RFC 8288) of a part of a list, with the other parameters kept.

    A page links to first, prev, next and last as far as pages reach, and beyond that to next by its cursor; a part along a
    cursor to first and next.
    """
    kept = [
        (name, value)
        for name, value in parse_qsl(query_string, keep_blank_values=True)
        if name not in ("page", "per_page", "cursor")
    ]
    links: list[str] = []
    for relation, way in _targets(about).items():
        parameters = urlencode([*kept, way, ("per_page", about.per_page)])
        links.append(f'<{quote(path)}?{parameters}>; rel="{relation}"')
    return ", ".join(links)


def _targets(about: Meta) -> dict[str, tuple[str, object]]:
    """Where each relation leads: to a page, or to what follows a cursor."""
    if about.page is None or about.pages is None:
        following = {} if about.next_cursor is None else {"next": ("cursor", about.next_cursor)}
        return {"first": ("cursor", ""), **following}
    last = max(about.pages, 1)
    pages = {"first": 1, "prev": min(about.page - 1, last), "next": about.page + 1, "last": last}
    targets: dict[str, tuple[str, object]] = {}
    for relation, page in pages.items():
        if 1 <= page <= last and page * about.per_page <= REACH_MAX:
            targets[relation] = ("page", page)
        elif relation == "next" and about.next_cursor is not None:
            targets[relation] = ("cursor", about.next_cursor)
    return targets


def _filters(query: PageQuery) -> str:
    """What else a query asks for, so that the same filters have the same text."""
    given = {
        field.encode_name: getattr(query, field.name)
        for field in msgspec.structs.fields(query)
        if field.encode_name not in _NOT_FILTERS
    }
    return msgspec.json.encode(given, enc_hook=repr, order="sorted").decode()


def _digest(place: str, content: bytes) -> bytes:
    return hashlib.sha256(place.encode("utf-8", "surrogatepass") + b"\n" + content).digest()[:_DIGEST_BYTES]
