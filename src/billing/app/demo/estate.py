"""What the demo's account runs: resources with their lives, and how they are used through days, weeks and growth.

Everything is drawn from one seed and the dates alone, so that a demo is the same again on the same day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from billing.core.period import Period

SEED = 20_240_101
SOURCE = "platform"
_GROWTH_A_MONTH = 1.035
_WEEKDAYS = (1.0, 1.04, 1.05, 1.03, 0.98, 0.72, 0.62)
_LATE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """A state from a day on: the month of the story (0 is the first), its day, and the hour."""

    month: int
    day: int
    hour: int = 9
    status: str = "running"
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """One resource: what it is, where it belongs, how its life goes."""

    resource_id: str
    type: str
    service: str
    name: str
    region: str
    project: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Habit:
    """How a meter of a resource is used: `daily` is a usual weekday's quantity in the first month, or a gauge's level."""

    resource_id: str
    meter: str
    daily: float
    hours: tuple[int, ...] = (23,)
    is_level: bool = False
    noise: float = 0.12
    decimals: int = 3


def _server(
    resource_id: str, name: str, project: str, *changes: Change, region: str = "nairobi", type: str = "vps"
) -> Asset:
    return Asset(resource_id, type, "compute", name, region, project, changes)


def _bucket(resource_id: str, name: str, project: str, since: Change, *, region: str = "nairobi") -> Asset:
    return Asset(resource_id, "object_storage", "storage", name, region, project, (since,))


def _volume(resource_id: str, name: str, project: str, *changes: Change) -> Asset:
    return Asset(resource_id, "block_storage", "storage", name, "nairobi", project, changes)


ASSETS: tuple[Asset, ...] = (
    _server(
        "vps_web_1",
        "web-1",
        "Production",
        Change(0, 2, plan="std-2c4g"),
        Change(4, 11, 22, plan="std-4c8g"),
    ),
    _server(
        "vps_web_2",
        "web-2",
        "Production",
        Change(0, 2, plan="std-2c4g"),
        Change(4, 11, 23, plan="std-4c8g"),
    ),
    _server(
        "vps_web_3",
        "web-3",
        "Production",
        Change(7, 3, plan="std-4c8g"),
    ),
    _server("vps_lagos_1", "web-lagos", "Production", Change(5, 14, plan="std-2c4g"), region="lagos"),
    _server("lb_main", "main", "Production", Change(0, 2, plan="load-balancer"), type="load_balancer"),
    _server("pg_orders", "orders", "Production", Change(0, 3, plan="pg-2c8g"), type="database"),
    _server("vps_staging", "staging", "Staging", Change(0, 5, plan="std-1c2g"), Change(8, 2, plan="std-2c4g")),
    _server(
        "vps_loadtest",
        "load-test",
        "Staging",
        Change(6, 9, 8, plan="std-8c16g"),
        Change(6, 13, 18, status="deleted", plan="std-8c16g"),
    ),
    _server(
        "vps_reports",
        "reports",
        "Analytics",
        Change(1, 8, plan="std-4c8g"),
        Change(3, 1, 0, status="stopped", plan="std-4c8g"),
        Change(3, 18, 7, plan="std-4c8g"),
    ),
    _server("k8s_main", "jobs", "Analytics", Change(5, 20, plan="k8s-control-plane"), type="kubernetes"),
    _server("k8s_node_1", "jobs-node-1", "Analytics", Change(5, 20, plan="k8s-node-4c16g"), type="kubernetes"),
    _server("k8s_node_2", "jobs-node-2", "Analytics", Change(9, 6, plan="k8s-node-4c16g"), type="kubernetes"),
    _bucket("bucket_assets", "assets", "Production", Change(0, 2)),
    _bucket("bucket_backups", "backups", "Production", Change(1, 1, 1), region="lagos"),
    _bucket("bucket_lake", "data-lake", "Analytics", Change(5, 20)),
    _volume("vol_orders", "orders-data", "Production", Change(0, 3)),
    _volume("vol_scratch", "scratch", "Staging", Change(2, 4), Change(7, 20, 15, status="deleted")),
    Asset("sms_notifications", "sms", "messaging", "delivery notices", "nairobi", "Production", (Change(0, 2),)),
    Asset("sms_campaigns", "sms", "messaging", "campaigns", "nairobi", "Default", (Change(2, 10),)),
)
HABITS: tuple[Habit, ...] = (
    Habit("vps_web_1", "vps_egress", 21),
    Habit("vps_web_2", "vps_egress", 19),
    Habit("vps_web_3", "vps_egress", 18),
    Habit("vps_lagos_1", "vps_egress", 9),
    Habit("vps_reports", "vps_egress", 2),
    Habit("bucket_assets", "object_storage_stored", 120, hours=(0,), is_level=True, noise=0.01),
    Habit("bucket_assets", "object_storage_egress", 7),
    Habit("bucket_backups", "object_storage_stored", 260, hours=(2,), is_level=True, noise=0.01),
    Habit("bucket_lake", "object_storage_stored", 540, hours=(3,), is_level=True, noise=0.02),
    Habit("bucket_lake", "object_storage_egress", 3),
    Habit("vol_orders", "block_storage_provisioned", 200, hours=(0,), is_level=True, noise=0, decimals=0),
    Habit("vol_scratch", "block_storage_provisioned", 80, hours=(0,), is_level=True, noise=0, decimals=0),
    Habit("sms_notifications", "sms_delivered", 34, hours=(8, 12, 17, 21), noise=0.3, decimals=0),
    Habit("sms_campaigns", "sms_delivered", 9, hours=(10,), noise=0.5, decimals=0),
)


def instant_of(change: Change, first: Period) -> datetime:
    """When a change happens in a story that begins with a month."""
    period = first
    for _ in range(change.month):
        period = period.next()
    return period.start + timedelta(days=change.day - 1, hours=change.hour)


def usage_of(day: date, *, first: Period, account_id: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """The usage events of a day, each with whether the platform learns of it too late for its month."""
    for habit in HABITS:
        begins, ends = _life(habit.resource_id, first)
        draw = random.Random(f"{SEED}:{day}:{habit.resource_id}:{habit.meter}")  # noqa: S311  no secret
        for hour in habit.hours:
            at = datetime.combine(day, time(hour, draw.randrange(60), draw.randrange(60)), UTC)
            quantity = _quantity(habit, day, first, draw)
            is_late = not habit.is_level and draw.random() < _LATE_SHARE
            if begins <= at < ends and quantity > 0:
                yield _event(habit, at, quantity, account_id), is_late


def _life(resource_id: str, first: Period) -> tuple[datetime, datetime]:
    changes = next(asset.changes for asset in ASSETS if asset.resource_id == resource_id)
    last = changes[-1]
    ends = instant_of(last, first) if last.status == "deleted" else datetime.max.replace(tzinfo=UTC)
    return instant_of(changes[0], first), ends


def _quantity(habit: Habit, day: date, first: Period, draw: random.Random) -> Decimal:
    """Growth, the weekday, a busy season before Christmas, a spike now and then, and chance."""
    months = (day - first.start_date).days / 30.4
    if habit.noise == 0:
        return Decimal(int(habit.daily))
    level = habit.daily * _GROWTH_A_MONTH**months * draw.gauss(1, habit.noise / 2)
    if not habit.is_level:
        level *= _WEEKDAYS[day.weekday()] * (1.5 if (day.month, day.day) >= (12, 10) else 1)
        level *= 4 if draw.random() < 0.008 else 1
    return max(Decimal(0), Decimal(level).quantize(Decimal(1).scaleb(-habit.decimals)))


def _event(habit: Habit, at: datetime, quantity: Decimal, account_id: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{habit.resource_id}.{habit.meter}.{at:%Y%m%dT%H%M%S}",
        "source": SOURCE,
        "type": "usage",
        "subject": habit.resource_id,
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "data": {"account_id": account_id, "meter": habit.meter, "quantity": str(quantity)},
    }
