"""Ours and the bare application as processes of their own over one world, and what is asked of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import driving
from bench.world import World

BILLING = Path(sys.executable).parent / "billing"
_READY_LIMIT_S = 60
_UNLIMITED = 1_000_000_000
_CALLS_AT_ONCE = 1_024  # twice as many as ask, for half of them may wait for a gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server: its port and its process."""

    port: int
    pid: int
    ready: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def ours(world: World) -> AsyncIterator[Process]:
    """`billing serve` without its jobs over the world, its limits too far to be met."""
    environment = settings(home=world.home / "serve", DATABASE_URL=world.dsn)
    ready_file = world.home / "ours.json"
    command = [str(BILLING), "serve", "--no-worker", "--port", "0", "--ready-file", str(ready_file)]
    async with _running(command, ready_file, environment) as pid:
        ready: dict[str, str] = json.loads(ready_file.read_text("utf-8"))
        yield Process(port=urlsplit(ready["base_url"]).port or 80, pid=pid, ready=ready)


@asynccontextmanager
async def bare(world: World) -> AsyncIterator[Process]:
    """The application that does nothing but one SELECT."""
    ready_file = world.home / "bare.port"
    command = [sys.executable, "-m", "bench.bare", world.dsn, str(ready_file)]
    async with _running(command, ready_file, dict(os.environ)) as pid:
        yield Process(port=int(ready_file.read_text("utf-8")), pid=pid)


def settings(*, home: Path, **more: str) -> dict[str, str]:
    """The environment of a program of ours, with none of this process's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LINESERVE_", "DATABASE_URL"))}
    limits = {f"LINESERVE_RATE_LIMIT_{name}": str(_UNLIMITED) for name in ("GENERAL", "BILLING", "PROJECT", "OPERATOR")}
    return {
        **kept,
        **limits,
        "LINESERVE_HOME": str(home),
        "LINESERVE_LOG_LEVEL": "warning",
        "LINESERVE_CALLS_AT_ONCE": str(_CALLS_AT_ONCE),
        **more,
    }


@asynccontextmanager
async def _running(command: list[str], ready_file: Path, environment: dict[str, str]) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, cwd=Path(__file__).parent.parent
    )
    try:
        async with asyncio.timeout(_READY_LIMIT_S):
            while not ready_file.exists():  # noqa: ASYNC240  another process makes it
                if process.returncode is not None:
                    raise RuntimeError(f"{command[:3]} ended with {process.returncode}")
                await asyncio.sleep(0.01)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """An account with its key, a card and a running resource."""

    account: str
    key: str
    method: str


async def open_estates(server: Process, *, count: int) -> list[Estate]:
    """Accounts as an operator and their owners open them, their keys bound to this machine's address."""
    operator = server.ready["operator_key"]
    card = {
        "name": "Bench",
        "currency": "USD",
        "valid_from": "2024-01-01",
        "prices": [
            {"service": "compute", "plan": "vps", "model": "hourly", "hourly_price": "0.05", "monthly_price": 25},
            {"service": "messaging", "meter": "sms", "model": "per_unit", "unit_price": "0.01"},
        ],
    }
    await send(server, "POST", "/operator/v1/rate-cards", key=operator, body=card, Idempotency_Key="bench-card")
    return [await _open(server, operator, number) for number in range(count)]


async def _open(server: Process, operator: str, number: int) -> Estate:
    opened = await send(
        server,
        "POST",
        "/operator/v1/accounts",
        key=operator,
        body={"email": f"a{number}@example.com", "name": f"Account {number}", "currency": "USD"},
        Idempotency_Key=f"bench-account-{number}",
    )
    account, first = opened["account"]["id"], opened["api_key"]["key"]
    bound = await send(
        server,
        "POST",
        "/v1/account/api-keys",
        key=first,
        body={"name": "bench", "permissions": ["read", "write"], "ip_whitelist": ["127.0.0.1", "10.0.0.0/8"]},
    )
    added = await send(
        server, "POST", "/v1/account/payment-methods", key=first, body={"type": "card", "token": "tok_visa"}
    )
    resource = {
        "type": "vps", "service": "compute", "name": "web", "region": "eu", "status": "running", "plan": "vps",
        "effective_at": f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z",
    }  # fmt: skip
    await send(server, "PUT", f"/operator/v1/accounts/{account}/resources/r{number}", key=operator, body=resource)
    return Estate(account=account, key=bound["api_key"]["key"], method=added["payment_method"]["id"])


async def send(
    server: Process, method: str, path: str, *, key: str, body: object = None, **headers: str
) -> dict[str, Any]:
    """One call; RuntimeError unless it succeeds."""
    content = b"" if body is None else json.dumps(body).encode()
    sent = driving.request(method, path, key=key, body=content, Content_Type="application/json", **headers)
    status, answer = await driving.ask(server.port, sent)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status} {answer.decode()}")
    return json.loads(answer) if answer else {}
