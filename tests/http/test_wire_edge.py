"""quality.md X17 and X9: requests that two servers could read in two ways, and callers who only hold a connection, through the
program as it is served."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.serving import Serving, serving

POST = b"POST /operator/v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
# How each request goes on after its first headers, and the statuses that may answer it before the connection is closed.
AMBIGUOUS: dict[str, tuple[bytes, set[int]]] = {
    "length and chunks": (
        POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        {400, 415},
    ),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}  " + SMUGGLED, {400}),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\n{}" + SMUGGLED, {400}),
    "a length below 0": (POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED, {400}),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED, {400}),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n{}" + SMUGGLED, {400}),
    "a coding after chunks": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED, {400}),
    "two codings": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        {400},
    ),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, {400}),
    "a folded header": (GET + b"X-A: b\r\n c\r\n\r\n" + SMUGGLED, {400}),
    "a NUL": (GET + b"X-A: a\x00b\r\n\r\n" + SMUGGLED, {400}),
    "a header without end": (GET + b"X-A: " + b"x" * 1_000_000 + b"\r\n\r\n", {400, 431}),
    "500 headers": (GET + b"".join(b"X-%d: 1\r\n" % number for number in range(500)) + b"\r\n", {400, 431}),
    "a chunk of no size": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + SMUGGLED, {400, 415}),
}


def connect(server: Serving) -> socket.socket:
    address = urlsplit(server.ready["operator_url"])
    return socket.create_connection((address.hostname, address.port or 80), timeout=10)


def answer_to(server: Serving, request: bytes) -> tuple[list[int], bool]:
    """The statuses of all answers, and whether the server closed the connection after them."""
    got = b""
    with connect(server) as opened:
        with contextlib.suppress(ConnectionError):
            opened.sendall(request)
        try:
            while part := opened.recv(65_536):
                got += part
        except TimeoutError:
            return _statuses(got), False
        except ConnectionError:
            pass
    return _statuses(got), True


def _statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", got, re.MULTILINE)]


class TestServer:
    def test_closes_what_could_be_read_in_two_ways(self, database_dsn: str, tmp_path: Path):
        with serving(tmp_path, "--no-worker", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as server:
            key = server.ready["operator_key"].encode()
            for name, (request, expected) in AMBIGUOUS.items():
                whole = request.replace(b"%s", key)
                statuses, is_closed = answer_to(server, whole)
                assert is_closed, name
                assert len(statuses) <= 1, (name, statuses)
                assert set(statuses) <= expected, (name, statuses)
            for hosts in (b"Host: y\r\n", b"Host: x\r\n"):
                assert answer_to(server, GET + hosts + b"Connection: close\r\n\r\n") == ([400], True), hosts
            close, nameless = b"Connection: close\r\n\r\n", GET.replace(b"Host: x\r\n", b"")
            assert answer_to(server, nameless + close) == ([400], True)
            assert answer_to(server, nameless.replace(b"/1.1", b"/1.0") + close) == ([200], True)
            for size, status in ((30_000, 200), (70_000, 431)):
                assert answer_to(server, GET + b"X-A: " + b"x" * size + b"\r\n" + close) == ([status], True), size
            assert answer_to(server, GET + close) == ([200], True)
            with server.operator() as operator:
                assert operator.get("/accounts").json()["meta"]["total"] == 0

    def test_serves_others_while_many_hold_a_connection(self, database_dsn: str, tmp_path: Path):
        with (
            serving(tmp_path, "--no-worker", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as server,
            contextlib.ExitStack() as held,
            server.operator() as operator,
        ):
            key = server.ready["operator_key"].encode()
            unfinished = (GET[:20], POST.replace(b"%s", key) + b"Content-Length: 1000\r\n\r\n{")
            for number in range(200):
                held.enter_context(connect(server)).sendall(unfinished[number % 2])
            assert operator.get("/accounts", timeout=5).status_code == 200
