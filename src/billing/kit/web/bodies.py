"""Bodies of requests, read strictly: every fault is named, nothing is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import msgspec

from billing.core.errors import Fault, InvalidParameter
from billing.kit.web.card_numbers import CardNumberRefused, card_number_paths, may_hold_card_number
from billing.kit.web.errors import PayloadTooLarge, UnsupportedMediaType
from billing.kit.web.reading import Members, is_blank, read_json
from billing.kit.web.schemas import INVALID, UNDECLARED, Declared, Faults, struct_reader

if TYPE_CHECKING:
    from litestar.types import Receive, Scope

    from billing.kit.patience import Watch

Schema = TypeVar("Schema", bound=msgspec.Struct)

JSON_TYPE = "application/json"

BODY_MAX_BYTES = 1_000_000
BODY_TIMEOUT_S = 30
DRAINED_MAX_BYTES = 16 * BODY_MAX_BYTES
_NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[Schema]):
    """One item of a batch: its value, or its faults beside the members that were sent."""

    value: Schema | None
    faults: tuple[Fault, ...]
    members: Mapping[str, object]


class RawBody:
    """The body of a request as it came."""

    def __init__(
        self,
        content: bytes,
        *,
        content_type: str,
        content_encoding: str = "",
        refuses_card_numbers: bool = False,
        declared: Declared = UNDECLARED,
        now: datetime | None = None,
    ) -> None:
        self.content = content
        self._content_type = content_type
        self._content_encoding = content_encoding
        self._refuses_card_numbers = refuses_card_numbers
        self._declared = declared
        self._now = now
        self.parsed: object = None
        """What was read: a request with the same values is the same request."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent."""
        return is_blank(self.content)

    def read(self, schema: type[Schema], *, optional: bool = False) -> Schema:
        """The body as a schema. With `optional` no body at all counts as `{}`.

        Raises InvalidParameter with every fault, UnsupportedMediaType, CardNumberRefused (public API only).
        """
        self._declared.expect(schema)
        tree = Members([]) if optional and self.is_empty else self._read_tree(JSON_TYPE)
        faults = Faults("body", now=self._now)
        value = struct_reader(schema)(tree, "", faults)
        faults.refuse()
        self.parsed = value
        return cast("Schema", value)

    def read_json_array(
        self,
        schema: type[Schema],
        *,
        media_type: str = JSON_TYPE,
        max_items: int,
        read_plain: Callable[[bytes], list[Schema] | None] | None = None,
    ) -> list[BatchItem[Schema]]:
        """The items of a body that is one array; a faulty item does not fail its neighbours.

        `read_plain` may read a body whose items have no fault, and leaves any other (None). Raises InvalidParameter when the
        body is no array or holds more items than allowed, UnsupportedMediaType.
        """
        self._declared.expect(schema)
        if read_plain is not None and not self._refuses_card_numbers:
            self._check_type(media_type)
            plain = read_plain(self.content)
            if plain is not None and len(plain) <= max_items:
                self.parsed = plain
                return [BatchItem(value, (), _NOTHING) for value in plain]
        tree = self._read_tree(media_type)
        if not isinstance(tree, list):
            raise InvalidParameter.one("body", "", "must be a list")
        items = cast("list[object]", tree)
        if len(items) > max_items:
            raise InvalidParameter.one("body", "", f"must not have more than {max_items} items")
        return self._read_items(schema, items)

    def _read_items(self, schema: type[Schema], items: list[object]) -> list[BatchItem[Schema]]:
        reader = struct_reader(schema)
        read: list[BatchItem[Schema]] = []
        for item in items:
            faults = Faults("body", now=self._now)
            value = reader(item, "", faults)
            members = item if isinstance(item, Members) else Members([])
            read.append(BatchItem(None if value is INVALID else cast("Schema", value), faults.found(), members))
        self.parsed = [item.value for item in read]
        return read

    def _read_tree(self, media_type: str) -> object:
        self._check_type(media_type)
        tree = read_json(self.content)
        if self._refuses_card_numbers and may_hold_card_number(self.content):
            paths = list(card_number_paths(tree))
            if paths:
                raise CardNumberRefused(paths)
        return tree

    def _check_type(self, media_type: str) -> None:
        """Of nothing it may be left out."""
        if not self._content_type and self.is_empty:
            return
        essence, *parameters = (part.strip().lower() for part in self._content_type.split(";"))
        charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
        if essence != media_type or any(charset not in {"utf-8", "utf8"} for charset in charsets):
            raise UnsupportedMediaType(f"The body must be {media_type}")
        if self._content_encoding not in {"", "identity"}:
            raise UnsupportedMediaType("The body must not be compressed")


async def read_content(scope: Scope, receive: Receive, *, watch: Watch) -> bytes:
    """The bytes of a body. Raises PayloadTooLarge beyond 1 MB, once a sender that is not much beyond has finished."""
    announced = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-length"]
    size = None
    if announced and announced[0].isdigit():
        size = int(announced[0]) if len(announced[0]) <= 9 else DRAINED_MAX_BYTES + 1
        if size > DRAINED_MAX_BYTES:
            raise PayloadTooLarge
    receiving = _Receiving()
    watch.add(receiving, until_s=asyncio.get_running_loop().time() + BODY_TIMEOUT_S)
    try:
        return await _receive_all(receive, size)
    except asyncio.CancelledError:
        if receiving.is_given_up():
            raise InvalidParameter.one("body", "", f"was not sent within {BODY_TIMEOUT_S} seconds") from None
        raise
    finally:
        watch.discard(receiving)


async def _receive_all(receive: Receive, size: int | None) -> bytes:
    """All of a body; once as much is there as was announced, nothing is waited for that says so."""
    content = bytearray()
    received_bytes = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InvalidParameter.one("body", "", "was not sent to its end")
        received_bytes += len(message["body"])
        if received_bytes <= BODY_MAX_BYTES:
            content += message["body"]
        is_all = not message["more_body"] or received_bytes == size
        if received_bytes > DRAINED_MAX_BYTES or (is_all and received_bytes > BODY_MAX_BYTES):
            raise PayloadTooLarge
        if is_all:
            return bytes(content)


class _Receiving:
    """What the task under way receives; given up, it is cancelled."""

    __slots__ = ("_is_late", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._is_late = False

    def give_up(self) -> None:
        """It took too long."""
        assert self._task is not None
        self._is_late = True
        self._task.cancel()

    def is_given_up(self) -> bool:
        """Whether nothing else cancelled the task."""
        assert self._task is not None
        return self._is_late and self._task.uncancel() == 0
