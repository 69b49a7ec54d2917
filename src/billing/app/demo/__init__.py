"""The demo: an account with a year behind it, put into an empty database by `billing demo` and `billing serve --demo`.

Everything goes through the API under a clock that follows the story, so that it is stored as it would have been on those days.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from billing.app.demo.keys import make_demo, start_keys
from billing.app.runtime import installation

if TYPE_CHECKING:
    from billing.kit.config import Settings

__all__ = ["main", "start_keys"]


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """`billing demo`: make the demo and print its keys."""
    del arguments
    async with installation(settings) as installed:
        keys = await make_demo(installed)
    print(f"API key       {keys.api_key}")
    print(f"Operator key  {keys.operator_key}")
    return 0
