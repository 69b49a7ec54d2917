"""Documents are held to the code: links, commands, layers, words, errors, settings."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from billing.app import cli
from billing.core.errors import BillingError, Conflict, Refused
from billing.kit import config
from billing.kit.web.errors import status_of
from tests.support.architecture import draw
from tests.support.documents import Row, relative_links, sections, tables
from tests.tidy.sources import PACKAGE, ROOT, parsed, python_files, shown, sql_files, tracked_files
from tests.tidy.test_words import BANNED

DOCUMENTS = [path for path in tracked_files() if path.suffix == ".md"]
WRITTEN = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
# Of errors, those that only gather others.
FAMILIES: set[type[BillingError]] = {BillingError, Conflict, Refused}
# Banned words whose glossary row says them in another way: the plural, and a rule about class names.
OTHERWISE_TOLD = {"entries", "service_suffix"}
ADR_PARTS = ["Context", "Decision", "Consequences", "Alternatives"]
ADR_LINES = 60

_MAKE = re.compile(r"`make ([a-z][a-z-]*)")
_MAKE_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|`|\$ |/|=\S+ )billing ((?:[a-z][a-z-]* ?)+)", re.MULTILINE)
_CODE = re.compile(r"```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"`((?:src/billing|tests|docs)/[A-Za-z0-9_./-]+)`")
_SETTING = re.compile(r"\bLINESERVE_[A-Z_]+[A-Z]\b")


@pytest.mark.parametrize("path", DOCUMENTS, ids=shown)
class TestDocument:
    def test_links_to_what_is_there(self, path: Path) -> None:
        assert not [target for target in relative_links(WRITTEN[path]) if not (path.parent / target).exists()]

    def test_names_make_targets_that_exist(self, path: Path) -> None:
        targets = set(_MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
        assert not set(_MAKE.findall(WRITTEN[path])) - targets

    def test_names_commands_that_exist(self, path: Path) -> None:
        assert not [words for words in _commands_in(WRITTEN[path]) if not _is_command(words)]

    def test_names_files_that_exist(self, path: Path) -> None:
        assert not [name for name in _PATH.findall(WRITTEN[path]) if not (ROOT / name).exists()]

    def test_names_settings_that_exist(self, path: Path) -> None:
        known = _settings() | {f"{name}_FILE" for name in _settings()}
        assert not set(_SETTING.findall(WRITTEN[path])) - known - {"LINESERVE_TEST_SERVER"}


def _commands_in(text: str) -> Iterator[list[str]]:
    """The words after `billing` wherever code is shown."""
    for code in _CODE.findall(text):
        for words in _COMMAND.findall(code):
            yield words.split()


def _is_command(words: list[str]) -> bool:
    """Whether the first words lead through the parsers to a command."""
    parser: argparse.ArgumentParser | None = cli._parser()
    for word in words:
        found = _subcommands(parser)
        if not found:
            return True
        parser = found.get(word)
        if parser is None:
            return False
    return True


def _subcommands(parser: argparse.ArgumentParser | None) -> dict[str, argparse.ArgumentParser]:
    actions = [] if parser is None else parser._actions
    (choices,) = [action.choices for action in actions if isinstance(action, argparse._SubParsersAction)] or [{}]
    return dict(choices)


class TestCommands:
    def test_are_all_told(self) -> None:
        leaves = {
            f"billing {name} {child}".strip()
            for name, parser in _subcommands(cli._parser()).items()
            for child in (_subcommands(parser) or [""])
        }
        assert {row["command"] for row in _table("docs/configuration.md", "command", "does")} == leaves


class TestArchitecture:
    def test_draws_the_layers_that_are_enforced(self) -> None:
        assert [names for names, _ in _drawn()] == _enforced()

    @pytest.mark.golden
    def test_shows_them_as_a_picture(self, golden: Callable[[Path, str], None]) -> None:
        said = dict(zip(map(tuple, _enforced()), (text for _, text in _drawn()), strict=True))
        golden(ROOT / "docs" / "layers.svg", draw(list(said.items())))

    def test_marks_what_is_not_there_yet(self) -> None:
        there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
        wrong = [
            name
            for names, text in _drawn()
            for position, name in enumerate(names)
            if ("(later)" in _part(text, position, len(names))) == (name in there)
        ]
        assert not wrong

    def test_fits_a_page(self) -> None:
        assert len(WRITTEN[ROOT / "ARCHITECTURE.md"].splitlines()) <= 100


def _drawn() -> list[tuple[list[str], str]]:
    """(modules, what is said of them) of each layer, top to bottom."""
    (drawing,) = [
        block for section in sections(WRITTEN[ROOT / "ARCHITECTURE.md"]) for block in section.blocks("layers")
    ]
    rows = [re.split(r" {2,}", line, maxsplit=1) for line in drawing.splitlines()]
    return [(names.split(" | "), text) for names, text in rows]


def _part(text: str, position: int, count: int) -> str:
    """What is said of one of several modules of a layer: parted by a dot, or the same of all."""
    parts = text.split(" · ")
    return parts[position] if len(parts) == count else text


def _enforced() -> list[list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["name"] == "Layers, top to bottom"
    ]
    return [[name.strip(" ()") for name in layer.split("|")] for layer in layers]


class TestGlossary:
    def test_bans_the_words_that_the_tidy_test_looks_for(self) -> None:
        assert _banned() == set(BANNED) - OTHERWISE_TOLD

    def test_defines_each_word_once(self) -> None:
        words = [word for row in _glossary() for word in re.split(r", | · ", row["say"])]
        assert len(words) == len(set(words))
        assert not set(words) & {word.replace("_", " ") for word in BANNED}


def _glossary() -> list[Row]:
    found = [rows for columns, rows in tables(WRITTEN[ROOT / "GLOSSARY.md"]) if columns[0] == "say"]
    return [row for rows in found for row in rows]


def _banned() -> set[str]:
    listed = [word for row in _glossary() for word in row["never say"].split(", ") if word]
    return {word.replace(" ", "_") for word in listed}


class TestErrors:
    def test_are_all_told_with_their_status(self) -> None:
        told = {row["code"]: int(row["status"]) for row in _table("docs/errors.md", "code", "status", "meaning")}
        assert told == {_code(error): _status(error) for error in _errors()}

    @pytest.mark.parametrize("title", ["Usage events", "Parked accounts"])
    def test_reasons_are_those_that_are_given(self, title: str) -> None:
        (section,) = [one for one in sections(WRITTEN[ROOT / "docs/errors.md"]) if one.title == title]
        reasons = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", section.text)
        sources = [*python_files(PACKAGE), *sql_files()]
        given = " ".join(path.read_text(encoding="utf-8") for path in sources)
        assert reasons
        assert not [reason for reason in reasons if not re.search(f"[\"']{reason}[\"']", given)]


@cache
def _errors() -> frozenset[type[BillingError]]:
    """Every error class of the package that a caller may see."""
    for path in python_files(PACKAGE):
        if path.stem in {"model", "errors"} or path.parent.name == "web":
            import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    found: set[type[BillingError]] = set()
    waiting: list[type[BillingError]] = [BillingError]
    while waiting:
        error = waiting.pop()
        waiting += [below for below in error.__subclasses__() if below.__module__.startswith("billing.")]
        found.add(error)
    return frozenset(found - FAMILIES)


def _code(error: type[BillingError]) -> str:
    return error.__new__(error).code


def _status(error: type[BillingError]) -> int:
    return status_of(error.__new__(error))


def test_errors_stand_where_they_are_looked_for() -> None:
    """Classes derived from an error of ours are in a slice's model, in core/errors or in kit/web."""
    names = {error.__name__ for error in _errors() | FAMILIES}
    wrong = [
        f"{shown(path, node.lineno)} {node.name}"
        for path in python_files(PACKAGE)
        if path.stem not in {"model", "errors"} and path.parent.name != "web"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in names for base in node.bases)
    ]
    assert not wrong


