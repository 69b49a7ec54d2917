"""Why the embedded database did not start, always as one line that says what to do."""

from __future__ import annotations

import errno
import re
from pathlib import Path

_DISK_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|Check free disk space|wrote only \d+ of \d+ bytes"
)
_MESSAGE = re.compile(r"(?P<level>LOG|FATAL|PANIC|error|ERROR):\s+(?P<text>.+)")


class DatabaseStartError(Exception):
    """The embedded database cannot be started; the message is one line for whoever runs the program."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ServerStillInUse(DatabaseStartError):
    """Processes of the last server have not left its shared memory yet; the start is tried again."""


class ServerDiedSilently(DatabaseStartError):
    """The launched server is gone without a word, as one that was killed from outside is; the start is tried once more."""


def from_os_error(error: OSError, *, home: Path) -> DatabaseStartError:
    """The line for an operation on files or processes that the system refused."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _disk_full(home)
    place = error.filename if isinstance(error.filename, str) else str(home)
    return DatabaseStartError(
        f"the embedded database under {home} cannot be started: {error.strerror or error}: {place}"
    )


def from_log(text: str, *, doing: str, home: Path, log: Path) -> DatabaseStartError:
    """The line for a program of PostgreSQL that gave up, drawn from what it wrote to the log."""
    if _DISK_FULL.search(text):
        return _disk_full(home)
    messages = [(match["level"], match["text"]) for match in map(_MESSAGE.search, text.splitlines()) if match]
    severe = [message for level, message in messages if level != "LOG"]
    if severe and "contains errors" in severe[0]:  # those are told before
        severe = [message for _, message in messages]
    lines = severe or [line for line in text.splitlines() if line.strip()][-1:]
    if not lines:
        return ServerDiedSilently(f"{doing} failed: it was gone at once and said nothing (its log: {log})")
    kind = ServerStillInUse if "still in use" in text else DatabaseStartError
    return kind(f"{doing} failed: {lines[0]} (its log: {log})")


def _disk_full(home: Path) -> DatabaseStartError:
    return DatabaseStartError(f"the disk that holds {home} is full: free some space there and start again")
