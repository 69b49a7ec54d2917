"""The worker's edge of projects: what is left of their deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.kit.worker import Job
from billing.projects import operations
from billing.projects.operations.deleting import STOP_JOB

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_jobs() -> Sequence[Job]:
    """Write down that what was asked to be deleted is no longer metered; tell of what the platform has not deleted."""
    return (
        Job(name=STOP_JOB, every_s=5, run=operations.stop_asked),
        Job(name="projects.alarm", every_s=60, run=operations.raise_alarms),
    )
