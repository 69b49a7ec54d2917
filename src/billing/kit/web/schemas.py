"""Schemas to readers: a msgspec Struct type becomes a function that reads a tree and names every fault.

msgspec's own decoder stops at the first fault and keeps the last of doubled members, so it is used for its types alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from inspect import signature
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec
from msgspec import inspect

from billing.core.errors import Fault, InvalidParameter, Where
from billing.kit.web import values
from billing.kit.web.reading import Members, NotANumber, NumberText

FAULTS_SHOWN = 100
KEY_NAMES = frozenset({"api_key", "apikey", "access_token", "authorization", "key", "token"})
INVALID: Final = object()  # what a reader returns for a value whose fault it has told

ACCEPTS_UNKNOWN = "accepts_unknown"  # a class variable of schemas whose unknown members are left alone (CloudEvents)

Check: TypeAlias = Callable[..., Iterable[Fault]]
CHECKS = "checks"
"""A class variable of schemas: functions that say what is wrong with members that are well read by themselves. The names of a
check's parameters say which members it looks at; it is asked as soon as these are well read, whatever is wrong with others.
One that also asks for `now` is only told beside other faults: by itself it is for the transaction to find, so that an answer is
replayed at any time."""
NOW = "now"


@dataclass(frozen=True, slots=True)
class Declared:
    """The schema that a route's description promises for its body or query; None where nothing was promised."""

    schema: type[msgspec.Struct] | None

    def expect(self, schema: type[msgspec.Struct]) -> None:
        """Raises TypeError for another one: the description would lie."""
        if self.schema is not None and schema is not self.schema:
            raise TypeError(f"{self.schema.__name__} is described, {schema.__name__} was read")


UNDECLARED: Final = Declared(None)


class Faults:
    """The faults found so far in one part of a request."""

    def __init__(self, where: Where, *, now: datetime | None = None) -> None:
        self._where: Where = where
        self.now = now
        self._found: list[Fault] = []

    def add(self, path: str, reason: str) -> object:
        """Note a fault; returns INVALID."""
        self._found.append(Fault(self._where, shown_path(path), reason))
        return INVALID

    def unknown(self, name: str) -> str:
        """Why a name that nobody knows is refused."""
        if self._where == "query" and name.lower() in KEY_NAMES:
            return "is not a known field: a key is sent in the Authorization header alone, and is in no address"
        return "is not a known field"

    def extend(self, found: tuple[Fault, ...], path: str) -> object:
        """Note the faults that a schema found in itself; returns INVALID."""
        self._found.extend(Fault(fault.where, join(path, fault.path), fault.reason) for fault in found)
        return INVALID

    def found(self) -> tuple[Fault, ...]:
        """All of them, or as many as an answer should hold and how many more there are."""
        if len(self._found) <= FAULTS_SHOWN:
            return tuple(self._found)
        more = len(self._found) - FAULTS_SHOWN
        return (*self._found[:FAULTS_SHOWN], Fault(self._where, "", f"has {more} more faults"))

    def refuse(self) -> None:
        """Raises InvalidParameter if there are any."""
        if self._found:
            raise InvalidParameter(self.found())


class Reader(Protocol):
    """Reads a value at a path, notes its faults and returns it, or INVALID."""

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        """The value, or INVALID."""
        ...


FromText: TypeAlias = Callable[[str], object]


def join(path: str, name: str) -> str:
    """The path of a member."""
    return f"{path}.{name}" if path and name and not name.startswith("[") else path + name


def shown_path(path: str) -> str:
    """A path as an answer can hold it: valid Unicode and not endless."""
    text = path.encode("utf-8", "replace").decode("utf-8").replace("\x00", "?")
    return text if len(text) <= 200 else f"{text[:200]}…"


@cache
def struct_reader(schema: type[msgspec.Struct]) -> Reader:
    """The reader of a schema, made once. Raises TypeError for a type that the wire does not know."""
    fields = _fields_of(schema)
    return _StructReader(
        schema=schema,
        readers={field.encode_name: _field_reader(field.type) for field in fields},
        names={field.encode_name: field.name for field in fields},
        required=tuple(field.encode_name for field in fields if field.required),
        accepts_unknown=bool(getattr(schema, ACCEPTS_UNKNOWN, False)),
        checks=[(check, _members_of(check, schema)) for check in _checks_of(schema)],
        defaults={field.name: _default_of(field) for field in fields if not field.required},
    )


