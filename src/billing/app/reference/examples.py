"""Examples of requests and answers that are not put together from their members' own, by operation."""

from __future__ import annotations

from typing import Any

from billing.app.reference.members.forms import D, example_id
from billing.kit.web.openapi.document import Example

_WALLET = {
    "currency": "USD",
    "available_balance": D("150.75"),
    "pending_balance": D("25.00"),
    "reserved_balance": D("50.00"),
    "total_balance": D("225.75"),
}
_META: dict[str, Any] = {"total": 2, "page": 1, "per_page": 25, "pages": 1, "next_cursor": None}


def _other(**members: Any) -> dict[str, Any]:
    return members


PUBLIC_EXAMPLES: dict[str, Example] = {
    "update_account": Example(
        request=_other(name="John Smith", company="New Company Ltd", timezone="Africa/Lagos"),
    ),
    "list_wallets": Example(
        response=_other(
            wallets=[
                _WALLET,
                _other(
                    currency="KES",
                    available_balance=D("15000.00"),
                    pending_balance=D("0.00"),
                    reserved_balance=D("5000.00"),
                    total_balance=D("20000.00"),
                ),
            ],
            meta=_META,
        )
    ),
    "update_project": Example(request=_other(name="Updated Project Name", budget_limit=D("150.00"))),
    "show_usage": Example(query={"detailed": True, "service": None}),
    "list_invoices": Example(query={"status": "paid", "from_date": None, "to_date": None}),
}
OPERATOR_EXAMPLES: dict[str, Example] = {
    "update_account": Example(request=_other(country="KE", tax_id="P051234567X", terms_days=30)),
    "publish_rate_card": Example(
        request=_other(
            name="List prices 2024",
            currency="USD",
            valid_from="2024-01-01",
            prices=[
                _other(
                    service="compute", plan="vps-2", model="hourly", hourly_price=D("0.0672"), monthly_price=D("50.00")
                ),
                _other(
                    service="messaging",
                    meter="sms",
                    model="graduated",
                    tiers=[
                        _other(up_to=D(1000), unit_price=D("0.05")),
                        _other(up_to=None, unit_price=D("0.04")),
                    ],
                ),
            ],
        )
    ),
    "quote": Example(
        request=_other(
            currency="USD",
            lines=[_other(plan="vps-2", hours=D(100)), _other(meter="sms", quantity=D(1500))],
        )
    ),
    "write_credit_note": Example(request=_other(reason="Service was down", amount=D("11.60"))),
    "request_run": Example(request=_other(kind="close", period="2024-01")),
    "replay_quarantine": Example(request=_other(account_id=example_id("acc"))),
}
