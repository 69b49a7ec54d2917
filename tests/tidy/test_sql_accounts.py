"""The second wall between accounts: every statement over their data says whose, read from the SQL itself (quality.md, X2).

There is no row-level security: what keeps accounts apart is that each statement names `account_id`. The program's statements are
parsed by PostgreSQL's own parser; `tests/store/test_account_filters.py` takes their filters away one by one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pglast
import pytest
from pglast.ast import CreateStmt, Node, RangeVar

from billing.kit.migrate import SQL
from tests.support.sql_texts import Text, program_texts
from tests.support.tenancy import COLUMN, is_a, unbound, unjoined
from tests.tidy.test_shardable import REFERENCE

# Statements that go over all accounts on purpose, each with its reason.
REVIEWED = {
    "accounts/store.py list_accounts": "the operator's list of all accounts",
    "analytics/sql/standing_months.sql ": "a check of all accounts",
    "analytics/store/totals.py list_next_accounts": "the operator's totals are of all accounts",
    "app/metrics.py _STUCK_SQL": "how much work of all accounts somebody has to look at",
    "app/metrics.py _WAITING_SQL": "how long the oldest work of all accounts waits",
    "catalog/store/meters.py is_metered": "a meter is held by whoever used it",
    "app/jobs.py _WAITING_SQL": "what waits for the jobs, whoever's",
    "invoices/sql/checks.sql ": "a check of all accounts",
    "invoices/store/checks.py _list_settled": "a check of all accounts",
    "invoices/store/overdue.py claim_due": "the job's next invoices, whoever's",
    "kit/idempotency.py delete_expired": "pruned by age",
    "kit/outbox.py claim": "the queue's next event, whoever's",
    "kit/outbox.py _claim_unrelayed": "the relay's next events, whoever's",
    "kit/outbox.py list_events": "the operator's log; one account's if asked for",
    "kit/outbox.py run_checks": "a check of all accounts",
    "kit/touches.py claim": "the next accounts that were touched or are due",
    "kit/touches.py drop_stale": "touches that nobody looks at any more",
    "ledger/sql/checks.sql ": "a check of all accounts",
    "metering/sql/checks.sql ": "a check of all accounts",
    "metering/store/events.py count_quarantined": "the operator's list; one account's if asked for",
    "metering/store/events.py list_quarantined": "the operator's list and the job's; one account's if asked for",
    "metering/store/events.py list_waiting_accounts": "the job's next accounts",
    "metering/store/periods.py list_active_accounts": "whom a close has to bill",
    "metering/store/resources.py claim_shortened": "the job's next resource, whoever's",
    "notifications/store/listing.py list_deliveries": "the operator's list; one account's if asked for",
    "notifications/store/sending.py end_lost": "the job's deliveries that ran out of time, whoever's",
    "notifications/store/sending.py lock_due": "the job's next deliveries, whoever's",
    "notifications/store/sending.py run_checks": "a check of all accounts",
    "notifications/store/sending.py suppress_due": "the job's next deliveries, whoever's",
    "payments/sql/checks.sql ": "a check of all accounts",
    "payments/store/methods.py list_expiring": "the job's next cards, whoever's",
    "payments/store/payments.py find_payment_account": "the operator names a payment alone",
    "payments/store/payments.py list_due": "the job's next payments, whoever's",
    "payments/store/refunds.py list_refunds_due": "the job's next refunds, whoever's",
    "projects/store.py claim_unstopped": "the job's next deletion, whoever's",
    "projects/store.py find_account": "the operator names a project alone",
    "projects/store.py mark_alarmed": "deletions that are late, whoever's",
    "wallets/sql/checks.sql ": "a check of all accounts",
    "webhooks/store/log.py list_all_deliveries": "the operator's list; one account's if asked for",
    "webhooks/store/queue.py claim_endpoints": "the job's next endpoints, whoever's",
    "webhooks/store/queue.py delete_old": "pruned by age",
    "webhooks/store/queue.py run_checks": "a check of all accounts",
    "wallets/store.py find_hold_account": "the operator names a hold alone",
}


@cache
def texts() -> tuple[Text, ...]:
    return tuple(program_texts())


def _views() -> dict[str, str]:
    return {text.holder: text.sql for text in texts() if text.is_view}


@cache
def relations() -> frozenset[str]:
    """The tables that hold accounts' data, as the golden schema has them, and the views over them."""
    lines = (SQL / "schema.sql").read_text(encoding="utf-8").splitlines()
    schema = "\n".join(line for line in lines if not line.startswith("\\"))
    tables: list[Any] = [one.stmt for one in pglast.parse_sql(schema) if is_a(one.stmt, CreateStmt)]
    found = {
        table.relation.relname
        for table in tables
        if table.relation.schemaname == "public"
        and table.relation.relname not in REFERENCE
        and any(getattr(element, "colname", None) == COLUMN for element in table.tableElts)
    }
    while more := {name for name, sql in _views().items() if _reads(pglast.parse_sql(sql), found)} - found:
        found |= more
    return frozenset(found)


def _reads(node: Any, relations: set[str]) -> bool:
    """Whether a query reads any of some relations."""
    if is_a(node, RangeVar):
        return node.relname in relations
    if isinstance(node, (list, tuple)):
        return any(_reads(part, relations) for part in node)
    return is_a(node, Node) and any(_reads(getattr(node, name), relations) for name in node)