def _default_of(field: inspect.Field) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _checks_of(schema: type[msgspec.Struct]) -> list[Check]:
    """The checks of a schema and of those that it extends, in that order, but what depends on the instant at last."""
    given = (vars(one).get(CHECKS, ()) for one in reversed(schema.__mro__))
    found = [check for checks in given for check in cast("tuple[Check, ...]", checks)]
    return sorted(found, key=lambda check: NOW in signature(check).parameters)


def _members_of(check: Check, schema: type[msgspec.Struct]) -> tuple[str, ...]:
    members = tuple(signature(check).parameters)
    unknown = set(members) - {NOW, *schema.__struct_fields__}
    if unknown:
        raise TypeError(f"{schema.__name__} has no {', '.join(sorted(unknown))} to check")
    return members


@cache
def from_text_readers(schema: type[msgspec.Struct]) -> dict[str, FromText]:
    """How the text of each query parameter becomes what a body would hold."""
    return {field.encode_name: _from_text(_alternatives(field.type)[0]) for field in _fields_of(schema)}


def _fields_of(schema: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    described = inspect.type_info(schema)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{schema!r} is not a Struct")
    return described.fields


def _alternatives(described: inspect.Type) -> tuple[inspect.Type, bool]:
    """The one type of a field and whether null is allowed beside it."""
    if not isinstance(described, inspect.UnionType):
        return described, False
    others = [member for member in described.types if not isinstance(member, inspect.NoneType)]
    if len(others) != 1:
        raise TypeError(f"a union of {len(others)} types is not read from the wire: {described}")
    return others[0], len(others) < len(described.types)


def _field_reader(described: inspect.Type) -> Reader:
    alone, is_nullable = _alternatives(described)
    return _NullableReader(_reader_of(alone), is_nullable)


_SCALARS: dict[type[inspect.Type], Callable[[object], object]] = {
    inspect.BoolType: values.read_boolean,
    inspect.DecimalType: values.read_decimal,
    inspect.DateType: values.read_day,
    inspect.DateTimeType: values.read_instant,
}


def _reader_of(described: inspect.Type) -> Reader:
    scalar = _SCALARS.get(type(described))
    if scalar is not None:
        return _ScalarReader(scalar)
    reader: Reader | None = None
    match described:
        case inspect.Metadata():
            reader = _reader_of(described.type)
        case inspect.StrType():
            longest = described.max_length or values.TEXT_LONGEST
            reader = _TextReader(described.min_length or 0, longest, described.pattern)
        case inspect.IntType():
            reader = _IntegerReader(described)
        case inspect.LiteralType():
            reader = _LiteralReader(described.values)
        case inspect.ListType() | inspect.VarTupleType():
            into = tuple if isinstance(described, inspect.VarTupleType) else list
            reader = _ListReader(into, _field_reader(described.item_type), described.min_length, described.max_length)
        case inspect.DictType():
            reader = _MapReader(_field_reader(described.value_type), described.max_length)
        case inspect.StructType():
            reader = struct_reader(described.cls)
        case inspect.CustomType() | inspect.DataclassType() if hasattr(described.cls, "read"):
            reader = _ScalarReader(cast("Any", described.cls).read)
        case _:
            raise TypeError(f"{described} is not read from the wire")
    return reader


@dataclass(frozen=True, slots=True)
class _NullableReader:
    reader: Reader
    is_nullable: bool

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        if value is None:
            return None if self.is_nullable else faults.add(path, "must not be null")
        return self.reader(value, path, faults)


@dataclass(frozen=True, slots=True)
class _ScalarReader:
    read: Callable[[object], object]

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        try:
            return self.read(value)
        except ValueError as error:
            return faults.add(path, str(error))


@dataclass(frozen=True, slots=True)
class _TextReader:
    shortest: int
    longest: int
    pattern: str | None

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        try:
            text = values.read_text(value)
        except ValueError as error:
            return faults.add(path, str(error))
        reason = self._fault(text)
        return text if reason is None else faults.add(path, reason)

    def _fault(self, text: str) -> str | None:
        if len(text) > self.longest:
            return f"must not be longer than {self.longest} characters"
        if len(text) < self.shortest:
            return f"must have at least {self.shortest} characters" if text else "must not be empty"
        if self.pattern is not None and re.search(self.pattern, text) is None:
            return "does not have the right form"
        return None


@dataclass(frozen=True, slots=True)
class _IntegerReader:
    described: inspect.IntType

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        try:
            number = values.read_integer(value)
        except ValueError as error:
            return faults.add(path, str(error))
        low, high = self._bounds()
        if low is not None and number < low:
            return faults.add(path, f"must be at least {low}")
        if high is not None and number > high:
            return faults.add(path, f"must be at most {high}")
        return number

    def _bounds(self) -> tuple[int | None, int | None]:
        about = self.described
        low = about.ge if about.gt is None else about.gt + 1
        high = about.le if about.lt is None else about.lt - 1
        return low, high


@dataclass(frozen=True, slots=True)
class _LiteralReader:
    allowed: tuple[object, ...]

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        is_text = isinstance(value, str) and not isinstance(value, (NumberText, NotANumber))
        if is_text and value in self.allowed:
            return value
        return faults.add(path, f"must be one of: {', '.join(map(str, self.allowed))}")


@dataclass(frozen=True, slots=True)
class _ListReader:
    into: type[list[object]] | type[tuple[object, ...]]
    item: Reader
    shortest: int | None
    longest: int | None

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, list):
            return faults.add(path, "must be a list")
        members = cast("list[object]", value)
        if self.longest is not None and len(members) > self.longest:
            return faults.add(path, f"must not have more than {self.longest} items")
        if self.shortest is not None and len(members) < self.shortest:
            return faults.add(path, f"must have at least {self.shortest} item{'s' if self.shortest > 1 else ''}")
        read = [self.item(member, f"{path}[{index}]", faults) for index, member in enumerate(members)]
        return INVALID if any(member is INVALID for member in read) else self.into(read)


