"""The public routes of wallets, below /v1."""

from __future__ import annotations

from litestar import get

from billing.kit.auth import Caller
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described, PageQuery, RawQuery, meta, page_of
from billing.wallets import operations, schemas
from billing.wallets.operations import WalletSettings
from billing.wallets.schemas import WalletsOut


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
    page = page_of(query.read(PageQuery))
    async with db.snapshot() as snapshot:
        wallets = await operations.list_wallets(
            snapshot.connection,
            account_id=reader.account_id,
            own_currency=reader.currency,
            now=snapshot.now,
            reserve=wallet_settings.reserve,
        )
    shown = [schemas.show_wallet(wallet) for wallet in wallets[page.offset : page.offset + page.per_page]]
    return WalletsOut(wallets=shown, meta=meta(page, total=len(wallets)))


HANDLERS = [list_wallets]
