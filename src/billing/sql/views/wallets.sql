-- What other slices may read of promotional credits: each grant and what is left of it.
CREATE OR REPLACE VIEW promotional_credits_v AS
SELECT promotional_credits.account_id, credit_id, promotional_credits.currency, priority, granted_at, expires_at,
    coalesce(balances.balance_minor, 0) AS balance_minor
FROM promotional_credits
LEFT JOIN balances_v AS balances ON balances.account_id = promotional_credits.account_id
    AND balances.currency = promotional_credits.currency AND balances.ledger_account = 'promo:' || credit_id;
-- Of them those with something left, each looked up by its balance: what was spent or has expired is not read.
CREATE OR REPLACE VIEW unspent_credits_v AS
SELECT balances.account_id, credits.*, balances.balance_minor
FROM balances_v AS balances
CROSS JOIN LATERAL (
    SELECT credit_id, currency, amount_minor, reason, priority, granted_at, expires_at FROM promotional_credits
    WHERE promotional_credits.account_id = balances.account_id
        -- other ledger accounts are named by no id
        AND credit_id = CASE WHEN starts_with(balances.ledger_account, 'promo:') THEN substr(balances.ledger_account, 7)::uuid END
    OFFSET 0
) AS credits
WHERE NOT balances.is_spent AND balances.balance_minor > 0 AND starts_with(balances.ledger_account, 'promo:');
GRANT SELECT ON promotional_credits_v, unspent_credits_v TO lineserve_app;

-- What the history shows of wallets: captured holds as charges (part_kind 3), promotional credits as they were granted (4).
CREATE OR REPLACE VIEW hold_transactions_v AS
SELECT
    account_id, hold_id AS source_id, 3 AS part_kind, 'charge'::text AS type, captured_minor AS amount_minor, currency,
    'Captured hold, ' || reference AS description, ended_at AS created_at
FROM holds
WHERE status = 'captured';

CREATE OR REPLACE VIEW credit_transactions_v AS
SELECT account_id, credit_id AS source_id, 4 AS part_kind, 'credit'::text AS type, amount_minor, currency,
    'Promotional credit, ' || reason AS description, granted_at AS created_at
FROM promotional_credits;

CREATE OR REPLACE VIEW wallet_transactions_v AS
SELECT * FROM hold_transactions_v
UNION ALL
SELECT * FROM credit_transactions_v;
GRANT SELECT ON hold_transactions_v, credit_transactions_v, wallet_transactions_v TO lineserve_app;

-- The holds that still stand in `wallet:held`.
CREATE OR REPLACE VIEW open_holds_v AS
SELECT account_id, hold_id, currency, amount_minor FROM holds WHERE status = 'open';
GRANT SELECT ON open_holds_v TO lineserve_app;
