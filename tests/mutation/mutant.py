"""A change of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.tidy.sources import PACKAGE


@dataclass(frozen=True)
class Mutant:
    """A text that a file holds once and what it becomes, and the test that has to fail then."""

    file: str
    old: str
    new: str
    killer: str

    @property
    def path(self) -> Path:
        return PACKAGE / self.file

    def __str__(self) -> str:
        return f"{self.file.removesuffix('.py')}: {self.old.strip().splitlines()[-1].strip()}"
