"""The catalogue on the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec
from msgspec import Struct

from billing import accounts
from billing.catalog import rules
from billing.catalog.model import Aggregation, Meter, Price, PriceDefinition, RateCard, ShowsAs, TaxRate
from billing.core import ids
from billing.core.errors import Fault, InvalidParameter
from billing.kit.web import BatchItem, Check, DateFilter, Meta, PageQuery

CARD_PREFIX = "card"
PRICE_PREFIX = "price"
ACCOUNT_PREFIX = "acc"

NAME_LONGEST = 200
UNIT_LONGEST = 50


def _name_faults(*, name: str) -> Iterator[Fault]:
    return _reason_faults("name", accounts.text_reason(name, longest=NAME_LONGEST))


def _currency_faults(*, currency: str) -> Iterator[Fault]:
    return _reason_faults("currency", accounts.member_reason("currency", currency))


def _prices_faults(*, prices: Sequence[PriceDefinition]) -> Iterator[Fault]:
    return rules.card_faults(prices)


def _service_faults(*, service: str) -> Iterator[Fault]:
    return _reason_faults("service", rules.item_reason(service))


def _unit_faults(*, unit: str) -> Iterator[Fault]:
    return _reason_faults("unit", accounts.text_reason(unit, longest=UNIT_LONGEST))


def _country_faults(*, country: str) -> Iterator[Fault]:
    return _reason_faults("country", accounts.member_reason("country", country))


def _percent_faults(*, percent: Decimal) -> Iterator[Fault]:
    return _reason_faults("percent", rules.tax_percent_reason(percent))


class RateCardCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /rate-cards. With an account the card is its contract. `valid_from`: a date or an instant with its zone."""

    name: str
    currency: str
    valid_from: DateFilter
    prices: list[rules.GivenPrice]
    account_id: str | None = None

    checks: ClassVar[tuple[Check, ...]] = (_name_faults, _currency_faults, _prices_faults)


class RateCardUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /rate-cards/{id}: until when the prices are in force, exclusive; null is without end."""

    valid_to: DateFilter | None


class RateCardsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /rate-cards, by the account whose contract it is and by currency."""

    account_id: str | None = None
    currency: str | None = None


class MeterUpdate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT /meters/{meter}."""

    service: str
    name: str
    unit: str
    aggregation: Aggregation
    shows_as: ShowsAs | None = None

    checks: ClassVar[tuple[Check, ...]] = (_service_faults, _name_faults, _unit_faults)


class TaxRateGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax rate of PUT /tax-rates."""

    country: str
    name: str
    percent: Decimal
    valid_from: date

    checks: ClassVar[tuple[Check, ...]] = (_country_faults, _name_faults, _percent_faults)


class PriceShown(PriceDefinition, frozen=True, kw_only=True, omit_defaults=True):
    """A price of a rate card, as it was given."""

    id: str


class RateCardSummary(Struct, frozen=True, kw_only=True):
    """A rate card in a list."""

    id: str
    name: str
    currency: str
    account_id: str | None
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime
    prices_total: int


class RateCardShown(RateCardSummary, frozen=True, kw_only=True):
    """A rate card with its prices, in the order they were given."""

    prices: list[PriceShown]


class RateCardAnswer(Struct, frozen=True, kw_only=True):
    """One rate card."""

    rate_card: RateCardShown


class RateCardsAnswer(Struct, frozen=True, kw_only=True):
    """A page of rate cards."""

    rate_cards: list[RateCardSummary]
    meta: Meta


class MeterShown(Struct, frozen=True, kw_only=True):
    """A meter."""

    meter: str
    service: str
    name: str
    unit: str
    aggregation: Aggregation
    shows_as: ShowsAs | None


class MeterAnswer(Struct, frozen=True, kw_only=True):
    """One meter."""

    meter: MeterShown


class MetersAnswer(Struct, frozen=True, kw_only=True):
    """A page of meters."""

    meters: list[MeterShown]
    meta: Meta


