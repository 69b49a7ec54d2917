"""The installation's secret key, from which secrets are derived that no database holds.

It is LINESERVE_SECRET_KEY, else it is made once and kept under the home. The database keeps its fingerprint: a process with
another key derives nothing, for what it made would fit nobody's.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from billing.kit.config import Settings
    from billing.kit.db import Connection

FILE = "secret-key"
PURPOSE = "webhooks"
_BYTES = 32

_log = structlog.get_logger("billing.secret_key")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The bytes that secrets are derived from; None where this process has none."""

    value: bytes | None = None

    def __repr__(self) -> str:
        return "SecretKey(hidden)"

    @property
    def fingerprint(self) -> bytes | None:
        """What tells this key from another, and nothing of it."""
        return None if self.value is None else hmac.digest(self.value, b"fingerprint", hashlib.sha256)[:16]

    async def opens(self, connection: Connection, *, now: datetime) -> bytes | None:
        """The bytes, if they are those that the database's secrets were made with; the first key to come is that one."""
        if self.value is None:
            return None
        await connection.execute(
            "INSERT INTO secret_keys (purpose, fingerprint, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            PURPOSE,
            self.fingerprint,
            now,
        )
        kept = await connection.fetchval("SELECT fingerprint FROM secret_keys WHERE purpose = $1", PURPOSE)
        return self.value if hmac.compare_digest(kept, self.fingerprint or b"") else None


def load_secret_key(settings: Settings) -> SecretKey:
    """The key of the settings, else the one under the home, which is made if there is none.

    Where neither can be had, the program works without: what needs the key is refused, and the log says why.
    """
    if settings.secret_key is not None:
        return SecretKey(hashlib.sha256(settings.secret_key.get_secret_value().encode()).digest())
    path = settings.home / FILE
    try:
        return SecretKey(bytes.fromhex(_read_or_make(path)))
    except (OSError, ValueError) as error:
        _log.error("no_secret_key", path=str(path), reason=repr(error), effect="no webhook is signed or sent")
        return SecretKey()


def _read_or_make(path: Path) -> str:
    """The text of a file that is written whole, once, by whichever process comes first."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # fails if another process was first
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    text = path.read_text(encoding="ascii").strip()
    if len(text) != 2 * _BYTES:
        raise ValueError(f"must hold {2 * _BYTES} hexadecimal digits")
    return text
