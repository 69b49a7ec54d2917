"""Y0 and Y1: a bare ASGI application on the same server as ours; `python -m bench.bare DSN READY_FILE`, port into the file.

`/` answers constant JSON; `/row` one prepared SELECT by primary key with asyncpg, from a pool as large as ours, as JSON of the
size of our answer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from billing.app import listening, stopping
from billing.kit.db import open_pool

CONNECTIONS = 16
_CONNECTIONS_MAX = 4_096
_PADDING = "x" * 180
_HEADERS = [(b"content-type", b"application/json")]
_encode = msgspec.json.Encoder().encode


async def main(dsn: str, ready_file: Path) -> None:
    """Serve until a signal comes."""
    pool = await open_pool(dsn, size=CONNECTIONS)
    numbers = itertools.cycle(range(1, 1001))

    async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/row":
            async with pool.acquire() as connection:
                row = await connection.fetchrow("SELECT id, name FROM yardstick.things WHERE id = $1", next(numbers))
            assert row is not None
            body = _encode({"id": row["id"], "name": row["name"], "padding": _PADDING})
        else:
            body = _encode({"padding": _PADDING})
        headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    bound = listening.bind("127.0.0.1", 0)
    with stopping.on_signals():
        async with listening.serving(cast("Any", app), bound, connections_max=_CONNECTIONS_MAX) as serving:
            ready_file.with_suffix(".new").write_text(str(bound.getsockname()[1]))
            os.rename(ready_file.with_suffix(".new"), ready_file)  # noqa: PTH104  whole or not at all
            await serving
    await pool.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], Path(sys.argv[2])))
