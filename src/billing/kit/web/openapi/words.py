"""What members of bodies, queries and answers mean, and what they look like: the part of a description that types cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NOTHING: Final = object()  # no example


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its meaning in Markdown, an example, and keywords of JSON Schema that narrow its type.

    `shape` is the type that is described in place of one that says nothing, such as a dict of objects.
    """

    says: str
    example: Any = NOTHING
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shape: Any = None

    def schema(self) -> dict[str, Any]:
        """The keywords beside the type's."""
        return {"description": self.says, **self.keywords}


@dataclass(slots=True)
class Words:
    """The members that are known, by `Schema.member` or by `member` alone; those that are not are remembered."""

    members: Mapping[str, Member]
    missing: set[str] = field(default_factory=set[str])
    used: set[str] = field(default_factory=set[str])

    def of(self, owner: type[Any], name: str) -> Member:
        """What a member of a schema means: as the schema has it, as one has it that it derives from, or as all do."""
        for key in (*(f"{cls.__name__}.{name}" for cls in owner.__mro__), name):
            if key in self.members:
                self.used.add(key)
                return self.members[key]
        self.missing.add(f"{owner.__name__}.{name}")
        return Member("")
