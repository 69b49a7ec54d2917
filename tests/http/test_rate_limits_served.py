"""Processes that serve one database: those whose rate limits would share nothing are not started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving, run, serving
from tests.support.valkey import ValkeyServer, free_port, valkey

REFUSED_IN_MEMORY = (
    "billing: another process serves the public API on this database, and rate limits in memory are not shared: "
    "set LINESERVE_RATE_LIMIT_URL to one Redis or Valkey for all of them\n"
)
REFUSED_BESIDE_MEMORY = (
    "billing: another process serves the public API on this database and counts calls in its memory: "
    "start it with the same LINESERVE_RATE_LIMIT_URL\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with valkey(tmp_path) as running:
        yield running


class TestStart:
    def test_is_refused_beside_another_that_counts_in_memory(
        self, database_dsn: str, tmp_path: Path, server: ValkeyServer
    ) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        with serving(tmp_path, "--no-worker", **settings):
            alone = run("serve", "--port", "0", "--no-worker", **settings)
            assert (alone.returncode, alone.stderr) == (1, REFUSED_IN_MEMORY)
            mixed = run("serve", "--port", "0", "--no-worker", LINESERVE_RATE_LIMIT_URL=server.url, **settings)
            assert (mixed.returncode, mixed.stderr) == (1, REFUSED_BESIDE_MEMORY)

    def test_is_free_beside_others_with_the_same_redis_and_all_count_together(
        self, database_dsn: str, tmp_path: Path, server: ValkeyServer
    ) -> None:
        settings = {
            "DATABASE_URL": database_dsn,
            "LINESERVE_HOME": str(tmp_path),
            "LINESERVE_RATE_LIMIT_URL": server.url.replace("redis://", "valkey://"),
            "LINESERVE_RATE_LIMIT_GENERAL": "3",
        }
        (tmp_path / "other").mkdir()
        with (
            serving(tmp_path, "--demo", "--no-worker", **settings) as one,
            serving(tmp_path / "other", "--demo", "--no-worker", **settings) as other,
        ):
            assert [_ask(one), _ask(other), _ask(one), _ask(other), _ask(one)] == [200, 200, 200, 429, 429]
            memory = {name: value for name, value in settings.items() if name != "LINESERVE_RATE_LIMIT_URL"}
            alone = run("serve", "--port", "0", "--no-worker", **memory)
            assert (alone.returncode, alone.stderr) == (1, REFUSED_IN_MEMORY)
            server.kill()
            assert [_ask(one) for _ in range(4)] == [200, 200, 200, 429]

    def test_is_free_for_the_operator_api_alone(self, database_dsn: str, tmp_path: Path) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        (tmp_path / "other").mkdir()
        with (
            serving(tmp_path, "--no-worker", **settings) as one,
            serving(tmp_path / "other", "--plane", "operator", "--no-worker", **settings) as other,
            one.operator() as operator,
        ):
            assert "operator_url" in other.ready
            assert operator.get("/accounts").status_code == 200

    def test_is_free_again_once_the_other_was_killed(self, database_dsn: str, tmp_path: Path) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        with serving(tmp_path, "--no-worker", **settings) as first:
            first.process.kill()
            first.process.wait()
            with serving(tmp_path, "--no-worker", **settings) as second:
                assert second.process.poll() is None

    def test_goes_on_without_the_redis_and_says_so(self, database_dsn: str, tmp_path: Path) -> None:
        settings = {
            "DATABASE_URL": database_dsn,
            "LINESERVE_HOME": str(tmp_path),
            "LINESERVE_RATE_LIMIT_URL": f"redis://:secret@127.0.0.1:{free_port()}/0",
        }
        with serving(tmp_path, "--demo", "--no-worker", **settings) as served:
            assert _ask(served) == 200
            said = served.stop()
        assert said.count("rate_limits_not_shared") == 1
        assert "secret" not in said


def _ask(served: Serving) -> int:
    with served.public() as caller:
        return caller.get("/account").status_code
