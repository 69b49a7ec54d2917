"""One running server: found, launched, awaited, stopped. Call under `locks.starting` only."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres import processes
from billing.kit.embedded_postgres.cluster import Cluster
from billing.kit.embedded_postgres.faults import DatabaseStartError, ServerStillInUse
from billing.kit.embedded_postgres.folders import SOCKET_NAME, Folders
from billing.kit.embedded_postgres.processes import POLL_S

_READY_LIMIT_S = 600  # recovery after a crash may have much to read
_STILL_IN_USE_LIMIT_S = 20
_FAST_STOP_LIMIT_S = 20
_IMMEDIATE_STOP_LIMIT_S = 10


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
        return processes.works_in(self.pid, self.data)

    async def stop(self) -> None:
        """Stops the server, sessions and all; after 20 s without their last words."""
        for number, limit_s in ((signal.SIGINT, _FAST_STOP_LIMIT_S), (signal.SIGQUIT, _IMMEDIATE_STOP_LIMIT_S)):
            if not self.is_running():
                return
            os.kill(self.pid, number)
            if await _is_gone_within(limit_s, self.pid, self.data):
                return


async def find(folders: Folders) -> Server | None:
    """The server that already runs on this home's data, once it is ready; None when there is none."""
    async with asyncio.timeout(_READY_LIMIT_S):
        while (found := _read_pid_file(folders.data)) is not None:
            if not processes.works_in(found.pid, folders.data):
                _check_nobody_listens(folders, found)
                return None
            if found.state == "ready":
                return Server(found.pid, folders.data, found.socket_folder)
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
        _clear_remains(folders.data, socket_folder)
        command = cluster.configure(socket_folder)
        async with asyncio.timeout(_STILL_IN_USE_LIMIT_S):
            while True:
                start = os.fstat(log).st_size
                pid = processes.detach(command, cluster.run_as, folder=folders.data, log=log)
                try:
                    return await _ready(cluster, pid, since=start)
                except ServerStillInUse:
                    await asyncio.sleep(POLL_S * 10)
    finally:
        os.close(log)


async def _ready(cluster: Cluster, pid: int, *, since: int) -> Server:
    """Waits until the launched server accepts connections; a launch that is given up leaves no server behind."""
    data = cluster.folders.data
    try:
        while processes.works_in(pid, data):
            found = _read_pid_file(data)
            if found is not None and found.pid == pid and found.state == "ready":
                return Server(pid, data, found.socket_folder)
            await asyncio.sleep(POLL_S)
    except BaseException:
        os.kill(pid, signal.SIGINT)
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


def _check_nobody_listens(folders: Folders, found: PidFile) -> None:
    """Two servers on one data folder would destroy it: refuses when the socket answers though its process is not to be seen."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(found.socket_folder / SOCKET_NAME))
        except OSError:
            return
    raise DatabaseStartError(
        f"a database process that cannot be seen from here (in another container?) works on {folders.data}: stop it, or choose another home with LINESERVE_HOME"
    )


def _clear_remains(data: Path, socket_folder: Path) -> None:
    """Removes what a killed server left and would stop the next one.

    Its sessions are ended, since they keep the shared memory. PostgreSQL takes any living process for the server that
    postmaster.pid names; here it is known that no process works in the data folder, so that the id was given anew.
    """
    for pid in processes.all_in(data):
        os.kill(pid, signal.SIGQUIT)
    for remains in (socket_folder / SOCKET_NAME, socket_folder / f"{SOCKET_NAME}.lock"):
        remains.unlink(missing_ok=True)
    found = _read_pid_file(data)
    if found is not None and _is_alive(found.pid) and not processes.all_in(data):
        (data / "postmaster.pid").unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _is_gone_within(limit_s: float, pid: int, data: Path) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            while processes.works_in(pid, data):
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True
