"""Members of webhook endpoints, their deliveries, and the log of events."""

from __future__ import annotations

from billing import webhooks
from billing.app.reference.members.forms import M, example_id, id_of, one_of, text
from billing.kit.web.openapi.words import Member

_STATUSES = ("delivered", "pending", "sending", "failed")
_ATTEMPT = {
    "number": 1,
    "started_at": "2024-02-01T00:00:03Z",
    "status_code": 200,
    "duration_ms": 84,
    "reason": None,
}

WEBHOOKS: dict[str, Member] = {
    "webhook": M("The webhook endpoint."),
    "webhooks": M("The webhook endpoints of this page."),
    "delivery": M("The message, and how far it is."),
    "deliveries": M("The messages of this page."),
    "WebhookOut.id": id_of("wh", "The endpoint's id."),
    "WebhookIn.url": M(
        "Where messages are sent, such as `https://example.com/hooks`.", "https://hooks.example.com/billing"
    ),
    "WebhookUpdate.url": M("Where messages are sent.", "https://hooks.example.com/billing"),
    "WebhookOut.url": M("Where messages are sent.", "https://hooks.example.com/billing"),
    "WebhookIn.events": M(
        "Which events: types, groups such as `invoice.*`, or `*`; without it all.", ["invoice.*", "payment.failed"]
    ),
    "WebhookUpdate.events": M("Which events: types, groups, or `*` for all.", ["invoice.*", "payment.failed"]),
    "WebhookOut.events": M("Which events: types, groups, or `*` for all.", ["invoice.*", "payment.failed"]),
    "WebhookIn.description": text("What it is for.", "Bookkeeping", longest=200),
    "WebhookUpdate.description": text("What it is for.", "Bookkeeping", longest=200),
    "WebhookOut.description": M("What it is for.", "Bookkeeping"),
    "WebhookUpdate.status": one_of("`enabled` or `disabled`.", "enabled", "disabled"),
    "WebhookOut.status": one_of("Whether messages are sent.", "enabled", "disabled"),
    "WebhookOut.disabled_reason": M(
        "Why not: `asked` for, `failing` for five days, or `gone`: it answered 410. Null while it is enabled.", None
    ),
    "WebhookOut.disabled_at": M("Since when not; null while it is enabled.", None),
    "WebhookOut.failing_since": M("Since when no attempt has succeeded; null: the last one did.", None),
    "WebhookOut.secret_rotated_at": M("When its secret was last rotated; null: never.", None),
    "WebhookIssuedOut.secret": M(
        "The secret that signs its messages, shown once; null in a replay.",
        "whsec_yvFb6mVHcEBiC3p4eVpEVnzVgHCSYDFT6Q6u0F0b2uM=",
    ),
    "previous_secret_until": M("Until when the secret before it signs too; null: there is none.", None),
    "WebhookDeliveryOut.id": id_of("evt", "The message's id, which receivers see as `webhook-id`: the event's."),
    "WebhookDeliveryOut.type": M("What happened.", "invoice.issued"),
    "WebhookDeliveryOut.object_id": M("To what.", example_id("inv")),
    "WebhookDeliveryOut.version": M("The object's version: of one object it never goes back.", 4711),
    "WebhookDeliveryOut.status": one_of("How far it is.", *_STATUSES),
    "DeliveriesQuery.status": one_of("Only messages that stand so.", *_STATUSES),
    "AllDeliveriesQuery.status": one_of("Only messages that stand so.", *_STATUSES),
    "AllDeliveriesQuery.account_id": M("Only messages of this account.", None),
    "WebhookDeliveryOut.reason": M(
        "Why the last attempt did not succeed, or why nothing more is sent: `status`, `redirected`, `gone`, `timed_out`, "
        "`unreachable`, `not_trusted`, `url_refused`, `endpoint_disabled` or `endpoint_deleted`; null otherwise.",
        None,
    ),
    "WebhookDeliveryOut.attempts": M("How many attempts there were.", 1),
    "next_attempt_at": M("When it is tried again; null: it is being sent, or finished.", None),
    "WebhookDeliveryOut.finished_at": M("When it was delivered or given up; null: not yet.", "2024-02-01T00:00:03Z"),
    "newest_attempts": M("The newest 20 attempts, in order.", [_ATTEMPT]),
    "AttemptOut.number": M("The how-manieth attempt it is.", 1),
    "AttemptOut.started_at": M("When it was made.", "2024-02-01T00:00:03Z"),
    "AttemptOut.status_code": M("What the receiver answered; null: nothing.", 200),
    "AttemptOut.duration_ms": M("How long it took, in milliseconds; null: it is under way, or was lost.", 84),
    "AttemptOut.reason": M("Why it did not succeed; null: it did. `lost`: its outcome is not known.", None),
    "OwnedDeliveryOut.account_id": M("Whose it is.", example_id("acc")),
    "OwnedDeliveryOut.webhook_id": M("To which endpoint it is.", example_id("wh")),
    "since": M("Only messages that were made from then on.", "2024-02-01T00:00:00Z"),
    "DeliveriesReplayIn.webhook_id": M("Only messages to this endpoint; without it to all.", example_id("wh")),
    "replayed": M("How many messages are sent again.", 12),
    # The log of events
    "after": M("The `cursor` of the answer before; without it the log begins.", None),
    "OutboxQuery.type": one_of("Only events of this type.", *webhooks.EVENT_TYPES, example="invoice.issued"),
    "OutboxQuery.account_id": M("Only events of this account.", None),
    "limit": M("How many events at most.", 100),
    "OutboxAnswer.events": M("The events, in the log's order."),
    "OutboxAnswer.cursor": M(
        "What to ask with `after` next, also when there are no events.", "AWdzbGtqZmhhc2xrZGpmaGFzbGtkamY"
    ),
    "has_more": M("Whether more events are there now.", False),
    "LoggedEventOut.id": id_of("evt", "The event's id."),
    "LoggedEventOut.type": M("What happened.", "invoice.issued"),
    "timestamp": M("When it happened.", "2024-02-01T00:00:00Z"),
    "LoggedEventOut.account_id": M("To whose object.", example_id("acc")),
    "LoggedEventOut.data": M(
        "The object's id and version, and what the event says.",
        {"id": example_id("inv"), "version": 4711, "number": "INV-2024-001", "amount": "58.00", "currency": "USD"},
    ),
}
