"""Invoices, credit notes and receipts as PDF, from plain records: no database."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from billing.core.period import Period
from billing.invoices import pdf
from billing.invoices.pdf import (
    AccountParty,
    DocumentLine,
    InvoiceDocument,
    IssuerParty,
    MonthCost,
    PaidInvoice,
    PaymentAtIssue,
    ReceiptDocument,
    ReceiptPart,
    Tax,
)
from billing.invoices.pdf.charting import chart_of
from billing.invoices.pdf.lettering import clean, printable

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "invoice_text"
PICTURES = ROOT / "tests" / "golden" / "invoice_pictures"
TEMPLATES = ROOT / "src" / "billing" / "invoices" / "templates"
rendering = import_module("billing.invoices.pdf.render")  # the face's `render` is the function

# Issued documents are made again from their template version, byte for byte. When one of these digests no longer holds:
# undo the change and make it in a new version (template file, and figures that only the new version prints), then add its digests.
# A new release of the typst package may change TYPST_VERSION and the PDFs' digests alone, with an ADR: who was given the old bytes?
TYPST_VERSION = "0.15.2"
TEMPLATE_SHA256 = {
    1: "9ff268f1377f99f97ab579f340ff763865714e30831271859496aa6a61deb537",
}
PDF_SHA256 = {
    1: {
        "invoice": "f92b33653251de8c9a808aae4b144fd838fb26b691bd91bae6f8181ba9e753d7",
        "credit_note": "009dd600beaae139f723a4187f18435f2e61174093c0399fb264f0a6a624279d",
        "receipt": "413e01f823a3766edbffc9839997a246b7515e13b0a3f1e96b205bbff2e308f7",
    },
}

ISSUER = IssuerParty(
    name="Lineserve Cloud Ltd",
    address="4th Floor, Delta Towers\nWaiyaki Way\nNairobi",
    tax_id="P051234567X",
    bank_details="Equity Bank Kenya\nAccount 0123456789",
    mobile_money="Paybill 400200",
    support_email="billing@lineserve.example",
)
ACCOUNT = AccountParty(
    name="Jane Wanjiru",
    email="jane@example.com",
    company="Example Traders Ltd",
    address="12 Kimathi Street\nNairobi",
    country="Kenya",
    tax_id="P059876543Z",
)
EMPTY_LINE = DocumentLine(
    description="",
    service="compute",
    project="Default",
    region="ke-1",
    quantity=Decimal(1),
    unit="hour",
    unit_price=Decimal("0.1"),
    amount_minor=10,
)
LINES = (
    replace(EMPTY_LINE, description="s-2vcpu-4gb (web-1)", project="Shop", quantity=Decimal(744), amount_minor=2499),
    replace(EMPTY_LINE, description="Storage", service="storage", project="Shop", unit="GB-month", unit_price=None),
    replace(EMPTY_LINE, description="خادم ويب (web-2)", project="مشروع", amount_minor=123456789),
    replace(EMPTY_LINE, description="云服务器 一区", project="生产环境", quantity=Decimal("0.000000123456")),
    replace(EMPTY_LINE, description="Correction of 2023-12", project="Shop", amount_minor=-250),
)


def document(
    *lines: DocumentLine,
    payments: tuple[PaymentAtIssue, ...] = (),
    currency: str = "KES",
    account: AccountParty = ACCOUNT,
) -> InvoiceDocument:
    """An invoice of these lines that adds up."""
    subtotal_minor = sum(line.amount_minor for line in lines)
    tax_minor = (subtotal_minor * 16 + 50) // 100
    return InvoiceDocument(
        kind="invoice",
        number="INV-2024-001",
        issuer=ISSUER,
        account=account,
        issued_at=datetime(2024, 1, 31, 22, 5, tzinfo=UTC),
        time_zone="Africa/Nairobi",
        currency=currency,
        lines=lines,
        subtotal_minor=subtotal_minor,
        total_minor=subtotal_minor + tax_minor,
        amount_due_minor=subtotal_minor + tax_minor - sum(payment.amount_minor for payment in payments),
        taxes=(Tax(name="VAT", percent=Decimal("16.0"), base_minor=subtotal_minor, amount_minor=tax_minor),),
        payments=payments,
        due_date=date(2024, 2, 14),
        period=Period(2024, 1),
    )


def months(*costs: dict[str, int]) -> tuple[MonthCost, ...]:
    """What services cost in the months up to January 2024."""
    periods = [Period(2023 if month > 1 else 2024, month) for month in (8, 9, 10, 11, 12, 1)][-len(costs) :]
    return tuple(
        MonthCost(period=period, costs_minor=tuple(cost.items())) for period, cost in zip(periods, costs, strict=True)
    )


def sample() -> InvoiceDocument:
    """The document whose bytes are pinned."""
    payments = (
        PaymentAtIssue(source="credit", amount_minor=5000),
        PaymentAtIssue(source="wallet", amount_minor=100_000),
    )
    history = months({}, {"compute": 900}, {"compute": 1200, "storage": 300}, {"compute": 2489, "storage": 10})
    return replace(document(*LINES, payments=payments), history=history)


def credit_note() -> InvoiceDocument:
    """A credit note for the sample's correction."""
    whole = document(replace(LINES[4], kind="other", unit_price=None))
    return replace(
        whole, kind="credit_note", number="CN-2024-001", corrects="INV-2023-009", due_date=None, amount_due_minor=0
    )


