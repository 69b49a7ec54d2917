"""Pages of a list: the members of a query that ask for one, and what an answer says about it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import msgspec

from billing.core.errors import InvalidParameter
from billing.core.page import PER_PAGE_DEFAULT, PER_PAGE_MAX, REACH_MAX, PageMeta, PageRequest


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the query of every list."""

    page: Annotated[int, msgspec.Meta(ge=1, le=REACH_MAX)] = 1
    per_page: Annotated[int, msgspec.Meta(ge=1, le=PER_PAGE_MAX)] = PER_PAGE_DEFAULT


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page stands in its list, as the spec shows it."""

    total: int
    page: int
    per_page: int
    pages: int


def page_of(query: PageQuery) -> PageRequest:
    """The page that a query asks for. Raises InvalidParameter beyond the reach of pages."""
    if query.page * query.per_page > REACH_MAX:
        raise InvalidParameter.one("query", "page", f"reaches beyond item {REACH_MAX} of the list")
    return PageRequest(page=query.page, per_page=query.per_page)


def meta(page: PageRequest, *, total: int) -> Meta:
    """The `meta` of a list with `total` items."""
    pages = PageMeta(total=total, page=page.page, per_page=page.per_page).pages
    return Meta(total=total, page=page.page, per_page=page.per_page, pages=pages)


def link_header(path: str, query_string: str, about: Meta) -> str:
    """The `Link` header (RFC 8288) of a page: first, prev, next and last, with the other parameters kept."""
    kept = [
        (name, value)
        for name, value in parse_qsl(query_string, keep_blank_values=True)
        if name not in ("page", "per_page")
    ]
    last = max(about.pages, 1)
    targets = {"first": 1, "prev": min(about.page - 1, last), "next": about.page + 1, "last": last}
    links: list[str] = []
    for relation, page in targets.items():
        if not 1 <= page <= last or page * about.per_page > REACH_MAX:
            continue
        parameters = urlencode([*kept, ("page", page), ("per_page", about.per_page)])
        links.append(f'<{path}?{parameters}>; rel="{relation}"')
    return ", ".join(links)
