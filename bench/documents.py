"""G11: an invoice as PDF against Typst in this process on the same template and figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import typst

from bench.measuring import Row, compare, row_of
from billing.core.period import Period
from billing.invoices import pdf
from billing.invoices.pdf.lettering import FONTS_FOLDER
from billing.invoices.pdf.record import AccountParty, DocumentLine, InvoiceDocument, IssuerParty
from billing.invoices.pdf.render import _inputs, _template_of  # pyright: ignore[reportPrivateUsage]  # what ours compiles

RENDERS = 20
_LINE = DocumentLine(
    description="s-2vcpu-4gb (web-1)",
    service="compute",
    project="Shop",
    region="ke-1",
    quantity=Decimal(744),
    unit="hours",
    unit_price=Decimal("0.05"),
    amount_minor=2500,
)


async def rows() -> list[Row]:
    """One row for each length of invoice."""
    return [await _render(10, id="G11"), await _render(100, id="G11-100")]


async def _render(lines: int, *, id: str) -> Row:
    document = _document(lines)
    template, inputs = _template_of(document), _inputs(document)
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS_FOLDER])
    compiler = typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
    numbers = iter(range(1, 1_000_000))

    async def ours() -> int:
        for _ in range(RENDERS):  # each another number: Typst would know the same one by heart
            pdf.render(replace(document, number=f"INV-2024-{next(numbers)}"))
        return RENDERS

    async def yardstick() -> int:
        for _ in range(RENDERS):
            given = {**inputs, "document": inputs["document"].replace("INV-2024-001", f"INV-2024-{next(numbers)}")}
            compiler.compile(template, format="pdf", sys_inputs=given, pdf_standards="a-3a", timestamp=1706738700)
        return RENDERS

    found = await compare(ours, yardstick, postmaster=None)
    # As time: 1 is as fast as Typst alone, 2 takes twice as long.
    times = sorted(1 / ratio for ratio in found.ratios)
    row = row_of(found, id=id, operation=f"PDF of {lines} lines", unit="invoices", bounds=(2, 1.3, 1.1))
    return replace(row, ratio=1 / found.ratio, spread=(times[0], times[-1]), better="less")


def _document(lines: int) -> InvoiceDocument:
    subtotal_minor = lines * _LINE.amount_minor
    return InvoiceDocument(
        kind="invoice",
        number="INV-2024-001",
        issuer=IssuerParty(name="Example Cloud", address="1 Example Street\nNairobi", tax_id="P000000000X"),
        account=AccountParty(name="Example Traders", email="accounts@example.com", country="Kenya"),
        issued_at=datetime(2024, 1, 31, 22, 5, tzinfo=UTC),
        time_zone="Africa/Nairobi",
        currency="USD",
        lines=tuple(replace(_LINE, description=f"s-2vcpu-4gb (web-{number})") for number in range(lines)),
        subtotal_minor=subtotal_minor,
        total_minor=subtotal_minor,
        amount_due_minor=subtotal_minor,
        due_date=date(2024, 2, 14),
        period=Period(2024, 1),
    )