class TestStatements:
    def test_are_those_of_the_program(self) -> None:
        files = {text.file.split("/")[0] for text in texts()}
        assert {
            "accounts",
            "alerts",
            "invoices",
            "kit",
            "ledger",
            "metering",
            "payments",
            "projects",
            "sql",
            "wallets",
        } <= files
        assert len(texts()) > 400
        assert {"accounts", "alerts", "usage_events", "resource_spans_v", "projects_v"} <= relations()
        assert not {"prices", "prices_v", "api_keys"} & relations()

    def test_name_the_account_of_everything_they_touch(self) -> None:
        """Give a statement its `account_id`; one that goes over all accounts on purpose comes into REVIEWED with its reason."""
        wrong: dict[str, list[str]] = {}
        for text in texts():
            missing = (unjoined if text.is_view else unbound)(text.sql, relations=relations())
            if missing and str(text) not in REVIEWED:
                wrong[str(text)] = missing
        assert not wrong

    def test_are_reviewed_only_where_it_is_needed(self) -> None:
        needed = {str(text) for text in texts() if not text.is_view and unbound(text.sql, relations=relations())}
        assert set(REVIEWED) - needed == set()


class TestUnbound:
    """What the test above stands on."""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM t WHERE account_id = $1",
            "SELECT * FROM t WHERE account_id = ANY ($1) AND id = $2",
            "SELECT * FROM t WHERE id = $2 AND (account_id, x) = ($1, 1)",
            "SELECT * FROM t AS a JOIN u AS b ON b.account_id = a.account_id WHERE a.account_id = $1",
            "SELECT * FROM t JOIN u USING (account_id, id) WHERE account_id = $1",
            "SELECT * FROM unnest($1::uuid[]) AS asked (account_id) JOIN t USING (account_id)",
            "WITH mine AS (SELECT * FROM t WHERE account_id = $1) SELECT * FROM mine",
            "SELECT (SELECT count(*) FROM u WHERE u.account_id = o.account_id) FROM other AS o",
            "SELECT * FROM t WHERE account_id IN (SELECT account_id FROM other)",
            "INSERT INTO t (account_id, id) VALUES ($1, $2)",
            "UPDATE t SET x = 1 FROM other WHERE t.account_id = other.account_id",
            "DELETE FROM t USING u WHERE t.account_id = u.account_id AND u.account_id = $1",
            "SELECT * FROM elsewhere.t",
        ],
    )
    def test_finds_nothing_where_the_account_is_named(self, sql: str) -> None:
        assert unbound(sql, relations=frozenset({"t", "u"})) == []

    @pytest.mark.parametrize(
        ("sql", "found"),
        [
            ("SELECT * FROM t", ["t"]),
            ("SELECT account_id FROM t ORDER BY account_id", ["t"]),
            ("SELECT * FROM t WHERE account_id = $1 OR x", ["t"]),
            ("SELECT * FROM t WHERE account_id > $1", ["t"]),
            ("SELECT * FROM t WHERE account_id IS NOT NULL", ["t"]),
            ("SELECT * FROM t WHERE NOT account_id = $1", ["t"]),
            ("SELECT * FROM t WHERE ($1::uuid IS NULL OR account_id = $1)", ["t"]),
            ("SELECT * FROM t JOIN u ON u.id = t.id WHERE t.account_id = $1", ["u"]),
            ("SELECT * FROM t JOIN u ON u.account_id = t.account_id", ["t", "u"]),
            ("SELECT * FROM t JOIN u USING (account_id)", ["t", "u"]),
            ("SELECT * FROM t WHERE account_id = $1 UNION SELECT * FROM u", ["u"]),
            ("SELECT * FROM t WHERE account_id = $1 AND EXISTS (SELECT FROM u WHERE u.id = t.id)", ["u"]),
            ("WITH t AS (SELECT * FROM u) SELECT * FROM t", ["u"]),
            ("WITH mine AS (SELECT 1) SELECT (SELECT max(id) FROM public.t) FROM mine", ["t"]),
            ("INSERT INTO t (id) SELECT id FROM u WHERE account_id = $1", ["t"]),
            ("INSERT INTO t (account_id, id) SELECT account_id, id FROM u", ["u"]),
            ("UPDATE t SET account_id = $1 WHERE id = $2", ["t"]),
            ("DELETE FROM t WHERE id = $1", ["t"]),
        ],
    )
    def test_finds_what_could_be_anybodys(self, sql: str, found: list[str]) -> None:
        assert unbound(sql, relations=frozenset({"t", "u"})) == found

    @pytest.mark.parametrize(
        ("sql", "found"),
        [
            ("SELECT account_id, id FROM t", []),
            ("SELECT t.account_id FROM t JOIN u ON u.account_id = t.account_id", []),
            ("SELECT t.account_id FROM t JOIN u ON u.id = t.id", ["u"]),
            ("SELECT id FROM t", ["t"]),
        ],
    )
    def test_asks_views_to_show_the_account_and_to_join_by_it(self, sql: str, found: list[str]) -> None:
        assert unjoined(sql, relations=frozenset({"t", "u"})) == found
