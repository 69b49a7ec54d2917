"""docs/events.md tells every type of event that the code publishes, with its members: it is made from them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from billing.webhooks.model import events
from billing.webhooks.model.events import EventType
from tests.tidy.sources import PACKAGE, ROOT, parsed, python_files

PAGE = ROOT / "docs/events.md"
HEAD = """# Events

What happens to an account's objects is told as events: to the account's [webhook endpoints](webhooks.md), and to platforms that
pull by `GET /operator/v1/outbox`. This page is made from the code (`make golden`).

An event is `{"type", "timestamp", "data"}`. `data` has the object's `id` and a `version`, which never goes back for one object:
drop what is older than what you have seen. Beside these it has the members below, named as the API names them. Amounts are texts
with all their digits in the event's `currency`, instants RFC 3339 in UTC; what does not apply is null. Members and types may be
added.

## Sent to accounts

An endpoint asks for types, for groups such as `invoice.*`, or for `*`.

| type | object | what happened | members of `data` |
|---|---|---|---|
"""
ALERTS = """
Of alerts and budgets, endpoints are sent those that name `webhook` among their notification methods; `value` and `threshold` are
amounts in `currency`, or quantities of `metric`.

## Only in the log

What the platform is asked for, and what the books tell each other.

| type | object | what happened | members of `data` |
|---|---|---|---|
"""
_TYPE = re.compile(r"[a-z]+(?:_[a-z]+)*\.[a-z_]+")


def rows(types: Iterable[EventType]) -> str:
    """The rows of a table."""
    return "".join(
        f"| `{one.type}` | {one.object} | {one.says} | {', '.join(f'`{name}`' for name in one.members)} |\n"
        for one in types
    )


@pytest.mark.golden
def test_the_page_is_what_the_code_makes(golden: Callable[[Path, str], None]) -> None:
    golden(PAGE, HEAD + rows(events.PUBLIC) + ALERTS + rows(events.INTERNAL))


def test_every_type_that_is_published_is_told() -> None:
    """Texts that look like a type, where functions that publish are called or events made."""
    told = {one.type for one in (*events.PUBLIC, *events.INTERNAL)}
    published = {
        node.value
        for path in python_files(PACKAGE)
        if "outbox" in path.read_text(encoding="utf-8") or path.stem in {"telling", "ending", "collecting", "deleting"}
        for call in ast.walk(parsed(path))
        if isinstance(call, ast.Call) and _name(call).lstrip("_").startswith(("publish", "tell"))
        for node in ast.walk(call)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TYPE.fullmatch(node.value)
    }
    assert len(published) > 15
    assert not published - told


def test_filters_of_the_request_are_the_groups_of_the_types() -> None:
    assert {one.group for one in events.PUBLIC} < set(events.FILTERS)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
