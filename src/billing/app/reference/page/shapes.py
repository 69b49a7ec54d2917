"""Schemas as people read them: a list of members, each with its type, its bounds and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.app.reference.page.markup import Markup, compact, element, inline, joined
from billing.kit.web.paging import CURSOR_LONGEST
from billing.kit.web.values import TEXT_LONGEST

Schema = Mapping[str, Any]
DEEPEST = 5

_FORMATS = {
    "date-time": "time",
    "date": "date",
    "binary": "file",
    "ip-range": "IP address or range",
    "webhook-url": "https URL",
}
_NOTHING = Markup("")


class Shapes:
    """The schemas of a document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components: Mapping[str, Any] = document["components"]

    def resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """A part of the document, or what it refers to."""
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        return {**self._components[kind][name], **{key: value for key, value in part.items() if key != "$ref"}}

    def members(self, schema: Schema, *, is_given: bool, depth: int = 0) -> Markup:
        """The members of an object, of the objects in an array, or of each of several shapes.

        Of what is given to the API it is told what is required; of what the API shows every member is there.
        """
        variants = self._objects(schema)
        if not variants or depth > DEEPEST:
            return _NOTHING
        if len(variants) == 1:
            return self._list(variants[0], is_given, depth)
        shown = [
            element("details", element("summary", self._title(one)), self._list(one, is_given, depth), class_="variant")
            for one in variants
        ]
        return element("div", element("p", "One of:", class_="hint"), *shown)

    def type_of(self, schema: Schema) -> str:
        """The type of a value in words."""
        whole = self.resolved(schema)
        kinds = [kind for kind in _kinds(whole) if kind != "null"]
        if "enum" in whole:
            return "text, one of a few"
        if "anyOf" in whole and "type" not in whole:
            others = [self.type_of(one) for one in whole["anyOf"] if one != {"type": "null"}]
            return " or ".join(dict.fromkeys(others))
        if kinds == ["array"]:
            return f"list of {_plural(self.type_of(whole.get('items', {})))}"
        if kinds == ["number", "string"]:
            return "number"
        return _FORMATS.get(whole.get("format", ""), "") or _NAMES.get(" ".join(kinds), "anything")

    def _list(self, schema: Schema, is_given: bool, depth: int) -> Markup:
        required = set(schema.get("required", ()))
        rows = [
            self._member(name, one, is_given=is_given, is_required=name in required, depth=depth)
            for name, one in schema.get("properties", {}).items()
        ]
        return element("ul", *rows, class_="members") if rows else element("p", "No members.", class_="hint")

    def _member(self, name: str, schema: Schema, *, is_given: bool, is_required: bool, depth: int) -> Markup:
        whole = self._without_null(schema)
        head = [element("code", name, class_="name"), element("span", self.type_of(schema), class_="type")]
        head += [element("span", "required", class_="required")] if is_required and is_given else []
        head += [element("span", "or null", class_="type")] if whole is not schema or "null" in _kinds(schema) else []
        below = self.members(whole, is_given=is_given, depth=depth + 1)
        if below:
            below = element("details", element("summary", "Members"), below)
        return element(
            "li",
            element("div", *head, class_="member"),
            element("p", inline(schema.get("description", whole.get("description", "")))),
            self.bounds(whole),
            below,
        )

    def bounds(self, schema: Schema) -> Markup:
        """What a value may be, in words."""
        whole = self.resolved(schema)
        told: list[Markup] = []
        values = whole.get("enum", ())
        if 0 < len(values) <= 20:
            told.append(joined("One of ", *_listed(values)))
        if "default" in whole:
            told.append(joined("Default ", element("code", compact(whole["default"]))))
        for key, words in _BOUNDS.items():
            if key in whole and abs(whole[key]) < _HUGE and (key, whole[key]) not in _UNTOLD:
                told.append(joined(words, " ", element("code", compact(whole[key]))))
        return element("p", *(joined(one, ". ") for one in told), class_="bounds") if told else _NOTHING

    def _objects(self, schema: Schema) -> list[Schema]:
        whole = self.resolved(schema)
        if "properties" in whole:
            return [whole]
        if "items" in whole:
            return self._objects(whole["items"])
        if isinstance(whole.get("additionalProperties"), Mapping):
            return self._objects(whole["additionalProperties"])
        return [one for part in whole.get("anyOf", ()) for one in self._objects(part)]

    def _without_null(self, schema: Schema) -> Schema:
        others = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        return others[0] if len(others) == 1 else schema

    def _title(self, schema: Schema) -> str:
        return f"by {next(iter(schema['properties']))}"


_NAMES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
}
_BOUNDS = {
    "minimum": "At least",
    "exclusiveMinimum": "Above",
    "maximum": "At most",
    "exclusiveMaximum": "Below",
    "minLength": "Shortest",
    "maxLength": "Longest",
    "minItems": "Fewest items",
    "maxItems": "Most items",
}
_HUGE = 10**9
_UNTOLD = {("minLength", 1), ("maxLength", TEXT_LONGEST), ("maxLength", CURSOR_LONGEST)}  # what goes without saying


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _plural(kind: str) -> str:
    return {"text": "texts", "object": "objects", "anything": "anything"}.get(kind, kind)


def _listed(values: list[Any]) -> list[Markup]:
    return [joined(", " if index else "", element("code", compact(one))) for index, one in enumerate(values)]
