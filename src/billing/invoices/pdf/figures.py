"""What the template is told: every figure and date as the text that is printed, and the lines as attached JSON.

Nothing here asks a locale or a library's tables, so that an issued document prints the same for ever. What an issued document
prints is part of its template version: a change here needs a new version too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

import msgspec

from billing.core import money
from billing.core.period import Period
from billing.invoices.pdf.charting import chart_of
from billing.invoices.pdf.lettering import clean, service_name
from billing.invoices.pdf.record import AccountParty, DocumentLine, InvoiceDocument, IssuerParty, PaymentSource

Shown = dict[str, object]

MINUS = "\N{MINUS SIGN}"
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]  # strftime would follow the machine's locale
_SIGNS = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "CNY": "¥",
    "INR": "₹",
    "KES": "KSh ",
    "NGN": "₦",
    "GHS": "GH₵",
    "TZS": "TSh ",
    "UGX": "USh ",
    "ZAR": "R ",
}
_SHARED_SIGNS = {"", "$", "£", "¥", "R "}  # of several currencies, or of none that is known here
_SOURCES: dict[PaymentSource, str] = {
    "credit": "Promotional credit",
    "wallet": "Wallet",
    "method": "Payment method",
}
_SHOWN_DIGITS = Context(prec=12, rounding=ROUND_HALF_UP)
_WIDE = Context(prec=60)
_SHOWN_LENGTH = 16  # longer figures are written with an exponent, or their columns would push the descriptions out
_NARROW = 9  # characters of a word that a narrow column takes before breaking it
_QUANTITY_DECIMALS = Decimal("0.001")
_JSON = msgspec.json.Encoder(decimal_format="number")


def amount(minor: int, currency: str) -> str:
    """An amount with the currency's decimals and groups of three: `1,234.50`."""
    text = f"{money.to_major(abs(minor), currency):,f}"
    return MINUS + text if minor < 0 else text


def headline(minor: int, currency: str) -> str:
    """An amount with its currency's sign, and its code where the sign is not its own alone: `₦1,234.50`, `$12.00 USD`."""
    sign = _SIGNS.get(currency, "")
    code = f" {currency}" if sign in _SHARED_SIGNS else ""
    return f"{MINUS if minor < 0 else ''}{sign}{amount(abs(minor), currency)}{code}"


def number(value: Decimal) -> str:
    """A quantity or unit price to at most 12 digits, without trailing zeros, `1.234568E-9` where that is too long.

    The attached JSON has it exact.
    """
    rounded = _SHOWN_DIGITS.plus(value)
    whole, _, decimals = f"{abs(rounded):,f}".partition(".")
    decimals = decimals.rstrip("0")
    text = f"{whole}.{decimals}" if decimals else whole
    if len(text) > _SHOWN_LENGTH:
        text = f"{abs(rounded):.6E}"
    return MINUS + text if rounded < 0 else text


def quantity(value: Decimal) -> str:
    """A quantity to three decimals; a smaller one to its first digits."""
    return number(value if abs(value) < 1 else value.quantize(_QUANTITY_DECIMALS, ROUND_HALF_UP, _WIDE))


def unit_price(value: Decimal, currency: str) -> str:
    """A unit price in full, with at least the currency's decimals."""
    text = number(value)
    decimals = money.decimals_of(currency)
    shown = len(text.partition(".")[2])
    if "E" in text or shown >= decimals:
        return text
    return text + ("" if "." in text else ".") + "0" * (decimals - shown)


def unit(name: str, value: Decimal) -> str:
    """A unit beside its quantity: `744 hours`, `1 hour`. What is no plain word stays as it is: `GB`, `GB-month`."""
    is_word = len(name) > 2 and name.isascii() and name.isalpha() and name.islower() and not name.endswith("s")
    return f"{name}s" if is_word and value != 1 else name


