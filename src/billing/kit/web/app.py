"""The HTTP application: routes of both planes and everything that is the same for all of them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from litestar import Litestar
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from prometheus_client import Counter

from billing.core.errors import Unavailable
from billing.kit import log, patience
from billing.kit.auth import Authenticator, CallerReader, Headers, OperatorReader, read_networks
from billing.kit.db import Database
from billing.kit.held_keys import HeldKeys
from billing.kit.web.answers import Answer
from billing.kit.web.endpoints import (
    BASES,
    ENDPOINT,
    GUARD,
    LOGGED,
    RATE_HEADERS,
    REQUEST_ID,
    Edge,
    Endpoint,
    make_endpoint,
    options_endpoints,
)
from billing.kit.web.errors import answer_of_error
from billing.kit.web.paths import read_parameters, routed_path
from billing.kit.web.rate_limits import RateLimits
from billing.kit.web.turnstile import Turnstile

if TYPE_CHECKING:
    from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send


_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(rb"[0-9A-Za-z!$&'()*+,;=._~:\[\]@%-]*")
_IDS_DRAWN = 64
_ALWAYS = "/livez"  # whoever is too busy is still alive
_READS = frozenset({"GET", "HEAD"})
_ON_EVERY_ANSWER = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_OUTWARD_MAX = 256  # calls that may wait for the outside world where those under way have no bound
_TOLD_EVERY_S = 10.0
_TURNED_AWAY = Counter("lineserve_calls_turned_away", "Calls that waited in vain while too many were under way")

_log = structlog.get_logger("billing.web")


class HttpApp(Litestar):
    """Endpoints behind Litestar's router, with a request id and safe headers on every answer, those of unknown paths too.

    As many calls are under way at once as `turnstile` lets in, of reads as `reads` does; others are turned away. Reads have
    few places: they are short, and each of hundreds under way makes all others dearer (docs/performance.md). A call waits for
    `wait_s` for its database.

    The router's own way to a handler and back (dependencies, parameters, a Response) is not gone: endpoints read the request
    themselves, and it would cost a tenth of a read (docs/performance.md).
    """

    turnstile: Turnstile | None = None
    reads: Turnstile | None = None
    wait_s: float | None = None
    cors_origins: Collection[str] = ()
    _told_at_s = -_TOLD_EVERY_S

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """Serve (ASGI)."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        scope = cast("HTTPScope", scope)  # websockets are not served
        receive, send = cast("Receive", receive), cast("Send", send)
        turnstile = self.reads if scope["method"] in _READS else self.turnstile
        if turnstile is None or scope["path"] == _ALWAYS:
            await self._serve(scope, receive, send)
        elif turnstile.take() or await turnstile.wait():
            try:
                await self._serve(scope, receive, send)
            finally:
                turnstile.leave()
        else:
            scope["state"] = {REQUEST_ID: _request_id(scope["headers"])}
            await self._send(self._turn_away(turnstile), scope, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope["headers"])
        scope["state"] = {REQUEST_ID: request_id}
        set_before = log.REQUEST_ID.set(request_id)
        try:
            with patience.within(self.wait_s):
                answer = await self._answer(scope, receive, request_id)
            await self._send(answer, scope, send)
        finally:
            log.REQUEST_ID.reset(set_before)

    async def _send(self, answer: Answer, scope: HTTPScope, send: Send) -> None:
        state: dict[str, Any] = scope["state"]
        request_id = (b"x-request-id", state[REQUEST_ID].encode("ascii"))
        beside = [request_id, *_ON_EVERY_ANSWER, *state.get(RATE_HEADERS, ())]
        await answer.send(scope, send, beside=beside, origins=self.cors_origins)

    def _turn_away(self, turnstile: Turnstile) -> Answer:
        """What a call hears that waited in vain while too many were under way: done before anything is read or counted for it."""
        _TURNED_AWAY.inc()
        now_s = time.monotonic()
        if now_s > self._told_at_s + _TOLD_EVERY_S:
            self._told_at_s = now_s
            _log.warning("too_many_calls", in_line=turnstile.in_line)
        busy = Unavailable("Too many calls are under way; try again soon")
        error = {"code": busy.code, "message": str(busy), "details": busy.details}
        return Answer.of({"error": error}, status=503, headers={"Retry-After": "1"})

    async def _answer(self, scope: HTTPScope, receive: Receive, request_id: str) -> Answer:
        try:
            return await self._route(scope)(scope, receive)
        except Exception as error:  # each has its answer
            with structlog.contextvars.bound_contextvars(**scope["state"].get(LOGGED, {})):
                return answer_of_error(error, request_id=request_id)

    def _route(self, scope: HTTPScope) -> Endpoint:
        """The endpoint of a request, its path's parameters read. Raises the router's errors."""
        scope["path"] = path = routed_path(scope)
        host: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None or _HOST.fullmatch(value) is None:  # with two, a proxy may look at the other one
                    raise ClientException
                host = value
        if not host and scope["http_version"] == "1.1":  # RFC 9112, 3.2; Granian shows none as an empty one
            raise ClientException
        routing = self.asgi_router.handle_routing(path=path, method=scope["method"])
        _, handler, scope["path"], parameters, scope["path_template"] = routing
        scope["path_params"] = read_parameters(parameters)
        return cast("Endpoint", handler.opt[ENDPOINT])


