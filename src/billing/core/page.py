"""Parts of a list: pages counted from 1, or along a cursor, at most 100 items each.

A list has a total order that ends in an id; an item's values in that order are its key. A page is counted off from the
list's beginning. Along a cursor, a part follows the item whose key the cursor holds: that costs the same everywhere, and
rows that are inserted meanwhile make neither gaps nor doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Generic, TypeVar
from uuid import UUID

from billing.core.errors import InvalidParameter

PER_PAGE_DEFAULT = 25
PER_PAGE_MAX = 100
REACH_MAX = 10_000

T = TypeVar("T")
KeyText = tuple[str, ...]
KeyValue = datetime | date | UUID | int | str

_INTEGER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and where it goes on."""

    items: Sequence[T]
    total: int | None
    """How many items the whole list has; None along a cursor, where nobody counts."""
    next_key: KeyText | None
    """The key that the next part follows; None at the end of the list."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is asked for."""

    page: int = 1
    per_page: int = PER_PAGE_DEFAULT
    after: KeyText | None = None
    """Along a cursor: the key of the item that the part follows, () for the beginning. None: a page is asked for."""
    place: str = ""
    """Which list it is, with its filters: what a cursor is good for."""

    @property
    def is_counted(self) -> bool:
        """Whether the answer says how many items the list has."""
        return self.after is None

    @property
    def offset(self) -> int:
        """Items before the page; along a cursor there are none."""
        return 0 if self.after is not None else (self.page - 1) * self.per_page

    @property
    def limit(self) -> int:
        """How many rows to read: one more than are shown, which tells whether the list goes on."""
        return self.per_page + 1

    def key(self, *types: type[KeyValue]) -> tuple[KeyValue | None, ...]:
        """The key that the part follows, or as many None where it begins with the list.

        Raises InvalidParameter for a cursor that holds something else.
        """
        if not self.after:
            return (None,) * len(types)
        try:
            return tuple(_read(text, type) for text, type in zip(self.after, types, strict=True))
        except (ValueError, OverflowError):
            raise bad_cursor() from None

    def cut(self, rows: Sequence[T], *, total: int | None, key: Callable[[T], Iterable[KeyValue]]) -> Page[T]:
        """The page that was read, with at most `limit` rows; `key` says an item's key."""
        items = rows[: self.per_page]
        goes_on = len(rows) > self.per_page
        return Page(items, total if self.is_counted else None, write_key(key(items[-1])) if goes_on else None)

    def of_whole(
        self, whole: Sequence[T], *, types: Sequence[type[KeyValue]], key: Callable[[T], tuple[KeyValue, ...]]
    ) -> Page[T]:
        """The part of a list that was made whole, in the ascending order of `key`."""
        after = self.key(*types)
        following = [item for item in whole if None in after or key(item) > after]
        return self.cut(following[self.offset : self.offset + self.limit], total=len(whole), key=key)


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


def bad_cursor() -> InvalidParameter:
    """The error for a cursor that was altered, or comes from another list or other filters."""
    return InvalidParameter.one(
        "query", "cursor", "is not a cursor of this list with these filters; begin again with an empty one"
    )


def write_key(values: Iterable[KeyValue]) -> KeyText:
    """A key as texts, from which it is read again exactly."""
    return tuple(value.isoformat() if isinstance(value, date) else str(value) for value in values)


def _read(text: str, type: type[KeyValue]) -> KeyValue:
    """A value of a key. Raises ValueError, OverflowError."""
    if type is datetime:
        return _instant(text)
    if type is date:
        return date.fromisoformat(text)
    if type is UUID:
        return UUID(text)
    if type is int:
        return _integer(text)
    if "\x00" in text:
        raise ValueError
    return text


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)


def _integer(text: str) -> int:
    number = int(text)
    if len(text) > 20 or abs(number) > _INTEGER_MAX:
        raise ValueError
    return number
