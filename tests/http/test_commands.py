"""The commands beside `serve`, as whoever runs them sees them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.support.serving import BILLING, environment, run, serving

SHOWN_OF_KEYS = ["key", "name", "scopes", "created", "last", "used", "expires"]
COMMANDS = ["serve", "worker", "migrate", "close", "check", "replay", "keys", "config"]


class TestHelp:
    def test_names_every_command(self) -> None:
        done = run("--help")
        assert done.returncode == 0
        assert [name for name in COMMANDS if f"\n    {name} " not in done.stdout] == []


class TestMigrate:
    def test_says_that_there_is_nothing_to_do(self, database_dsn: str) -> None:
        done = run("migrate", DATABASE_URL=database_dsn)
        assert (done.returncode, done.stdout, done.stderr) == (0, "up to date\n", "")


class TestKeys:
    def test_create_operator_prints_a_key_that_opens_what_it_may_until_it_is_revoked(
        self, database_dsn: str, tmp_path: Path
    ) -> None:
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        done = run("keys", "create-operator", "--name", "Finance", "--scopes", "accounts", **settings)
        assert done.returncode == 0
        key = {"Authorization": f"Bearer {done.stdout.strip()}"}
        with serving(tmp_path, "--no-worker", **settings) as served:
            assert "operator_key" not in served.ready
            url = served.ready["operator_url"]
            assert httpx2.get(f"{url}/accounts", headers=key).status_code == 200
            assert httpx2.get(f"{url}/runs", headers=key).status_code == 403
            header, line = run("keys", "list-operators", **settings).stdout.splitlines()
            assert (header.split(), line.split()[1:3]) == (SHOWN_OF_KEYS, ["Finance", "accounts"])
            key_id = line.split()[0]
            ended = run("keys", "revoke-operator", key_id, **settings)
            assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
            assert httpx2.get(f"{url}/accounts", headers=key).status_code == 401
            again = run("keys", "revoke-operator", key_id, **settings)
            said = f"billing: there is no operator's key {key_id} in force\n"
            assert (again.returncode, again.stderr) == (1, said)

    @pytest.mark.parametrize("scopes", ["everything", ""])
    def test_create_operator_refuses_other_scopes_in_one_line(self, database_dsn: str, scopes: str) -> None:
        done = run("keys", "create-operator", "--scopes", scopes, DATABASE_URL=database_dsn)
        assert done.returncode == 1
        assert done.stderr.startswith("billing: scopes must be some of ")
        assert done.stderr.count("\n") == 1


class TestConfig:
    def test_show_hides_secrets(self) -> None:
        done = run("config", "show", DATABASE_URL="postgres://u:hunter2@h/d", LINESERVE_PORT="9000")
        assert done.returncode == 0
        assert "LINESERVE_PORT=9000\n" in done.stdout
        assert "DATABASE_URL=(hidden)\n" in done.stdout
        assert "hunter2" not in done.stdout


class TestWorker:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_runs_until_a_signal_comes(self, database_dsn: str, number: signal.Signals) -> None:
        with subprocess.Popen(
            [BILLING, "worker"],
            env=environment(DATABASE_URL=database_dsn),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "The worker runs.\n"
            process.send_signal(number)
            said, faults = process.communicate(timeout=20)
        assert (process.returncode, said, faults) == (0, "", "")
