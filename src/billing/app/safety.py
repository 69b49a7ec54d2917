"""What a start refuses: a database that may lose what it acknowledged, and passwords that anybody would try first."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from billing.app.faults import CommandError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from billing.kit.config import Settings
    from billing.kit.db import Connection

# What must not be off, and what is lost where it is.
_DURABLE = {
    "fsync": "a power cut may destroy all data",
    "full_page_writes": "a power cut may destroy pages for good",
    "synchronous_commit": "what was acknowledged may be lost",
}
_PASSWORD_MIN = 8
_FIRST_TRIED = frozenset(
    [
        "password",
        "password1",
        "passw0rd",
        "postgres",
        "postgresql",
        "changeme",
        "change-me",
        "changethis",
        "lineserve",
        "billing",
        "12345678",
        "123456789",
        "administrator",
        "secretsecret",
    ]
)
_THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}


async def require_durable(connection: Connection, settings: Settings) -> None:
    """Raises CommandError where the database does not keep what it acknowledges, unless that is allowed (for tests)."""
    rows = await connection.fetch(
        "SELECT name FROM pg_settings WHERE name = ANY ($1) AND setting = 'off' ORDER BY name", list(_DURABLE)
    )
    names = [row["name"] for row in rows]
    if not names or settings.allow_unsafe_database:
        return
    raise CommandError(
        f"the database runs with {' and '.join(f'{name} = off' for name in names)}: {_DURABLE[names[0]]}; "
        "switch it on in its configuration, for the role and for the database, and restart"
    )


def require_guarded(settings: Settings) -> None:
    """Raises CommandError where a password that a network is to keep out is one that is tried first."""
    for name, url in (("DATABASE_URL", settings.database_url), ("LINESERVE_RATE_LIMIT_URL", settings.rate_limit_url)):
        fault = None if url is None else _fault_of(url)
        if fault is not None:
            raise CommandError(f"{name}: its password is {fault}: give it a long random one")


def _fault_of(url: SecretStr) -> str | None:
    parts = urlsplit(url.get_secret_value())
    try:
        host, given, login = parts.hostname or "", parts.password, parts.username
    except ValueError:  # no such address: whoever opens it says so
        return None
    if given is None or host in _THIS_MACHINE:
        return None
    password = unquote(given)
    if len(password) < _PASSWORD_MIN:
        return f"shorter than {_PASSWORD_MIN} characters"
    if password.lower() in _FIRST_TRIED or password == unquote(login or ""):
        return "one that anybody tries first"
    return None
