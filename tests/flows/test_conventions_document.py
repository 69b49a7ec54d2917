"""The commands of docs/conventions.md run as they are written, and answer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.support.documents import sections
from tests.support.serving import serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "conventions.md"


def test_commands_run_as_written(database_dsn: str, tmp_path: Path) -> None:
    commands = [
        block for section in sections(DOCUMENT.read_text(encoding="utf-8")) for block in section.blocks("sh") if block
    ]
    settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), "LINESERVE_DEMO_MONTHS": "0"}
    with serving(tmp_path, "--demo", "--no-worker", **settings) as server:
        environment = {**os.environ, "BASE": server.ready["base_url"], "KEY": server.ready["api_key"]}
        for command in commands:
            done = subprocess.run(
                ["/bin/bash", "-euc", command], env=environment, capture_output=True, text=True, check=True, timeout=30
            )
            assert "meta" in json.loads(done.stdout), command
    assert len(commands) >= 3
