"""The `billing` command. Heavy imports wait until the command is known."""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.kit.config import Settings

FAILED = 1
INTERRUPTED = 130
UNREAD = 141
LOOP_THREADS = "128"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 1 when it could not be done (one line on standard error), 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        outcome = _run(arguments)
        sys.stdout.flush()
        return outcome
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            return UNREAD
        line = _line_of(error)
        if line is None:
            raise
        print(f"billing: {line}", file=sys.stderr)
        return FAILED


def _is_unread() -> bool:
    """Whether nobody reads what is printed any more, such as `head` that has enough; then nothing more is printed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The loop that everything runs in.

    It looks names up in half of its threads, in two unless the environment says otherwise: two mails to a host whose name server
    hangs would keep every new session to the database waiting for half a minute and more.
    """
    import uvloop  # noqa: PLC0415  usage errors and --help answer without it

    os.environ.setdefault("UV_THREADPOOL_SIZE", LOOP_THREADS)
    return uvloop.new_event_loop()


def _run(arguments: argparse.Namespace) -> int:
    from billing.kit import config, log  # noqa: PLC0415  usage errors and --help answer without them

    settings = config.load_settings(**{name: value for name, value in vars(arguments).items() if name in _SETTINGS})
    log.configure(level=settings.log_level, style=settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_main_of(arguments.module, settings, arguments))


async def _main_of(module: str, settings: Settings, arguments: argparse.Namespace) -> int:
    return await import_module(f"billing.app.{module}").main(settings, arguments)


_SETTINGS = ("port", "operator_port", "plane", "host")


def _line_of(error: Exception) -> str | None:
    """What to tell whoever runs the program; None for a fault of the program itself."""
    import asyncpg  # noqa: PLC0415  only for what failed

    from billing.app.faults import CommandError  # noqa: PLC0415
    from billing.core.errors import BillingError, InvalidParameter  # noqa: PLC0415
    from billing.kit.config import ConfigError  # noqa: PLC0415
    from billing.kit.embedded_postgres import DatabaseStartError  # noqa: PLC0415
    from billing.kit.migrate import MigrationError  # noqa: PLC0415

    if isinstance(error, InvalidParameter):
        return "; ".join(f"{fault.path} {fault.reason}" for fault in error.faults)
    expected = (
        CommandError,
        ConfigError,
        DatabaseStartError,
        MigrationError,
        BillingError,
        asyncpg.PostgresError,
        OSError,
    )
    return " ".join(str(error).split()) if isinstance(error, expected) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="billing", description="The billing system of a cloud provider.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve the API and run the worker"))
    _add(commands, "worker", "run the jobs alone")
    _add(commands, "migrate", "bring the database to this program's schema")
    close = _add(commands, "close", "make the invoices of a month")
    close.add_argument("--period", required=True, metavar="YYYY-MM", help="the month, such as 2024-01")
    close.add_argument("--dry-run", action="store_true", help="show what would be made, and make nothing")
    _add(commands, "demo", "open an account with a year of history, and print its key")
    check = _add(commands, "check", "check every invariant of the books")
    check.add_argument(
        "--incremental", action="store_true", help="what is new since the last check, and a part of the rest"
    )
    replay = _add(commands, "replay", "send cost and usage rows through the operator API and compare the costs")
    replay.add_argument("file", type=Path, metavar="FILE", help="CSV with FOCUS columns")
    keys = commands.add_parser("keys", help="operators' keys").add_subparsers(required=True, metavar="COMMAND")
    create = _add(keys, "create-operator", "make an operator's key and print it once", module="keys")
    create.set_defaults(verb="create")
    create.add_argument("--name", default="Operator", help="what the key is called in lists and the audit trail")
    create.add_argument("--scopes", default="*", help="parts of the operator API, separated by commas; * is all")
    _add(keys, "list-operators", "print the operators' keys in force", module="keys").set_defaults(verb="list")
    revoke = _add(keys, "revoke-operator", "end an operator's key: it opens nothing from then on", module="keys")
    revoke.set_defaults(verb="revoke")
    revoke.add_argument("key", metavar="KEY", help="its id, as `list-operators` and the audit trail show it")
    config = commands.add_parser("config", help="settings").add_subparsers(required=True, metavar="COMMAND")
    _add(config, "show", "print every setting, secrets hidden", module="config")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # no public name
    name: str,
    text: str,
    *,
    module: str | None = None,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(module=module or name)
    return command


def _add_serve(command: argparse.ArgumentParser) -> None:
    command.set_defaults(module="serve")
    command.add_argument("--demo", action="store_true", help="open a demo account in an empty database; show its keys")
    command.add_argument("--plane", choices=("all", "public", "operator"), help="which API to serve")
    command.add_argument("--host", help="address to listen on")
    command.add_argument("--port", type=int, help="port; 0 takes a free one")
    command.add_argument("--operator-port", type=int, help="serve the operator API on a port of its own")
    command.add_argument("--no-worker", action="store_true", help="leave the jobs to `billing worker`")
    command.add_argument("--ready-file", type=Path, metavar="PATH", help="write addresses and keys there when ready")
