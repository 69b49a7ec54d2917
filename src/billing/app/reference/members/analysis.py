"""Members of costs, trends, a project's usage, alerts and what they told."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billing.app.reference.members.forms import CURRENCY, D, M, amount, id_of, one_of, part_id
from billing.app.reference.members.money import SERVICES_EXAMPLE, ResourceUsage
from billing.kit.web.openapi.words import Member
from billing.kit.web.values import decimal_schema


class ProjectServiceUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a project used of a service."""

    cost: Decimal
    resources: list[ResourceUsage]
    messages_sent: Decimal | None = None
    cost_per_message: Decimal | None = None


_THRESHOLD = decimal_schema(minimum=0, exclusiveMaximum=10**29)
_TYPES = [{"type": "vps", "count": 3, "cost": D("120.00")}, {"type": "kubernetes", "count": 1, "cost": D("30.00")}]

ANALYSIS: dict[str, Member] = {
    # Costs
    "CostsQuery.group_by": M("What to part the cost by.", "service"),
    "cost_breakdown": M("The parts, by the group that was asked for. They sum to the total."),
    "CostsAnswer.total_cost": amount("What it all cost, before tax.", "150.00"),
    "ServiceCosts.service": M("The service.", "compute"),
    "ProjectCosts.project": M("The project's name.", "Production Environment"),
    "DayCosts.day": M("The UTC day.", "2024-01-15"),
    "week": M("The ISO week.", "2024-W03"),
    "month": M("The UTC month.", "2024-01"),
    "ServiceCosts.cost": amount("What the group cost, before tax.", "150.00"),
    "percentage": M("Its share of the total in percent; all make 100.0.", D("100.0")),
    "ServiceCosts.resources": M("The group's cost by type of resource.", _TYPES),
    "TypeShown.type": M("The type of resource; null for what belongs to none.", "vps"),
    "TypeShown.count": M("How many resources of the type there were; not told of the service `storage`.", 3),
    "TypeShown.cost": amount("What they cost, before tax.", "120.00"),
    "StorageTypeShown.type": M("The type of resource; null for what belongs to none.", "object_storage"),
    "StorageTypeShown.cost": amount("What they cost, before tax.", "50.00"),
    "resources": M("The group's cost by type of resource."),
    "cost": amount("What it cost, before tax.", "50.00"),
    # Trends
    "TrendsQuery.metric": M("What to follow.", "cost"),
    "TrendsQuery.interval": M("How long each bucket is; weeks are ISO weeks.", "day"),
    "TrendsQuery.from_date": M(
        "From when on: a date or a time with its zone. Without it 30 days, 12 weeks or 12 months back.", "2024-01-01"
    ),
    "trends": M("Every bucket, the first one first; those without data are 0."),
    "TrendPointShown.date": M("The first day of the bucket.", "2024-01-15"),
    "TrendPointShown.value": M("The bucket's value; of `resources` the count at its end.", D("12.50")),
    "TrendsAnswer.metric": one_of("What is followed.", "cost", "resources", "storage", "bandwidth"),
    "TrendsAnswer.interval": one_of("How long each bucket is.", "day", "week", "month"),
    "TrendsAnswer.unit": M("What values are counted in: the currency, `GB-month`, `GB` or `count`.", "USD"),
    # A project's usage
    "ProjectUsageAnswer.usage": M("What the project used."),
    "ProjectUsageShown.services": M(
        "By service: always `compute`, `storage` and `messaging`, and others that are used.",
        SERVICES_EXAMPLE,
        {},
        dict[str, ProjectServiceUsage],
    ),
    "ProjectServiceUsage.cost": amount("What the service cost, before tax.", "80.00"),
    "ProjectServiceUsage.resources": M("Its resources."),
    "ProjectServiceUsage.messages_sent": M("How many messages were sent; of `messaging` alone.", 400),
    "ProjectServiceUsage.cost_per_message": M("What a message costs; of `messaging` alone.", D("0.05")),
    "daily": M("Each UTC day of the period. The days sum to the total."),
    # Alerts
    "alert": M("The alert."),
    "alerts": M("The alerts of this page."),
    "AlertOut.id": id_of("alert", "The alert's id."),
    "AlertOut.type": M("What it watches."),
    "AlertIn.type": M(
        "`budget`: the cost of the month so far, before tax. `usage`: the month's cost with tax, or with `metric` a meter's"
        " quantity. `balance`: the available balance.",
        "budget",
    ),
    "AlertOut.threshold": M("The threshold: an amount, or with `metric` a quantity.", D("200.00")),
    "AlertIn.threshold": M("The threshold: an amount, or with `metric` a quantity.", D("200.00"), _THRESHOLD),
    "AlertUpdate.threshold": M("The threshold: an amount, or with `metric` a quantity.", D("250.00"), _THRESHOLD),
    "condition": M("On which side of the threshold it fires, strictly.", "greater_than"),
    "notification_methods": M("Where messages go; `sms` needs a phone number of the account.", ["email"]),
    "AlertIn.notification_methods": M(
        "Where messages go; `sms` needs a phone number of the account.", ["email", "sms"]
    ),
    "AlertIn.currency": M("`balance`: the wallet; without it the account's own.", None, CURRENCY),
    "AlertIn.project_id": M("`budget`: the project; without it the whole account.", None),
    "AlertIn.metric": M("`usage`: the meter whose quantity counts; without it the cost.", None),
    "AlertOut.project_id": M("`budget`: the project; null: the whole account.", None),
    "AlertOut.metric": M("`usage`: the meter; null: the cost.", None),
    "AlertOut.status": M("On which side of the threshold the value is now."),
    "current_value": M("The value now.", D("125.75")),
    "last_triggered_at": M("When it last fired; null: never.", None),
    "notifications": M("What was told lately, newest first."),
    "NotificationOut.id": id_of("ntf", "The notification's id."),
    "alert_id": id_of("alert", "The alert; null for a step of a project's budget."),
    "NotificationOut.kind": M("`recovered`: the value is on the other side again."),
    "NotificationOut.value": M("The value at the crossing.", D("201.10")),
    "NotificationOut.threshold": M("The threshold that was crossed.", D("200.00")),
    "NotificationOut.project_id": M("The project, if it is about one.", None),
    "NotificationOut.percent": M("The step of the project's budget, in percent; null for an alert.", None),
    "NotificationOut.currency": M("The currency of value and threshold; null for a quantity.", "USD"),
    "deliveries": M("How far the message is on each channel."),
    "method": M("The channel."),
    "DeliveryOut.status": M("How far the message is.", "delivered"),
    "notification": M("The message."),
    "TrialOut.id": id_of("ntf", "The notification's id."),
    "TrialOut.kind": M("Always `test`."),
    # Explanations of credit notes
    "ExplainQuery.credit_note": M("The id of a credit note; not together with the others.", None),
    "ExplanationOut.credit_note": M("The credit note that is explained; null if none was asked for.", None),
    "CreditNoteOut.id": id_of("cn", "The credit note's id."),
    "CreditNoteOut.number": M("The number of the document.", "CN-2024-001"),
    "CreditNoteOut.kind": one_of(
        "Where what had been paid went: into the wallet, or back the way it came.", "credit", "refund"
    ),
    "CreditNoteOut.reason": M("Why, as the document says it.", "Service was down"),
    "invoiced": amount("What the invoice had asked for.", "125.75"),
    "credited_before": amount("What its credit notes before had taken back.", "0.00"),
    "CreditNoteOut.lines": M("What it takes back, line by line."),
    "CreditNoteOut.taxes": M("The taxes that it takes back."),
    "CreditNoteOut.tax": amount("The sum of those taxes.", "1.60"),
    "CreditNoteOut.amount": amount("What it takes back, tax included.", "11.60"),
    "CreditNoteOut.transfers": M("The transfers of the books for it."),
    "CreditedOut.line": part_id("line", "The line of the invoice; null for a part of the whole."),
    "CreditedOut.description": M("What the line is for.", "VPS usage - January 2024"),
    "CreditedOut.amount": amount("How much is taken back of it, before tax.", "10.00"),
    "given_back": M("Where what had been paid went."),
    "GivenBackOut.to": M("Back to the payment that it came with, to a promotional credit, or into the wallet."),
    "GivenBackOut.id": M("The id of the refund or of the credit; null for the wallet.", None),
    "GivenBackOut.amount": amount("How much.", "0.50"),
    "GivenBackOut.status": one_of("Whether it has arrived.", "completed", "pending", "failed"),
}
