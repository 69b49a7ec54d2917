"""Logs: one JSON object per line, plain text on a terminal; whatever is bound to the context is on each line.

The web edge sets REQUEST_ID, jobs bind `job`. Secrets are hidden, by the name they come under and by their form.
"""

from __future__ import annotations

import io
import logging
import os
import queue
import re
import sys
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, TextIO

import structlog
from prometheus_client import Counter

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request under way: on each of its lines. A variable of its own is set for a tenth of what binding costs."""
HIDDEN = "(hidden)"
LINES_MAX = 10_000
"""Lines that wait to be written; what comes beyond is lost, and counted."""
_FLUSHED_WITHIN_S = 1.0
# Key material by its form, and the password inside a database address.
_SECRET_TEXT = re.compile(r"\bls_(?:prod|test|op)_\w+|\bwhsec_[A-Za-z0-9+/=]+|(?<=://)[^/@\s]*:[^/@\s]*(?=@)")
_ALARMS = Counter("lineserve_alarms", "What the program warned of, by the event in its log", ["event"])
_DENIED = Counter("lineserve_denied", "Calls that were denied, by the code of the denial", ["code"])
_LOST = Counter("lineserve_log_lines_lost", "Lines of the log that nobody took in time")
_SECRET_NAMES = frozenset({"authorization", "cookie", "password", "secret", "token", "api_key", "operator_key", "dsn"})


class _Lines(logging.Handler):
    """Writes lines in a thread of its own, so that who logs never waits for who reads.

    A pipe that nobody empties would otherwise hold up every call behind the first one that is denied.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.Queue[str] = queue.Queue(LINES_MAX)
        self._writer: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line behind those that wait."""
        if self._writer is None:  # a command that says nothing needs none; the handler's lock is held here
            self._writer = threading.Thread(target=self._write, name="log", daemon=True)
            self._writer.start()
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            _LOST.inc()
        except Exception:  # as every handler: what cannot be formatted is told, and harms nobody
            self.handleError(record)

    def flush(self) -> None:
        """Let what waits be written, for a second at most: logging does so at the end of the process, too."""
        until_s = time.monotonic() + _FLUSHED_WITHIN_S
        while self._waiting.unfinished_tasks and time.monotonic() < until_s:
            time.sleep(0.001)

    def _write(self) -> None:
        while True:
            line = self._waiting.get()
            try:
                _write_line(self._stream, line)
            except (OSError, ValueError):  # the reader is gone, or the stream closed
                _LOST.inc()
            self._waiting.task_done()


def _write_line(stream: TextIO, line: str) -> None:
    """Past the stream's buffer where it is a file's: the interpreter, as it ends, gives up over a buffer that is held."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        stream.write(f"{line}\n")
        return
    rest = f"{line}\n".encode(errors="backslashreplace")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def configure(*, level: str, style: Literal["auto", "json", "plain"], stream: TextIO | None = None) -> None:
    """Set logging up for this process: ours and that of the libraries, to one stream (standard error unless given)."""
    target = stream if stream is not None else sys.stderr
    is_plain = style == "plain" or (style == "auto" and target.isatty())
    shared: list[Processor] = [
        merge_context,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        count_alarms,
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=target.isatty()) if is_plain else _json()
    handler = _Lines(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("_granian", "granian.access", "pgqueuer", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel("WARNING")
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def merge_context(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put what is bound to the context on the line, and the id of the request under way."""
    if (request_id := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", request_id)
    return structlog.contextvars.merge_contextvars(logger, method, event)


def count_alarms(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Count what the program warns of, by its name, and what it denied, by its code; what libraries say has no names."""
    if event.get("level") in {"warning", "error", "critical"} and "logger" not in event:
        name = str(event.get("event"))
        if name == "denied":
            _DENIED.labels(str(event.get("code"))).inc()
        else:
            _ALARMS.labels(name).inc()
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values under telling names, and keys and passwords inside any text."""
    for name, value in event.items():
        if name.lower() in _SECRET_NAMES:
            event[name] = HIDDEN
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(HIDDEN, value)
    return event


def _json() -> Processor:
    return structlog.processors.JSONRenderer(sort_keys=False)
