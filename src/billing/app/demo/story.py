"""What happens to the demo's account, and when: each step is an instant and what somebody did then over the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from billing.app.calling import RefusedCall
from billing.app.demo import estate
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.app.calling import Api

Act = Callable[["Actors"], Awaitable[None]]

_LATE_DAYS = 5  # of the end of a month: what is learnt late of them comes after the close
_OVERDUE_MONTH = 8  # of the story: nobody fills the wallet, and its invoice is paid late
_LOOKED_AT = (1, 4)  # weekdays on which the jobs run, which look at alerts
_ROUND = Decimal(50)  # top-ups are round


@dataclass(frozen=True, slots=True)
class Step:
    """Something that somebody does at an instant."""

    at: datetime
    act: Act
    wakes_jobs: bool = False


@dataclass(slots=True)
class Actors:
    """The account, its platform and the operator, with what they remember."""

    api: Api
    account_id: str
    projects: dict[str, str]
    methods: dict[str, str]

    async def top_up(self, amount: Decimal, *, method: str = "visa", currency: str = "USD") -> dict[str, Any]:
        """Fill a wallet."""
        body = {"amount": amount, "currency": currency, "payment_method": self.methods[method]}
        return await self.api.ask("POST", "/account/wallets/topup", body)


def steps_of(*, first: Period, until: datetime, account_id: str, months: int) -> list[Step]:
    """The whole story from the first month's beginning until now, in order."""
    found = [
        *_beginnings(first),
        *_reports(first),
        *_usage(first, until, account_id),
        *_money(first, months),
    ]
    return sorted((step for step in found if step.at < until), key=lambda step: step.at)


def month_of(first: Period, index: int) -> Period:
    """The month of the story with a number, 0 being the first."""
    period = first
    for _ in range(index):
        period = period.next()
    return period


def _beginnings(first: Period) -> Iterator[Step]:
    def at(month: int, day: int, hour: int) -> datetime:
        return month_of(first, month).start + timedelta(days=day - 1, hours=hour)

    opening: list[tuple[datetime, Act]] = [
        (at(0, 1, 9), partial(_add_method, name="visa", type="card", token="tok_visa", is_default=True)),  # noqa: S106  the sandbox's name of a card
        (at(0, 1, 10), partial(_add_key, name="CI/CD Pipeline Key", permissions=["read", "write"])),
        (at(1, 2, 12), _create_alerts),
        (at(1, 6, 8), partial(_add_method, name="bank", type="bank_account", token="ba_bank")),  # noqa: S106
        (at(2, 15, 11), _grant_credit),
        (at(3, 26, 9), partial(_add_method, name="declining", type="card", token="tok_insufficient_funds")),  # noqa: S106
        (at(3, 27, 14), _fail_to_top_up),
        (at(5, 3, 8), partial(_add_key, name="Dashboard", permissions=["read"])),
        (at(7, 28, 16), _buy_a_domain),
        (at(10, 9, 10), _credit_an_outage),
    ]
    yield from (Step(instant, act, wakes_jobs=True) for instant, act in opening)


def _reports(first: Period) -> Iterator[Step]:
    for asset in estate.ASSETS:
        for change in asset.changes:
            yield Step(estate.instant_of(change, first), partial(_report, asset=asset, change=change, first=first))


def _usage(first: Period, until: datetime, account_id: str) -> Iterator[Step]:
    """Each day's events a little after its end, today's as far as it has come; a few only after their month was closed."""
    sent_at: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    day = first.start
    while day < until:
        month_end = Period.containing(day).end
        for event, is_late in estate.usage_of(day.date(), first=first, account_id=account_id):
            happens = datetime.fromisoformat(event["time"])
            arrives = day + timedelta(days=1, minutes=5)
            if is_late:
                is_after_close = month_end - day <= timedelta(days=_LATE_DAYS)
                arrives = month_end + timedelta(days=2, hours=5) if is_after_close else day + timedelta(days=3)
            if arrives >= until and happens < until - timedelta(hours=1) and not is_late:
                arrives = until - timedelta(minutes=1)
            sent_at[arrives].append(event)
        day += timedelta(days=1)
    for instant, events in sent_at.items():
        yield Step(instant, partial(_send, events=events), wakes_jobs=instant.weekday() in _LOOKED_AT)


def _money(first: Period, months: int) -> Iterator[Step]:
    """Each month: a top-up before its end that covers it, its close, and what goes wrong now and then."""
    for index in range(months + 1):
        period = month_of(first, index)
        if index not in (_OVERDUE_MONTH, _OVERDUE_MONTH + 1):
            yield Step(period.start + timedelta(days=1, hours=10), _prepay, wakes_jobs=True)
        if index != _OVERDUE_MONTH:
            yield Step(period.start + timedelta(days=27, hours=14), partial(_cover, period=period), wakes_jobs=True)
        if index < months:
            yield Step(period.end + timedelta(hours=2), partial(_close, period=period), wakes_jobs=True)
    by_mistake = month_of(first, 4).start + timedelta(days=1, hours=11)
    yield Step(by_mistake, partial(_top_up_and_refund, amount=Decimal(200)), wakes_jobs=True)
    shillings = month_of(first, 6).start + timedelta(days=4, hours=9)
    yield Step(shillings, partial(_top_up, amount=Decimal(9_500), method="visa", currency="KES"), wakes_jobs=True)
    reminder = month_of(first, _OVERDUE_MONTH + 1).start + timedelta(days=23, hours=10)
    yield Step(reminder, _pay_late, wakes_jobs=True)


