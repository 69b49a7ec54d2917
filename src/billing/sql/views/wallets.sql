-- What other slices may read of promotional credits: each grant and what is left of it.
CREATE OR REPLACE VIEW promotional_credits_v AS
SELECT promotional_credits.account_id, credit_id, promotional_credits.currency, priority, granted_at, expires_at,
    coalesce(balances.balance_minor, 0) AS balance_minor
FROM promotional_credits
LEFT JOIN balances_v AS balances ON balances.account_id = promotional_credits.account_id
    AND balances.currency = promotional_credits.currency AND balances.ledger_account = 'promo:' || credit_id;
GRANT SELECT ON promotional_credits_v TO lineserve_app;
