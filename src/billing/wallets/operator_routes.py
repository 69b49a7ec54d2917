"""The operator's routes of wallets, below /operator/v1: promotional credit, holds, the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get, post

from billing import accounts, ledger
from billing.accounts import CurrencyNotSupported
from billing.core import ids
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.ledger import InsufficientBalance
from billing.wallets import operations, schemas, store
from billing.wallets.model import CaptureAboveHold, CreditNotUndoable, CreditStanding, HoldNotOpen, HoldReferenceReused
from billing.wallets.operations import WalletSettings
from billing.wallets.schemas import (
    CaptureIn,
    CreditAnswer,
    CreditIn,
    CreditsOut,
    EmptyIn,
    HoldAnswer,
    HoldIn,
    HoldsOut,
    HoldsQuery,
    LedgerOut,
    UndoIn,
    WalletsOut,
)

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/accounts/{account_id:str}/credits",
    opt={
        DESCRIBED: Described(
            summary="Grant promotional credit",
            section="Wallets and credits",
            answer=CreditAnswer,
            statuses=(201,),
            body=CreditIn,
            errors=(CurrencyNotSupported,),
            needs_key=True,
        )
    },
)
async def grant_credit(
    billing_operator: Operator, account_id: str, body: RawBody, command: Command, wallet_settings: WalletSettings
) -> Answer:
    """Give promotional credit, which pays invoices before the wallet does: the lowest `priority` and soonest expiry first."""
    command.require_key()
    identifier = ids.expect("acc", account_id)
    wanted = body.read(CreditIn)

    async def work(tx: Tx) -> CreditAnswer:
        amount_minor = wanted.read_minor(enabled=wallet_settings.currencies, now=tx.now)
        await accounts.get_account(tx.connection, account_id=identifier)
        credit = await operations.grant_credit(
            tx,
            account_id=identifier,
            currency=wanted.currency,
            amount_minor=amount_minor,
            reason=wanted.reason,
            priority=wanted.priority,
            expires_at=wanted.expires_at,
        )
        standing = CreditStanding(credit, amount_minor, is_expiry_booked=False, undone_at=None)
        return CreditAnswer(credit=schemas.show_credit(standing, now=tx.now))

    return await command.run(work, status=201)


@get(
    "/accounts/{account_id:str}/credits",
    opt={DESCRIBED: Described(summary="List promotional credits", section="Wallets and credits", query=PageQuery)},
)
async def list_account_credits(
    billing_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> CreditsOut:
    """The promotional credits of an account, newest first, with what is left of each."""
    identifier = ids.expect("acc", account_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        found = await store.list_credits_page(snapshot.connection, account_id=identifier, page=page)
    shown = [schemas.show_credit(standing, now=snapshot.now) for standing in found.items]
    return CreditsOut(credits=shown, meta=meta(page, found))


@post(
    "/accounts/{account_id:str}/credits/{credit_id:str}/undo",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Undo promotional credit",
            section="Wallets and credits",
            answer=CreditAnswer,
            body=UndoIn,
            errors=(CreditNotUndoable,),
            needs_key=True,
        )
    },
)
async def undo_credit(
    billing_operator: Operator, account_id: str, credit_id: str, body: RawBody, command: Command
) -> Answer:
    """Take promotional credit back whole, as if it had not been granted.

    Only while nothing of it is spent: voiding an invoice gives back what the credit paid of it.
    """
    command.require_key()
    identifier = ids.expect("acc", account_id)
    wanted = body.read(UndoIn)

    async def work(tx: Tx) -> CreditAnswer:
        standing = await operations.undo_credit(
            tx,
            account_id=identifier,
            credit_id=ids.expect(schemas.CREDIT_PREFIX, credit_id),
            reason=wanted.reason,
        )
        return CreditAnswer(credit=schemas.show_credit(standing, now=tx.now))

    return await command.run(work)


@get(
    "/accounts/{account_id:str}/wallets",
    opt={DESCRIBED: Described(summary="Get an account's wallets", section="Wallets and credits", query=PageQuery)},
)
async def list_account_wallets(
    *, payments_operator: Operator, account_id: str, query: RawQuery, db: Database, wallet_settings: WalletSettings
) -> WalletsOut:
    """The balances of an account as it sees them itself, its own currency first."""
    identifier = ids.expect("acc", account_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        own_currency = (await accounts.get_account(snapshot.connection, account_id=identifier)).currency
        wallets = await operations.list_wallets(
            snapshot.connection,
            account_id=identifier,
            own_currency=own_currency,
            now=snapshot.now,
            reserve=wallet_settings.reserve,
        )
    found = page.of_whole(
        wallets, types=(int, str), key=lambda wallet: (int(wallet.currency != own_currency), wallet.currency)
    )
    return WalletsOut(wallets=[schemas.show_wallet(wallet) for wallet in found.items], meta=meta(page, found))


@get(
    "/accounts/{account_id:str}/holds",
    opt={DESCRIBED: Described(summary="List holds", section="Wallets and credits", query=HoldsQuery)},
)
async def list_account_holds(payments_operator: Operator, account_id: str, query: RawQuery, db: Database) -> HoldsOut:
    """The holds of an account, newest first; one past its expiry is `expired`."""
    identifier = ids.expect("acc", account_id)
    wanted, page = query.read_page(HoldsQuery)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        found = await store.list_holds_page(
            snapshot.connection, account_id=identifier, status=wanted.status, now=snapshot.now, page=page
        )
    shown = [schemas.show_hold(hold, now=snapshot.now).hold for hold in found.items]
    return HoldsOut(holds=shown, meta=meta(page, found))


@post(
    "/accounts/{account_id:str}/holds",
    opt={
        DESCRIBED: Described(
            summary="Place a hold",
            section="Wallets and credits",
            answer=HoldAnswer,
            statuses=(201,),
            body=HoldIn,
            errors=(CurrencyNotSupported, InsufficientBalance, HoldReferenceReused),
            needs_key=True,
        )
    },
)
async def place_hold(
    payments_operator: Operator, account_id: str, body: RawBody, command: Command, wallet_settings: WalletSettings
) -> Answer:
    """Set money of a wallet aside until it is captured, released, or the hold expires."""
    command.require_key()
    identifier = ids.expect("acc", account_id)
    wanted = body.read(HoldIn)

    async def work(tx: Tx) -> HoldAnswer:
        amount_minor = wanted.read_minor(enabled=wallet_settings.currencies, now=tx.now)
        account = await accounts.get_account(tx.connection, account_id=identifier)
        hold = await operations.place_hold(
            tx,
            account_id=identifier,
            own_currency=account.currency,
            currency=wanted.currency,
            amount_minor=amount_minor,
            reference=wanted.reference,
            expires_at=wanted.expires_at,
            reserve=wallet_settings.reserve,
        )
        return schemas.show_hold(hold, now=tx.now)

    return await command.run(work, status=201)


@post(
    "/holds/{hold_id:str}/capture",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Capture a hold",
            section="Wallets and credits",
            answer=HoldAnswer,
            body=CaptureIn,
            body_optional=True,
            errors=(HoldNotOpen, CaptureAboveHold),
            needs_key=True,
        )
    },
)
async def capture_hold(payments_operator: Operator, hold_id: str, body: RawBody, command: Command) -> Answer:
    """Take held money, all of it or `amount`; the rest goes back to the wallet."""
    command.require_key()
    identifier = ids.expect("hold", hold_id)
    wanted = body.read(CaptureIn, optional=True)

    async def work(tx: Tx) -> HoldAnswer:
        hold = await operations.lock_open_hold(tx, hold_id=identifier)
        command.concerns(hold.account_id)
        amount_minor = schemas.read_capture(wanted, hold.currency)
        return schemas.show_hold(await operations.capture_hold(tx, hold=hold, amount_minor=amount_minor), now=tx.now)

    return await command.run(work)


@post(
    "/holds/{hold_id:str}/release",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Release a hold",
            section="Wallets and credits",
            answer=HoldAnswer,
            body=EmptyIn,
            body_optional=True,
            errors=(HoldNotOpen,),
            needs_key=True,
        )
    },
)
async def release_hold(payments_operator: Operator, hold_id: str, body: RawBody, command: Command) -> Answer:
    """Give held money back to the wallet."""
    command.require_key()
    identifier = ids.expect("hold", hold_id)
    body.read(EmptyIn, optional=True)

    async def work(tx: Tx) -> HoldAnswer:
        hold = await operations.lock_open_hold(tx, hold_id=identifier)
        command.concerns(hold.account_id)
        return schemas.show_hold(await operations.release_hold(tx, hold=hold), now=tx.now)

    return await command.run(work)


@get(
    "/accounts/{account_id:str}/ledger",
    opt={DESCRIBED: Described(summary="Read an account's ledger", section="Wallets and credits", query=PageQuery)},
)
async def show_ledger(billing_operator: Operator, account_id: str, query: RawQuery, db: Database) -> LedgerOut:
    """The account's books: every balance, and its transfers, newest first."""
    identifier = ids.expect("acc", account_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        balances_minor = await ledger.list_balances(snapshot.connection, account_id=identifier)
        newest = await ledger.list_transfers(snapshot.connection, account_id=identifier, limit=1)
        # Transfers are numbered without holes: the newest one's number is how many there are, and where a page starts.
        total = newest[0].number if newest else 0
        (after,) = page.key(int)
        before_number = after if isinstance(after, int) else max(total - page.offset, 0) + 1
        transfers = await ledger.list_transfers(
            snapshot.connection, account_id=identifier, limit=page.limit, before_number=before_number
        )
    found = page.cut(transfers, total=total, key=lambda transfer: (transfer.number,))
    return schemas.show_books(balances_minor, found.items, meta=meta(page, found))


HANDLERS = [
    grant_credit,
    list_account_credits,
    undo_credit,
    list_account_wallets,
    list_account_holds,
    place_hold,
    capture_hold,
    release_hold,
    show_ledger,
]
