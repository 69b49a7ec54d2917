"""Plenty of everything that a list shows, put straight into the tables: many rows of the same instant, in no order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

# Rows are numbered by g; what they belong to is set for the session before.
_SEEDS = """
CREATE TEMP TABLE IF NOT EXISTS seeds (g integer, at timestamptz, account uuid, project uuid, invoice uuid, payment uuid, run uuid,
    webhook uuid);
TRUNCATE seeds;
INSERT INTO seeds
SELECT g, timestamptz '2024-01-05T00:00Z' + (g * 37 % 11) * interval '6 hours', current_setting('plenty.account')::uuid,
    current_setting('plenty.project')::uuid, current_setting('plenty.invoice')::uuid, current_setting('plenty.payment')::uuid,
    current_setting('plenty.run')::uuid, current_setting('plenty.webhook')::uuid
FROM generate_series(current_setting('plenty.first')::integer, current_setting('plenty.last')::integer) AS g;
"""

_ROWS = """
INSERT INTO accounts (account_id, email, name, company, status, verified, currency, timezone, tax_exempt, terms_days, created_at)
SELECT md5('acc' || g)::uuid, 'a' || g || '@plenty.example', 'Name ' || g % 3, 'Company ' || g % 2,
    (ARRAY['active', 'suspended', 'closed'])[1 + g % 3], false, 'USD', 'UTC', false, 14, at FROM seeds;
INSERT INTO api_keys (digest, key_id, account_id, name, prefix, permissions, ip_whitelist, created_at, revoked_at)
SELECT sha256(('key' || g)::bytea), md5('key' || g)::uuid, account, 'Key ' || g, 'ls_prod_', '{read}', '{}', at,
    CASE WHEN g % 7 = 0 THEN at END FROM seeds;
INSERT INTO projects (account_id, project_id, name, is_default, created_at)
SELECT account, md5('proj' || g)::uuid, 'Project ' || g, false, at FROM seeds;
INSERT INTO payment_methods (account_id, payment_method_id, type, gateway, gateway_reference, last4, is_default, created_at,
    deleted_at)
SELECT account, md5('pm' || g)::uuid, 'card', 'sandbox', 'r' || g, '4242', false, at, CASE WHEN g % 7 = 0 THEN at END FROM seeds;
INSERT INTO alerts (account_id, alert_id, type, condition, threshold, currency, methods, revision, created_at)
SELECT account, md5('alert' || g)::uuid, 'budget', 'greater_than', 100, 'USD', '{email}', 1, at FROM seeds;
INSERT INTO notifications (account_id, notification_id, template, object_id, attempt, payload, created_at)
SELECT account, md5('ntf' || g)::uuid, 'invoice.issued', 'inv ' || g, 1, '{}', at FROM seeds;
INSERT INTO deliveries (account_id, delivery_id, notification_id, method, recipient_number, recipient, status, reason, attempts,
    tries, created_at, finished_at)
SELECT account, md5('dlv' || g || '/' || n)::uuid, md5('ntf' || g)::uuid, 'email', n, 'a@plenty.example',
    (ARRAY['sent', 'failed', 'suppressed'])[1 + g % 3], CASE WHEN g % 3 > 0 THEN 'plenty' END, 1, 1, at, at
FROM seeds, generate_series(0, 1) AS n;
INSERT INTO delivery_attempts (account_id, delivery_id, number, gateway, started_at, ended_at, outcome)
SELECT account, md5('dlv' || g || '/0')::uuid, 1, 'smtp', at, at, CASE WHEN g % 3 = 0 THEN 'sent' ELSE 'refused' END FROM seeds;
INSERT INTO webhook_endpoints (account_id, endpoint_id, url, events, status, disabled_reason, disabled_at, secret_number,
    failures, is_slow, created_at, deleted_at)
SELECT account, md5('wh' || g)::uuid, 'https://hooks.example.com/' || g, '{*}', 'disabled', 'asked', at, 1, 0, false, at,
    CASE WHEN g % 7 = 0 THEN at END FROM seeds;
INSERT INTO webhook_messages (account_id, endpoint_id, message_id, type, object_id, version, body, status, attempts, tries,
    created_at, finished_at)
SELECT account, endpoint_id, md5('evt' || g)::uuid, 'invoice.paid', 'x', g, '{}',
    CASE WHEN g % 2 = 0 THEN 'delivered' ELSE 'failed' END, 1, 1, at, at
