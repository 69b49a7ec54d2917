"""What the demo's cloud sells: meters, list prices at the level of public clouds, a contract, taxes, the issuer."""

from __future__ import annotations

from typing import Any

ISSUER: dict[str, Any] = {
    "name": "Lineserve Cloud Ltd",
    "address": "Westlands Road 14\n00100 Nairobi\nKenya",
    "tax_id": "P051234567A",
    "bank_details": "Example Bank, Nairobi\nAccount 0100 2003 004\nSWIFT EXAMKENA",
    "mobile_money": "Paybill 400200",
    "support_email": "billing@example.com",
}
TAX_COUNTRY = "KE"
TAX_NAME = "VAT"
TAX_PERCENT = 16
TAX_FROM = "2020-01-01"

ACCOUNT: dict[str, Any] = {
    "email": "demo@example.com",
    "name": "Demo Account",
    "company": "Example Logistics Ltd",
    "currency": "USD",
    "timezone": "Africa/Nairobi",
    "country": TAX_COUNTRY,
    "phone": "+254700000000",
}
PROFILE: dict[str, Any] = {"address": "Moi Avenue 7\n80100 Mombasa", "tax_id": "P059876543Z"}

METERS: dict[str, dict[str, Any]] = {
    "vps_egress": {
        "service": "compute",
        "name": "Outbound traffic of servers",
        "unit": "GB",
        "aggregation": "sum",
    },
    "object_storage_stored": {
        "service": "storage",
        "name": "Object storage",
        "unit": "GB-month",
        "aggregation": "time_weighted",
        "shows_as": "storage_gb",
    },
    "object_storage_egress": {
        "service": "storage",
        "name": "Outbound traffic of object storage",
        "unit": "GB",
        "aggregation": "sum",
        "shows_as": "bandwidth_gb",
    },
    "block_storage_provisioned": {
        "service": "storage",
        "name": "Block storage",
        "unit": "GB-month",
        "aggregation": "time_weighted",
        "shows_as": "storage_gb",
    },
    "sms_delivered": {
        "service": "messaging",
        "name": "SMS delivered",
        "unit": "message",
        "aggregation": "sum",
        "shows_as": "messages_sent",
    },
}


def _server(plan: str, hourly: float, monthly: float, **more: Any) -> dict[str, Any]:
    return {
        "service": "compute",
        "plan": plan,
        "model": "hourly",
        "hourly_price": hourly,
        "monthly_price": monthly,
        **more,
    }


def _metered(meter: str, **terms: Any) -> dict[str, Any]:
    return {"service": METERS[meter]["service"], "meter": meter, **terms}


def _tiers(*tiers: tuple[int | None, float]) -> list[dict[str, Any]]:
    return [{"up_to": up_to, "unit_price": unit_price} for up_to, unit_price in tiers]


_EGRESS = [(10_000, 0.05), (50_000, 0.04), (None, 0.03)]
LIST_PRICES: list[dict[str, Any]] = [
    _server("std-1c2g", 0.0179, 12),
    _server("std-2c4g", 0.0357, 24),
    _server("std-4c8g", 0.0714, 48),
    _server("std-8c16g", 0.1429, 96),
    _server("std-2c4g", 0.0393, 26.40, region="lagos"),
    _server("std-4c8g", 0.0786, 52.80, region="lagos"),
    _server("pg-2c8g", 0.0893, 60),
    _server("k8s-control-plane", 0.0595, 40),
    _server("k8s-node-4c16g", 0.1071, 72),
    {"service": "compute", "plan": "load-balancer", "model": "flat", "amount": 12},
    _metered("vps_egress", model="graduated", tiers=[{"up_to": 1_000, "unit_price": 0}, *_tiers(*_EGRESS)]),
    _metered(
        "object_storage_stored",
        model="graduated",
        tiers=_tiers((500, 0.023), (5_000, 0.021), (None, 0.019)),
    ),
    _metered("object_storage_egress", model="per_unit", unit_price=0.04, included=100),
    _metered("block_storage_provisioned", model="per_unit", unit_price=0.08),
    _metered("sms_delivered", model="volume", tiers=_tiers((1_000, 0.05), (10_000, 0.045), (None, 0.04))),
]
CONTRACT_PRICES: list[dict[str, Any]] = [
    _server("k8s-node-4c16g", 0.1071, 72, discount_percent=10),
]
