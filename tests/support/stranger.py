"""Somebody with addresses and keys and nothing else: every call goes over HTTP, every POST is remembered."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from tests.support.serving import Serving

EVENTS = "application/cloudevents-batch+json"
PATIENCE_S = 15


@dataclass(frozen=True)
class Sent:
    """A POST with its Idempotency-Key and what it was answered."""

    plane: str
    path: str
    headers: dict[str, str]
    content: bytes
    status: int
    answer: bytes


@dataclass
class Stranger:
    """Clients of both planes, and the POSTs that were sent with them."""

    operator: httpx2.Client
    public: httpx2.Client
    sent: list[Sent] = field(default_factory=list[Sent])

    def get(self, path: str) -> Any:
        """An answer of the public API, its numbers exact."""
        return read(self.public.get(path))

    def ask(self, path: str) -> Any:
        """An answer of the operator API, its numbers exact."""
        return read(self.operator.get(path))

    def put(self, path: str, body: object) -> Any:
        """Set something through the operator API."""
        return read(self.operator.put(path, content=json.dumps(body), headers={"Content-Type": "application/json"}))

    def post(self, path: str, body: object, *, plane: str = "operator", media_type: str = "application/json") -> Any:
        """A POST with an Idempotency-Key of its own."""
        headers = {"Content-Type": media_type, "Idempotency-Key": secrets.token_hex(8)}
        content = json.dumps(body).encode()
        client = self.operator if plane == "operator" else self.public
        answer = client.post(path, content=content, headers=headers)
        self.sent.append(Sent(plane, path, headers, content, answer.status_code, answer.content))
        return read(answer)

    def post_again(self, sent: Sent) -> httpx2.Response:
        """The same POST with the same key."""
        client = self.operator if sent.plane == "operator" else self.public
        return client.post(sent.path, content=sent.content, headers=sent.headers)

    def close_month(self, period: str, **members: object) -> Any:
        """Run a close to its end; returns the finished run."""
        run = self.post("/runs", {"kind": "close", "period": period, **members})["run"]
        return self.await_run(run["id"])

    def await_run(self, run_id: str) -> Any:
        """A run once it has ended."""
        return eventually(lambda: self.ask(f"/runs/{run_id}")["run"], lambda run: run["finished_at"] is not None)


def read(answer: httpx2.Response) -> Any:
    """The body of an answer that is not an error."""
    assert answer.status_code < 400, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return json.loads(answer.text, parse_float=Decimal)


def eventually(look: Callable[[], Any], is_so: Callable[[Any], bool], *, patience_s: float = PATIENCE_S) -> Any:
    """What is seen once it is so. Fails with the last sight of it."""
    deadline = time.monotonic() + patience_s
    while not is_so(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


@contextmanager
def stranger_at(server: Serving, *, api_key: str | None = None) -> Iterator[Stranger]:
    """Somebody at a server, with the operator's key that it shows and an account's key."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
    with server.operator() as operator, server.public() as public:
        if headers is not None:
            public.headers.update(headers)
        yield Stranger(operator, public)
