"""A long past of one account, put straight into the tables: all of it is ended, so nothing that is done today should read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

_TABLE = """
CREATE TEMP TABLE past (g integer, number bigint, record bigint, at timestamptz, account uuid, project uuid, webhook uuid,
    alert uuid)
ON COMMIT DROP
"""
_SEEDS = """
INSERT INTO past
SELECT g, last_transfer + g - $5 + 1, last_record + g - $5 + 1, timestamptz '2023-12-31Z' - (7 * g % 1000) * interval '1 day',
    $1, $2, $3, $4
FROM generate_series($5::integer, $6::integer) AS g
CROSS JOIN (SELECT last_number FROM heads WHERE account_id = $1) AS head (last_transfer)
CROSS JOIN (SELECT last_number FROM audit_head) AS audit (last_record)
"""
# Of `last` things there are as many of what comes with every call, a tenth or a hundredth of what comes less often; g numbers them.
_PAST = """
INSERT INTO transfers (account_id, number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at,
    recorded_at, chain_hash)
SELECT account, number, 'USD', 'gateway:x', 'wallet:cash', 1, 'payment.recorded', 'past-' || g, 0, at, at, sha256('x')
FROM past;
INSERT INTO usage_events (account_id, source, event_id, resource_id, meter, quantity, occurred_at, recorded_at)
SELECT account, 'past', g::text, 'vps_1', 'sms', 1, at, at FROM past;
INSERT INTO idempotency_keys (account_id, route, key, fingerprint, status, body, headers, created_at)
SELECT account, 'POST /v1/past', 'past-' || g, sha256('x'), 201, '{}', '{}', at FROM past;
INSERT INTO outbox_events (account_id, event_id, type, object_id, payload, created_at, dispatched_at, relayed_at)
SELECT account, md5('evt' || g)::uuid, 'payment.succeeded', 'x', '{}', at, at, at FROM past;
INSERT INTO day_rows (account_id, day, resource_id, meter, total, highest, latest, latest_at, first_at, is_gauge, events)
SELECT account, date '2023-12-31' - g / 10 % 3650, 'past-' || g / 36500, 'sms', 1, 1, 1, at, at, false, 1 FROM past
WHERE g % 10 = 0;
INSERT INTO payments (account_id, payment_id, kind, gateway, currency, amount_minor, status, description, created_at, completed_at)
SELECT account, md5('pay' || g)::uuid, 'topup', 'sandbox', 'USD', 1, 'completed', 'Top-up', at, at FROM past WHERE g % 10 = 0;
INSERT INTO holds (account_id, hold_id, reference, currency, amount_minor, captured_minor, status, created_at, expires_at, ended_at)
SELECT account, md5('hold' || g)::uuid, 'past-' || g, 'USD', 100, CASE WHEN g % 20 = 0 THEN 50 END,
    CASE WHEN g % 20 = 0 THEN 'captured' ELSE 'released' END, at, at, at FROM past WHERE g % 10 = 0;
INSERT INTO invoice_lines (account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units,
    service_period, service, type, project_id, project_name, region, description, quantity, unit, amount_minor, unrounded)
SELECT account, md5('inv' || g / 100)::uuid, g % 100 / 10 + 1, 'usage', 'usage', gen_random_uuid(), 'plan', 'small', 'vps_1', 1,
    (date '2023-11-01' - g / 100 * interval '1 month')::date, 'compute', 'vps', project, 'P', 'nairobi', 'VPS', 1, 'hour', 10, 10
FROM past WHERE g % 10 = 0;
INSERT INTO webhook_messages (account_id, endpoint_id, message_id, type, object_id, version, body, status, attempts, tries,
    created_at, finished_at)
SELECT account, webhook, md5('evt' || g)::uuid, 'invoice.paid', 'x', 0, '{}', 'delivered', 1, 1, at, at FROM past WHERE g % 10 = 0;
INSERT INTO notifications (account_id, notification_id, template, object_id, attempt, payload, created_at)
SELECT account, md5('ntf' || g)::uuid, 'invoice.issued', 'past ' || g, 1, '{}', at FROM past WHERE g % 10 = 0;
INSERT INTO deliveries (account_id, delivery_id, notification_id, method, recipient_number, recipient, status, attempts, tries,
    created_at, finished_at)
SELECT account, md5('dlv' || g)::uuid, md5('ntf' || g)::uuid, 'email', 0, 'a@past.example', 'sent', 1, 1, at, at
FROM past WHERE g % 10 = 0;
INSERT INTO audit_records (number, actor_kind, actor_name, action, objects, account_id, occurred_at, details, chain_hash)
SELECT record, 'system', 'Past', 'run.requested', '{}', account, at, '{}', sha256('x') FROM past WHERE g % 10 = 0;
INSERT INTO invoices (account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
    paid_at_issue_minor, issued_at, due_at, parties)
