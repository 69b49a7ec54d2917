"""What an account is told, and by which channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from billing.core.errors import Refused

Method = Literal["email", "sms", "webhook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """One message to an account about an object, in the words of a template; `methods` are the channels it goes by."""

    account_id: UUID
    notification_id: UUID
    template: str
    object_id: str
    attempt: int = 1
    payload: Mapping[str, object]
    methods: tuple[Method, ...]


class PhoneMissing(Refused):
    """The account has no phone to send text messages to."""

    message = "The account has no phone number for text messages; set one first"
