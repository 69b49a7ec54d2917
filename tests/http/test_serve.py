"""The program as a process: start, ready file, planes, faults in one line, and every way to end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.support.serving import Serving, run, serving


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the database's login can reach, unlike what is below pytest's private folder."""
    folder = Path(tempfile.mkdtemp(prefix="ls-home-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
async def holder(database_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to the program's database beside the program."""
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


class TestReadyFile:
    def test_holds_addresses_and_the_first_operator_key_of_an_empty_database(
        self, database_dsn: str, tmp_path: Path
    ) -> None:
        with serving(tmp_path, DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as first:
            assert set(first.ready) == {"base_url", "operator_url", "operator_key"}
            assert first.ready["base_url"].endswith("/v1")
            assert first.ready["operator_url"].endswith("/operator/v1")
            assert stat.S_IMODE((tmp_path / "ready.json").stat().st_mode) == 0o600
            with first.operator() as operator:
                assert operator.get("/accounts").json()["accounts"] == []
        with serving(tmp_path, DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as second:
            assert set(second.ready) == {"base_url", "operator_url"}

    def test_holds_the_demo_keys_at_every_demo_start(self, database_dsn: str, tmp_path: Path) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path / "home")}
        with serving(tmp_path, "--demo", **settings) as first, first.public() as caller:
            assert set(first.ready) == {"base_url", "operator_url", "api_key", "operator_key"}
            assert caller.get("/account").json()["account"]["email"] == "demo@example.com"
        kept = tmp_path / "home" / "demo-keys.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        with serving(tmp_path, "--demo", **settings) as second, second.operator() as operator:
            assert second.ready["api_key"] == first.ready["api_key"]
            assert second.ready["operator_key"] == first.ready["operator_key"]
            assert operator.get("/accounts").json()["meta"]["total"] == 1

    def test_is_gone_while_the_program_is_not_ready(self, tmp_path: Path) -> None:
        (tmp_path / "ready.json").write_text("{}")
        done = run("serve", "--ready-file", str(tmp_path / "ready.json"), DATABASE_URL="postgresql://a@127.0.0.1:1/d")
        assert done.returncode == 1
        assert not (tmp_path / "ready.json").exists()


class TestPlanes:
    def test_share_a_listener_by_default(self, database_dsn: str, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as both:
            assert both.ready["operator_url"] == both.ready["base_url"].replace("/v1", "/operator/v1")

    def test_are_apart_with_an_operator_port(self, database_dsn: str, tmp_path: Path) -> None:
        with serving(
            tmp_path, "--operator-port", "0", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)
        ) as apart:
            public, operator = (apart.ready[name].split("/")[2] for name in ("base_url", "operator_url"))
            assert public != operator
            key = {"Authorization": f"Bearer {apart.ready['operator_key']}"}
            assert httpx2.get(f"http://{operator}/operator/v1/accounts", headers=key).status_code == 200
            assert httpx2.get(f"http://{public}/operator/v1/accounts", headers=key).status_code == 404
            assert httpx2.get(f"http://{operator}/v1/account").status_code == 404
            assert httpx2.get(f"http://{public}/metrics").status_code == 404

    @pytest.mark.parametrize(("plane", "missing"), [("public", "operator_url"), ("operator", "base_url")])
    def test_may_be_served_alone(self, database_dsn: str, tmp_path: Path, plane: str, missing: str) -> None:
        with serving(
            tmp_path, "--plane", plane, "--no-worker", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)
        ) as alone:
            assert missing not in alone.ready
            base = next(alone.ready[name] for name in ("base_url", "operator_url") if name in alone.ready)
            assert httpx2.get(f"http://{base.split('/')[2]}/readyz").status_code == 200


class TestFaults:
    @pytest.mark.parametrize("option", ["--port", "--operator-port"])
    def test_port_in_use_is_one_line_before_anything_else(self, tmp_path: Path, option: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            first = () if option == "--port" else ("--port", "0")
            done = run("serve", *first, option, port, LINESERVE_HOME=str(tmp_path / "home"))
        assert done.returncode == 1
        assert done.stderr == (
            f"billing: port {port} on 127.0.0.1 is in use: stop what listens there, or choose another with --port\n"
        )
        assert not (tmp_path / "home").exists()

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"LINESERVE_PORT": "many"}, "LINESERVE_PORT: "),
            ({"LINESERVE_CURRENCIES": "USD,XXY"}, "LINESERVE_CURRENCIES: XXY is not"),
            ({"LINESERVE_HOST": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid: "),
            ({"DATABASE_URL": "postgresql://a@127.0.0.1:1/d", "LINESERVE_PORT": "0"}, "the database cannot be used: "),
            ({"DATABASE_URL": "mysql://a@127.0.0.1/d", "LINESERVE_PORT": "0"}, "the database cannot be used: "),
        ],
    )
    def test_settings_that_cannot_be_used_are_one_line(self, variables: dict[str, str], said: str) -> None:
        done = run("serve", **variables)
        assert done.returncode == 1
        assert done.stderr.startswith(f"billing: {said}")
        assert done.stderr.count("\n") == 1

    def test_wrong_usage_has_a_code_of_its_own(self) -> None:
        assert run("serve", "--plane", "neither").returncode == 2
        assert run().returncode == 2


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_is_clean_and_silent(self, database_dsn: str, tmp_path: Path, number: signal.Signals) -> None:
        with serving(tmp_path, DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as served:
            said = served.stop(number)
            assert served.process.returncode == 0
            assert said.endswith("Ready. Ctrl-C stops it.\n")
            assert not (tmp_path / "ready.json").exists()

    async def test_lets_open_requests_finish(
        self, database_dsn: str, tmp_path: Path, holder: asyncpg.Connection[asyncpg.Record]
    ) -> None:
        with serving(tmp_path, "--demo", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as served:
            locked = holder.transaction()
            await locked.start()
            await holder.execute("LOCK TABLE accounts")
            asking = asyncio.create_task(asyncio.to_thread(_get_account, served))
            await asyncio.sleep(0.5)
            served.process.terminate()
            await asyncio.sleep(0.5)
            assert served.process.poll() is None
            await locked.rollback()
            assert await asking == 200
            assert served.process.wait(timeout=20) == 0

    def test_by_kill_9_leaves_nothing_that_the_next_start_minds(self, home: Path, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", LINESERVE_HOME=str(home)) as first:
            first.process.kill()
            first.process.wait()
            with serving(tmp_path, "--demo", LINESERVE_HOME=str(home)) as second:
                assert second.ready["api_key"] == first.ready["api_key"]
                assert _get_account(second) == 200
        assert _postgres_of(home) == []


class TestDatabase:
    def test_that_dies_is_restarted_and_calls_get_503_meanwhile(self, home: Path, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo", LINESERVE_HOME=str(home)) as served:
            assert _get_account(served) == 200
            for pid in _postgres_of(home):
                os.kill(pid, signal.SIGKILL)
            seen = set[int]()
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                seen.add(_get_account(served))
                if 503 in seen and _get_account(served) == 200:
                    break
                time.sleep(0.02)
            assert _get_account(served) == 200
            assert seen <= {200, 503}


class TestTwoHomes:
    def test_run_side_by_side(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        with ThreadPoolExecutor() as threads:
            started = [
                threads.submit(_serve_briefly, tmp_path, home),
                threads.submit(_serve_briefly, tmp_path / "other", home.with_name("other-home")),
            ]
            assert [future.result() for future in started] == [200, 200]


def _serve_briefly(folder: Path, home: Path) -> int:
    with serving(folder, "--demo", LINESERVE_HOME=str(home)) as served:
        return _get_account(served)


def _get_account(served: Serving) -> int:
    with served.public() as caller:
        return caller.get("/account").status_code


def _postgres_of(home: Path) -> list[int]:
    """The processes of a home's server, by the command line of the first and its children."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"postgres" in command and str(home).encode() in command:
            found.append(int(folder.name))
    return found