def day(value: date) -> str:
    """A date as `1 February 2024`."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def shown(document: InvoiceDocument) -> Shown:
    """The document as the template reads it: printable text only."""
    is_credit_note = document.kind == "credit_note"
    kind_name = "Credit note" if is_credit_note else "Invoice"
    return {
        "kind": kind_name,
        "title": f"{kind_name} {clean(document.number, run_max=None)}",
        "author": clean(document.issuer.name, run_max=None),
        "number": clean(document.number),
        "issuer": {**issuer(document.issuer), "label": "From"},
        "account": {**account(document.account), "label": "Billed to"},
        "facts": [[label, clean(value)] for label, value in _facts(document)],
        "headline": {
            "label": "Amount credited" if is_credit_note else "Amount due",
            "amount": headline(
                abs(document.total_minor) if is_credit_note else document.amount_due_minor, document.currency
            ),
            "note": _headline_note(document),
            "is_due": document.amount_due_minor > 0,
        },
        "currency": document.currency,
        "projects": _projects(document),
        "totals": _totals(document),
        "ways": _ways_to_pay(document),
        "footer": footer(document.issuer),
        "chart": chart_of(document),
    }


def attachment(document: InvoiceDocument) -> bytes:
    """The lines, taxes and totals as JSON with exact decimals and the texts as they were recorded."""
    currency = document.currency
    return _JSON.encode(
        {
            "number": document.number,
            "kind": document.kind,
            "currency": currency,
            "issued_at": document.issued_at,
            "period": _attached_period(document.period),
            "lines": [_attached_line(line, currency) for line in document.lines],
            "subtotal": money.to_major(document.subtotal_minor, currency),
            "taxes": [
                {
                    "name": tax.name,
                    "rate": tax.percent,
                    "base": money.to_major(tax.base_minor, currency),
                    "amount": money.to_major(tax.amount_minor, currency),
                }
                for tax in document.taxes
            ],
            "total": money.to_major(document.total_minor, currency),
            "amount_due": money.to_major(document.amount_due_minor, currency),
        }
    )


def _facts(document: InvoiceDocument) -> Iterable[tuple[str, str]]:
    yield "Number", document.number
    if document.corrects is not None:
        yield "For invoice", document.corrects
    zone = ZoneInfo(document.time_zone)
    yield "Issued", day(document.issued_at.astimezone(zone).date())
    yield "Time zone", document.time_zone
    if document.reason is not None:
        yield "Reason", document.reason
    if document.due_date is not None:
        yield "Due", day(document.due_date)
    if document.period is not None:
        yield "Period", f"{_days(document.period.start, document.period.shown_end)} (UTC)"


def _days(first: datetime, last: datetime) -> str:
    return f"{first.day} \N{EN DASH} {day(last)}"


def _headline_note(document: InvoiceDocument) -> str:
    if document.kind == "credit_note":
        return ""
    if document.amount_due_minor > 0:
        return f"by {day(document.due_date)}" if document.due_date is not None else ""
    if not document.payments:
        return "Nothing to pay"
    return f"{headline(document.total_minor, document.currency)} paid in full at issue"


def issuer(party: IssuerParty) -> Shown:
    """Who issues, as name and lines."""
    lines = _lines_of(party.address)
    if party.tax_id:
        lines.append(f"Tax ID {clean(party.tax_id)}")
    if party.support_email:
        lines.append(clean(party.support_email))
    return {"name": clean(party.name), "lines": lines}


def footer(party: IssuerParty) -> str:
    """Who issues, in one line for each page."""
    parts = [party.name, f"Tax ID {party.tax_id}" if party.tax_id else "", party.support_email or ""]
    return " · ".join(clean(part) for part in parts if part)


def _ways_to_pay(document: InvoiceDocument) -> list[Shown]:
    """How what is due can be paid; nothing where nothing is due."""
    if document.amount_due_minor <= 0:
        return []
    reference = f"Reference {clean(document.number)}"
    issuer = document.issuer
    ways = [("From your wallet", ["What is due is taken from the next top-up, the oldest invoice first."])]
    if issuer.bank_details:
        ways.append(("Bank transfer", [*_lines_of(issuer.bank_details), reference]))
    if issuer.mobile_money:
        ways.append(("Mobile money", [*_lines_of(issuer.mobile_money), reference]))
    return [{"name": name, "lines": lines} for name, lines in ways]


def account(party: AccountParty) -> Shown:
    """Who is billed, as name and lines. A country that the address ends in is not said twice."""
    lines = [clean(party.name)] if party.company else []
    address = _lines_of(party.address)
    lines += address
    if party.country and address[-1:] != [clean(party.country)]:
        lines.append(clean(party.country))
    if party.tax_id:
        lines.append(f"Tax ID {clean(party.tax_id)}")
    lines.append(clean(party.email))
    return {"name": clean(party.company or party.name), "lines": lines}


def _lines_of(text: str | None) -> list[str]:
    return [line for line in clean(text or "", keep_lines=True).split("\n") if line.strip()]


def _projects(document: InvoiceDocument) -> list[Shown]:
    """Projects and, in each, services, both in the order of their first line, each with its subtotal."""
    grouped: dict[tuple[str, str], dict[str, list[DocumentLine]]] = {}
    for line in document.lines:
        grouped.setdefault((line.project_id, line.project), {}).setdefault(line.service, []).append(line)
    currency = document.currency
    return [
        {
            "name": clean(name),
            "subtotal": amount(sum(line.amount_minor for lines in services.values() for line in lines), currency),
            "services": [
                {
                    "name": clean(service_name(service)),
                    "subtotal": amount(sum(line.amount_minor for line in lines), currency),
                    "lines": [_row(line, document) for line in lines],
                }
                for service, lines in services.items()
            ],
        }
        for (_, name), services in grouped.items()
    ]


def _row(line: DocumentLine, document: InvoiceDocument) -> list[str]:
    return [
        clean(line.description),
        clean(line.region),
        quantity(line.quantity),
        clean(unit(line.unit, line.quantity), run_max=_NARROW),
        _unit_price(line, document.currency),
        amount(line.amount_minor, document.currency),
    ]


def _unit_price(line: DocumentLine, currency: str) -> str:
    if line.unit_price is not None:
        return unit_price(line.unit_price, currency)
    return "\N{EN DASH}" if line.kind == "other" else "tiered"


def _totals(document: InvoiceDocument) -> list[Shown]:
    currency = document.currency
    rows = [("Subtotal", document.subtotal_minor, False)]
    rows += [
        (f"{clean(tax.name)} {number(tax.percent)} % of {amount(tax.base_minor, currency)}", tax.amount_minor, False)
        for tax in document.taxes
    ]
    rows.append((f"Total {currency}", document.total_minor, True))
    rows += [
        (f"{_SOURCES[payment.source]}, applied at issue", -payment.amount_minor, False) for payment in document.payments
    ]
    if document.kind == "invoice":
        rows.append((f"Amount due {currency}", document.amount_due_minor, True))
    return [
        {"label": label, "amount": amount(minor, currency), "is_strong": strong, "is_last": place == len(rows)}
        for place, (label, minor, strong) in enumerate(rows, start=1)
    ]


def _attached_period(period: Period | None) -> Shown | None:
    return None if period is None else {"start": period.start, "end": period.shown_end}


def _attached_line(line: DocumentLine, currency: str) -> Shown:
    return {
        "description": line.description,
        "service": line.service,
        "project_id": line.project_id,
        "project": line.project,
        "region": line.region,
        "quantity": line.quantity,
        "unit": line.unit,
        "unit_price": line.unit_price,
        "amount": money.to_major(line.amount_minor, currency),
    }