def receipt() -> ReceiptDocument:
    """A receipt for what the sample left due, paid later by a bank account; a part of the money was owed."""
    paid = PaidInvoice(
        number="INV-2024-001",
        issued_at=datetime(2024, 1, 31, 22, 5, tzinfo=UTC),
        total_minor=143_212_507,
        amount_minor=143_107_507,
        due_minor=0,
    )
    return ReceiptDocument(
        number="txn_01hq5w3z8yfkwtm7yfzj7nq832",
        issuer=ISSUER,
        account=ACCOUNT,
        issued_at=datetime(2024, 2, 20, 21, 30, tzinfo=UTC),
        time_zone="Africa/Nairobi",
        currency="KES",
        amount_minor=143_109_507,
        description="Invoice INV-2024-001, bank account ending 6789",
        parts=(
            ReceiptPart(label="Invoice INV-2024-001, bank account ending 6789", amount_minor=143_107_507),
            ReceiptPart(label="Owed after a chargeback", amount_minor=2_000),
        ),
        invoices=(paid,),
    )


def wallet_receipt() -> ReceiptDocument:
    """A receipt for recorded money, which the wallet then spent on more invoices than a page holds."""
    whole = receipt()
    invoices = (replace(whole.invoices[0], number=f"INV-2024-{place:03d}", due_minor=7) for place in range(1, 60))
    return replace(
        whole,
        description="Payment received, RTGS 2024/119 مشروع",
        parts=(ReceiptPart(label="Payment received, RTGS 2024/119 مشروع", amount_minor=whole.amount_minor),),
        invoices=tuple(invoices),
        is_by_wallet=True,
        received_at=datetime(2024, 2, 19, 9, tzinfo=UTC),
        reference="RTGS 2024/119 مشروع",
    )


def opened(content: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(content))


def text_of(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in opened(content).pages)


def is_archival(content: bytes) -> bool:
    return b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.golden
class TestText:
    def test_of_an_invoice(self, golden: Callable[[Path, str], None]) -> None:
        golden(GOLDEN / "invoice.txt", text_of(pdf.render(sample())) + "\n")

    def test_of_a_credit_note(self, golden: Callable[[Path, str], None]) -> None:
        golden(GOLDEN / "credit_note.txt", text_of(pdf.render(credit_note())) + "\n")

    def test_of_a_receipt(self, golden: Callable[[Path, str], None]) -> None:
        golden(GOLDEN / "receipt.txt", text_of(pdf.render(receipt())) + "\n")