@dataclass(frozen=True, slots=True)
class _MapReader:
    member: Reader
    longest: int | None

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, Members):
            return faults.add(path, "must be an object")
        if self.longest is not None and len(value) > self.longest:
            return faults.add(path, f"must not have more than {self.longest} members")
        is_valid = _refuse_doubled(value, path, faults)
        read: dict[str, object] = {}
        for name, member in value.items():
            reason = values.text_fault(name)
            if reason is not None:
                faults.add(join(path, name), reason)
            read[name] = self.member(member, join(path, name), faults)
            is_valid = is_valid and reason is None and read[name] is not INVALID
        return read if is_valid else INVALID


@dataclass(frozen=True, slots=True, kw_only=True)
class _StructReader:
    schema: type[msgspec.Struct]
    readers: dict[str, Reader]
    names: dict[str, str]
    required: tuple[str, ...]
    accepts_unknown: bool
    checks: list[tuple[Check, tuple[str, ...]]]
    defaults: dict[str, object]

    def __call__(self, value: object, path: str, faults: Faults) -> object:
        if not isinstance(value, Members):
            return faults.add(path, "must be an object")
        is_valid = _refuse_doubled(value, path, faults)
        read: dict[str, object] = {}
        for name, member in value.items():
            reader = self.readers.get(name)
            if reader is not None:
                result = read[self.names[name]] = reader(member, join(path, name) if path else name, faults)
                is_valid = is_valid and result is not INVALID
            elif not self.accepts_unknown:
                is_valid = faults.add(join(path, name), faults.unknown(name)) is not INVALID
        for name in self.required:
            if name not in value:
                is_valid = faults.add(join(path, name), "is required") is not INVALID
        is_valid = self._check(read, path, faults, is_valid=is_valid)
        return self._make(read, path, faults) if is_valid else INVALID

    def _check(self, read: dict[str, object], path: str, faults: Faults, *, is_valid: bool) -> bool:
        """Whether all is well; what depends on the instant is asked once something is not."""
        if not self.checks:
            return is_valid
        known = {**self.defaults, **read}
        for check, members in self.checks:
            if NOW in members:
                if is_valid or faults.now is None:
                    continue
                known[NOW] = faults.now
            if all(known.get(name, INVALID) is not INVALID for name in members):
                found = tuple(check(**{name: known[name] for name in members}))
                faults.extend(found, path)
                is_valid = is_valid and not found
        return is_valid

    def _make(self, read: dict[str, object], path: str, faults: Faults) -> object:
        try:
            return self.schema(**read)
        except InvalidParameter as error:
            return faults.extend(error.faults, path)
        except ValueError as error:
            return faults.add(path, str(error))


def _refuse_doubled(members: Members, path: str, faults: Faults) -> bool:
    for name in members.doubled:
        faults.add(join(path, name), "is given more than once")
    return not members.doubled


_BOOLEANS = {"true": True, "false": False}


def _from_text(described: inspect.Type) -> FromText:
    match described:
        case inspect.IntType() | inspect.DecimalType():
            return NumberText
        case inspect.BoolType():
            return lambda text: _BOOLEANS.get(text, text)
        case _:
            return lambda text: text
