"""`billing migrate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from billing.app.runtime import owner_dsn
from billing.kit.migrate import migrate

if TYPE_CHECKING:
    from billing.kit.config import Settings


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Bring the database to this program's schema and say what was done."""
    del arguments
    async with owner_dsn(settings) as dsn:
        outcome = await migrate(dsn)
    for version in outcome.applied:
        print(f"applied {version}")
    print("functions and views renewed" if outcome.is_code_renewed else "up to date")
    return 0
