"""What messages say: each as a golden text, and whatever a payload holds or lacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from billing.notifications.adapters import wording
from billing.notifications.rules import reaching, segments
from tests.support.messages import SAMPLES, worded

GOLDEN = Path(__file__).parents[1] / "golden" / "messages"
TEMPLATES = sorted(reaching.CATEGORIES)

HOSTILE = "<script>alert(1)</script>\r\nBcc: x@example.com\u202egnp.exe\x00\u2028{{ 7*7 }} | &amp; مرحبا"


class Parsed(HTMLParser):
    """The tags, attributes and text of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile(payload: dict[str, object]) -> dict[str, object]:
    return {name: HOSTILE if isinstance(value, str) else value for name, value in payload.items()}


class TestMessages:
    def test_are_there_for_every_template(self) -> None:
        files = {path.name.removesuffix(".jinja") for path in wording.FOLDER.glob("*.jinja")}
        assert files - {"layout.txt", "layout.html", wording.TRIAL} == set(TEMPLATES) == SAMPLES.keys()

    @pytest.mark.golden
    @pytest.mark.parametrize("template", TEMPLATES)
    def test_say_what_is_kept(self, template: str, golden: Callable[[Path, str], None]) -> None:
        said = worded(template)
        text = (
            f"Subject: {said.subject}\n\n{said.plain}\n== SMS, {segments.segments_of(said.sms)} segment\n{said.sms}\n"
        )
        golden(GOLDEN / f"{template}.txt", text)
        golden(GOLDEN / f"{template}.html", said.html)

    @pytest.mark.parametrize("template", TEMPLATES)
    def test_fit_a_text_message_and_a_subject(self, template: str) -> None:
        said = worded(template)
        assert segments.is_gsm(said.sms)
        assert segments.segments_of(said.sms) == 1
        assert 10 < len(said.subject) <= 78
        assert all(len(line) <= 78 for line in said.plain.splitlines())

    @pytest.mark.parametrize("template", TEMPLATES)
    def test_bear_a_payload_without_members(self, template: str) -> None:
        said = worded(template, payload={})
        assert said.subject
        assert said.sms
        assert not re.search(r"None|Undefined|\{\{|\bnull\b", said.plain + said.html + said.sms)
        assert not [line for line in said.plain.splitlines() if line.endswith(":")]

    @pytest.mark.parametrize("template", TEMPLATES)
    def test_bear_hostile_members(self, template: str) -> None:
        _, payload = SAMPLES[template]
        plain, said = worded(template), worded(template, payload=hostile(payload), account=HOSTILE, object_id=HOSTILE)
        for text in (said.subject, said.sms, *said.plain.splitlines()):
            assert not re.search(r"[\x00-\x1f\x7f\u2028\u202e]", text)
        assert not [line for line in said.plain.splitlines() if line.startswith("Bcc")]
        assert "49" not in said.plain
        allowed = set(Parsed(plain.html).tags)
        assert set(Parsed(said.html).tags) <= allowed
        assert "script" not in allowed
        assert segments.segments_of(said.sms) <= segments.SEGMENTS_MAX

    def test_show_markup_as_text(self) -> None:
        said = worded("api_key.created", payload={"name": "<b>&amp;"})
        assert "“<b>&amp;”" in "".join(Parsed(said.html).texts)
        assert "“<b>&amp;”" in said.plain

    def test_of_an_invoice_that_is_paid_ask_for_nothing(self) -> None:
        _, payload = SAMPLES["invoice.issued"]
        said = worded("invoice.issued", payload={**payload, "status": "paid", "amount_due": "0.00"})
        assert "paid" in said.subject
        assert "due" not in said.plain.lower()

    def test_show_days_in_the_accounts_zone_and_documents_days_in_utc(self) -> None:
        said = worded("credit_note.issued")
        assert "4 February 2024" in said.plain, "half past ten in the evening UTC is tomorrow in Nairobi"
        assert "15 February 2024" in worded("invoice.issued", timezone="America/Los_Angeles").plain

    @pytest.mark.parametrize(
        ("amount", "currency", "shown"),
        [
            ("1234.50", "USD", "$1,234.50"),
            ("1234.50", "KES", "KES 1,234.50"),
            ("1200", "JPY", "¥1,200"),
            ("1.500", "IQD", "IQD 1.500"),
            ("12345678901234.56", "ZAR", "ZAR 12,345,678,901,234.56"),
        ],
    )
    def test_show_amounts_with_all_their_digits(self, amount: str, currency: str, shown: str) -> None:
        said = worded("payment.succeeded", payload={"amount": amount, "currency": currency})
        assert said.subject == f"Payment received: {shown}"
        assert shown.replace(" ", "\N{NO-BREAK SPACE}") in said.html

    def test_of_a_metric_have_its_name(self) -> None:
        _, payload = SAMPLES["alert.fired"]
        measured = {**payload, "figure": "metric", "metric": "sms_sent", "currency": None, "value": "1500.5"}
        said = worded("alert.fired", payload=measured)
        assert "1,500.5 sms_sent" in said.plain


class TestSegments:
    @pytest.mark.parametrize(
        ("text", "segments_of"),
        [
            ("a" * 160, 1),
            ("a" * 161, 2),
            ("a" * 306, 2),
            ("a" * 307, 3),
            ("€" * 80, 1),
            ("€" * 81, 2),
            ("ж" * 70, 1),
            ("ж" * 71, 2),
            ("ж" * 134, 2),
            ("ж" * 135, 3),
            ("😀" * 35, 1),
            ("😀" * 36, 2),
            ("a" * 152 + "€" + "a" * 151, 2),
            ("a" * 152 + "€" + "a" * 152, 3),
        ],
    )
    def test_are_counted_as_networks_do(self, text: str, segments_of: int) -> None:
        assert segments.segments_of(text) == segments_of

    @pytest.mark.parametrize(
        ("text", "fitted"),
        [
            ("1\N{NO-BREAK SPACE}2 – 3 “x” it’s…", '1 2 - 3 "x" it\'s...'),
            ("Şükrü", "Sükrü"),
            ("Олег", "Олег"),
        ],
    )
    def test_stay_few_where_only_looks_are_lost(self, text: str, fitted: str) -> None:
        assert segments.fit(text) == fitted

    @pytest.mark.parametrize("text", ["word " * 100, "слово " * 100, "😀" * 200])
    def test_are_two_at_most(self, text: str) -> None:
        assert segments.segments_of(segments.fit(text)) == segments.SEGMENTS_MAX
        assert segments.fit(text).endswith("...")
