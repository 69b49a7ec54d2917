"""Who the database runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billing.kit.embedded_postgres.faults import DatabaseStartError

_FALLBACKS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class RunAs:
    """A login of this machine; `switch_*` are None when it is the one that runs this program."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether a child has to switch to it."""
        return self.uid != os.geteuid()

    @property
    def switch_uid(self) -> int | None:
        """The uid that a child switches to."""
        return self.uid if self.is_other else None

    @property
    def switch_gid(self) -> int | None:
        """The gid that a child switches to."""
        return self.gid if self.is_other else None

    @property
    def switch_groups(self) -> Sequence[int] | None:
        """All groups that a child switches to."""
        return os.getgrouplist(self.name, self.gid) if self.is_other else None


def choose(*, wanted: str | None, data: Path) -> RunAs:
    """The login for the database in `data`: their owner once there are data, else the wanted one, else our own.

    As root without a wanted login: SUDO_UID, else postgres, else nobody.
    """
    chosen = _chosen_for_new_data(wanted)
    if not data.exists():
        return chosen
    owner = _by_uid(data.stat().st_uid)
    if owner is None or owner.uid == 0:
        whose = "a login that no longer exists" if owner is None else "root, as which PostgreSQL refuses to run"
        raise DatabaseStartError(f"{data} belongs to {whose}: give it back with chown -R {chosen.name} {data}")
    if os.geteuid() not in {0, owner.uid}:
        raise DatabaseStartError(
            f"the database in {data} belongs to {owner.name}: run this as {owner.name} or as root, "
            "or choose another home with LINESERVE_HOME"
        )
    if wanted not in {None, owner.name}:
        raise DatabaseStartError(
            f"the database in {data} belongs to {owner.name}, not {wanted}: run it as {owner.name}, "
            f"or give it away with chown -R {wanted} {data}"
        )
    return owner


def _chosen_for_new_data(wanted: str | None) -> RunAs:
    if os.geteuid() != 0:
        return _own(wanted)
    if wanted is not None:
        login = _by_name(wanted)
        if login is None or login.uid == 0:
            raise DatabaseStartError(f"the database cannot run as {wanted}: name an existing login other than root")
        return login
    sudo_uid = os.environ.get("SUDO_UID", "")
    candidates = [_by_uid(int(sudo_uid))] if sudo_uid.isdecimal() and sudo_uid != "0" else []
    candidates += map(_by_name, _FALLBACKS)
    for login in candidates:
        if login is not None:
            return login
    raise DatabaseStartError(
        "PostgreSQL refuses to run as root and there is no login postgres or nobody: add one, or set DATABASE_URL"
    )


def _own(wanted: str | None) -> RunAs:
    own = _by_uid(os.geteuid())
    if own is None:
        raise DatabaseStartError(
            f"the user id {os.geteuid()} has no name on this machine, and PostgreSQL needs one: "
            "add it to /etc/passwd, or set DATABASE_URL"
        )
    if wanted not in {None, own.name}:
        raise DatabaseStartError(f"only root can run the database as {wanted}; this is {own.name}")
    return own


def _by_uid(uid: int) -> RunAs | None:
    try:
        return _from(pwd.getpwuid(uid))
    except (KeyError, OverflowError):
        return None


def _by_name(name: str) -> RunAs | None:
    try:
        return _from(pwd.getpwnam(name))
    except KeyError:
        return None


def _from(record: pwd.struct_passwd) -> RunAs:
    return RunAs(name=record.pw_name, uid=record.pw_uid, gid=record.pw_gid)
