"""`billing config`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.kit.config import Settings


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print every setting as the variable that sets it, secrets hidden."""
    del arguments
    for name, value in settings.shown().items():
        print(f"{name}={value}")
    return 0
