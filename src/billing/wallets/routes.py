"""The public routes of wallets, below /v1."""

from __future__ import annotations

from litestar import get

from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described, PageQuery, RawQuery, meta
from billing.wallets import operations, schemas, store
from billing.wallets.operations import WalletSettings
from billing.wallets.schemas import CreditsOut, WalletsOut


@get(
    "/account/wallets",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="Get wallet balances", section="Billing Management", query=PageQuery),
    },
)
async def list_wallets(reader: Caller, query: RawQuery, db: Database, wallet_settings: WalletSettings) -> WalletsOut:
    """The balances of every currency that the account has had money in, its own currency first.

    `total_balance` is the sum of the other three. Only `available_balance` can be spent: `pending_balance` has not arrived
    yet, `reserved_balance` is kept for usage that is not invoiced yet and for money on its way out.
    """
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        wallets = await operations.list_wallets(
            snapshot.connection,
            account_id=reader.account_id,
            own_currency=reader.currency,
            now=snapshot.now,
            reserve=wallet_settings.reserve,
        )
    found = page.of_whole(
        wallets, types=(int, str), key=lambda wallet: (int(wallet.currency != reader.currency), wallet.currency)
    )
    return WalletsOut(wallets=[schemas.show_wallet(wallet) for wallet in found.items], meta=meta(page, found))


@get(
    "/account/credits",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="List promotional credits", section="Billing Management", query=PageQuery, is_extension=True
        ),
    },
)
async def list_credits(reader: Caller, query: RawQuery, db: Database) -> CreditsOut:
    """The account's promotional credits, newest first, with what is left of each.

    They pay invoices before the wallet does: the lowest `priority` first, then the soonest expiry, then the oldest. What is left
    of an expired one still pays for usage before its expiry.
    """
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        found = await store.list_credits_page(snapshot.connection, account_id=reader.account_id, page=page)
    shown = [schemas.show_credit(standing, now=snapshot.now) for standing in found.items]
    return CreditsOut(credits=shown, meta=meta(page, found))


HANDLERS = [list_wallets, list_credits]
