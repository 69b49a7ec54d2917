"""The verbs of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts
from billing.catalog import rules
from billing.catalog.model import (
    ItemKind,
    Meter,
    MeterInUse,
    MeterServiceDiffers,
    PeriodFinalized,
    Price,
    PriceDefinition,
    PriceExists,
    RateCard,
    TaxRate,
)
from billing.catalog.store import billed_items, meters, rate_cards, tax_rates
from billing.core.errors import InvalidParameter
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Tx

UNIT_DEFAULT = "units"


async def publish_rate_card(
    tx: Tx,
    *,
    name: str,
    currency: str,
    valid_from: datetime,
    prices: Sequence[PriceDefinition],
    account_id: UUID | None = None,
    currencies: Set[str] = accounts.CURRENCIES_DEFAULT,
) -> tuple[RateCard, list[Price]]:
    """Store prices without faults, in force from the first instant of a UTC month; with an account, as its contract.

    Meters that do not exist yet are made. Raises CurrencyNotSupported, PriceChangeInsidePeriod, NotFound (no such
    account), MeterServiceDiffers, PeriodFinalized and PriceExists.
    """
    accounts.require_currency(currency, enabled=currencies)
    period = rules.starting_period(valid_from)
    if account_id is not None:
        await accounts.get_account(tx.connection, account_id=account_id)
    card = RateCard(
        rate_card_id=tx.new_id(),
        name=name,
        currency=currency,
        account_id=account_id,
        valid_from=period.start,
        valid_to=None,
        created_at=tx.now,
        prices_total=len(prices),
    )
    await _make_meters(tx, prices=prices)
    await _refuse_change_of_finalized(tx, card=card, prices=prices, first_changed=period)
    return card, await _insert(tx, card=card, definitions=prices)


async def set_rate_card_end(tx: Tx, *, rate_card_id: UUID, valid_to: datetime | None) -> tuple[RateCard, list[Price]]:
    """Let a card's prices end at the first instant of a UTC month, or never (None). Again is harmless.

    Raises NotFound, PriceChangeInsidePeriod, PeriodFinalized, InvalidParameter for an end that is not after the start.
    """
    if valid_to is not None:
        rules.starting_period(valid_to)
    card = await rate_cards.get_rate_card_for_update(tx.connection, rate_card_id=rate_card_id)
    if valid_to is not None and valid_to <= card.valid_from:
        raise InvalidParameter.one("body", "valid_to", "must be after valid_from")
    prices = await rate_cards.list_prices(tx.connection, rate_card_id=rate_card_id)
    first_changed = rules.first_changed_period(old_end=card.valid_to, new_end=valid_to)
    if first_changed is None:
        return card, prices
    await _refuse_change_of_finalized(
        tx, card=card, prices=[price.definition for price in prices], first_changed=first_changed
    )
    await rate_cards.update_rate_card_end(tx.connection, rate_card_id=rate_card_id, valid_to=valid_to)
    return replace(card, valid_to=valid_to), prices


async def define_meter(tx: Tx, *, meter: Meter) -> Meter:
    """Make a meter, or change it.

    Raises MeterInUse: a meter keeps its aggregation once it has counted, and its service once a price names it.
    """
    connection = tx.connection
    await meters.insert_meters(connection, meters=[meter])
    stored = await meters.get_meter_for_update(connection, meter=meter.meter)
    if stored.service != meter.service and await meters.is_priced(connection, meter=meter.meter):
        raise MeterInUse(stored, member="service")
    if stored.aggregation != meter.aggregation and await meters.is_metered(connection, meter=meter.meter):
        raise MeterInUse(stored, member="aggregation")
    if stored != meter:
        await meters.update_meter(connection, meter=meter)
    return meter


async def set_tax_rates(tx: Tx, *, rates: Sequence[TaxRate]) -> list[TaxRate]:
    """Add tax rates, or set the percent of those with the same country, name and start; returns all that there are."""
    await tax_rates.upsert_tax_rates(tx.connection, tax_rates=rates)
    return await tax_rates.list_all_tax_rates(tx.connection)


async def _make_meters(tx: Tx, *, prices: Sequence[PriceDefinition]) -> None:
    """Make the meters that prices name first, as sums; hold all of them to the services that the prices say."""
    services = {price.item: price.service for price in prices if price.kind == "meter"}
    if not services:
        return
    new = [
        Meter(meter=meter, service=service, name=meter, unit=UNIT_DEFAULT, aggregation="sum")
        for meter, service in services.items()
    ]
    await meters.insert_meters(tx.connection, meters=new)
    stored = await meters.list_meters_for_share(tx.connection, names=services)
    foreign = [meter for meter in stored if meter.service != services[meter.meter]]
    if foreign:
        raise MeterServiceDiffers(foreign)


async def _refuse_change_of_finalized(
    tx: Tx, *, card: RateCard, prices: Sequence[PriceDefinition], first_changed: Period
) -> None:
    items: list[tuple[ItemKind, str]] = sorted({(price.kind, price.item) for price in prices})
    since, currency = first_changed.start_date, card.currency
    if card.account_id is None:
        billed = await billed_items.list_billed_items(tx.connection, items=items, currency=currency, since=since)
    else:
        billed = await billed_items.list_items_billed_to(
            tx.connection, account_id=card.account_id, items=items, currency=currency, since=since
        )
    if billed:
        raise PeriodFinalized(billed)


async def _insert(tx: Tx, *, card: RateCard, definitions: Sequence[PriceDefinition]) -> list[Price]:
    price_ids = sorted(tx.new_id() for _ in definitions)  # so that the order of the ids is the order given
    prices = [
        Price(price_id=price_id, definition=definition)
        for price_id, definition in zip(price_ids, definitions, strict=True)
    ]
    compiled = {price.price_id: rules.compile_price(price.definition) for price in prices}
    await rate_cards.insert_rate_card(tx.connection, card=card)
    stored = await rate_cards.insert_prices(tx.connection, card=card, prices=prices, compiled=compiled)
    existing = [price.definition for price in prices if price.price_id not in stored]
    if existing:
        raise PriceExists(existing)
    await rate_cards.insert_bands(tx.connection, compiled=compiled)
    return prices
