"""The embedded PostgreSQL under our own supervisor: one private server per home, reached over a socket only.

    start ── start.lock ──┬─ a server runs on HOME/database/data ─────────────── join ──┐
                          └─ none ─ (initdb into data.new, rename) ─ launch ─ ready ────┤
                                                                                        ▼
               ┌──────────────────── the server dies ◄──────────────────────────── in use, watched
               └─ start.lock: join the one that another process restarted, or launch ─►┘│
                                                                                        │ stop, start.lock
                             others still use it: leave it running ◄────────────────────┤
                                   we are the last: SIGINT, after 20 s SIGQUIT ◄────────┘

A program that is killed with -9 leaves its server running; the next start on that home joins it and, being alone, stops
it when it leaves. `owns_server` says that nobody else used the database when this process came.

As root the server runs as SUDO_UID, else postgres, else nobody; where there are data, as their owner. That login and
root may connect (peer). What cannot be started raises DatabaseStartError: one line that says what to do.
"""

from __future__ import annotations

from billing.kit.embedded_postgres.cluster import OWNER_ROLE
from billing.kit.embedded_postgres.faults import DatabaseStartError
from billing.kit.embedded_postgres.supervisor import DATABASE, EmbeddedPostgres, running, start

__all__ = ["DATABASE", "OWNER_ROLE", "DatabaseStartError", "EmbeddedPostgres", "running", "start"]
