"""One running server: found, launched, awaited, stopped. Call under `locks.starting` only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres import processes
from billing.kit.embedded_postgres.cluster import Cluster
from billing.kit.embedded_postgres.faults import DatabaseStartError, ServerDiedSilently, ServerStillInUse
from billing.kit.embedded_postgres.folders import SOCKET_NAME, Folders, remove_short
from billing.kit.embedded_postgres.processes import POLL_S

_READY_LIMIT_S = 600  # recovery after a crash may have much to read
_STILL_IN_USE_LIMIT_S = 20.0
_STILL_IN_USE_PAUSE_S = 0.1
_SILENT_DEATHS_MAX = 2
_FAST_STOP_LIMIT_S = 20.0
_IMMEDIATE_STOP_LIMIT_S = 10.0
_SESSIONS_END_LIMIT_S = 5.0
_DYING_LIMIT_S = 2.0  # a killed server's socket answers a moment longer than its process is to be seen


@dataclass(frozen=True, slots=True)
class PidFile:
    """What postmaster.pid says: the server's process id, its socket's folder and its state, such as `ready`."""

    pid: int
    socket_folder: Path
    state: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server that accepts connections."""

    pid: int
    data: Path
    socket_folder: Path

    def is_running(self) -> bool:
        """Whether the process still lives and is this home's server."""
        return processes.is_server(self.pid, self.data)

    async def stop(self) -> None:
        """Stops the server, sessions and all; one that takes longer than 20 s has to recover at the next start."""
        for number, limit_s in ((signal.SIGINT, _FAST_STOP_LIMIT_S), (signal.SIGQUIT, _IMMEDIATE_STOP_LIMIT_S)):
            if self.is_running():
                _signal(self.pid, number)
                await _wait_until_gone([self.pid], self.data, limit_s=limit_s)
        remove_short(self.socket_folder)


async def find(folders: Folders) -> Server | None:
    """The server that already runs on this home's data, once it is ready; None when there is none.

    Two servers on one data folder would destroy it: raises DatabaseStartError when none is seen but a socket answers.
    """
    seen_at = time.monotonic()
    async with asyncio.timeout(_READY_LIMIT_S):
        while (found := _read_pid_file(folders.data)) is not None:
            if processes.is_server(found.pid, folders.data):
                if found.state == "ready":
                    return Server(found.pid, folders.data, found.socket_folder)
                seen_at = time.monotonic()
            elif not _listens(found.socket_folder):
                return None
            elif time.monotonic() > seen_at + _DYING_LIMIT_S:
                raise DatabaseStartError(
                    f"a database process that cannot be seen from here (in another container?) works on {folders.data}"
                    ": stop it, or choose another home with LINESERVE_HOME"
                )
            await asyncio.sleep(POLL_S)
    return None


async def launch(cluster: Cluster) -> Server:
    """Starts the server on a data folder that no server runs on, creating it first where it is missing."""
    folders = cluster.folders
    log = folders.open_log()
    try:
        await cluster.create_if_missing(log)
        cluster.check_version()
        socket_folder = folders.socket_folder(cluster.run_as)
        await _clear_remains(folders.data, socket_folder)
        command = cluster.configure(socket_folder)
        give_up_at = time.monotonic() + _STILL_IN_USE_LIMIT_S
        silent_deaths = 0
        while True:
            start = os.fstat(log).st_size
            pid = processes.detach(command, cluster.run_as, folder=folders.data, log=log)
            try:
                return await _ready(cluster, pid, since=start)
            except ServerDiedSilently:
                silent_deaths += 1
                if silent_deaths == _SILENT_DEATHS_MAX:
                    raise
            except ServerStillInUse:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(_STILL_IN_USE_PAUSE_S)
    finally:
        os.close(log)


async def _ready(cluster: Cluster, pid: int, *, since: int) -> Server:
    """Waits until the launched server accepts connections; a launch that is given up leaves no server behind."""
    data = cluster.folders.data
    try:
        async with asyncio.timeout(_READY_LIMIT_S):
            while processes.is_at_work_in(pid, data):
                found = _read_pid_file(data)
                if found is not None and found.pid == pid and found.state == "ready":
                    return Server(pid, data, found.socket_folder)
                await asyncio.sleep(POLL_S)
    except BaseException:
        _signal(pid, signal.SIGTERM)  # heard from the first moment on, but would wait for sessions
        _signal(pid, signal.SIGINT)
        await _wait_until_gone([pid], data, limit_s=_FAST_STOP_LIMIT_S)
        raise
    raise cluster.fault(since=since, doing="starting the database")


def _read_pid_file(data: Path) -> PidFile | None:
    """What postmaster.pid says; None when it is missing or not whole yet."""
    try:
        descriptor = os.open(data / "postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read(10_000).splitlines()
    if not lines or not lines[0].strip().isdecimal():
        return None
    state = lines[7].strip() if len(lines) > 7 else ""
    return PidFile(int(lines[0]), Path(lines[4]) if len(lines) > 4 else data, state)


def _listens(socket_folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(socket_folder / SOCKET_NAME))
        except BlockingIOError:  # too many wait for it already
            return True
        except OSError:
            return False
    return True


async def _clear_remains(data: Path, socket_folder: Path) -> None:
    """Removes what a killed server left and would stop the next one.

    Its sessions are ended, since they keep its shared memory. Then postmaster.pid: PostgreSQL would take any living
    process with that id for its server, though the id was given anew, or the process is dead and nobody reaps it (in a
    container without init). One that may be a server is left to PostgreSQL.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        remaining = processes.servers_in(data)
        for pid in remaining:
            _signal(pid, number)
        await _wait_until_gone(remaining, data, limit_s=_SESSIONS_END_LIMIT_S)
    for remains in (socket_folder / SOCKET_NAME, socket_folder / f"{SOCKET_NAME}.lock"):
        remains.unlink(missing_ok=True)
    found = _read_pid_file(data)
    if found is not None and processes.is_alive(found.pid) and _is_another_program(found.pid, data):
        (data / "postmaster.pid").unlink()


def _is_another_program(pid: int, data: Path) -> bool:
    """Whether the living process is certainly not this data folder's server: no postgres, or the server of another."""
    if not processes.is_postgres(pid):
        return True
    other = processes.folder_of(pid)
    if other is None or not other.is_dir() or other.samefile(data):
        return False
    named = _read_pid_file(other)
    return named is not None and named.pid == pid


async def _wait_until_gone(pids: list[int], data: Path, *, limit_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while any(processes.is_server(pid, data) for pid in pids):  # noqa: ASYNC110  they are not our children
                await asyncio.sleep(POLL_S)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
