-- The invariants of wallets, each with the number of places where it is broken. Goes on from `asked` (kit/checks.py).
, grants AS (
    SELECT c.account_id, c.currency, 'promo:' || c.credit_id AS ledger_account, c.amount_minor, balances_v.balance_minor
    FROM promotional_credits AS c
    LEFT JOIN balances_v ON balances_v.account_id = c.account_id AND balances_v.currency = c.currency
        AND balances_v.ledger_account = 'promo:' || c.credit_id
)
SELECT 'credits hold at most what was granted' AS name, count(*) AS violations
FROM (
    SELECT FROM grants WHERE (balance_minor BETWEEN 0 AND amount_minor) IS NOT TRUE
    UNION ALL
    SELECT FROM balances_v
    WHERE starts_with(ledger_account, 'promo:') AND balance_minor <> 0 AND NOT EXISTS (
        SELECT FROM grants
        WHERE grants.account_id = balances_v.account_id AND grants.currency = balances_v.currency
            AND grants.ledger_account = balances_v.ledger_account
    )
) AS broken
