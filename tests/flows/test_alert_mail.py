"""A budget that running servers cross by themselves: the real worker finds it, and a real mail server takes the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from billing import wallets
from billing.alerts import jobs as alerts_jobs
from billing.alerts.operations import keeping
from billing.kit.worker import Worker
from billing.notifications import jobs as notifications_jobs
from billing.notifications.model import Outlet
from tests.support.alarm import Alarm, open_alarm
from tests.support.cloud import at, price
from tests.support.messages import MAILROOM
from tests.support.post_office import PostOffice, open_post_office


@asynccontextmanager
async def working(dsn: str, alarm: Alarm, office: PostOffice) -> AsyncIterator[None]:
    """The worker with the jobs of alerts and messages, each every second; its clock is the test's."""
    mailroom = replace(MAILROOM, email=Outlet(channel=office.channel()))
    evaluate = alerts_jobs.make_job(reserve=wallets.reserve_for_usage)
    jobs = [replace(job, every_s=1) for job in (evaluate, *notifications_jobs.make_jobs(mailroom))]
    worker = Worker(dsn=dsn, database=alarm.database, jobs=jobs)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await asyncio.wait_for(running, 15)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  another task's doing
            await asyncio.sleep(0.05)


class TestRunningServers:
    async def test_are_told_of_by_mail_within_a_minute_of_crossing_a_budget(self, database_dsn: str) -> None:
        async with open_alarm(database_dsn, connections=8) as alarm, open_post_office() as office:
            plan = price(
                service="compute", plan="exact", model="hourly", hourly_price="0.60", increment_s=1, minimum_s=1
            )
            await alarm.publish(plan)
            account_id = await alarm.open_account()
            await alarm.report(account_id, plan="exact", effective_at=at("02-01 09:00"))
            alert = await alarm.alert(account_id, 10_000)  # a cent a minute: 100.01 is due 100.005 / 0.60 hours later
            crossed_at = at("02-01 09:00") + timedelta(hours=100.005 / 0.60)
            alarm.clock.now = crossed_at - timedelta(seconds=80)
            async with working(database_dsn, alarm, office):
                while alarm.clock.now < crossed_at - timedelta(seconds=30):
                    await self._look(alarm)
                    due_in = await alarm.due_in(account_id)
                    assert due_in is not None, "what runs is looked at again"
                    alarm.clock.now = min(alarm.clock.now + due_in, crossed_at - timedelta(seconds=30))
                await self._look(alarm)
                assert office.mails == []
                alarm.clock.now = crossed_at + timedelta(seconds=59)
                await until(lambda: len(office.mails) == 1)
                [firing] = await alarm.fetch("SELECT created_at FROM alert_firings")
                assert timedelta(0) <= firing["created_at"] - crossed_at < timedelta(minutes=1)
                async with alarm.database.transaction() as tx:
                    await keeping.test(tx, account_id=account_id, alert_id=alert.alert_id)
                await until(lambda: len(office.mails) == 2)
        told, trial = office.mails
        assert told["To"] == trial["To"]
        assert "100.01" in str(told.get_body(("plain",)))
        deliveries = await self._deliveries(database_dsn)
        assert deliveries == [("alert.fired", "sent"), ("alert.test", "sent")]

    async def _look(self, alarm: Alarm) -> None:
        """Wait until the worker has evaluated at the present instant."""
        async with asyncio.timeout(20):
            while True:
                [row] = await alarm.fetch("SELECT evaluated_at, next_due_at FROM watched_accounts")
                if row["evaluated_at"] == alarm.clock.now or (
                    row["evaluated_at"] is not None and row["next_due_at"] > alarm.clock.now
                ):
                    return
                await asyncio.sleep(0.05)

    async def _deliveries(self, dsn: str) -> list[tuple[str, str]]:
        async with open_alarm(dsn) as alarm:
            rows = await alarm.fetch(
                """
                SELECT template, status FROM deliveries
                JOIN notifications USING (account_id, notification_id)
                ORDER BY template
                """
            )
        return [(row["template"], row["status"]) for row in rows]
