"""The small chart of an invoice: what each service cost in the months before."""

from __future__ import annotations

from collections import Counter

from billing.core import money
from billing.invoices.pdf.lettering import clean, service_name
from billing.invoices.pdf.record import InvoiceDocument, MonthCost

Chart = dict[str, object]

SERVICES_SHOWN = 4  # as many shades stay apart in black and white
_OTHER = "other"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def chart_of(document: InvoiceDocument) -> Chart | None:
    """Bars by month, parts by service as shares of the highest bar; None unless two months have a cost to compare.

    The services that cost most stand first, the rest together last. A service below 0, by corrections, has no part.
    """
    services = _services(document.history)
    months = [_parts(month, services) for month in document.history]
    highest = max((sum(parts) for parts in months), default=0)
    if sum(1 for parts in months if sum(parts) > 0) < 2:
        return None
    return {
        "title": f"Cost by service before tax, {document.currency}",
        "services": [clean(service_name(name)) for name in services],
        "months": [
            {
                "name": _MONTHS[month.period.month - 1],
                "total": f"{round(money.to_major(sum(parts), document.currency)):,}",
                "parts": [part / highest for part in parts],  # heights on paper, not money
            }
            for month, parts in zip(document.history, months, strict=True)
        ],
    }


def _services(history: tuple[MonthCost, ...]) -> list[str]:
    totals: Counter[str] = Counter()
    for month in history:
        for service, cost_minor in month.costs_minor:
            totals[service] += max(cost_minor, 0)
    ranked = sorted((service for service in totals if totals[service]), key=lambda name: (-totals[name], name))
    return ranked if len(ranked) <= SERVICES_SHOWN else [*ranked[: SERVICES_SHOWN - 1], _OTHER]


def _parts(month: MonthCost, services: list[str]) -> list[int]:
    parts = dict.fromkeys(services, 0)
    for service, cost_minor in month.costs_minor:
        name = service if service in parts else _OTHER
        if name in parts:
            parts[name] += max(cost_minor, 0)
    return list(parts.values())
