"""Members of notifications, their deliveries, and how accounts want to be told."""

from __future__ import annotations

from billing.app.reference.members.forms import M, example_id, id_of, one_of
from billing.kit.web.openapi.words import Member

_STATUSES = ("sent", "pending", "failed", "unknown", "suppressed")
_ALL_STATUSES = (*_STATUSES, "sending")
_CATEGORIES = {
    "invoices": "Invoices, credit notes, and that an invoice is overdue",
    "payments": "Payments, refunds, and that a card expires",
    "budgets": "The steps of projects' budgets",
    "security": "New and revoked API keys, and webhook endpoints that were disabled",
    "account": "That the account is suspended, and that it is active again",
}
_ALWAYS = {"invoices", "security", "account"}
_ATTEMPT = {
    "number": 1,
    "gateway": "smtp",
    "started_at": "2024-02-01T00:00:03Z",
    "ended_at": "2024-02-01T00:00:04Z",
    "outcome": "sent",
    "gateway_id": "2.0.0 Ok: queued as 4711",
    "reason": None,
}


def _switches() -> dict[str, Member]:
    found: dict[str, Member] = {}
    for name, says in _CATEGORIES.items():
        by_email = M(f"{says}, by e-mail.", True)
        if name in _ALWAYS:
            by_email = M(f"{says}, by e-mail. Always true: it cannot be switched off.", True, {"const": True})
        found[f"EmailSettings.{name}"] = found[f"EmailSwitches.{name}"] = by_email
        found[f"SmsSettings.{name}"] = M(f"{says}, by text message.", False)
        found[f"SmsSwitches.{name}"] = M(f"{says}, by text message.", False)
    return found


MESSAGES: dict[str, Member] = {
    **_switches(),
    "NotificationSettingsAnswer.settings": M("The settings in force."),
    "NotificationSettingsOut.email": M("What is told by e-mail."),
    "NotificationSettingsOut.sms": M("What is told by text message."),
    "NotificationSettingsUpdate.email": M("What is to be told by e-mail."),
    "NotificationSettingsUpdate.sms": M("What is to be told by text message."),
    "email_recipients": M(
        "Up to three more addresses, which get all mail but what is about security.", ["books@example.com"]
    ),
    "NotificationSettingsOut.quiet_hours": M("When no text message is sent, by the account's time zone; null: never."),
    "NotificationSettingsUpdate.quiet_hours": M("When no text message is to be sent; null: never."),
    "QuietHoursOut.start": M("When it becomes quiet.", "21:00"),
    "QuietHoursOut.end": M("When it ends, perhaps the day after.", "07:00"),
    "QuietHoursIn.start": M("When it is to become quiet.", "21:00"),
    "QuietHoursIn.end": M("When it is to end, perhaps the day after.", "07:00"),
    "NotificationsAnswer.notifications": M("The messages of this page."),
    "NotificationTold.id": id_of("ntf", "The message's id."),
    "NotificationTold.template": M("What it says.", "invoice.issued"),
    "NotificationTold.object_id": M("Of what it says that.", example_id("inv")),
    "NotificationTold.created_at": M("When it was told.", "2024-02-01T00:00:00Z"),
    "NotificationTold.deliveries": M("How far it is, for each channel and recipient."),
    "DeliveryTold.id": id_of("dlv", "The delivery's id."),
    "DeliveryTold.method": M("The channel.", "email"),
    "DeliveryTold.recipient": M(
        "The address or number; null for webhooks, or where there is none.", "jane@example.com"
    ),
    "DeliveryTold.status": one_of("How far it is.", *_STATUSES),
    "DeliveryTold.reason": M("Why it is not sent, or not yet; null otherwise.", None),
    "DeliveryTold.attempts": M("How often it was tried.", 1),
    "DeliveryTold.finished_at": M("When it ended; null: it has not.", "2024-02-01T00:00:04Z"),
    "OperatorDeliveryAnswer.delivery": M("The delivery as it stands."),
    "OperatorDeliveriesAnswer.deliveries": M("The deliveries of this page."),
    "OperatorDelivery.id": id_of("dlv", "The delivery's id."),
    "OperatorDelivery.account_id": id_of("acc", "Whose it is."),
    "OperatorDelivery.notification_id": id_of("ntf", "The message that it carries."),
    "OperatorDelivery.template": M("What the message says.", "invoice.issued"),
    "OperatorDelivery.object_id": M("Of what.", example_id("inv")),
    "OperatorDelivery.method": M("The channel.", "email"),
    "OperatorDelivery.recipient": M(
        "The address or number; null for webhooks, or where there is none.", "jane@example.com"
    ),
    "OperatorDelivery.status": one_of("How far it is.", *_ALL_STATUSES),
    "OperatorDelivery.reason": M(
        "Why it is not sent, or not yet: what the gateway said, `channel_not_configured`, `phone_missing`, `answer_lost` or "
        "`message_cannot_be_written`; null otherwise.",
        None,
    ),
    "OperatorDelivery.attempts": M("How often it was tried, in all.", 1),
    "OperatorDelivery.next_at": M(
        "When it is tried next; while it is `sending`, when the attempt is given up for lost; null: it has ended.", None
    ),
    "OperatorDelivery.created_at": M("When it was told.", "2024-02-01T00:00:00Z"),
    "OperatorDelivery.finished_at": M("When it ended; null: it has not.", "2024-02-01T00:00:04Z"),
    "OperatorDelivery.newest_attempts": M("The newest 20 attempts, the last one last.", [_ATTEMPT]),
    "DeliveryAttemptOut.number": M("Which attempt it was.", 1),
    "DeliveryAttemptOut.gateway": M("By whom: `smtp`, `twilio` or `africas_talking`.", "smtp"),
    "DeliveryAttemptOut.started_at": M("When it began.", "2024-02-01T00:00:03Z"),
    "DeliveryAttemptOut.ended_at": M("When it ended; null: it is under way.", "2024-02-01T00:00:04Z"),
    "DeliveryAttemptOut.outcome": M(
        "`sent`; `refused` for ever; `failed` for now; `unknown`: it was handed over, and no answer came; null: under way.",
        "sent",
    ),
    "DeliveryAttemptOut.gateway_id": M(
        "What the gateway called the message; null: nothing.", "2.0.0 Ok: queued as 4711"
    ),
    "DeliveryAttemptOut.reason": M("Why it was not sent; null: it was.", None),
    "DeliveriesOfAllQuery.status": one_of("Only deliveries that stand so.", *_ALL_STATUSES),
    "DeliveriesOfAllQuery.account_id": M("Only deliveries of this account.", None),
    "ChannelTrialIn.channel": one_of("Which channel.", "email", "sms"),
    "ChannelTrialIn.recipient": M("An e-mail address, or a phone number in E.164 form.", "ops@example.com"),
    "ChannelTrialAnswer.trial": M("What became of it."),
    "ChannelTrialOut.channel": M("The channel.", "email"),
    "ChannelTrialOut.recipient": M("To whom.", "ops@example.com"),
    "ChannelTrialOut.gateway": M("By whom.", "smtp"),
    "ChannelTrialOut.outcome": one_of("What became of it.", "sent", "refused", "failed", "unknown"),
    "ChannelTrialOut.gateway_id": M("What the gateway called the message; null: nothing.", "2.0.0 Ok: queued as 4711"),
    "ChannelTrialOut.reason": M("Why it was not sent; null: it was.", None),
}
