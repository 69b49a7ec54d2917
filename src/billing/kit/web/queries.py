"""Query parameters, read as strictly as bodies."""

from __future__ import annotations

from functools import cache
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from billing.core.errors import InvalidParameter
from billing.core.page import PageRequest
from billing.kit.web.paging import PageQuery, page_request
from billing.kit.web.reading import members_of
from billing.kit.web.schemas import UNDECLARED, Declared, Faults, from_text_readers, struct_reader

Schema = TypeVar("Schema", bound=msgspec.Struct)
ListSchema = TypeVar("ListSchema", bound=PageQuery)

PARAMETERS_MAX = 100


class RawQuery:
    """The query string of a request as it came; `place` is the list that it stands at, if it does."""

    def __init__(self, query_string: str, *, place: str = "", declared: Declared = UNDECLARED) -> None:
        self.query_string = query_string
        self._place = place
        self._declared = declared

    def read(self, schema: type[Schema]) -> Schema:
        """The parameters as a schema. Raises InvalidParameter with every fault."""
        self._declared.expect(schema)
        if not self.query_string and (nothing := _read_nothing(schema)) is not None:
            return cast("Schema", nothing)
        from_text = from_text_readers(schema)
        tree = members_of([(name, from_text.get(name, str)(text)) for name, text in self._pairs()])
        faults = Faults("query")
        value = struct_reader(schema)(tree, "", faults)
        faults.refuse()
        return cast("Schema", value)

    def read_page(self, schema: type[ListSchema]) -> tuple[ListSchema, PageRequest]:
        """The parameters of a list, and which part of it they ask for. Raises InvalidParameter with every fault."""
        wanted = self.read(schema)
        return wanted, page_request(wanted, place=self._place)

    def refuse_any(self) -> None:
        """For a path that takes no parameters. Raises InvalidParameter for each."""
        self.read(NoParameters)

    def _pairs(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(
                self.query_string,
                keep_blank_values=True,
                max_num_fields=PARAMETERS_MAX,
                encoding="utf-8",
                errors="strict",
            )
        except UnicodeDecodeError:
            raise InvalidParameter.one("query", "", "must be percent-encoded UTF-8") from None
        except ValueError:
            raise InvalidParameter.one("query", "", f"must not have more than {PARAMETERS_MAX} parameters") from None


@cache
def _read_nothing(schema: type[msgspec.Struct]) -> object:
    """What a query without a parameter says, the same object each time; None where one is required."""
    faults = Faults("query")
    value = struct_reader(schema)(members_of([]), "", faults)
    return None if faults.found() else value


class NoParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a path that takes none, or the body of a POST that takes none."""
