"""`billing serve`: the API and the worker in one process.

bind the ports ── database, schema ── rate limits ── first keys ── worker ── listen ── ready file ── … signal ── finish ── database
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billing import api_keys
from billing.app import demo, keys, limiting, listening, stopping
from billing.app.faults import CommandError
from billing.app.http import make_app
from billing.app.metrics import Measured
from billing.app.runtime import installation
from billing.app.worker import working
from billing.kit.web.endpoints import BASES

if TYPE_CHECKING:
    from billing.app.keys import StartKeys
    from billing.kit.config import Plane, Settings


_YOUNG_OBJECTS = 50_000  # a call with a thousand events makes as many


@dataclass(frozen=True, slots=True)
class Place:
    """A bound port and what is served there."""

    bound: socket.socket
    plane: Plane

    def address(self, settings: Settings) -> str:
        """Where it is reached from this machine."""
        return f"http://{settings.reachable_host}:{self.bound.getsockname()[1]}"


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    with stopping.on_signals():
        await _serve(settings, arguments)
    return 0


async def _serve(settings: Settings, arguments: argparse.Namespace) -> None:
    ready_file: Path | None = arguments.ready_file
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)  # noqa: ASYNC240  nothing else runs yet
    async with AsyncExitStack() as stack:
        places = _bind(settings)
        for place in places:
            stack.enter_context(place.bound)
        installed = await stack.enter_async_context(installation(settings))
        serves_public = any(place.plane != "operator" for place in places)
        limits = await stack.enter_async_context(limiting.rate_limits(installed, serves_public=serves_public))
        shown = await (demo.start_keys if arguments.demo else keys.first_operator_key)(installed)
        tasks = [] if arguments.no_worker else [await stack.enter_async_context(working(installed))]
        keyring = api_keys.Keyring(installed.database)
        stack.push_async_callback(keyring.close)
        connections_max = listening.allow_files(settings.connections_at_once, listeners=len(places))
        for place in places:
            app = make_app(installed, keyring=keyring, plane=place.plane, rate_limits=limits)
            listener = listening.serving(Measured(app), place.bound, connections_max=connections_max)
            tasks.append(await stack.enter_async_context(listener))
        if ready_file is not None:
            stack.callback(ready_file.unlink, missing_ok=True)
        settle_memory()
        _announce(settings, places, shown, ready_file)
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
        raise CommandError("the server ended by itself")


def settle_memory() -> None:
    """Let the garbage collector leave alone what stays, and look less often at what a call leaves to nobody within moments."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _bind(settings: Settings) -> list[Place]:
    """Take the ports before anything else is touched. Raises CommandError when one cannot be had."""
    if settings.operator_port is None or settings.plane != "all":
        port = settings.port if settings.plane != "operator" else settings.operator_port
        return [Place(listening.bind(settings.host, settings.port if port is None else port), settings.plane)]
    return [
        Place(listening.bind(settings.host, settings.port), "public"),
        Place(listening.bind(settings.host, settings.operator_port), "operator"),
    ]


def _announce(settings: Settings, places: list[Place], shown: StartKeys, ready_file: Path | None) -> None:
    """Say where everything is, on the terminal and in the ready file."""
    addresses = {place.plane: place.address(settings) for place in places}
    public = addresses.get("public", addresses.get("all"))
    operator = addresses.get("operator", addresses.get("all"))
    members = {
        "base_url": (settings.base_url or f"{public}{BASES['public']}") if public else None,
        "operator_url": f"{operator}{BASES['operator']}" if operator else None,
        "api_key": shown.api_key,
        "operator_key": shown.operator_key,
    }
    titles = {
        "base_url": "Public API",
        "operator_url": "Operator API",
        "api_key": "API key",
        "operator_key": "Operator key",
    }
    for name, value in members.items():
        if value is not None:
            print(f"{titles[name]:<14}{value}")
    print("Ready. Ctrl-C stops it.", flush=True)
    if ready_file is not None:
        keys.write_private(ready_file, members)
