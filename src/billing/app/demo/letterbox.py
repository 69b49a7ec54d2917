"""Where the demo's messages go: a gateway that takes everything and sends nothing, as its sandbox moves no money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from billing.notifications.model import Mailroom, Message, Outcome, Outlet


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A channel whose messages reach nobody."""

    gateway: str = "sandbox"

    async def send(self, message: Message, *, handing_over: Callable[[], Awaitable[None]]) -> Outcome:
        """Take a message that was written out in full."""
        await handing_over()
        return Outcome(kind="sent", gateway_id=f"sandbox-{message.message_id}")


def without_sending(mailroom: Mailroom) -> Mailroom:
    """The same mailroom with nothing but letterboxes."""
    outlet = Outlet(channel=Letterbox())
    return replace(mailroom, email=outlet, sms=outlet)
