"""Bodies of requests, read strictly: every fault is named, nothing is guessed."""

from __future__ import annotations

from typing import TypeVar

import msgspec

Schema = TypeVar("Schema", bound=msgspec.Struct)


class RawBody:
    """The body of a request as it came."""

    def __init__(self, content: bytes, *, content_type: str, refuses_card_numbers: bool = False) -> None:
        self.content = content
        self.content_type = content_type
        self._refuses_card_numbers = refuses_card_numbers
        self.parsed: object = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent."""
        return not self.content.strip()

    def read(self, schema: type[Schema], *, optional: bool = False) -> Schema:
        """The body as a schema. With `optional` no body at all counts as `{}`. Raises InvalidParameter with every fault."""
        self.parsed = value = msgspec.json.decode(self.content if self.content or not optional else b"{}", type=schema)
        return value

    def read_json_array(self, *, media_type: str, max_items: int) -> list[object]:
        """The items of a body that is one array, each yet to be read by `item`. Raises InvalidParameter."""
        raise NotImplementedError
