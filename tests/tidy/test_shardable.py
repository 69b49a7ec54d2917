"""The schema can be sharded on account_id (design: scale-out): read from the catalog of a migrated database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.kit.db import Connection

# Tables without account_id first in their keys, each with its reason. They are small, or local to a node.
REFERENCE = {
    "api_keys": "looked up by digest before the account is known",
    "operator_keys": "the operator's staff, not accounts",
    "schema_migrations": "dbmate's",
    "code_digest": "one row",
    "audit_records": "one chain of all that operators did: local",
    "audit_head": "its end: one row",
    "gateway_notices": "by the gateway's id: what it names may be nobody's; local",
    "issuer_logos": "pictures of the operator's, by digest",
    "issuers": "who issues invoices: a few rows of the operator's",
    "number_series": "numbers without holes over all accounts: local",
    "invoice_numbers": "the same",
    "runs": "executions of a close: local",
    "run_accounts": "their work list: local",
    "run_chunks": "pieces of it, claimed across accounts: local",
    "kept_runs": "how far a job has looked through them: local",
    "secret_keys": "one row: the fingerprint of the installation's key",
    "jobs": "how each job stands: a few rows, one each",
    "check_marks": "how far the checks have come: a few rows",
    "currencies": "catalogue",
    "meters": "catalogue",
    "rate_cards": "catalogue",
    "prices": "catalogue",
    "bands": "catalogue",
    "tax_rates": "catalogue",
    "billed_items": "catalogue: the last finalised month of each item, whoever's",
}
# Sequences, each with the reason why its numbers mean nothing beyond their order.
SEQUENCES = {"outbox_versions": "of one object it rises; gaps, and the order of objects, mean nothing"}

KEYS = """
SELECT c.relname AS table_name, k.relname AS key_name,
    (SELECT array_agg(a.attname::text ORDER BY position)
     FROM unnest(i.indkey) WITH ORDINALITY AS u (number, position)
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number) AS columns
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_class k ON k.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique
ORDER BY 1, 2
"""
FOREIGN_KEYS = """
SELECT c.relname AS table_name, f.relname AS other_name, k.conname AS key_name,
    (SELECT array_agg(a.attname::text ORDER BY position)
     FROM unnest(k.conkey) WITH ORDINALITY AS u (number, position)
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number) AS columns,
    (SELECT array_agg(a.attname::text ORDER BY position)
     FROM unnest(k.confkey) WITH ORDINALITY AS u (number, position)
     JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = u.number) AS other_columns
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_class f ON f.oid = k.confrelid
WHERE c.relnamespace = 'public'::regnamespace AND k.contype = 'f'
ORDER BY 1, 3
"""
TABLES = """
SELECT c.oid, c.relname AS name,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'account_id' AND a.attnotnull) AS has_account
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY 2
"""


class TestSchema:
    async def test_is_shardable_by_its_keys(self, owner_connection: Connection) -> None:
        wrong = [
            f"{row['table_name']}.{row['key_name']}: {', '.join(row['columns'])}"
            for row in await owner_connection.fetch(KEYS)
            if row["table_name"] not in REFERENCE and row["columns"][0] != "account_id"
        ]
        assert not wrong

    async def test_is_shardable_by_its_foreign_keys(self, owner_connection: Connection) -> None:
        wrong = [
            f"{row['table_name']}.{row['key_name']}"
            for row in await owner_connection.fetch(FOREIGN_KEYS)
            if not _may_refer(row["table_name"], row["other_name"], row["columns"][0], row["other_columns"][0])
        ]
        assert not wrong

    async def test_has_an_account_in_every_table_but_the_reviewed_ones(self, owner_connection: Connection) -> None:
        tables = await owner_connection.fetch(TABLES)
        assert not [row["name"] for row in tables if not row["has_primary_key"]]
        assert not [row["name"] for row in tables if row["name"] not in REFERENCE and not row["has_account"]]

    async def test_keeps_the_reviewed_list_short(self, owner_connection: Connection) -> None:
        names = {row["name"] for row in await owner_connection.fetch(TABLES)}
        assert not set(REFERENCE) - names, "no such tables"

    async def test_has_no_trigger_and_no_serial(self, owner_connection: Connection) -> None:
        triggers = "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT tgisinternal"
        assert await owner_connection.fetch(f"{triggers} AND relnamespace = 'public'::regnamespace") == []
        sequences = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
        assert {row["relname"] for row in await owner_connection.fetch(sequences)} == SEQUENCES.keys()


def _may_refer(table: str, other: str, column: str, other_column: str) -> bool:
    if other in REFERENCE:
        return True
    return table not in REFERENCE and column == other_column == "account_id"