FROM seeds, LATERAL (SELECT unnest(ARRAY[webhook, md5('wh' || g)::uuid]) AS endpoint_id) AS made;
INSERT INTO webhook_attempts (account_id, endpoint_id, message_id, number, started_at, status_code, duration_ms)
SELECT account, webhook, md5('evt' || g)::uuid, 1, at, 200, 5 FROM seeds;
INSERT INTO promotional_credits (account_id, credit_id, currency, amount_minor, reason, priority, granted_at, expires_at)
SELECT account, md5('credit' || g)::uuid, 'USD', 100, 'Plenty', g % 2, at, CASE WHEN g % 3 > 0 THEN at + interval '900 days' END
FROM seeds;
INSERT INTO holds (account_id, hold_id, reference, currency, amount_minor, captured_minor, status, created_at, expires_at, ended_at)
SELECT account, md5('hold' || g)::uuid, 'h' || g, 'USD', 100, CASE WHEN g % 3 = 1 THEN 50 END,
    (ARRAY['open', 'captured', 'released'])[1 + g % 3], at, at + interval '900 days', CASE WHEN g % 3 > 0 THEN at END FROM seeds;
INSERT INTO resources (account_id, resource_id, project_id, type, service, name, region, created_at, recorded_at, deleted_at)
SELECT account, 'r/' || g, project, 'vps', (ARRAY['compute', 'storage'])[1 + g % 2], 'R', 'nairobi', at, at,
    CASE WHEN g % 3 = 2 THEN at + interval '1 hour' END FROM seeds;
INSERT INTO state_points (account_id, resource_id, effective_at, plan, units, status, recorded_at, end_at)
SELECT account, 'r/' || g, at, 'small', 1, (ARRAY['running', 'stopped', 'running'])[1 + g % 3], at,
    CASE WHEN g % 3 = 2 THEN at + interval '1 hour' END FROM seeds;
INSERT INTO payments (account_id, payment_id, kind, gateway, currency, amount_minor, status, failure_reason, description, reference,
    created_at, received_at, completed_at)
SELECT account, md5('pay' || g)::uuid, kind, 'sandbox', 'USD', 100 + g, status,
    CASE status WHEN 'failed' THEN 'declined' END, 'Top-up',
    CASE kind WHEN 'recorded' THEN 'plenty ' || g END, at, CASE kind WHEN 'recorded' THEN at END,
    CASE status WHEN 'completed' THEN at END
FROM seeds, LATERAL (SELECT (ARRAY['topup', 'recorded', 'topup'])[1 + g % 3] AS kind,
    (ARRAY['pending', 'completed', 'failed'])[1 + g % 3] AS status) AS made;
INSERT INTO refunds (account_id, refund_id, payment_id, gateway, currency, amount_minor, reason, status, created_at, ended_at)
SELECT account, md5('ref' || g)::uuid, payment, 'sandbox', 'USD', 1, 'Plenty', 'completed', at, at FROM seeds;
INSERT INTO chargebacks (account_id, chargeback_id, payment_id, currency, amount_minor, cash_minor, reason, created_at)
SELECT account, md5('cb' || g)::uuid, payment, 'USD', 1, 1, 'Plenty', at FROM seeds;
INSERT INTO invoices (account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
    paid_at_issue_minor, issued_at, due_at, parties)
SELECT account, md5('inv' || g)::uuid, CASE WHEN g % 5 = 4 THEN 'credit_note' ELSE 'invoice' END, 'P-' || g,
    date '1900-01-01' + g * interval '1 month', 'USD', sign, 0, sign, 0, at, at + (g % 40) * interval '1 day', '{}'
FROM seeds, LATERAL (SELECT CASE WHEN g % 5 = 4 THEN -100 ELSE 100 END AS sign) AS made;
INSERT INTO invoice_states (account_id, invoice_id, status, paid_minor, ended_at)
SELECT account, md5('inv' || g)::uuid, (ARRAY['pending', 'paid', 'void', 'uncollectible', 'paid'])[1 + g % 5], 0,
    CASE WHEN g % 5 IN (2, 3) THEN at END FROM seeds;
INSERT INTO invoice_lines (account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units,
    service_period, service, type, project_id, project_name, region, description, quantity, unit, amount_minor, unrounded)
