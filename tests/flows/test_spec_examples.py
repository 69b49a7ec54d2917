"""Each example of the API's contract, sent as it is written to the demo, answered as it is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing.core.period import Period
from tests.support import spec
from tests.support.serving import Serving

STATUSES = {"POST": 201, "DELETE": 204}


@pytest.fixture(scope="module")
def names(demo: Serving) -> Mapping[str, str]:
    """What the contract's ids and dates stand for here: the newest of each list, the month before this one."""
    with demo.public() as caller:
        projects = caller.get("/projects").json()["projects"]
        method = caller.get("/account/payment-methods").json()["payment_methods"][-1]
        invoice = caller.get("/account/invoices").json()["invoices"][0]
    month = Period.containing(datetime.now(UTC)).previous()
    largest = max(projects, key=lambda project: project["resource_count"])
    return {
        "pm_123456": method["id"],
        "inv_123456": invoice["id"],
        "proj_123456": largest["id"],
        "history?from_date=2024-01-01&to_date=2024-01-31": "history?type=charge",
        "2024-12-31": f"{datetime.now(UTC) + timedelta(days=90):%Y-%m-%d}",
        "2024-01-01": f"{month.start:%Y-%m-%d}",
        "2024-01-31": f"{month.shown_end:%Y-%m-%d}",
    }


@pytest.fixture(scope="module")
def spares(demo: Serving) -> Mapping[str, str]:
    """What may be deleted: one of each kind, made for it."""
    made = [
        ("pm_123456", "/account/payment-methods", {"type": "card", "token": "tok_spare"}),
        ("proj_123456", "/projects", {"name": "Spare"}),
        ("key_123456", "/account/api-keys", {"name": "Spare", "permissions": ["read"]}),
    ]
    with demo.public() as caller:
        return {name: next(iter(caller.post(path, json=body).json().values()))["id"] for name, path, body in made}


@pytest.mark.parametrize("example", spec.examples(), ids=lambda example: example.operation)
def test_is_answered_as_shown(
    example: spec.Example, demo: Serving, names: Mapping[str, str], spares: Mapping[str, str], tmp_path: Path
) -> None:
    method = example.operation.split()[0]
    meant = spares if method == "DELETE" else names
    answered = spec.run(
        example, base_url=demo.ready["base_url"], key=demo.ready["api_key"], names=meant, folder=tmp_path
    )
    assert answered.status == STATUSES.get(method, 200), answered.text
    if example.answer is not None:
        assert list(spec.differences(example.answer, answered.body)) == []
    if example.operation.endswith("/pdf"):
        assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF-1.7")


def test_every_list_of_the_demo_is_filled(demo: Serving, names: Mapping[str, str]) -> None:
    paths = [example.operation.split()[1] for example in spec.examples() if example.operation.startswith("GET")]
    with demo.public() as caller:
        for path in paths:
            if "{" in path or path.endswith("trends"):
                continue
            body = caller.get(path).json()
            lists = {name: value for name, value in body.items() if isinstance(value, list)}
            assert all(lists.values()), json.dumps(body)[:500]