async def _add_method(actors: Actors, *, name: str, type: str, token: str, is_default: bool = False) -> None:
    body = {"type": type, "token": token, "set_default": is_default}
    added = await actors.api.ask("POST", "/account/payment-methods", body)
    actors.methods[name] = added["payment_method"]["id"]


async def _add_key(actors: Actors, *, name: str, permissions: list[str]) -> None:
    body = {"name": name, "permissions": permissions, "ip_whitelist": ["10.0.0.0/8", "192.168.1.100"]}
    await actors.api.ask("POST", "/account/api-keys", body)


async def _create_alerts(actors: Actors) -> None:
    alerts: list[dict[str, Any]] = [
        {"type": "budget", "threshold": 800, "condition": "greater_than", "notification_methods": ["email", "sms"]},
        {"type": "balance", "threshold": 100, "condition": "less_than", "notification_methods": ["email"]},
    ]
    for alert in alerts:
        await actors.api.ask("POST", "/account/alerts", alert)


async def _grant_credit(actors: Actors) -> None:
    body = {"amount": 75, "currency": "USD", "reason": "Welcome credit"}
    await actors.api.operate("POST", f"/accounts/{actors.account_id}/credits", body)


async def _fail_to_top_up(actors: Actors) -> None:
    try:
        await actors.top_up(Decimal(300), method="declining")
    except RefusedCall as refused:
        if refused.status != 422:
            raise


async def _buy_a_domain(actors: Actors) -> None:
    body = {
        "amount": 15,
        "currency": "USD",
        "reference": "Domain example-logistics.africa, one year",
        "expires_at": "9000-01-01T00:00:00Z",
    }
    held = await actors.api.operate("POST", f"/accounts/{actors.account_id}/holds", body)
    await actors.api.operate("POST", f"/holds/{held['hold']['id']}/capture", {})


async def _credit_an_outage(actors: Actors) -> None:
    invoices = (await actors.api.ask("GET", "/account/invoices?status=paid"))["invoices"]
    body = {"amount": 8.5, "reason": "Load balancer outage in Nairobi", "kind": "credit"}
    await actors.api.operate("POST", f"/invoices/{invoices[0]['id']}/credit-notes", body)


async def _report(actors: Actors, *, asset: estate.Asset, change: estate.Change, first: Period) -> None:
    body = {
        "type": asset.type,
        "service": asset.service,
        "name": asset.name,
        "region": asset.region,
        "project_id": actors.projects[asset.project],
        "status": change.status,
        "plan": change.plan,
        "effective_at": estate.instant_of(change, first).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    known = {name: value for name, value in body.items() if value is not None}
    await actors.api.operate("PUT", f"/accounts/{actors.account_id}/resources/{asset.resource_id}", known)


async def _send(actors: Actors, *, events: list[dict[str, Any]]) -> None:
    answer = await actors.api.send_events(events)
    assert answer["accepted"] == len(events), f"the platform's events are refused: {answer}"


async def _prepay(actors: Actors) -> None:
    """Fill the wallet as the month before lets expect."""
    invoices = (await actors.api.ask("GET", "/account/invoices"))["invoices"]
    expected = invoices[0]["amount"] if invoices else Decimal(300)
    await _fill(actors, expected * Decimal("1.3"))


async def _cover(actors: Actors, *, period: Period) -> None:
    """Top up what this month will still cost beyond the wallet, as its first four weeks let expect."""
    path = f"/accounts/{actors.account_id}/invoices/preview?period={period}"
    preview = (await actors.api.operate("GET", path))["invoice"]
    await _fill(actors, preview["amount"] * Decimal("1.13") + 20)


async def _fill(actors: Actors, wanted: Decimal) -> None:
    """Top up to a wallet that holds an amount, in round sums."""
    wallets = (await actors.api.ask("GET", "/account/wallets"))["wallets"]
    held = next(wallet["total_balance"] for wallet in wallets if wallet["currency"] == "USD")
    if wanted > held:
        await actors.top_up(((wanted - held) / _ROUND).to_integral_value(ROUND_CEILING) * _ROUND)


async def _close(actors: Actors, *, period: Period) -> None:
    body = {"kind": "close", "period": str(period), "account_ids": [actors.account_id]}
    await actors.api.operate("POST", "/runs", body)


async def _top_up(actors: Actors, *, amount: Decimal, method: str, currency: str) -> None:
    await actors.top_up(amount, method=method, currency=currency)


async def _top_up_and_refund(actors: Actors, *, amount: Decimal) -> None:
    paid = await actors.top_up(amount)
    path = f"/payments/{paid['transaction']['payment_id']}/refunds"
    await actors.api.operate("POST", path, {"reason": "Topped up twice by mistake"})


async def _pay_late(actors: Actors) -> None:
    overdue = (await actors.api.ask("GET", "/account/invoices?status=overdue"))["invoices"]
    for invoice in overdue:
        shown = (await actors.api.ask("GET", f"/account/invoices/{invoice['id']}"))["invoice"]
        await actors.top_up(shown["amount_due"], method="bank")