@pytest.mark.golden
class TestPicture:
    """Pages as pictures, small: look at one before it is committed."""

    FACES = ("invoice", "paid", "credit_note", "plain", "receipt", "wallet_receipt")

    @pytest.mark.parametrize("name", [*FACES, "last_page"])
    def test_is_the_one_that_was_looked_at(self, name: str, pytestconfig: pytest.Config) -> None:
        drawn = self.pages(self.document(name))[-1 if name == "last_page" else 0]
        path = PICTURES / f"{name}.png"
        if pytestconfig.getoption("--rewrite-golden"):
            path.write_bytes(drawn)
        assert drawn == path.read_bytes(), f"{path.name} is not what the code draws; see `make golden`"

    @staticmethod
    def pages(shown: InvoiceDocument | ReceiptDocument) -> list[bytes]:
        made = rendering._per_thread.compiler.compile(
            rendering._template_of(shown), format="png", sys_inputs=rendering._inputs(shown), ppi=60
        )
        return made if isinstance(made, list) else [made]

    @staticmethod
    def document(name: str) -> InvoiceDocument | ReceiptDocument:
        history = months(
            *({"compute": 40_000 + 5_000 * month, "storage": 9_000, "messaging": 400 * month} for month in range(6))
        )
        paid = (PaymentAtIssue(source="wallet", amount_minor=143_212_507),)
        match name:
            case "invoice":
                return replace(document(*LINES), history=history)
            case "paid":
                return replace(document(*LINES, payments=paid), history=history)
            case "credit_note":
                return replace(credit_note(), reason="Outage of 12 January")
            case "receipt":
                return receipt()
            case "wallet_receipt":
                return wallet_receipt()
            case "last_page":
                return document(*(replace(EMPTY_LINE, project=f"Project {place // 25}") for place in range(70)))
            case _:
                return document(EMPTY_LINE, currency="JPY")


