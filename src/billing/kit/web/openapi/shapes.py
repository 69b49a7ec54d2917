"""Types as JSON Schema (2020-12), one way for what is read and another for what is shown.

What is read follows `kit/web/schemas.py`: the same types, the same bounds. Numbers may come as texts; what is shown holds
numbers alone. Components have a name that is unique in their document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, cast

import msgspec
from msgspec import NODEFAULT, inspect

from billing.kit.web import values
from billing.kit.web.openapi import types
from billing.kit.web.openapi.words import NOTHING, Member, Words
from billing.kit.web.schemas import ACCEPTS_UNKNOWN

Schema = dict[str, Any]
Direction = Literal["in", "out"]
REFERENCE = "#/components/schemas/"

_DECIMAL_TEXT = r"^-?(0|[1-9][0-9]{0,59})(\.[0-9]{1,60})?$"
_EXAMPLES: dict[type[inspect.Type], object] = {
    inspect.BoolType: True,
    inspect.DateTimeType: "2024-01-15T10:30:00Z",
    inspect.DateType: "2024-01-15",
}

_PLAIN: dict[type[inspect.Type], Schema] = {
    inspect.AnyType: {},
    inspect.BoolType: {"type": "boolean"},
    inspect.DateType: {"type": "string", "format": "date"},
    inspect.DateTimeType: {"type": "string", "format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class _Fields:
    """A struct or dataclass: its fields by their names on the wire."""

    cls: type[Any]
    fields: Mapping[str, inspect.Field]

    @property
    def key(self) -> str:
        """A name that no other type has."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}"


@dataclass(slots=True)
class Shapes:
    """The components of a document, made as they are referred to."""

    words: Words
    _made: dict[tuple[str, Direction], Schema] = field(default_factory=dict[tuple[str, Direction], Schema])
    _classes: dict[tuple[str, Direction], type[Any]] = field(default_factory=dict[tuple[str, Direction], type[Any]])

    def reference(self, schema: type[Any], direction: Direction) -> Schema:
        """A reference to a schema's component."""
        return self._reference(_fields_of(types.type_info(schema)), direction)

    def members(self, schema: type[Any], direction: Direction) -> dict[str, tuple[Schema, bool]]:
        """Each member with its schema and whether it is required, for parameters."""
        fields = _fields_of(types.type_info(schema))
        return {
            name: (self._member(fields.cls, name, one, direction), one.required) for name, one in fields.fields.items()
        }

    def example(self, schema: type[Any], direction: Direction) -> dict[str, Any]:
        """An example of a whole schema, from those of its members."""
        return self._struct_example(_fields_of(types.type_info(schema)), direction)

    def components(self) -> tuple[dict[str, Schema], dict[str, str]]:
        """Every component by its name, and how references are to be renamed."""
        wanted: dict[str, list[tuple[str, Direction]]] = {}
        for key in self._made:
            wanted.setdefault(_short_name(self._classes[key]), []).append(key)
        names: dict[tuple[str, Direction], str] = {}
        for name, keys in wanted.items():
            names[keys[0]] = name  # the first that the document refers to
            names |= {key: self._long_name(key, keys[0]) for key in keys[1:]}
        if len(set(names.values())) < len(names):
            raise ValueError("two components have one name")
        renamed = {_provisional(key): REFERENCE + name for key, name in names.items()}
        return {
            names[key]: schema for key, schema in sorted(self._made.items(), key=lambda one: names[one[0]])
        }, renamed

    def _long_name(self, key: tuple[str, Direction], first: tuple[str, Direction]) -> str:
        cls, direction = self._classes[key], key[1]
        slice_name = "".join(part.capitalize() for part in cls.__module__.split(".")[1].split("_"))
        prefix = "" if key[0] == first[0] else slice_name  # the same type is read and shown
        suffix = "Given" if direction == "in" else "Shown" if direction != first[1] and not prefix else ""
        return f"{prefix}{_short_name(cls)}{suffix}"

    def _reference(self, fields: _Fields, direction: Direction) -> Schema:
        key = (fields.key, direction)
        if key not in self._made:
            self._made[key] = {}  # known before its members are, as one of them may be of the same type
            self._classes[key] = fields.cls
            self._made[key].update(self._struct(fields, direction))
        return {"$ref": _provisional(key)}

    def _struct(self, fields: _Fields, direction: Direction) -> Schema:
        properties = {name: self._member(fields.cls, name, one, direction) for name, one in fields.fields.items()}
        shows_defaults = not getattr(getattr(fields.cls, "__struct_config__", None), "omit_defaults", False)
        required = [
            name
            for name, one in fields.fields.items()
            if one.required or (direction == "out" and shows_defaults and one.default is not msgspec.UNSET)
        ]
        shape: Schema = {"type": "object", "properties": properties}
        if required:
            shape["required"] = required
        if direction == "in" and not getattr(fields.cls, ACCEPTS_UNKNOWN, False):
            shape["additionalProperties"] = False
        return shape

    def _member(self, owner: type[Any], name: str, one: inspect.Field, direction: Direction) -> Schema:
        word = self.words.of(owner, name)
        described = one.type if word.shape is None else types.type_info(word.shape)
        shape = self._nullable(described, direction, word.schema() if word.says else {})
        if direction == "in" and one.default not in (NODEFAULT, None, msgspec.UNSET):
            shape["default"] = Decimal(one.default) if isinstance(one.default, Decimal) else one.default
        return shape

    def _nullable(self, described: inspect.Type, direction: Direction, extra: Schema) -> Schema:
        alone, is_nullable = types.apart(described)
        shape = self._shape(alone, direction)
        if not is_nullable:
            return {**shape, **extra}
        description = {name: extra.pop(name) for name in ("description",) if name in extra}
        shape = {**shape, **extra}
        if isinstance(shape.get("type"), str) and "enum" not in shape:
            return {**shape, "type": [shape["type"], "null"], **description}
        return {"anyOf": [shape, {"type": "null"}], **description}

    def _shape(self, described: inspect.Type, direction: Direction) -> Schema:
        match described:
            case inspect.Metadata():
                shape = {**self._shape(described.type, direction), **cast("Schema", described.extra_json_schema or {})}
            case inspect.CustomType() | inspect.DataclassType() if hasattr(described.cls, "wire_schema"):
                shape = dict(cast("Any", described.cls).wire_schema)
            case inspect.StructType() | inspect.DataclassType():
                shape = self._reference(_fields_of(described), direction)
            case types.Either():
                shape = {"anyOf": [self._shape(one, direction) for one in described.types]}
            case inspect.ListType() | inspect.VarTupleType() | inspect.CollectionType():
                bounds = {"minItems": described.min_length, "maxItems": described.max_length}
                items = self._nullable(described.item_type, direction, {})
                shape = {"type": "array", "items": items, **_given(bounds)}
            case inspect.DictType():
                members = self._nullable(described.value_type, direction, {})
                shape = {"type": "object", "additionalProperties": members or True}
            case inspect.CustomType() if described.cls is object:
                shape = {}
            case _:
                shape = _scalar(described, direction)
        return shape

    def _struct_example(self, fields: _Fields, direction: Direction) -> dict[str, Any]:
        found = {name: self._example(fields.cls, name, one, direction) for name, one in fields.fields.items()}
        return {name: value for name, value in found.items() if value is not NOTHING}

    def _example(self, owner: type[Any], name: str, one: inspect.Field, direction: Direction) -> Any:
        word: Member = self.words.of(owner, name)
        if word.example is not NOTHING:
            return word.example
        described = one.type if word.shape is None else types.type_info(word.shape)
        alone, is_nullable = types.apart(described)
        if "enum" in word.keywords:
            return word.keywords["enum"][0]
        value = self._type_example(alone, direction)
        if value is NOTHING and not one.required:
            return one.default if direction == "out" and one.default is not NODEFAULT else NOTHING
        if value is NOTHING and is_nullable:
            return None
        if value is NOTHING:
            self.words.missing.add(f"{owner.__name__}.{name} (an example)")
        return value

    def _type_example(self, described: inspect.Type, direction: Direction) -> Any:
        match described:
            case inspect.Metadata():
                return self._type_example(described.type, direction)
            case inspect.StructType() | inspect.DataclassType():
                return self._struct_example(_fields_of(described), direction)
            case types.Either():
                return self._type_example(described.types[0], direction)
            case inspect.ListType() | inspect.VarTupleType() | inspect.CollectionType():
                item = self._type_example(described.item_type, direction)
                return NOTHING if item is NOTHING else [item]
            case inspect.LiteralType():
                return described.values[0]
            case _:
                return _EXAMPLES.get(type(described), NOTHING)


