"""No float anywhere near money."""

from __future__ import annotations

import ast

from tests.tidy.sources import PACKAGE, parsed, python_files, shown, slice_of

MONEY_SLICES = {
    "accounts",
    "analytics",
    "catalog",
    "invoices",
    "ledger",
    "metering",
    "payments",
    "projects",
    "rating",
    "wallets",
}
# Seconds, not money.
EXEMPT_NAMES = ("_s", "_ms")


def test_money_modules_hold_no_floats() -> None:
    files = [path for path in python_files(PACKAGE) if slice_of(path) in MONEY_SLICES or path.name == "money.py"]
    assert files
    wrong = [
        f"{shown(path, node.lineno)}"
        for path in files
        if "adapters" not in path.parts and "pdf" not in path.parts
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float" and isinstance(node.ctx, ast.Load))
    ]
    assert not wrong