class TestSettings:
    def test_are_all_told_with_their_defaults(self) -> None:
        rows = _table("docs/configuration.md", "variable", "default", "meaning")
        assert {row["variable"]: row["default"] for row in rows} == {
            config.variable_of(name): "" if field.default_factory else config._show(field.default)
            for name, field in config.Settings.model_fields.items()
        }

    def test_are_read_nowhere_else(self) -> None:
        wrong = [
            f"{shown(path)} {name}"
            for path in python_files(PACKAGE)
            for name in _SETTING.findall(path.read_text(encoding="utf-8"))
            if name not in _settings()
        ]
        assert not wrong


def _settings() -> set[str]:
    return {config.variable_of(name) for name in config.Settings.model_fields}


class TestDecisions:
    def test_are_numbered_and_have_one_form(self) -> None:
        records = sorted((ROOT / "docs/adr").glob("*.md"))
        assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
        for number, record in enumerate(records, start=1):
            found = sections(record.read_text(encoding="utf-8"))
            assert found[0].title.startswith(f"{number}. "), record.name
            assert [section.title for section in found[1:]] == ADR_PARTS, record.name
            decision = found[2].text.strip().splitlines()
            assert len(decision) == 1, record.name
            assert decision[0].startswith("> "), record.name

    def test_fit_a_page(self) -> None:
        long = [path.name for path in (ROOT / "docs/adr").glob("*.md") if len(WRITTEN[path].splitlines()) > ADR_LINES]
        assert not long


def _table(name: str, *columns: str) -> list[Row]:
    (rows,) = [rows for found, rows in tables(WRITTEN[ROOT / name]) if found == columns]
    return rows