def build_app(
    *,
    database: Database,
    read_caller: CallerReader,
    read_operator: OperatorReader,
    public: Sequence[HTTPRouteHandler] = (),
    operator: Sequence[HTTPRouteHandler] = (),
    plain: Sequence[HTTPRouteHandler] = (),
    values: Mapping[str, object] | None = None,
    trusted_proxies: Sequence[str] = (),
    rate_limits: RateLimits | None = None,
    cors_origins: Collection[str] = (),
    calls_max: int | None = None,
    reads_max: int | None = None,
    wait_s: float | None = None,
) -> Litestar:
    """The application, to be made inside the event loop that serves it.

    Public handlers are served below /v1, operator handlers below /operator/v1, plain ones (no key) at the root; `values` are
    given to them by parameter name. Without `rate_limits` nobody is limited; pages of `cors_origins` may call from browsers.
    Reads beyond `reads_max` at once and other calls beyond `calls_max`, all but `/livez`, wait in line and are turned away; one
    that waited for the database for `wait_s` in all hears 503. Raises TypeError without a guard, or for what nobody gives.
    """
    if rate_limits is not None:
        read_caller = rate_limits.attempts.watching(read_caller)
        read_operator = rate_limits.attempts.watching(read_operator)
    edge = Edge(
        database=database,
        held_keys=HeldKeys(database),
        outward=Turnstile(_OUTWARD_MAX if calls_max is None else max(1, calls_max // 2)),
        authenticator=Authenticator(read_caller=read_caller, read_operator=read_operator),
        trusted_proxies=read_networks(trusted_proxies),
        values=dict(values or {}),
        rate_limits=rate_limits,
    )
    endpoints = [
        *(make_endpoint(handler, plane="public", edge=edge) for handler in public),
        *(make_endpoint(handler, plane="operator", edge=edge) for handler in operator),
        *(make_endpoint(handler, plane="plain", edge=edge) for handler in plain),
    ]
    app = HttpApp(
        [*options_endpoints(endpoints), *endpoints],  # first, or Litestar makes its own
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.cors_origins = frozenset(cors_origins)
    app.turnstile, app.reads = (None if most is None else Turnstile(most) for most in (calls_max, reads_max))
    app.wait_s = wait_s
    return app


def unguarded_routes(app: Litestar) -> list[str]:
    """Routes of either plane whose handlers ask for no permission: there must be none."""
    bases = (BASES["public"], BASES["operator"])
    found = [
        f"{method} {route.path}"
        for route in app.routes
        if route.path.startswith(bases)
        for handler in getattr(route, "route_handlers", [])
        for method in sorted(handler.http_methods)
        if method != "OPTIONS" and not handler.opt.get(GUARD)
    ]
    return sorted(found)


def _request_id(headers: Headers) -> str:
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return next(_NEW_IDS)


def _random_ids() -> Iterator[str]:
    """Texts of 128 random bits; the system is asked for many at once."""
    while True:
        drawn = secrets.token_hex(16 * _IDS_DRAWN)
        for start in range(0, len(drawn), 32):
            yield drawn[start : start + 32]


_NEW_IDS = _random_ids()