def _fields_of(described: inspect.Type) -> _Fields:
    if not isinstance(described, (inspect.StructType, inspect.DataclassType)):
        raise TypeError(f"{described!r} has no members")
    return _Fields(described.cls, {one.encode_name: one for one in described.fields})


def _scalar(described: inspect.Type, direction: Direction) -> Schema:
    shape = _PLAIN.get(type(described))
    if shape is not None:
        return dict(shape)
    match described:
        case inspect.DecimalType():
            is_read = direction == "in"
            return {"type": ["number", "string"], "pattern": _DECIMAL_TEXT} if is_read else {"type": "number"}
        case inspect.IntType():
            return {"type": "integer", **_bounds(described, direction)}
        case inspect.StrType():
            longest = described.max_length or (values.TEXT_LONGEST if direction == "in" else None)
            bounds = {"minLength": described.min_length, "maxLength": longest, "pattern": described.pattern}
            return {"type": "string", **_given(bounds)}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(described.values)}
        case _:
            raise TypeError(f"{described} has no place in the API's description")


def _bounds(described: inspect.IntType, direction: Direction) -> Schema:
    low = described.ge if described.gt is None else described.gt + 1
    high = described.le if described.lt is None else described.lt - 1
    if direction == "out":
        return _given({"minimum": low, "maximum": high})
    return {
        "minimum": -values.INTEGER_MAX if low is None else low,
        "maximum": values.INTEGER_MAX if high is None else high,
    }


def _given(keywords: Mapping[str, object]) -> Schema:
    return {name: value for name, value in keywords.items() if value is not None}


def _short_name(cls: type[Any]) -> str:
    return cls.__name__.removesuffix("Shown").removesuffix("Out")


def _provisional(key: tuple[str, Direction]) -> str:
    return f"{key[0]}:{key[1]}"


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A document with each reference under its component's name."""
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        return {
            name: names.get(value, value) if name == "$ref" and isinstance(value, str) else renamed(value, names)
            for name, value in members.items()
        }
    if isinstance(node, (list, tuple)):
        return [renamed(item, names) for item in cast("list[Any]", node)]
    return node