class TaxRateShown(Struct, frozen=True, kw_only=True):
    """A tax rate."""

    country: str
    name: str
    percent: Decimal
    valid_from: date


class TaxRatesAnswer(Struct, frozen=True, kw_only=True):
    """All tax rates, past and future ones too."""

    tax_rates: list[TaxRateShown]


class TaxRatesListed(TaxRatesAnswer, frozen=True, kw_only=True):
    """GET /tax-rates."""

    meta: Meta


def meter_of(meter: str, given: MeterUpdate) -> Meter:
    """The meter that a path and a body describe. Raises InvalidParameter for its name."""
    reason = rules.item_reason(meter)
    if reason is not None:
        raise InvalidParameter.one("path", "meter", reason)
    return Meter(
        meter=meter,
        service=given.service,
        name=given.name,
        unit=given.unit,
        aggregation=given.aggregation,
        shows_as=given.shows_as,
    )


def tax_rates_of(given: Sequence[BatchItem[TaxRateGiven]]) -> list[TaxRate]:
    """The tax rates of a body. Raises InvalidParameter with every fault of each."""
    faults = [
        Fault(fault.where, f"[{index}].{fault.path}".removesuffix("."), fault.reason)
        for index, item in enumerate(given)
        for fault in item.faults
    ]
    rates = [msgspec.convert(item.value, TaxRate, from_attributes=True) for item in given if item.value is not None]
    if not faults:
        faults = [
            Fault("body", f"[{index}]", f"is for the same country, name and start as [{first}]")
            for first, index in rules.doubled_tax_rates(rates)
        ]
    _refuse(*faults)
    return rates


def account_id_of(text: str | None) -> UUID | None:
    """The account that a card or a query names, if any. Raises NotFound for what cannot be one's id."""
    return None if text is None else ids.expect(ACCOUNT_PREFIX, text)


def rate_card_id_of(text: str) -> UUID:
    """The rate card of a path. Raises NotFound."""
    return ids.expect(CARD_PREFIX, text)


def show_rate_card(card: RateCard, prices: Sequence[Price]) -> RateCardAnswer:
    """A rate card with its prices."""
    members = {**_card_members(card), "prices": [_show_price(price) for price in prices]}
    return RateCardAnswer(rate_card=msgspec.convert(members, RateCardShown))


def show_rate_cards(cards: Sequence[RateCard], meta: Meta) -> RateCardsAnswer:
    """A page of rate cards."""
    shown = [msgspec.convert(_card_members(card), RateCardSummary) for card in cards]
    return RateCardsAnswer(rate_cards=shown, meta=meta)


def show_meter(meter: Meter) -> MeterShown:
    """A meter."""
    return msgspec.convert(asdict(meter), MeterShown)


def show_tax_rates(rates: Sequence[TaxRate]) -> TaxRatesAnswer:
    """All tax rates."""
    return TaxRatesAnswer(tax_rates=[msgspec.convert(asdict(rate), TaxRateShown) for rate in rates])


def show_tax_rates_page(rates: Sequence[TaxRate], meta: Meta) -> TaxRatesListed:
    """A page of tax rates."""
    return TaxRatesListed(tax_rates=show_tax_rates(rates).tax_rates, meta=meta)


def _show_price(price: Price) -> PriceShown:
    given = msgspec.structs.asdict(price.definition)
    return msgspec.convert({"id": ids.encode(PRICE_PREFIX, price.price_id), **given}, PriceShown)


def _card_members(card: RateCard) -> dict[str, object]:
    account_id = None if card.account_id is None else ids.encode(ACCOUNT_PREFIX, card.account_id)
    return {**asdict(card), "id": ids.encode(CARD_PREFIX, card.rate_card_id), "account_id": account_id}


def _reason_faults(member: str, reason: str | None) -> Iterator[Fault]:
    if reason is not None:
        yield Fault("body", member, reason)


def _refuse(*faults: Fault) -> None:
    if faults:
        raise InvalidParameter(faults)
