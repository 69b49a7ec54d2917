"""The ledger stories: scripts to read and run in psql, with the answers committed beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from billing import ledger
from billing.kit.migrate import SQL
from billing.ledger import rules
from tests.support import stories
from tests.support.stories import Story

if TYPE_CHECKING:
    from billing.kit.db import Connection

STORIES = sorted((SQL / "stories").glob("[0-9]*.sql"))


@pytest.mark.golden
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_story_is_what_the_database_answers(
    connection: Connection, golden: Callable[[Path, str], None], path: Path
) -> None:
    golden(path.with_suffix(".out"), await stories.tell(connection, Story.read(path)))
    assert not [check for check in await ledger.run_checks(connection) if check.violations]


def test_stories_tell_every_template() -> None:
    told = "\n".join(path.read_text(encoding="utf-8") for path in STORIES)
    templates = [line.split()[0] for line in (rules.__doc__ or "").splitlines() if "→" in line]
    assert templates
    assert not [template for template in templates if f"'{template}'" not in told]
