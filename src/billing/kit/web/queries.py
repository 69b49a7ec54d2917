"""Query parameters, read as strictly as bodies."""

from __future__ import annotations

from typing import TypeVar

import msgspec

Schema = TypeVar("Schema", bound=msgspec.Struct)


class RawQuery:
    """The query string of a request as it came."""

    def __init__(self, query_string: str) -> None:
        self.query_string = query_string

    def read(self, schema: type[Schema]) -> Schema:
        """The parameters as a schema. Raises InvalidParameter with every fault."""
        raise NotImplementedError