SELECT account, made.invoice_id, made.ordinal, 'usage', 'usage', gen_random_uuid(), 'plan', 'small', '', 1, date '2024-01-01',
    'compute', 'vps', project, 'P', 'nairobi', 'VPS', 1, 'hour', (made.ordinal % 4 - 1) * 10, 10
FROM seeds, LATERAL (
    SELECT md5('inv' || g)::uuid AS invoice_id, n AS ordinal FROM generate_series(1, 4) AS n
    UNION ALL
    SELECT invoice, 1000 + g
) AS made;
INSERT INTO invoice_taxes (account_id, invoice_id, ordinal, name, percent, base_minor, amount_minor)
SELECT account, md5('inv' || g)::uuid, n, 'VAT' || n, 16, 100, 16 - n * 16 FROM seeds, generate_series(0, 2) AS n;
INSERT INTO credit_notes (account_id, credit_note_id, invoice_id, kind, number, currency, net_minor, tax_minor, total_minor,
    restored_minor, returned_minor, refunded_minor, reason, issued_at, parties)
SELECT account, md5('cn' || g)::uuid, invoice, 'credit', 'PCN-' || g, 'USD', 1, 0, 1, 0, 1, 0, 'Plenty', at, '{}' FROM seeds;
INSERT INTO transfers (account_id, number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at,
    recorded_at, chain_hash)
SELECT account, (SELECT coalesce(max(number), 0) FROM transfers WHERE account_id = account) + row_number() OVER (ORDER BY g), 'USD',
    'gateway:sandbox', 'wallet:pending', 1, 'topup.started', md5('transfer' || g)::uuid::text, 1, at, at, sha256('x')
FROM seeds;
INSERT INTO meters (meter, service, name, unit, aggregation)
SELECT 'meter/' || md5('m' || g), 'storage', 'M', 'GB', 'sum' FROM seeds;
INSERT INTO rate_cards (rate_card_id, name, currency, account_id, valid_from, created_at)
SELECT md5('card' || g)::uuid, 'Card ' || g, (ARRAY['USD', 'KES'])[1 + g % 2], CASE WHEN g % 3 = 0 THEN account END,
    timestamptz '2024-01-01T00:00Z', at FROM seeds;
INSERT INTO tax_rates (country, name, percent, valid_from)
SELECT (ARRAY['KE', 'ZA', 'NG'])[1 + g % 3], 'Tax ' || g % 5, 1, date '2000-01-01' + g FROM seeds;
INSERT INTO quarantined_events (account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at)
SELECT CASE WHEN g % 3 = 0 THEN md5('acc' || g)::uuid ELSE account END, 'source ' || g % 2, 'e' || g, 'x', 'sms', 1, at,
    'resource_unknown', at FROM seeds;
INSERT INTO runs (run_id, kind, period, dry_run, status, created_at)
SELECT md5('run' || g)::uuid, 'close', date '2023-01-01', true, 'completed', at FROM seeds;
INSERT INTO run_accounts (run_id, account_id, state, reason)
SELECT run, md5('parked' || g)::uuid, 'parked', 'price_missing' FROM seeds;
INSERT INTO audit_records (number, actor_kind, actor_id, actor_name, action, objects, account_id, occurred_at, details,
    chain_hash)
SELECT (SELECT coalesce(max(number), 0) FROM audit_records) + row_number() OVER (ORDER BY g),
    (ARRAY['operator', 'account_key', 'system'])[1 + g % 3],
    CASE WHEN g % 3 < 2 THEN md5('actor' || g % 2)::uuid END, 'Plenty',
    (ARRAY['key.created', 'key.revoked', 'run.requested'])[1 + g % 3], '{}',
    CASE WHEN g % 2 = 0 THEN account END, at, '{}', sha256('x') FROM seeds;
"""


async def grow(connection: asyncpg.Connection[asyncpg.Record], *, first: int, last: int, **owners: str) -> None:
    """Rows numbered first to last in every table; `owners` says whose: account, project, invoice, payment and run by UUID."""
    for name, value in {**owners, "first": str(first), "last": str(last)}.items():
        await connection.execute("SELECT set_config('plenty.' || $1, $2, false)", name, value)
    async with connection.transaction():
        await connection.execute(_SEEDS)
        await connection.execute(_ROWS)
