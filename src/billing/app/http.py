"""The HTTP API: which handlers there are, on which plane, with which parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing import api_keys, metering, payments
from billing.accounts import operator_routes as accounts_operator
from billing.accounts import routes as accounts_public
from billing.alerts import operator_routes as alerts_operator
from billing.alerts import routes as alerts_public
from billing.analytics import operator_routes as analytics_operator
from billing.analytics import routes as analytics_public
from billing.api_keys import operator_routes as api_keys_operator
from billing.api_keys import routes as api_keys_public
from billing.app import audit, check, health, jobs, outbox
from billing.app.reference import routes as reference
from billing.app.worker import jobs_of
from billing.catalog import operator_routes as catalog_operator
from billing.invoices import operator_routes as invoices_operator
from billing.invoices import routes as invoices_public
from billing.kit.web import build_app
from billing.metering import operator_routes as metering_operator
from billing.notifications import operator_routes as notifications_operator
from billing.notifications import routes as notifications_public
from billing.onboarding import operator_routes as onboarding_operator
from billing.onboarding import routes as onboarding_public
from billing.payments import operator_routes as payments_operator
from billing.payments import routes as payments_public
from billing.projects import operator_routes as projects_operator
from billing.projects import routes as projects_public
from billing.rating import operator_routes as rating_operator
from billing.wallets import operator_routes as wallets_operator
from billing.wallets import routes as wallets_public
from billing.webhooks import operator_routes as webhooks_operator
from billing.webhooks import routes as webhooks_public

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.handlers import HTTPRouteHandler

    from billing.app.runtime import Installation
    from billing.kit.config import Plane
    from billing.kit.web.rate_limits import RateLimits

_READS_A_SESSION = 2
"""Reads under way for each session with the database: one has it, the other is read or written meanwhile."""

PUBLIC = [
    *accounts_public.HANDLERS,
    *api_keys_public.HANDLERS,
    *projects_public.HANDLERS,
    *onboarding_public.HANDLERS,
    *wallets_public.HANDLERS,
    *payments_public.HANDLERS,
    *invoices_public.HANDLERS,
    *analytics_public.HANDLERS,
    *alerts_public.HANDLERS,
    *notifications_public.HANDLERS,
    *webhooks_public.HANDLERS,
]
OPERATOR = [
    *accounts_operator.HANDLERS,
    *api_keys_operator.HANDLERS,
    *catalog_operator.HANDLERS,
    *metering_operator.HANDLERS,
    *rating_operator.HANDLERS,
    *projects_operator.HANDLERS,
    *wallets_operator.HANDLERS,
    *payments_operator.HANDLERS,
    *payments_operator.SANDBOX_HANDLERS,
    *invoices_operator.HANDLERS,
    *analytics_operator.HANDLERS,
    *alerts_operator.HANDLERS,
    *notifications_operator.HANDLERS,
    *webhooks_operator.HANDLERS,
    *outbox.HANDLERS,
    *check.HANDLERS,
    *jobs.HANDLERS,
    *audit.HANDLERS,
    *onboarding_operator.HANDLERS,
]


def plain_of(plane: Plane) -> list[HTTPRouteHandler]:
    """What a listener serves without a key: probes, and the reference of its plane; of operators' planes metrics too, of the
    public one the door for gateways, which sign what they say."""
    return [
        *(health.PROBES if plane == "public" else health.HANDLERS),
        *([] if plane == "operator" else payments_public.GATEWAY_HANDLERS),
        *reference.ASSETS,
        *([] if plane == "operator" else reference.reference_of("public", PUBLIC)),
        *([] if plane == "public" else reference.reference_of("operator", OPERATOR)),
    ]


def make_app(
    installed: Installation, *, keyring: api_keys.Keyring, plane: Plane, rate_limits: RateLimits | None = None
) -> Litestar:
    """The application of one listener, to be made inside the event loop that serves it. A command's own calls have no limit."""
    return build_app(
        database=installed.database,
        read_caller=keyring.read_caller,
        read_operator=keyring.read_operator,
        public=PUBLIC if plane != "operator" else (),
        operator=OPERATOR if plane != "public" else (),
        plain=plain_of(plane),
        values={
            "currencies": installed.wallet_settings.currencies,
            "wallet_settings": installed.wallet_settings,
            "payment_settings": installed.payment_settings,
            "sandbox": installed.gateway,
            "job_names": tuple(job.name for job in jobs_of(installed)),
            "webhook_settings": installed.webhook_settings,
            "mailroom": installed.mailroom,
            "intake": metering.Intake(installed.database),
            "topups": payments.TopUps(
                installed.database,
                gateway=installed.payment_settings.gateway,
                reserve=installed.wallet_settings.reserve,
            ),
        },
        trusted_proxies=installed.settings.trusted_proxies,
        cors_origins=installed.settings.cors_origins,
        rate_limits=rate_limits,
        calls_max=installed.settings.calls_at_once,
        reads_max=min(installed.settings.calls_at_once, _READS_A_SESSION * installed.settings.database_pool_size),
        wait_s=installed.settings.database_wait_s,
    )
