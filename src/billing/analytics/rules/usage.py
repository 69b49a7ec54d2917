"""How shares of charges become usage by service and resource."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, cast
from uuid import UUID

from billing.analytics.model import FIGURES, SERVICES, Figure, ResourceUsage, ServiceUsage
from billing.core import money

if TYPE_CHECKING:
    from billing.rating import Share

HOUR_S = 3600
QUANTITY_DECIMALS = 12
PRICE_DECIMALS = 4
_EXACT = Context(prec=100)


def services_shown(known: Iterable[str]) -> list[str]:
    """The services in the order they are shown: compute, storage, messaging, then what else is known, by name."""
    return [*SERVICES, *sorted(set(known) - SERVICES.keys())]


def summarize(shares: Sequence[Share], *, services: Sequence[str]) -> list[ServiceUsage]:
    """The usage of some services, in their order; each resource once per service, in the order of the resources' ids."""
    by_service: dict[str, list[Share]] = defaultdict(list)
    for share in shares:
        by_service[share.service].append(share)
    return [_service_usage(service, by_service[service]) for service in services]


def _service_usage(service: str, shares: Sequence[Share]) -> ServiceUsage:
    by_resource: dict[str, list[Share]] = defaultdict(list)
    for share in shares:
        by_resource[share.resource_id].append(share)
    return ServiceUsage(
        service=service,
        amount_minor=sum(share.amount_minor for share in shares),
        figures=figures_of(service, [figure for share in shares if (figure := figure_of(share)) is not None]),
        resources=[_resource_usage(by_resource[resource_id]) for resource_id in sorted(by_resource)],
        price_ids=frozenset(share.price_id for share in shares),
    )


def figures_of(service: str, shown: Iterable[Figure]) -> tuple[Figure, ...]:
    """What each resource of a service shows: the service's own figures, then what else some of them have."""
    own = SERVICES.get(service, ())
    return (*own, *(figure for figure in FIGURES if figure in set(shown).difference(own)))


def _resource_usage(shares: Sequence[Share]) -> ResourceUsage:
    figures: dict[Figure, Fraction] = {}
    for share in shares:
        figure = figure_of(share)
        if figure is not None:
            figures[figure] = figures.get(figure, Fraction(0)) + quantity_of(share)
    return ResourceUsage(
        resource_id=shares[0].resource_id,
        name=shares[0].resource_name,
        type=shares[0].type,
        amount_minor=sum(share.amount_minor for share in shares),
        figures=figures,
    )


def figure_of(share: Share) -> Figure | None:
    """What a share's quantity is shown as: hours of a plan, what its meter says, or nothing."""
    return "hours" if share.item_kind == "plan" else cast("Figure | None", share.shows_as)


def quantity_of(share: Share) -> Fraction:
    """A share's quantity: of a meter in its unit, of a plan in billable hours, rounded up as its price rounds them.

    A plan's charge is one resource's, so that what was billed is what the share was billed. A flat price rounds nothing up:
    its hours are whole.
    """
    if share.item_kind == "meter":
        return Fraction(share.quantity) / Fraction(share.denominator)
    if share.denominator == 1:
        return Fraction(share.billed_quantity) / HOUR_S
    return Fraction(-(-Fraction(share.quantity) // HOUR_S))


def price_id_of_messages(services: Sequence[ServiceUsage]) -> UUID | None:
    """The one price that all of the month's messages were rated at, if there are messages and it is one."""
    for service in services:
        if service.service == "messaging" and service.total("messages_sent") > 0 and len(service.price_ids) == 1:
            return next(iter(service.price_ids))
    return None


def cost_per_message(messaging: ServiceUsage, *, currency: str, price: Decimal | None) -> Decimal | None:
    """The plain price of a message in full; without one the cost over the messages, to 4 places, half up; None at 0 messages."""
    messages = messaging.total("messages_sent")
    if messages == 0:
        return None
    if price is not None:
        return price
    cost = Fraction(messaging.amount_minor, 10 ** money.decimals_of(currency))
    return plain(cost / messages, decimals=PRICE_DECIMALS)


def plain(value: Fraction, *, decimals: int = QUANTITY_DECIMALS) -> Decimal:
    """A value rounded half up to some decimals, without trailing zeros: 744, 0.025."""
    scale = 10**decimals
    scaled = (2 * value.numerator * scale + value.denominator) // (2 * value.denominator)
    whole, rest = divmod(scaled, scale)
    with localcontext(_EXACT):
        return Decimal(scaled).scaleb(-decimals).normalize() if rest else Decimal(whole)
