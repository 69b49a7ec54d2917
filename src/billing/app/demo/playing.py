"""Playing the story: the API under the story's clock, step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from billing import payments
from billing.app.calling import open_api
from billing.app.demo import catalogue
from billing.app.demo.letterbox import without_sending
from billing.app.demo.story import Actors, Step, steps_of
from billing.app.tables import progress
from billing.app.worker import jobs_of
from billing.core.period import Period
from billing.kit.db import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from billing.app.calling import Api
    from billing.app.runtime import Installation
    from billing.kit.worker import Job

COMMAND = "billing demo"
_CLOSABLE_AFTER = timedelta(hours=3)
_BUDGETS = {"Production": Decimal("1.7"), "Staging": Decimal("1.12"), "Analytics": Decimal("2.4")}
"""A project's monthly budget as a multiple of what the running month has cost so far: one of them is nearly used up."""
_PROJECTS = {
    "Production": ("Main production infrastructure", "nairobi"),
    "Staging": ("Testing and staging infrastructure", "nairobi"),
    "Analytics": ("Reports, jobs and the data lake", "nairobi"),
}
_DEFAULT_PROJECT = ("Default", "What belongs to no other project")


@dataclass(slots=True)
class StoryClock:
    """Where the story is."""

    now: datetime

    def __call__(self) -> datetime:
        """The instant that is told of."""
        return self.now


async def seed(installed: Installation) -> str:
    """Open the demo's account with its closed months and the running one; returns its key."""
    months = installed.settings.demo_months
    until = installed.database.clock()
    last = Period.containing(until - _CLOSABLE_AFTER)
    first = last
    for _ in range(months):
        first = first.previous()
    clock = StoryClock(first.start + timedelta(hours=6))
    told = _under(installed, clock)
    async with open_api(told, command=COMMAND) as api:
        await _furnish(api, first)
        actors = await _open(api, clock, first)
        steps = steps_of(first=first, until=until, account_id=actors.account_id, months=months)
        with progress("Making the demo", total=len(steps)) as bar:
            await _play(told, clock, actors, steps, on_step=bar.advance)
        clock.now = until
        await _set_budgets(actors)
        for _ in range(2):  # what the first run finds, the second tells
            await _run(jobs_of(told), told.database)
        return api.account_key


def _under(installed: Installation, clock: StoryClock) -> Installation:
    """The same installation with another clock, the sandbox gateway's too; its messages reach nobody."""
    gateway = payments.SandboxGateway(pool=installed.gateway.pool, clock=clock)
    return replace(
        installed,
        database=Database(installed.database.pool, clock),
        gateway=gateway,
        payment_settings=replace(installed.payment_settings, gateway=gateway),
        mailroom=without_sending(installed.mailroom),
    )


async def _furnish(api: Api, first: Period) -> None:
    """The provider's side: issuer, taxes, meters, list prices."""
    await api.operate("PUT", "/issuer", catalogue.ISSUER)
    tax = {"country": catalogue.TAX_COUNTRY, "name": catalogue.TAX_NAME, "percent": catalogue.TAX_PERCENT}
    await api.operate("PUT", "/tax-rates", [{**tax, "valid_from": catalogue.TAX_FROM}])
    for meter, members in catalogue.METERS.items():
        await api.operate("PUT", f"/meters/{meter}", members)
    card = {"name": "List prices", "currency": "USD", "valid_from": f"{first.start_date}"}
    await api.operate("POST", "/rate-cards", {**card, "prices": catalogue.LIST_PRICES})


async def _open(api: Api, clock: StoryClock, first: Period) -> Actors:
    """The account with its profile, contract and projects."""
    opened = await api.operate("POST", "/accounts", catalogue.ACCOUNT)
    account_id, api.account_key = opened["account"]["id"], opened["api_key"]["key"]
    await api.ask("PUT", "/account", catalogue.PROFILE)
    contract = {"name": "Contract", "currency": "USD", "valid_from": f"{first.start_date}", "account_id": account_id}
    await api.operate("POST", "/rate-cards", {**contract, "prices": catalogue.CONTRACT_PRICES})
    listed = await api.ask("GET", "/projects")
    projects = {project["name"]: project["id"] for project in listed["projects"]}
    name, description = _DEFAULT_PROJECT
    await api.ask("PUT", f"/projects/{projects[name]}", {"description": description})
    for name, (description, region) in _PROJECTS.items():
        clock.now += timedelta(minutes=1)
        body = {"name": name, "description": description, "region": region}
        projects[name] = (await api.ask("POST", "/projects", body))["project"]["id"]
    return Actors(api, account_id, projects, {})


async def _play(
    told: Installation, clock: StoryClock, actors: Actors, steps: Sequence[Step], *, on_step: Callable[[], None]
) -> None:
    jobs = jobs_of(told)
    for step in steps:
        clock.now = step.at
        await step.act(actors)
        if step.wakes_jobs:
            await _run(jobs, told.database)
        on_step()


async def _run(jobs: Sequence[Job], database: Database) -> None:
    """What the worker would do by itself."""
    for job in jobs:
        await job.run(database)


async def _set_budgets(actors: Actors) -> None:
    for name, multiple in _BUDGETS.items():
        path = f"/projects/{actors.projects[name]}"
        used = (await actors.api.ask("GET", f"{path}/usage"))["usage"]["total_cost"]
        await actors.api.ask("PUT", path, {"budget_limit": max(round(used * multiple), 1)})
