"""X22: a start is refused where acknowledged work may be lost, or where a password keeps nobody out."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from billing.app import safety
from billing.app.faults import CommandError
from billing.kit.config import load_settings
from tests.support.serving import run


class TestUnsafeDatabase:
    def test_is_refused_in_one_line_that_names_what_is_off(self, tmp_path: Path, database_dsn: str) -> None:
        """The suite's own server has all three off."""
        refused = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path), "LINESERVE_ALLOW_UNSAFE_DATABASE": ""}
        for command in (("serve", "--port", "0"), ("check",)):
            done = run(*command, **refused)
            assert done.returncode == 1
            assert done.stdout == ""
            (line,) = done.stderr.splitlines()
            assert line.startswith(
                "billing: the database runs with fsync = off and full_page_writes = off and synchronous_commit = off: "
            )
            assert line.endswith("switch it on in its configuration, for the role and for the database, and restart")

    @pytest.mark.parametrize("level", ["on", "local", "remote_write", "remote_apply"])
    async def test_is_not_one_that_waits_for_its_disk(self, owner_connection: asyncpg.Connection, level: str) -> None:
        await owner_connection.execute(f"SET LOCAL synchronous_commit = {level}")
        with pytest.raises(CommandError, match=r"with fsync = off and full_page_writes = off: a power cut"):
            await safety.require_durable(owner_connection, load_settings(allow_unsafe_database=False))

    async def test_of_one_login_alone_is_seen(self, database_dsn: str) -> None:
        """A setting of the role or the database counts as one of the server does."""
        connection = await asyncpg.connect(database_dsn, server_settings={"synchronous_commit": "off"})
        try:
            with pytest.raises(CommandError, match="synchronous_commit = off"):
                await safety.require_durable(connection, load_settings(allow_unsafe_database=False))
        finally:
            await connection.close()


class TestPassword:
    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("postgresql://billing:short@db.example.com/b", "shorter than 8 characters"),
            ("postgresql://billing:postgres@db.example.com/b", "one that anybody tries first"),
            ("postgresql://billing:ChangeMe@10.0.0.5/b", "one that anybody tries first"),
            ("postgresql://lineserve1:lineserve1@db.example.com/b", "one that anybody tries first"),
            ("postgresql://billing:%70assword@db.example.com/b", "one that anybody tries first"),
        ],
    )
    def test_that_keeps_nobody_out_is_refused(self, url: str, fault: str) -> None:
        with pytest.raises(CommandError) as refused:
            safety.require_guarded(load_settings(database_url=url))
        assert str(refused.value) == f"DATABASE_URL: its password is {fault}: give it a long random one"

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://billing@db.example.com/b",
            "postgresql://billing:x@localhost/b",
            "postgresql://billing:x@/b?host=/run/postgresql",
            "postgresql://billing:kq8v2LzT0e@db.example.com/b",
            "postgresql://a@127.0.0.1:1/d",
        ],
    )
    def test_elsewhere_is_taken(self, url: str) -> None:
        safety.require_guarded(load_settings(database_url=url))

    def test_of_the_shared_limits_too(self) -> None:
        with pytest.raises(CommandError, match="LINESERVE_RATE_LIMIT_URL: its password is shorter"):
            safety.require_guarded(load_settings(rate_limit_url="redis://:abc@cache.example.com:6379/0"))
