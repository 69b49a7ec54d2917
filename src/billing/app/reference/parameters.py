"""What the parameters of paths name."""

from __future__ import annotations

from billing.app.reference.members.forms import M, id_of, part_id
from billing.kit.web.openapi.words import Member

PARAMETERS: dict[str, Member] = {
    "account_id": id_of("acc", "The account."),
    "alert_id": id_of("alert", "The alert."),
    "credit_id": id_of("cred", "The promotional credit."),
    "credit_note_id": id_of("cn", "The credit note."),
    "delivery_id": id_of("dlv", "The delivery."),
    "event_id": M("The event's id. What is no letter or digit is percent-encoded.", "e-000017", {"minLength": 1}),
    "hold_id": id_of("hold", "The hold."),
    "invoice_id": id_of("inv", "The invoice."),
    "key_id": id_of("key", "The API key: its `id`, not its secret."),
    "meter": M("The meter's name. It may hold slashes.", "sms", {"minLength": 1}),
    "payment_id": id_of("pay", "The payment."),
    "payment_method_id": id_of("pm", "The payment method."),
    "project_id": id_of("proj", "The project."),
    "rate_card_id": id_of("card", "The rate card."),
    "resource_id": M(
        "The resource's id, as its platform knows it. It may hold slashes.", "vps_789012", {"minLength": 1}
    ),
    "run_id": id_of("run", "The run."),
    "source": M(
        "The event's source. What is no letter or digit is percent-encoded.", "sms-gateway-1", {"minLength": 1}
    ),
    "message_id": id_of("evt", "The message: its event's `id`, as the header `webhook-id` says."),
    "webhook_id": id_of("wh", "The webhook endpoint."),
    "transaction_id": part_id("txn", "The transaction.", whole_too=True),
}