class TestBytes:
    def test_are_the_same_in_another_process_and_another_zone(self) -> None:
        program = (
            "import hashlib; from billing.invoices import pdf; from tests.unit.test_invoice_pdf import sample; "
            "print(hashlib.sha256(pdf.render(sample())).hexdigest())"
        )
        environment = os.environ | {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == digest(pdf.render(sample()))

    def test_are_the_same_after_a_large_document(self) -> None:
        before = pdf.render(sample())
        pdf.render(document(*LINES * 50))
        assert pdf.render(sample()) == before

    def test_differ_with_the_record(self) -> None:
        assert pdf.render(replace(sample(), number="INV-2024-002")) != pdf.render(sample())

    def test_carry_the_instant_of_issue(self) -> None:
        metadata = opened(pdf.render(sample())).metadata
        assert metadata is not None
        assert metadata.creation_date == datetime(2024, 1, 31, 22, 5, tzinfo=UTC)
        assert metadata.title == "Invoice INV-2024-001"


class TestTemplateVersions:
    """V5: an issued invoice is printed from its own version for ever."""

    def test_each_has_its_digests_here(self) -> None:
        kinds = {tuple(path.stem.split("-")) for path in TEMPLATES.iterdir()}
        assert kinds == {
            (kind, str(version)) for version in TEMPLATE_SHA256 for kind in ("frame", "invoice", "receipt")
        }
        assert set(TEMPLATE_SHA256) == set(PDF_SHA256)
        assert max(TEMPLATE_SHA256) == pdf.TEMPLATE_VERSION

    @pytest.mark.parametrize("version", TEMPLATE_SHA256)
    def test_is_never_changed(self, version: int) -> None:
        texts = (TEMPLATES / f"{kind}-{version}.typ" for kind in ("frame", "invoice", "receipt"))
        assert digest(b"".join(text.read_bytes() for text in texts)) == TEMPLATE_SHA256[version]

    @pytest.mark.parametrize("version", PDF_SHA256)
    def test_makes_the_same_bytes_for_ever(self, version: int) -> None:
        assert version_of("typst") == TYPST_VERSION
        made = {"invoice": sample(), "credit_note": credit_note(), "receipt": receipt()}
        digests = {
            kind: digest(pdf.render(replace(document, template_version=version))) for kind, document in made.items()
        }
        assert digests == PDF_SHA256[version]

    def test_call_only_tiered_prices_so(self) -> None:
        lines = (replace(LINES[1], kind="other"), replace(LINES[1], kind="usage"))
        assert text_of(pdf.render(document(*lines))).count("tiered") == 1

    def test_tell_why_a_credit_note_was_written(self) -> None:
        assert "Outage of 12 January" in text_of(pdf.render(replace(credit_note(), reason="Outage of 12 January")))

    def test_is_refused_when_unknown(self) -> None:
        with pytest.raises(KeyError):
            pdf.render(replace(sample(), template_version=999))

    @pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
    def test_reads_no_file_and_evaluates_no_text(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8").replace(
            "image(bytes(json(bytes(sys.inputs.logo))),", ""
        )  # the one given
        words = r"\b(eval|read|image|include|import|plugin|csv|toml|yaml|xml|cbor)\b|@preview"
        assert not re.findall(words, text)


class TestDocument:
    def test_is_archival_and_tagged_and_uses_only_the_vendored_fonts(self) -> None:
        content = pdf.render(sample())
        assert is_archival(content)
        assert re.search(rb"/MarkInfo ?<<[^>]*/Marked true", content)
        fonts = set(re.findall(rb"/BaseFont ?/[A-Z]{6}\+([A-Za-z]+)", content))
        assert fonts == {b"NotoSans", b"NotoSansArabic", b"WenQuanYiMicroHei"}

    def test_carries_its_lines_as_exact_json(self) -> None:
        attached = opened(pdf.render(sample())).attachments
        assert list(attached) == ["lines.json"]
        content = json.loads(attached["lines.json"][0], parse_float=Decimal)
        assert [line["description"] for line in content["lines"]] == [line.description for line in LINES]
        assert content["lines"][3]["quantity"] == Decimal("0.000000123456")
        assert content["lines"][1]["unit_price"] is None
        assert sum(line["amount"] for line in content["lines"]) == content["subtotal"] == Decimal("1234590.58")
        assert content["period"] == {"start": "2024-01-01T00:00:00Z", "end": "2024-01-31T23:59:59Z"}

    def test_repeats_the_head_on_each_page(self) -> None:
        pages = [page.extract_text() for page in opened(pdf.render(document(*LINES * 60))).pages]
        assert len(pages) > 3
        for position, page in enumerate(pages, start=1):
            assert "Description" in page
            assert f"Page {position} of {len(pages)}" in page

    @pytest.mark.parametrize("count", [1, 1_000])
    def test_holds_from_one_to_a_thousand_lines(self, count: int) -> None:
        lines = (replace(EMPTY_LINE, description=f"line-{i:04d}") for i in range(count))
        text = text_of(pdf.render(document(*lines)))
        assert set(re.findall(r"line-\d{4}", text)) == {f"line-{i:04d}" for i in range(count)}

    def test_says_a_group_that_goes_on_without_its_sum(self) -> None:
        pages = [page.extract_text() for page in opened(pdf.render(document(*[EMPTY_LINE] * 100))).pages]
        assert [page.count("continued") for page in pages] == [0, 2, *[2] * (len(pages) - 2)]
        assert "".join(pages).count("10.00") == 4, "of the project, of the service, the subtotal, and what is taxed"

    @pytest.mark.parametrize(("per_project", "counts"), [(1, range(8, 14, 2)), (9, range(24, 33, 3))])
    def test_keeps_the_totals_with_the_last_lines(self, per_project: int, counts: range) -> None:
        for count in counts:
            lines = (
                replace(EMPTY_LINE, description=f"line-{place}", project=f"P{place // per_project}")
                for place in range(count)
            )
            last = opened(pdf.render(document(*lines))).pages[-1].extract_text()
            assert "Amount due KES" in last
            assert f"line-{count - 1}" in last
            assert "How to pay" in last
            assert not re.search(r"continued\s+P\d", last), "no heading is repeated above nothing"

    def test_may_say_how_to_pay_at_length(self) -> None:
        issuer = replace(ISSUER, bank_details="\n".join(f"way-{place}" for place in range(50)))
        assert text_of(pdf.render(replace(sample(), issuer=issuer))).count("way-") == 50

    def test_groups_by_project_and_service_and_keeps_projects_of_one_name_apart(self) -> None:
        lines = [replace(EMPTY_LINE, project_id=project) for project in ("proj_a", "proj_b", "proj_a")]
        text = text_of(pdf.render(document(*lines, currency="USD")))
        assert re.findall(r"^Default\s+(\S+)$", text, re.MULTILINE) == ["0.20", "0.10"]

    def test_says_how_to_pay_only_when_something_is_due(self) -> None:
        assert "How to pay" in text_of(pdf.render(sample()))
        paid = document(EMPTY_LINE, payments=(PaymentAtIssue(source="wallet", amount_minor=12),))
        assert "How to pay" not in text_of(pdf.render(paid))
        assert "KSh 0.12 paid in full at issue" in text_of(pdf.render(paid))
        assert "Nothing to pay" in text_of(pdf.render(document(replace(EMPTY_LINE, amount_minor=0))))


class TestReceipt:
    def test_is_archival_and_carries_its_figures(self) -> None:
        content = pdf.render(receipt())
        assert is_archival(content)
        attached = json.loads(opened(content).attachments["receipt.json"][0], parse_float=Decimal)
        assert attached["amount"] == sum(part["amount"] for part in attached["parts"]) == Decimal("1431095.07")
        assert attached["invoices"][0]["amount_due"] == 0
        assert attached["issued_at"] == "2024-02-20T21:30:00Z"

    def test_tells_the_day_in_the_account_s_zone(self) -> None:
        assert "21 February 2024" in text_of(pdf.render(receipt()))

    def test_tells_when_the_money_came_beside_when_it_was_recorded(self) -> None:
        text = text_of(pdf.render(wallet_receipt()))
        assert re.search(r"Received\s+19 February 2024", text)
        assert re.search(r"Recorded\s+21 February 2024", text)

    def test_repeats_the_head_of_many_invoices(self) -> None:
        pages = [page.extract_text() for page in opened(pdf.render(wallet_receipt())).pages]
        assert len(pages) == 2
        assert all("Still due" in page and "Receipt txn_01hq5w3z8yfkwtm7yfzj7nq832" in page for page in pages)

    def test_prints_hostile_text_as_it_stands(self) -> None:
        text = '#read("/etc/passwd") ]#panic()['
        parts = (ReceiptPart(label=text, amount_minor=receipt().amount_minor),)
        content = pdf.render(
            replace(receipt(), description=text, parts=parts, reference=text, account=replace(ACCOUNT, company=text))
        )
        assert is_archival(content)
        assert re.sub(r"\s", "", text_of(content)).count(text.replace(" ", "")) >= 4

    def test_that_does_not_add_up_is_refused(self) -> None:
        with pytest.raises(ValueError, match="add up"):
            replace(receipt(), amount_minor=1)


class TestHostileText:
    MARKUP = (
        '#import "@preview/cetz:0.3.0"',
        '#read("/etc/passwd")',
        "*bold* _it_ `raw` $x^2$ \\ \\u{41}",
        "<b>html</b> <label> @ref",
        "= heading // comment /* x */",
        "]#panic()[ ${a} {{b}} %s",
    )

    @pytest.mark.parametrize("text", MARKUP)
    def test_is_printed_as_it_stands(self, text: str) -> None:
        account = replace(ACCOUNT, company=text, address=text)
        line = replace(EMPTY_LINE, description=text, service=text, project=text)
        content = pdf.render(replace(document(line, account=account), issuer=replace(ISSUER, name=text)))
        printed = re.sub(r"\s", "", text_of(content))
        assert printed.count(re.sub(r"\s", "", text)) >= 6
        assert is_archival(content)

    def test_cannot_turn_the_direction_of_what_follows(self) -> None:
        assert clean("\u202egnp.exe\u2066 \u200f") == "gnp.exe "

    def test_keeps_joiners_inside_arabic_words_only(self) -> None:
        assert clean("می\u200cخواهم") == "می\u200cخواهم"
        assert clean("in\u200cvoice\u200d") == "invoice"

    def test_with_controls_shows_that_something_stood(self) -> None:
        assert clean("a\x00b\tc\nd\u2028e") == "a\ufffdb c d e"
        assert clean("a\r\nb\u2028c", keep_lines=True) == "a\nb\nc"

    def test_of_long_words_may_break(self) -> None:
        assert clean("x" * 40).replace("\u200b", "") == "x" * 40
        assert "\u200b" in clean("x" * 40)
        assert clean("a-short-name/with-hyphens") == "a-short-name/with-hyphens"
        assert clean("云" * 40) == "云" * 40

    def test_of_long_words_is_still_found_by_a_search(self) -> None:
        text = text_of(pdf.render(document(replace(EMPTY_LINE, description="reservoir" * 14))))
        assert "reservoir" * 14 not in text, "broken into lines"
        assert "reservoir" * 14 in text.replace("\n", "")
        assert "Invoice INV-2024-001" in text

    def test_reaches_no_file_from_a_template(self) -> None:
        for path in ("/etc/hostname", "../../../../etc/hostname"):
            with pytest.raises(typst.TypstError):
                rendering._compiled(f'#read("{path}")'.encode(), {}, 0)


class TestMissingGlyph:
    @pytest.mark.parametrize("text", ["😀 👩‍👩‍👧", "ሰላም", "हिन्दी", "\U00020000", "\ue000", "\u0301x a\u0301\u0301"])
    def test_does_not_fail(self, text: str) -> None:
        content = pdf.render(document(replace(EMPTY_LINE, description=f"before {text} after")))
        assert is_archival(content)
        assert re.search("before .+ after", text_of(content))

    def test_is_shown_as_a_replacement(self) -> None:
        assert clean("a😀b") == "a\ufffdb"

    def test_that_slips_through_gives_a_plain_pdf(self) -> None:
        content = rendering._compiled('#set document(title: "x")\n#set text(font: "Noto Sans")\n😀'.encode(), {}, 0)
        assert content.startswith(b"%PDF-")
        assert not is_archival(content)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.text(max_size=40), min_size=20, max_size=20))
    def test_never_fails_whatever_the_text(self, texts: list[str]) -> None:
        lines = [replace(EMPTY_LINE, description=text, project=text, region=text) for text in texts]
        assert is_archival(pdf.render(document(*lines)))

    def test_is_none_for_any_character_that_the_fonts_list(self) -> None:
        characters = "".join(sorted(printable()))
        assert len(characters) > 30_000
        texts = [characters[start : start + 100] for start in range(0, len(characters), 100)]
        assert is_archival(pdf.render(document(*(replace(EMPTY_LINE, description=text) for text in texts))))


