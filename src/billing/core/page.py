"""Pages of a list: `page` from 1, at most 100 items each."""

from __future__ import annotations

from dataclasses import dataclass

PER_PAGE_DEFAULT = 25
PER_PAGE_MAX = 100
REACH_MAX = 10_000


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is asked for."""

    page: int = 1
    per_page: int = PER_PAGE_DEFAULT

    @property
    def offset(self) -> int:
        """Items before the page."""
        return (self.page - 1) * self.per_page


@dataclass(frozen=True, slots=True)
class PageMeta:
    """Where a page stands in its list."""

    total: int
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        """Number of pages; 0 for an empty list."""
        return -(-self.total // self.per_page)
