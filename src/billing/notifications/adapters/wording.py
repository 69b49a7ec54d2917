"""What messages say: one template file each, in two layouts.

A message's file has blocks of plain text: subject, heading, figure, lead, facts (`label | value` lines; those without a value are
left out), note, sms. The layouts put them into plain text and, escaped as a whole, into HTML. Nothing of a payload is a
template, and a member that is missing is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Template, select_autoescape

from billing.notifications.adapters import formatting, mail
from billing.notifications.model import ClaimedDelivery, Issuer, Wording
from billing.notifications.rules import segments

FOLDER = Path(__file__).parent.parent / "templates"
TRIAL = "message.trial"
_COLOURS = {"good": "#1a7f4b", "bad": "#c0392b", "warning": "#c77700", "plain": "#2f5fd0"}
_SPACES = re.compile(r"[ \n]+")
_PARAGRAPHS = re.compile(r"\n\s*\n")
_FILTERS: Mapping[str, Callable[..., object]] = {
    "capitalise": formatting.capitalise,
    "crossed": formatting.crossed,
    "cut": formatting.cut,
    "figure_name": formatting.figure_name,
    "listed": formatting.listed,
    "measured": formatting.measured,
    "money": formatting.money,
    "month": formatting.month,
    "padded": formatting.padded,
    "positive": formatting.positive,
    "quoted": formatting.quoted,
    "utc_day": formatting.utc_day,
    "words": formatting.words,
    "wrapped": formatting.wrapped,
}


class _Missing(ChainableUndefined):
    """What a payload lacks: empty text, whatever is asked of it."""


def write(delivery: ClaimedDelivery, *, issuer: Issuer) -> Wording:
    """What a delivery's message says."""
    return word(
        delivery.template,
        payload=delivery.payload,
        object_id=delivery.object_id,
        told_at=delivery.told_at.isoformat(),
        account=delivery.contact.name,
        timezone=delivery.contact.timezone,
        issuer=issuer,
    )


def word(
    template: str,
    *,
    payload: Mapping[str, object],
    object_id: str,
    told_at: str,
    account: str,
    timezone: str,
    issuer: Issuer,
) -> Wording:
    """What a message says: of an account in its zone, in the name of an issuer."""
    given = {
        "p": cast("Mapping[str, object]", formatting.clean(payload)),
        "object_id": formatting.clean_text(object_id.partition("/")[0]),
        "told_at": told_at,
        "account": formatting.clean_text(account),
        "issuer": formatting.clean_text(issuer.name),
        "support_email": formatting.clean_text(issuer.support_email or ""),
    }
    blocks = _blocks(_environment(timezone).get_template(f"{template}.jinja"), given)
    lead, note = _paragraphs(blocks.get("lead", "")), _paragraphs(blocks.get("note", ""))
    laid_out = {
        **given,
        "subject": _line(blocks["subject"]),
        "heading": _line(blocks["heading"]),
        "figure": _line(blocks.get("figure", "")),
        "figure_label": _line(blocks.get("figure_label", "")),
        "lead": lead,
        "note": note,
        "facts": _facts(blocks.get("facts", "")),
        "preview": lead[0] if lead else "",
        "colour": _COLOURS.get(_line(blocks.get("tone", "")), _COLOURS["plain"]),
        "has_logo": issuer.logo is not None and mail.picture_type(issuer.logo) is not None,
        "logo_id": mail.LOGO_ID,
    }
    layout = _layouts()
    return Wording(
        subject=_line(blocks["subject"]).replace("\N{NO-BREAK SPACE}", " "),
        plain=layout.get_template("layout.txt.jinja").render(laid_out).replace("\N{NO-BREAK SPACE}", " "),
        html=layout.get_template("layout.html.jinja").render(laid_out),
        sms=segments.fit(blocks["sms"]),
    )


@cache
def _environment(timezone: str) -> Environment:
    """Of the messages' blocks: plain text, escaped where it is laid out."""
    environment = _made()
    environment.filters.update(
        {**_FILTERS, "day": formatting.day_in(timezone), "instant": formatting.instant_in(timezone)}
    )
    return environment


@cache
def _layouts() -> Environment:
    environment = _made()
    environment.filters.update(_FILTERS)
    return environment


def _made() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=_Missing,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=select_autoescape(enabled_extensions=("html.jinja",), default=False),
    )


def _blocks(template: Template, given: Mapping[str, Any]) -> dict[str, str]:
    context = template.new_context(dict(given))
    return {name: "".join(render(context)) for name, render in template.blocks.items()}


def _line(text: str) -> str:
    """One line; the spaces that keep a currency with its amount stay."""
    return _SPACES.sub(" ", text).strip()


def _paragraphs(text: str) -> list[str]:
    return [line for part in _PARAGRAPHS.split(text) if (line := _line(part))]


def _facts(text: str) -> list[tuple[str, str]]:
    pairs = [line.split(" | ", 1) for line in text.splitlines() if " | " in line]
    return [(label.strip(), value) for label, given in pairs if (value := given.strip())]