SELECT account, md5('inv' || g / 100)::uuid, 'invoice', 'P-' || g, date '2023-11-01' - g / 100 * interval '1 month', 'USD', 100, 0,
    100, 100, timestamptz '2023-12-01Z' - g / 100 * interval '1 month', at, '{}' FROM past WHERE g % 100 = 0;
INSERT INTO invoice_states (account_id, invoice_id, status, paid_minor, paid_at)
SELECT account, md5('inv' || g / 100)::uuid, 'paid', 100, at FROM past WHERE g % 100 = 0;
INSERT INTO closes (account_id, period, invoice_id, currency, subtotal_minor, version, rated_at, finalized_at)
SELECT account, date '2023-11-01' - g / 100 * interval '1 month', md5('inv' || g / 100)::uuid, 'USD', 100, 1, at, at
FROM past WHERE g % 100 = 0;
INSERT INTO period_versions (account_id, period, version, rated_version)
SELECT account, date '2023-11-01' - g / 100 * interval '1 month', 1, 1 FROM past WHERE g % 100 = 0;
INSERT INTO api_keys (digest, key_id, account_id, name, prefix, permissions, ip_whitelist, created_at, revoked_at)
SELECT sha256(('past' || g)::bytea), md5('key' || g)::uuid, account, 'Past', 'ls_prod_', '{read}', '{}', at, at
FROM past WHERE g % 100 = 0;
INSERT INTO projects (account_id, project_id, name, is_default, created_at, deleted_at)
SELECT account, md5('prj' || g / 100)::uuid, 'Past', false, at, at FROM past WHERE g % 100 = 0;
INSERT INTO resources (account_id, resource_id, project_id, type, service, name, region, created_at, deleted_at, recorded_at)
SELECT account, 'past-' || g, CASE WHEN g % 20 = 0 THEN project ELSE md5('prj' || g / 100)::uuid END, 'vps', 'compute',
    'Past', 'nairobi', at - interval '9 days', at, at
FROM past WHERE g % 10 = 0;
INSERT INTO state_points (account_id, resource_id, effective_at, plan, units, status, recorded_at, end_at)
SELECT account, 'past-' || g, at - since * interval '1 day', 'small', 1, status, at, at - until * interval '1 day'
FROM past, (VALUES (9, 5, 'running'), (5, 1, 'stopped'), (1, 0, 'deleting'), (0, 0, 'deleted')) AS states (since, until, status)
WHERE g % 10 = 0;
INSERT INTO resource_moves (account_id, resource_id, recorded_at, project_id)
SELECT account, 'past-' || g, at, project FROM past WHERE g % 10 = 0;
INSERT INTO resource_deletions (account_id, resource_id, asked_at, project_id, status_before, plan_before, units_before, stopped_at,
    confirmed_at)
SELECT account, 'past-' || g, at, project, 'running', 'small', 1, at, at FROM past WHERE g % 100 = 0;
INSERT INTO gauges (account_id, resource_id, meter, ended_at) SELECT account, 'past-' || g, 'disk', at FROM past WHERE g % 10 = 0;
INSERT INTO day_rows (account_id, day, resource_id, meter, total, highest, latest, latest_at, first_at, is_gauge, events)
SELECT account, (at - interval '3 days')::date, 'past-' || g, 'disk', 86400, 1, 1, at - interval '3 days',
    at - interval '3 days', true, 1 FROM past WHERE g % 10 = 0;
-- one that runs still was stopped and started again and again
INSERT INTO state_points (account_id, resource_id, effective_at, plan, units, status, recorded_at, end_at)
SELECT account, 'vps_1', timestamptz '2023-12-31Z' - g * interval '1 minute', 'small', 1,
    CASE WHEN g % 2000 = 0 THEN 'stopped' ELSE 'running' END, at, timestamptz '2023-12-31Z' - (g - 1000) * interval '1 minute'
FROM past WHERE g % 1000 = 0;
INSERT INTO promotional_credits (account_id, credit_id, currency, amount_minor, reason, priority, granted_at, expires_at)
SELECT account, md5('credit' || g)::uuid, CASE WHEN g % 20 = 0 THEN 'KES' ELSE 'USD' END, 100, 'Past', 1, at - interval '90 days',
    CASE WHEN g % 30 > 0 THEN at END FROM past WHERE g % 10 = 0;
