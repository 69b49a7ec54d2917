"""Handlers to endpoints: what a handler's parameters ask for, in the order in which it is granted.

The path exists, then the key is read, then its permission, then how often it called, then query and body: nobody learns
about the later ones before. So an unknown path answers 404 without a key too, and the other plane's key gets 404 everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from uuid import UUID

import msgspec
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from billing.core import ids
from billing.core.errors import NotFound
from billing.kit import audit, idempotency, patience
from billing.kit.auth import Authenticator, Caller, Headers, Network, Operator, Plane, client_address
from billing.kit.db import Database
from billing.kit.held_keys import HeldKeys
from billing.kit.idempotency import Attempt
from billing.kit.ratelimit import Limit
from billing.kit.web.answers import Answer
from billing.kit.web.bodies import RawBody, read_content
from billing.kit.web.commands import Command
from billing.kit.web.guards import GUARDS, PERMISSIONS, SCOPES, refusal_of
from billing.kit.web.openapi.described import DESCRIBED, Described
from billing.kit.web.paging import Meta, link_header
from billing.kit.web.queries import NoParameters, RawQuery
from billing.kit.web.rate_limits import LIMITS_SIGNATURES, RATE_CLASS, Attempts, RateLimits, header_lines, refusal
from billing.kit.web.representations import etag_of
from billing.kit.web.schemas import UNDECLARED, Declared
from billing.kit.web.turnstile import Turnstile
from billing.kit.web.values import text_fault

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Method, Receive, Scope

BASES: dict[Plane, str] = {"public": "/v1", "operator": "/operator/v1", "plain": ""}
ENDPOINT = "endpoint"  # under this name a registered handler's `opt` holds what is called in its place
GUARD = "guard"  # under this name a registered handler's `opt` says which parameter guards it
SUSPENDED_OK = "suspended_ok"
AUDITED = "audited"
"""Under this name a handler's `opt` says how its writes stand in the audit trail: by a dotted code, or not at all (False).
Unless told, operators' writes stand there by their route, and accounts' do not."""
REQUEST_ID = "request_id"
NO_MEMBERS = "no members"  # stands among a handler's parameters where it takes no body
RATE_HEADERS = "rate_headers"  # under this name a request's state holds the headers that tell what is left to its key
LOGGED = "logged"  # under this name a request's state says where it went, for the log of its error


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What all endpoints share. `values` are further parameters that a handler may name."""

    database: Database
    held_keys: HeldKeys
    outward: Turnstile
    """Places for calls that wait for the outside world: of all that are under way only a part, however slow it is."""
    authenticator: Authenticator
    trusted_proxies: tuple[Network, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    rate_limits: RateLimits | None = None
    slow_bodies: patience.Watch = field(default_factory=patience.Watch)


@dataclass(slots=True)
class Call:
    """One request on its way to a handler."""

    scope: HTTPScope
    receive: Receive
    edge: Edge
    ip: str
    audited: str | bool = False
    described: Described | None = None
    limits: tuple[Limit, ...] = ()
    who: Caller | Operator | None = None
    body: RawBody | None = None


Endpoint = Callable[["HTTPScope", "Receive"], Awaitable[Answer]]
Source = Callable[[Call], object]  # what waits for something gives an awaitable


def make_endpoint(handler: HTTPRouteHandler, *, plane: Plane, edge: Edge) -> HTTPRouteHandler:
    """A registered handler's endpoint. Raises TypeError for a parameter that nobody gives, and for a missing guard."""
    function = cast("Callable[..., Awaitable[object]]", handler.fn)
    names = list(inspect.signature(function).parameters)
    paths = [f"{BASES[plane]}/{path.strip('/')}" for path in sorted(handler.paths)]
    in_path = _path_parameters(paths)
    guards = [name for name in names if name in GUARDS[plane]]
    if len(guards) != (0 if plane == "plain" else 1):
        raise TypeError(f"{function.__qualname__} must ask for one of {sorted(GUARDS[plane])}")
    guard = guards[0] if guards else None
    suspended_ok = bool(handler.opt.get(SUSPENDED_OK)) or "GET" in handler.http_methods
    audited = handler.opt.get(AUDITED, plane == "operator")
    rate_class = handler.opt.get(RATE_CLASS)
    limits = edge.rate_limits.limits_of(rate_class, plane=plane) if edge.rate_limits and guard else ()
    described = _described(handler, names)
    given = {name: edge.values[name] for name in names if name in edge.values} | {"db": edge.database}
    constants = {name: given[name] for name in names if name in given}
    sources = {
        name: _source_of(name, plane, in_path, function) for name in names if name != guard and name not in constants
    }
    takes_query = "query" in sources or plane == "plain"
    if "POST" in handler.http_methods and "body" not in sources:
        sources[NO_MEMBERS] = _no_members_source(plane)

    async def endpoint(scope: HTTPScope, receive: Receive) -> Answer:
        ip = _client_address(scope, edge)
        call = Call(scope, receive, edge, ip, audited, described, limits)
        scope["state"][LOGGED] = {"method": scope["method"], "route": scope["path_template"], "ip": ip}
        arguments = dict[str, object](constants)
        if guard is not None:
            arguments[guard] = await _authorize(call, guard, suspended_ok=suspended_ok)
        _check_path(scope)
        if not takes_query and scope["query_string"]:
            RawQuery(_query_string(scope)).refuse_any()
        for name, source in sources.items():
            value = source(call)
            arguments[name] = await value if isinstance(value, Awaitable) else value
        arguments.pop(NO_MEMBERS, None)
        return _answer_of(await function(**arguments), scope)

    methods: list[Method] = [
        *sorted(handler.http_methods),
        *([HttpMethod.HEAD] if "GET" in handler.http_methods else []),
    ]
    opt: dict[str, object] = {ENDPOINT: endpoint, GUARD: guard, AUDITED: audited}
    if edge.rate_limits is not None and handler.opt.get(LIMITS_SIGNATURES):
        opt[ENDPOINT] = _proving(endpoint, edge, edge.rate_limits.attempts)
    return HTTPRouteHandler(paths, http_method=methods, opt=opt, status_code=200)(_routed)


async def _routed() -> bytes:
    """Stands in the router for an endpoint."""
    raise AssertionError("endpoints are called in its place")


def _proving(endpoint: Endpoint, edge: Edge, attempts: Attempts) -> Endpoint:
    """An endpoint whose callers prove by a signature who they are: who failed to too often is refused before his body is read."""

    async def proving(scope: HTTPScope, receive: Receive) -> Answer:
        ip = _client_address(scope, edge)
        scope["state"][LOGGED] = {"method": scope["method"], "route": scope["path_template"], "ip": ip}
        return await attempts.counting(ip, lambda: endpoint(scope, receive))

    return proving


def permission_of(names: Iterable[str], plane: Plane) -> str:
    """The permission or scope that the guard among a handler's parameters stands for."""
    (guard,) = [name for name in names if name in GUARDS[plane]]
    return (PERMISSIONS | SCOPES)[guard]


def options_endpoints(endpoints: list[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """What answers OPTIONS: `Allow` with the methods of all handlers of a path (Litestar's own knows only the first's)."""
    methods: dict[str, set[str]] = {}
    for endpoint in endpoints:
        for path in endpoint.paths:
            methods.setdefault(path, {"OPTIONS"}).update(endpoint.http_methods)
    return [_options_endpoint(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_endpoint(path: str, allowed: str) -> HTTPRouteHandler:
    async def options(scope: HTTPScope, receive: Receive) -> Answer:  # noqa: ARG001 as every endpoint
        return Answer(status=204, headers={"Allow": allowed})

    return HTTPRouteHandler(path, http_method=HttpMethod.OPTIONS, opt={ENDPOINT: options}, status_code=200)(_routed)


def _described(handler: HTTPRouteHandler, names: list[str]) -> Described | None:
    described = handler.opt.get(DESCRIBED)
    if described is None:
        return None
    for name, promised in (("body", described.body), ("query", described.query)):
        if (name in names) != (promised is not None):
            raise TypeError(f"{names} take a {name} that is not described, or the reverse")
    return described


def _path_parameters(paths: list[str]) -> set[str]:
    parts = [part for path in paths for part in path.split("/") if part.startswith("{")]
    return {part.strip("{}").partition(":")[0] for part in parts}


def _source_of(name: str, plane: Plane, in_path: set[str], function: Callable[..., object]) -> Source:
    if name in in_path:
        return lambda call: call.scope["path_params"][name]
    if name == "command" and plane != "plain":
        return _command_source(BASES[plane])
    sources: dict[str, Source] = {"query": _query, "body": _body_source(plane), "headers": _headers}
    if name in sources:
        return sources[name]
    raise TypeError(f"{function.__qualname__} asks for {name!r}, which nobody gives")


async def _authorize(call: Call, guard: str, *, suspended_ok: bool) -> Caller | Operator:
    """Who calls, if he may and has calls left. One who may not is told what he has left, and loses none."""
    headers = call.scope["headers"]
    authenticator = call.edge.authenticator
    authenticate = authenticator.operator if guard in SCOPES else authenticator.caller
    who = call.who = await authenticate(headers, ip=call.ip)
    refused = refusal_of(who, guard, suspended_ok=suspended_ok)
    if call.edge.rate_limits is not None and call.limits:
        count = call.edge.rate_limits.take if refused is None else call.edge.rate_limits.peek
        verdict = await count(who.key_id, call.limits)
        call.scope["state"][RATE_HEADERS] = header_lines(verdict)
        if refused is None and not verdict.is_admitted:
            raise refusal(verdict)
    if refused is not None:
        raise refused
    return who


def _query(call: Call) -> RawQuery:
    declared = UNDECLARED if call.described is None else Declared(call.described.query)
    owner = call.who.account_id if isinstance(call.who, Caller) else ""
    place = f"{call.scope['path']} {owner}"  # a cursor is good for this list of this account
    return RawQuery(_query_string(call.scope), place=place, declared=declared)


def _headers(call: Call) -> Headers:
    return call.scope["headers"]


def _body_source(plane: Plane) -> Callable[[Call], Awaitable[RawBody]]:
    async def body(call: Call) -> RawBody:
        headers = call.scope["headers"]
        call.body = RawBody(
            await read_content(call.scope, call.receive, watch=call.edge.slow_bodies),
            content_type=", ".join(_header_values(headers, b"content-type")),
            content_encoding=", ".join(_header_values(headers, b"content-encoding")).lower(),
            refuses_card_numbers=plane == "public",
            declared=UNDECLARED if call.described is None else Declared(call.described.body_schema),
            now=call.edge.database.clock(),
        )
        return call.body

    return body


def _no_members_source(plane: Plane) -> Source:
    """For a POST that takes no body: nobody learns later that what was sent did not count."""
    read = _body_source(plane)

    async def no_members(call: Call) -> None:
        await read(call)
        assert call.body is not None
        call.body.read(NoParameters, optional=True)

    return no_members


def _command_source(base_path: str) -> Source:
    def command(call: Call) -> Command:
        scope = call.scope
        is_post = scope["method"] == "POST"
        return Command(
            call.edge.database,
            held_keys=call.edge.held_keys,
            outward=call.edge.outward,
            key=idempotency.read_key(_header_values(scope["headers"], b"idempotency-key")) if is_post else None,
            make_attempt=lambda key: _attempt_of(call, key),
            make_action=(lambda location: _action_of(call, base_path, location)) if call.audited else None,
            base_path=base_path,
            ip=call.ip,
            request_id=request_id_of(scope),
        )

    return command


def _attempt_of(call: Call, key: str) -> Attempt:
    scope = call.scope
    return Attempt(
        account_id=_owner_of(call.who),
        route=f"{scope['method']} {scope['path_template']}",
        key=key,
        fingerprint=idempotency.fingerprint(scope["path_params"], _query_string(call.scope), _asked(call)),
    )


def _asked(call: Call) -> object:
    body = call.body
    return None if body is None else body.content if body.parsed is None else body.parsed


def _action_of(call: Call, base_path: str, location: str | None) -> audit.Action:
    """What the audit trail says of a write that is done: its body as a digest and the names of what it set."""
    assert call.who is not None
    scope = call.scope
    route = f"{scope['method']} {scope['path_template'].removeprefix(base_path)}"
    objects = {name: str(value).removeprefix("/") for name, value in scope["path_params"].items()}
    asked = _asked(call)
    return audit.Action(
        actor=audit.Actor.of(call.who),
        action=call.audited if isinstance(call.audited, str) else route,
        objects=objects,
        account_id=_account_of(call.who, objects, asked, location),
        ip=call.ip or None,
        request_id=request_id_of(scope),
        body_digest=None if call.body is None or call.body.is_empty else idempotency.fingerprint(asked),
        details={**_names_of(asked), **({} if location is None else {"location": location})},
    )


def _account_of(who: Caller | Operator, objects: Mapping[str, str], asked: object, location: str | None) -> UUID | None:
    """The account that a write is about: the caller's, or the one that path, body or Location names."""
    if isinstance(who, Caller):
        return who.account_id
    named = [objects.get("account_id"), getattr(asked, "account_id", None), *(location or "").split("/")]
    decoded = (ids.decode("acc", text) for text in named if isinstance(text, str))
    return next((account_id for account_id in decoded if account_id is not None), None)


def _names_of(asked: object) -> dict[str, object]:
    """The members that a body set, by name alone, or how many items it had."""
    match asked:
        case msgspec.Struct():
            fields = msgspec.structs.fields(asked)
            set_here = [one.encode_name for one in fields if getattr(asked, one.name) != one.default]
            return {"members": set_here} if set_here else {}
        case list():
            return {"items": len(cast("list[object]", asked))}
        case _:
            return {}


def _owner_of(who: Caller | Operator | None) -> UUID:
    match who:
        case Caller():
            return who.account_id
        case Operator():
            return who.key_id
        case None:
            raise AssertionError("a command without a guard")


def request_id_of(scope: Scope) -> str:
    """The id that the application gave to a request."""
    return str(scope["state"].get(REQUEST_ID, ""))


def _check_path(scope: HTTPScope) -> None:
    """No id holds a NUL, half a surrogate pair or what was no UTF-8, or is endless: such a thing is not there."""
    for value in scope["path_params"].values():
        if len(value) > 500 or "\ufffd" in value or text_fault(value) is not None:
            raise NotFound


def _client_address(scope: HTTPScope, edge: Edge) -> str:
    peer = scope["client"]
    return client_address(peer[0] if peer else "", scope["headers"], trusted_proxies=edge.trusted_proxies)


def _query_string(scope: HTTPScope) -> str:
    return scope["query_string"].decode("latin-1")


def _header_values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


def _answer_of(result: object, scope: HTTPScope) -> Answer:
    """The answer of what a handler returned: a struct or dict as JSON, with `Link` if it is a part of a list, else with `ETag`."""
    is_read = scope["method"] in {"GET", "HEAD"}
    match result:
        case Answer():
            if is_read and result.status == 200:
                result.headers.setdefault("ETag", etag_of(result.body))
            return result
        case msgspec.Struct():
            about: object = getattr(result, "meta", None)
        case dict():
            about = cast("dict[str, object]", result).get("meta")
        case _:
            raise TypeError(f"a handler returned {type(result).__name__}")
    answer = Answer.of(cast("object", result))
    if isinstance(about, Meta):
        answer.headers["Link"] = link_header(scope["path"], _query_string(scope), about)
    elif is_read:
        answer.headers["ETag"] = etag_of(answer.body)
    return answer
