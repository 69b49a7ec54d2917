"""What msgspec knows of a type, and what it does not: a list of one of several structs, which is shown and never read."""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec
from msgspec import inspect


class Either(inspect.Type, kw_only=True):
    """One of several structs; which one follows from the request."""

    types: tuple[inspect.Type, ...]


def type_info(kind: Any) -> inspect.Type:
    """What a type is. Raises TypeError for one that has no place on the wire."""
    try:
        return inspect.type_info(kind)
    except TypeError:
        pass
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return inspect.StructType(kind, _fields(kind))
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list:
        return inspect.ListType(type_info(arguments[0]))
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return Either(types=tuple(type_info(one) for one in arguments))
    raise TypeError(f"{kind} has no place in the API's description")


def apart(described: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type of a field and whether null is allowed beside it. A whole number beside decimals is a number like them."""
    if not isinstance(described, inspect.UnionType):
        return described, False
    others = [member for member in described.types if not isinstance(member, inspect.NoneType)]
    if any(isinstance(member, inspect.DecimalType) for member in others):
        others = [member for member in others if not isinstance(member, inspect.IntType)]
    alone = others[0] if len(others) == 1 else Either(types=tuple(others))
    return alone, len(others) < len(described.types) and inspect.NoneType() in described.types


def _fields(schema: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    hints = typing.get_type_hints(schema, include_extras=True)
    return tuple(
        inspect.Field(
            name=one.name,
            encode_name=one.encode_name,
            type=type_info(hints[one.name]),
            required=one.required,
            default=one.default,
            default_factory=one.default_factory,
        )
        for one in msgspec.structs.fields(schema)
    )
