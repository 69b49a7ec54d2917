"""GET and PUT /operator/v1/issuer: who issues documents from now on."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.pictures import png
from tests.support.shop import Shop
from tests.support.till import Till, open_till

ISSUER = {
    "name": "Lineserve Cloud Ltd",
    "address": "Westlands Road 14\nNairobi",
    "tax_id": "P051234567A",
    "bank_details": "Example Bank\nAccount 1",
    "mobile_money": "Paybill 400200",
    "support_email": "billing@example.com",
}


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        yield opened


def base64(content: bytes) -> str:
    return b64encode(content).decode()


class TestPutIssuer:
    async def test_is_shown_as_it_was_set(self, till: Till) -> None:
        reply = await till.operate("PUT", "/issuer", body=ISSUER)
        assert reply.body == {"issuer": {**ISSUER, "logo_sha256": None}}
        assert (await till.operate("GET", "/issuer")).body == reply.body

    async def test_prints_its_logo_on_documents_that_are_issued_from_then_on(self, till: Till) -> None:
        shop = Shop(till)
        await shop.stock()
        jane = await till.open_account()
        await shop.run(jane, "vps_1")
        reply = await till.operate("PUT", "/issuer", body={**ISSUER, "logo": base64(png())})
        assert reply.body["issuer"]["logo_sha256"] == hashlib.sha256(png()).hexdigest()
        await shop.close(jane)
        await till.operate("PUT", "/issuer", body=ISSUER)
        invoice = (await till.call("GET", "/v1/account/invoices", key=jane.key)).body["invoices"][0]
        answer = await till.client.get(
            f"/v1/account/invoices/{invoice['id']}/pdf", headers={"Authorization": f"Bearer {jane.key}"}
        )
        assert re.search(rb"/Subtype ?/Image\b", answer.content)
        assert re.search(rb"/Width 40\b", answer.content)

    @pytest.mark.parametrize(
        ("logo", "reason"),
        [
            ("not base64!", "is no PNG or JPEG in base64"),
            ("", "must not be empty"),
            (base64(b"GIF89a"), "is no PNG or JPEG in base64"),
            (base64(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "is no PNG or JPEG in base64"),
            (base64(png()[:60]), "is no PNG or JPEG in base64"),
            (base64(png() + b"\x00" * 70_000), "has more than 65,536 bytes"),
        ],
    )
    async def test_refuses_what_no_document_can_show(self, till: Till, logo: str, reason: str) -> None:
        reply = await till.operate("PUT", "/issuer", body={**ISSUER, "logo": logo, "tax_id": ""})
        assert reply.status == 400
        faults = reply.body["error"]["details"]["faults"]
        assert {"in": "body", "path": "logo", "reason": reason} in faults
        assert sorted(fault["path"] for fault in faults) == ["logo", "tax_id"]