class TestRecord:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"subtotal_minor": 11},
            {"total_minor": 10},
            {"amount_due_minor": 0},
            {"issued_at": datetime(2024, 2, 1)},  # noqa: DTZ001 - refusing it is the point
        ],
    )
    def test_that_does_not_add_up_is_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=r"add up|aware"):
            replace(document(EMPTY_LINE), **wrong)

    def test_of_a_credit_note_is_never_due(self) -> None:
        with pytest.raises(ValueError, match="amount due"):
            replace(credit_note(), amount_due_minor=-290)


class TestChart:
    def test_shows_each_month_as_shares_of_the_highest(self) -> None:
        shown = chart_of(replace(sample(), currency="USD", history=months({"a": 100, "b": 300}, {"a": 200, "b": -50})))
        assert shown is not None
        assert shown["services"] == ["A", "B"]
        assert shown["months"] == [
            {"name": "Dec", "total": "4", "parts": [0.25, 0.75]},
            {"name": "Jan", "total": "2", "parts": [0.5, 0]},
        ]

    def test_puts_what_costs_least_together(self) -> None:
        costs = {"a": 5, "b": 400, "c": 300, "d": 200, "e": 7}
        shown = chart_of(replace(sample(), history=months(costs, costs)))
        assert shown is not None
        assert shown["services"] == ["B", "C", "D", "Other"]

    @pytest.mark.parametrize("costs", [(), ({"a": 1},), ({}, {"a": 1}), ({"a": -1}, {"a": 1}), ({}, {})])
    def test_is_none_without_two_months_to_compare(self, costs: tuple[dict[str, int], ...]) -> None:
        history = months(*costs) if costs else ()
        assert chart_of(replace(sample(), history=history)) is None
        assert is_archival(pdf.render(replace(sample(), history=history)))