INSERT INTO balances (account_id, currency, ledger_account, balance_minor)
SELECT account, CASE WHEN g % 20 = 0 THEN 'KES' ELSE 'USD' END, 'promo:' || md5('credit' || g)::uuid, 0 FROM past WHERE g % 10 = 0;
INSERT INTO undone_credits (account_id, credit_id, reason, undone_at)
SELECT account, md5('credit' || g)::uuid, 'Past', at FROM past WHERE g % 100 = 0;
INSERT INTO quarantined_events (account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at,
    resolved_at)
SELECT account, 'past', 'q' || g, 'vps_1', 'sms', 1, at, 'outside_resource_life', at, at FROM past WHERE g % 10 = 0;
INSERT INTO refunds (account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, created_at, ended_at)
SELECT account, md5('ref' || g)::uuid, md5('pay' || g)::uuid, 'sandbox', 'USD', 1, 'Past', 'completed', at, at
FROM past WHERE g % 10 = 0;
INSERT INTO receipts (account_id, payment_id, parties, is_by_wallet, invoices, recorded_at)
SELECT account, md5('pay' || g)::uuid, '{}', false, '[]', at FROM past WHERE g % 10 = 0;
INSERT INTO invoice_payments (account_id, invoice_id, ordinal, source, source_id, amount_minor, created_at)
SELECT account, md5('inv' || g / 100)::uuid, g % 100 / 10 + 1, 'credit', md5('credit' || g)::uuid, 1, at FROM past WHERE g % 10 = 0;
INSERT INTO alert_firings (account_id, firing_id, subject_id, percent, revision, occasion, kind, currency, is_quantity,
    value, threshold, created_at)
SELECT account, md5('fire' || g)::uuid, subject, 100, 1, -g, 'fired', 'USD', false, 1, 1, at
FROM past, LATERAL (SELECT CASE WHEN g % 20 = 0 THEN alert ELSE md5('alert' || g)::uuid END AS subject) AS fired WHERE g % 10 = 0;
INSERT INTO delivery_attempts (account_id, delivery_id, number, gateway, started_at, ended_at, outcome)
SELECT account, md5('dlv' || g)::uuid, 1, 'smtp', at, at, 'sent' FROM past WHERE g % 10 = 0;
INSERT INTO webhook_attempts (account_id, endpoint_id, message_id, number, started_at, status_code, duration_ms)
SELECT account, webhook, md5('evt' || g)::uuid, 1, at, 200, 5 FROM past WHERE g % 10 = 0;
INSERT INTO credit_notes (account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor,
    restored_minor, returned_minor, refunded_minor, reason, issued_at, parties)
SELECT account, md5('cn' || g)::uuid, md5('inv' || g / 100)::uuid, 'credit', 'PCN-' || g, 'USD', 1, 0, 1, 0, 1, 0, 'Past', at, '{}'
FROM past WHERE g % 100 = 0;
INSERT INTO chargebacks (account_id, chargeback_id, payment_id, currency, amount_minor, cash_minor, reason, created_at)
SELECT account, md5('cb' || g)::uuid, md5('pay' || g)::uuid, 'USD', 1, 1, 'Past', at FROM past WHERE g % 100 = 0;
INSERT INTO payment_methods (account_id, payment_method_id, type, gateway, gateway_reference, last4, is_default, created_at,
    deleted_at)
SELECT account, md5('pm' || g)::uuid, 'card', 'sandbox', 'past-' || g, '4242', false, at, at FROM past WHERE g % 100 = 0;
INSERT INTO webhook_endpoints (account_id, endpoint_id, url, events, status, secret_number, failures, is_slow, created_at,
    deleted_at)
SELECT account, md5('wh' || g)::uuid, 'https://past.example', '{*}', 'enabled', 1, 0, false, at, at FROM past WHERE g % 100 = 0;
INSERT INTO gateway_notices (gateway, notice_id, type, account_id, body_digest, received_at)
SELECT 'sandbox', 'past-' || g, 'charge.succeeded', account, sha256('x'), at FROM past WHERE g % 10 = 0;
-- contracts, list prices and taxes that newer ones replaced, and runs: a ten-thousandth, for prices begin with a month
INSERT INTO rate_cards (rate_card_id, name, currency, account_id, valid_from, valid_to, created_at)
SELECT md5('card' || g)::uuid, 'Past', 'USD', CASE WHEN g % 20000 = 0 THEN account END, since, since + interval '1 month', at
FROM past, LATERAL (SELECT timestamptz '2023-12-01Z' - g / 10000 * interval '1 month' AS since) AS validity WHERE g % 10000 = 0;
INSERT INTO prices (price_id, rate_card_id, kind, item, service, currency, account_id, valid_from, valid_to, model, scope,
    definition, billable, minimum_quantity, per)
