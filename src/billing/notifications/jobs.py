"""The worker's edge of notifications: sending what is due, by each channel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from billing.kit.worker import Job
from billing.notifications.operations import sending, writing

if TYPE_CHECKING:
    from billing.notifications.model import Mailroom, Sending

_EVERY_S = 1


def make_jobs(mailroom: Mailroom) -> Sequence[Job]:
    """A job for each way to send, so that a slow gateway holds up nothing but itself."""
    return (_job("email", mailroom), _job("sms", mailroom))


def _job(method: Sending, mailroom: Mailroom) -> Job:
    """Sends what is due; without a channel it ends it, so that nothing piles up."""
    outlet = mailroom.outlet(method)
    run = (
        partial(sending.suppress_due, method=method)
        if outlet is None
        else partial(sending.send_due, method=method, outlet=outlet, write=partial(writing.write, mailroom=mailroom))
    )
    return Job(name=f"notifications.send_{method}", every_s=_EVERY_S, run=run)
