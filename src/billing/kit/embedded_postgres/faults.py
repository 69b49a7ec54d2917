"""Why the embedded database did not start, always as one line that says what to do."""

from __future__ import annotations

import errno
import re
from pathlib import Path

_DISK_FULL = "No space left on device"
_SEVERE = re.compile(r"(?:FATAL|PANIC|error|ERROR):\s+(?P<text>.+)")


class DatabaseStartError(Exception):
    """The embedded database cannot be started; the message is one line for whoever runs the program."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ServerStillInUse(DatabaseStartError):
    """Processes of the last server have not left its shared memory yet; the start is tried again."""


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
    if _DISK_FULL in text:
        return _disk_full(home)
    severe = [match["text"] for match in map(_SEVERE.search, text.splitlines()) if match]
    lines = [line for line in text.splitlines() if line.strip()]
    reason = severe[0] if severe else (lines[-1] if lines else "it said nothing")
    kind = ServerStillInUse if "still in use" in text else DatabaseStartError
    return kind(f"{doing} failed: {reason} (its log: {log})")


def _disk_full(home: Path) -> DatabaseStartError:
    return DatabaseStartError(f"the disk that holds {home} is full: free some space there and start again")
