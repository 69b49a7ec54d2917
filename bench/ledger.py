"""G2, G3, G4-alone: postings against a plain two-account transfer function."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from bench.measuring import Row, compare, row_of
from bench.world import World, new_id, now, open_world
from billing import ledger

if TYPE_CHECKING:
    from billing.kit.db import Connection
    from billing.ledger import Transfer

ACCOUNTS = 1_000
POSTS = 4_000
ARRAY = 100
CLIENTS = 8


async def rows() -> list[Row]:
    """The three rows, over one database."""
    async with open_world() as world:
        accounts = await _open_accounts(world)
        return [
            await _one_by_one(world, accounts),
            await _in_arrays(world, accounts),
            await _on_one_wallet(world, accounts),
        ]


async def _open_accounts(world: World) -> list[UUID]:
    accounts = [new_id() for _ in range(ACCOUNTS)]
    async with world.owner() as owner:
        for account_id in accounts:
            await ledger.open_head(owner, account_id=account_id)
        others = [(account_id, 10**12) for account_id in accounts]
        await owner.executemany("INSERT INTO yardstick.accounts VALUES ($1, $2)", others)
    return accounts


def _payment(account_id: UUID) -> Transfer:
    return ledger.payment_recorded(
        account_id=account_id, payment_id=new_id(), currency="USD", amount_minor=100, at=now()
    )


async def _post(connection: Connection, account_id: UUID) -> None:
    await ledger.post(connection, _payment(account_id), recorded_at=now())


async def _transfer(connection: Connection, source: UUID, destination: UUID) -> None:
    await connection.execute("SELECT yardstick.transfer($1, $2, $3, $4, $5)", new_id(), source, destination, 100, now())


async def _one_by_one(world: World, accounts: list[UUID]) -> Row:
    async with world.owner() as connection:

        async def ours() -> int:
            for index in range(POSTS):
                await _post(connection, accounts[index % ACCOUNTS])
            return POSTS

        async def yardstick() -> int:
            for index in range(POSTS):
                await _transfer(connection, accounts[index % ACCOUNTS], accounts[(index * 7 + 1) % ACCOUNTS])
            return POSTS

        found = await compare(ours, yardstick, postmaster=world.postmaster)
    return row_of(found, id="G2", operation="ledger posts one by one", unit="posts", bounds=(0.8, 1.5, 3))


async def _in_arrays(world: World, accounts: list[UUID]) -> Row:
    async with world.owner() as connection:

        async def ours() -> int:
            for start in range(0, 40 * ARRAY, ARRAY):
                sent = [_payment(accounts[(start + index) % ACCOUNTS]) for index in range(ARRAY)]
                await ledger.post_all(connection, sent, recorded_at=now())
            return 40 * ARRAY

        async def yardstick() -> int:
            for index in range(POSTS):
                await _transfer(connection, accounts[index % ACCOUNTS], accounts[(index * 7 + 1) % ACCOUNTS])
            return POSTS

        found = await compare(ours, yardstick, postmaster=world.postmaster)
    return row_of(found, id="G3", operation="ledger posts in arrays of 100", unit="posts", bounds=(2, 5, 10))


async def _on_one_wallet(world: World, accounts: list[UUID]) -> Row:
    """The yardstick is our own rate over as many accounts as there are clients' posts."""

    async def post(choose: list[UUID]) -> int:
        async def client(number: int) -> None:
            async with world.pool.acquire() as connection:
                for index in range(POSTS // CLIENTS):
                    await _post(connection, choose[(number * 101 + index) % len(choose)])

        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        return POSTS

    found = await compare(lambda: post(accounts[:1]), lambda: post(accounts), postmaster=world.postmaster)
    return row_of(
        found, id="G4-alone", operation="posts on one hot wallet, a commit each", unit="posts", bounds=(0.7, 0.95, 1)
    )
