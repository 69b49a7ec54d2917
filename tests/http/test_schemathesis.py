"""Every operation called at random, rightly and wrongly, and along the links from one to another.

Nothing may end in a server error, and no answer may be other than its document says. Some calls of each operation here;
`--nightly` makes 300, and the calls at the edges of every schema.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving, serving

ROOT = Path(__file__).parents[2]
LIMIT_S, LIMIT_NIGHTLY_S = 300, 3_600
NO_LIMITS = {f"LINESERVE_RATE_LIMIT_{name}": "100000000" for name in ("GENERAL", "BILLING", "PROJECT", "FAILURES")}
DOCUMENTS = {"public": "/openapi.json", "operator": "/operator/openapi.json"}


@pytest.fixture
def server(database_dsn: str, tmp_path: Path) -> Iterator[Serving]:
    """The program with an account that has something of most things."""
    reachable = {"LINESERVE_WEBHOOK_NETWORKS": "127.0.0.1/32"}
    settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), **NO_LIMITS, **reachable}
    with serving(tmp_path, "--demo", **settings) as running:
        yield running


@pytest.mark.parametrize("plane", DOCUMENTS)
def test_answers_are_as_described_whatever_is_sent(
    server: Serving, plane: str, seed: int, pytestconfig: pytest.Config, tmp_path: Path
):
    is_nightly = bool(pytestconfig.getoption("--nightly"))
    report = call_at_random(server, plane=plane, seed=seed, is_nightly=is_nightly, folder=tmp_path)
    assert report.returncode == 0, told(report)
    sys.stdout.write(f"seed {seed}, {plane}: {' '.join(report.stdout.partition('Test cases:')[2].split()[:2])}\n")
    with server.operator() as operator:
        assert operator.get("/check").json()["ok"] is True


def test_revokes_keys_as_described(server: Serving, seed: int, pytestconfig: pytest.Config, tmp_path: Path):
    is_nightly = bool(pytestconfig.getoption("--nightly"))
    report = call_at_random(
        server, plane="public", seed=seed, is_nightly=is_nightly, folder=tmp_path, only="revoke_key"
    )
    assert report.returncode == 0, told(report)


def told(report: subprocess.CompletedProcess[str]) -> str:
    """The end of what a run says; bodies that it sends are cut."""
    return "\n".join(line[:1_000] for line in report.stdout.splitlines())[-20_000:]


def call_at_random(
    server: Serving, *, plane: str, seed: int, is_nightly: bool, folder: Path, only: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A run of schemathesis over a plane's document."""
    origin = server.ready["base_url"].removesuffix("/v1")
    address = server.ready["operator_url" if plane == "operator" else "base_url"]
    key = server.ready["operator_key"] if plane == "operator" else open_account(server)
    phases = "examples,fuzzing" + (",coverage" if is_nightly else "") + ("" if only else ",stateful")
    command = [str(Path(sys.executable).parent / "schemathesis")]
    command += [] if only else ["--config-file", "tests/support/schemathesis.toml"]
    command += ["run", f"{origin}{DOCUMENTS[plane]}", "--url", address, "-H", f"Authorization: Bearer {key}"]
    command += ["--phases", phases, "--max-examples", "300" if is_nightly else "2", "--seed", str(seed)]
    command += ["--continue-on-failure", "--no-color", "--no-shrink"]
    command += [] if not only else ["--include-operation-id", only]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.random_calls", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_NIGHTLY_S if is_nightly else LIMIT_S,
    )


def open_account(server: Serving) -> str:
    """The key of a new account, which may be used up."""
    body = {"email": "random@example.com", "name": "R", "currency": "USD", "country": "KE", "phone": "+254700000000"}
    with server.operator() as operator:
        answer = operator.post("/accounts", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
        return answer.json()["api_key"]["key"]
