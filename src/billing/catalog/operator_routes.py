"""The operator's routes of the catalogue, below /operator/v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post, put

from billing.accounts import CurrencyNotSupported
from billing.catalog import operations, schemas
from billing.catalog.model import MeterInUse, MeterServiceDiffers, PeriodFinalized, PriceChangeInsidePeriod, PriceExists
from billing.catalog.schemas import (
    MeterAnswer,
    MetersAnswer,
    MeterUpdate,
    RateCardAnswer,
    RateCardCreate,
    RateCardsAnswer,
    RateCardsQuery,
    RateCardUpdate,
    TaxRateGiven,
    TaxRatesAnswer,
    TaxRatesListed,
)
from billing.catalog.store import meters, rate_cards, tax_rates
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Batch, Command, Described, PageQuery, RawBody, RawQuery, meta

if TYPE_CHECKING:
    from billing.kit.db import Tx

TAX_RATES_MAX = 1000


@post(
    "/rate-cards",
    opt={
        DESCRIBED: Described(
            summary="Publish a rate card",
            section="Catalogue",
            answer=RateCardAnswer,
            statuses=(201,),
            body=RateCardCreate,
            errors=(CurrencyNotSupported, PriceChangeInsidePeriod, PriceExists, PeriodFinalized, MeterServiceDiffers),
            located=True,
        )
    },
)
async def publish_rate_card(
    catalog_operator: Operator, body: RawBody, command: Command, currencies: frozenset[str]
) -> Answer:
    """Publish a dated set of prices: for everyone, or as an account's contract."""
    given = body.read(RateCardCreate)
    account_id = schemas.account_id_of(given.account_id)

    async def work(tx: Tx) -> RateCardAnswer:
        card, prices = await operations.publish_rate_card(
            tx,
            name=given.name,
            currency=given.currency,
            valid_from=given.valid_from.start,
            prices=given.prices,
            account_id=account_id,
            currencies=currencies,
        )
        return schemas.show_rate_card(card, prices)

    return await command.run(work, status=201, location=lambda answer: f"/rate-cards/{answer.rate_card.id}")


@get("/rate-cards", opt={DESCRIBED: Described(summary="List rate cards", section="Catalogue", query=RateCardsQuery)})
async def list_rate_cards(catalog_operator: Operator, query: RawQuery, db: Database) -> RateCardsAnswer:
    """Rate cards, newest first, without their prices."""
    wanted, page = query.read_page(RateCardsQuery)
    account_id = schemas.account_id_of(wanted.account_id)
    async with db.reading() as reading:
        found = await rate_cards.list_rate_cards(
            reading.connection, page=page, account_id=account_id, currency=wanted.currency
        )
    return schemas.show_rate_cards(found.items, meta(page, found))


@get("/rate-cards/{rate_card_id:str}", opt={DESCRIBED: Described(summary="Get a rate card", section="Catalogue")})
async def show_rate_card(catalog_operator: Operator, rate_card_id: str, db: Database) -> RateCardAnswer:
    """One rate card with its prices."""
    identifier = schemas.rate_card_id_of(rate_card_id)
    async with db.reading() as reading:
        card = await rate_cards.get_rate_card(reading.connection, rate_card_id=identifier)
        prices = await rate_cards.list_prices(reading.connection, rate_card_id=identifier)
    return schemas.show_rate_card(card, prices)


@put(
    "/rate-cards/{rate_card_id:str}",
    opt={
        DESCRIBED: Described(
            summary="End a rate card",
            section="Catalogue",
            answer=RateCardAnswer,
            body=RateCardUpdate,
            errors=(PriceChangeInsidePeriod, PriceExists, PeriodFinalized),
        )
    },
)
async def end_rate_card(catalog_operator: Operator, rate_card_id: str, body: RawBody, command: Command) -> Answer:
    """Set until when a card's prices are in force; nothing else of them ever changes."""
    identifier = schemas.rate_card_id_of(rate_card_id)
    given = body.read(RateCardUpdate)
    valid_to = None if given.valid_to is None else given.valid_to.start

    async def work(tx: Tx) -> RateCardAnswer:
        card, prices = await operations.set_rate_card_end(tx, rate_card_id=identifier, valid_to=valid_to)
        return schemas.show_rate_card(card, prices)

    return await command.run(work)


@get("/meters", opt={DESCRIBED: Described(summary="List meters", section="Catalogue", query=PageQuery)})
async def list_meters(catalog_operator: Operator, query: RawQuery, db: Database) -> MetersAnswer:
    """All meters by name."""
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await meters.list_meters_page(reading.connection, page=page)
    return MetersAnswer(meters=[schemas.show_meter(meter) for meter in found.items], meta=meta(page, found))


@get("/meters/{meter:path}", opt={DESCRIBED: Described(summary="Get a meter", section="Catalogue")})
async def show_meter(catalog_operator: Operator, meter: str, db: Database) -> MeterAnswer:
    """One meter. Its name may hold slashes."""
    async with db.reading() as reading:
        found = await meters.get_meter(reading.connection, meter=meter.removeprefix("/"))
    return MeterAnswer(meter=schemas.show_meter(found))


@put(
    "/meters/{meter:path}",
    opt={
        DESCRIBED: Described(
            summary="Define a meter", section="Catalogue", answer=MeterAnswer, body=MeterUpdate, errors=(MeterInUse,)
        )
    },
)
async def define_meter(catalog_operator: Operator, meter: str, body: RawBody, command: Command) -> Answer:
    """Say what a meter counts and how; it is made if it does not exist."""
    wanted = schemas.meter_of(meter.removeprefix("/"), body.read(MeterUpdate))

    async def work(tx: Tx) -> MeterAnswer:
        return MeterAnswer(meter=schemas.show_meter(await operations.define_meter(tx, meter=wanted)))

    return await command.run(work)


@get("/tax-rates", opt={DESCRIBED: Described(summary="List tax rates", section="Catalogue", query=PageQuery)})
async def list_tax_rates(catalog_operator: Operator, query: RawQuery, db: Database) -> TaxRatesListed:
    """All tax rates, past and future ones too, by country, name and start."""
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await tax_rates.list_tax_rates_page(reading.connection, page=page)
    return schemas.show_tax_rates_page(found.items, meta(page, found))


@put(
    "/tax-rates",
    opt={
        DESCRIBED: Described(
            summary="Set tax rates",
            section="Catalogue",
            answer=TaxRatesAnswer,
            body=Batch(item=TaxRateGiven, max_items=TAX_RATES_MAX),
        )
    },
)
async def set_tax_rates(catalog_operator: Operator, body: RawBody, command: Command) -> Answer:
    """Add tax rates, or change the percent of those with the same country, name and start."""
    rates = schemas.tax_rates_of(body.read_json_array(TaxRateGiven, max_items=TAX_RATES_MAX))

    async def work(tx: Tx) -> TaxRatesAnswer:
        return schemas.show_tax_rates(await operations.set_tax_rates(tx, rates=rates))

    return await command.run(work)


HANDLERS = [
    publish_rate_card,
    list_rate_cards,
    show_rate_card,
    end_rate_card,
    list_meters,
    show_meter,
    define_meter,
    list_tax_rates,
    set_tax_rates,
]
