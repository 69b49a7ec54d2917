"""The HTTP application: routes of both planes and everything that is the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from billing.kit.auth import CallerReader, OperatorReader
from billing.kit.db import Database

PUBLIC_BASE = "/v1"
OPERATOR_BASE = "/operator/v1"


def build_app(
    *,
    database: Database,
    read_caller: CallerReader,
    read_operator: OperatorReader,
    public: Sequence[HTTPRouteHandler] = (),
    operator: Sequence[HTTPRouteHandler] = (),
    plain: Sequence[HTTPRouteHandler] = (),
    trusted_proxies: Sequence[str] = (),
) -> Litestar:
    """The application. Public handlers are served below /v1, operator handlers below /operator/v1, plain ones at the root."""
    raise NotImplementedError
