"""Paths as the router reads them: by what was sent, segment by segment, and nothing folded.

The router splits and folds a path after its percent-encoding is undone, so that `%2F` would part an id and `//` vanish from
one. Here the parts are told apart first: a slash that was sent as `%2F` belongs to an id and travels in disguise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    from litestar.types import HTTPScope

_DISGUISE = "\uffff"  # no character of any text
_NOTHING = f"/{_DISGUISE}"
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")  # nothing to be undone, no empty and no dot segment


def routed_path(scope: HTTPScope) -> str:
    """The path for the router. One with an empty segment, a slash at its end or a dot segment leads nowhere."""
    raw = (scope["raw_path"] or quote(scope["path"]).encode("ascii")).partition(b"?")[0]
    if _PLAIN.fullmatch(raw) is not None:
        return raw.decode("ascii")
    first, *parts = (unquote_to_bytes(part).decode("utf-8", "replace") for part in raw.split(b"/"))
    if first or any(part in {"", ".", ".."} or _DISGUISE in part for part in parts):
        return _NOTHING
    return "/" + "/".join(part.replace("/", _DISGUISE) for part in parts)


def read_parameters(path_params: Mapping[str, object]) -> dict[str, str]:
    """The parameters of a routed path as they were sent; what may hold slashes begins with one more."""
    return {name: str(value).replace(_DISGUISE, "/") for name, value in path_params.items()}