SELECT md5('price' || g)::uuid, md5('card' || g)::uuid, 'plan', 'small', 'compute', 'USD', CASE WHEN g % 20000 = 0 THEN account END,
    since, since + interval '1 month', 'hourly', 'resource', '{}', '{running}', 0, 3600
FROM past, LATERAL (SELECT timestamptz '2023-12-01Z' - g / 10000 * interval '1 month' AS since) AS validity WHERE g % 10000 = 0;
INSERT INTO bands (price_id, ordinal, low, base, unit) SELECT md5('price' || g)::uuid, 1, 0, 0, 1 FROM past WHERE g % 10000 = 0;
INSERT INTO tax_rates (country, name, percent, valid_from)
SELECT chr(65 + g / 10000 % 26) || 'X', 'Past', 1, date '2023-12-01' - g / 10000 FROM past WHERE g % 10000 = 0;
INSERT INTO runs (run_id, kind, period, dry_run, status, created_at)
SELECT md5('run' || g)::uuid, 'close', date '2023-12-01', true, 'completed', at FROM past WHERE g % 10000 = 0;
UPDATE heads SET last_number = (SELECT max(number) FROM past)
WHERE account_id = (SELECT account FROM past LIMIT 1);
UPDATE audit_head SET last_number = (SELECT max(record) FROM past);
"""


_ABOVE = "overlay(account_id::text PLACING lpad(to_hex(n), 8, '0') FROM 1 FOR 8)::uuid"
_NEIGHBOURLY = (
    "accounts", "heads", "balances", "projects", "resources", "state_points", "resource_moves", "gauges", "day_rows", "alerts",
    "watched_accounts", "notification_settings", "payment_methods", "webhook_endpoints", "period_versions", "closes", "invoices",
    "invoice_states", "invoice_lines", "invoice_taxes", "promotional_credits", "credit_notes", "alert_firings", "kept_months",
    "kept_places", "kept_days", "holds", "payments", "refunds",
)  # fmt: skip
_GAUGES = """
INSERT INTO gauges (account_id, resource_id, meter) SELECT account_id, 'vps_1', 'disk' FROM accounts WHERE account_id <> $1
"""
_CONTRACTS = """
INSERT INTO prices (price_id, rate_card_id, kind, item, service, currency, account_id, valid_from, model, scope, definition,
    billable, minimum_quantity, per)
SELECT gen_random_uuid(), rate_card_id, kind, item, prices.service, prices.currency, accounts.account_id, valid_from, model, scope,
    definition, billable, minimum_quantity, per
FROM prices, accounts WHERE prices.account_id IS NULL AND accounts.account_id <> $1
    AND substr(accounts.account_id::text, 8, 1) = '1'  -- some have a contract
"""
_COLUMNS = """
SELECT column_name::text FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'
"""


async def settle_neighbours(owner: asyncpg.Connection[asyncpg.Record], *, account_id: UUID, count: int) -> None:
    """Give others what an account has, so that no table is so small, or so much of one account's, that it is best read whole."""
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        for table in _NEIGHBOURLY:
            columns = [row["column_name"] for row in await owner.fetch(_COLUMNS, table)]
            chosen = [_ABOVE if column == "account_id" else column for column in columns]
            await owner.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)} "  # noqa: S608 - names of the catalog
                f"FROM {table}, generate_series(1, $2::integer) AS n WHERE account_id = $1",
                account_id,
                count,
            )
        await owner.execute(_GAUGES, account_id)
        await owner.execute(_CONTRACTS, account_id)
        await owner.execute("UPDATE watched_accounts SET next_due_at = NULL WHERE account_id <> $1", account_id)
        await owner.execute("UPDATE webhook_endpoints SET due_at = NULL WHERE account_id <> $1", account_id)


async def grow(
    owner: asyncpg.Connection[asyncpg.Record],
    *,
    account_id: UUID,
    project_id: UUID,
    webhook_id: UUID,
    alert_id: UUID,
    first: int,
    last: int,
) -> None:
    """Give an account things numbered first to last, all of the years up to 2023, and look after the tables as a server does."""
    async with owner.transaction():
        await owner.execute(
            "SET LOCAL session_replication_role = replica"
        )  # no keys are looked up: that would be most of the time
        await owner.execute(_TABLE)
        await owner.execute(_SEEDS, account_id, project_id, webhook_id, alert_id, first, last)
        await owner.execute(_PAST)
    await owner.execute("VACUUM ANALYZE")
