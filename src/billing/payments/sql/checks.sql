-- The invariants of payments, each with the number of places where it is broken. Goes on from `asked` (kit/checks.py).
, given_back AS (
    SELECT account_id, payment_id, sum(amount_minor) AS amount_minor
    FROM (
        SELECT account_id, payment_id, amount_minor FROM refunds WHERE status <> 'failed'
        UNION ALL
        SELECT account_id, payment_id, amount_minor FROM chargebacks
    ) AS parts
    GROUP BY account_id, payment_id
), held AS (
    SELECT account_id, currency, sum(amount_minor) AS amount_minor
    FROM (
        SELECT account_id, currency, amount_minor FROM open_holds_v
        UNION ALL
        SELECT account_id, currency, amount_minor FROM refunds WHERE status = 'pending'
    ) AS parts
    GROUP BY account_id, currency
), held_balances AS (
    SELECT account_id, currency, balance_minor FROM balances_v WHERE ledger_account = 'wallet:held'
), waiting AS (
    SELECT account_id, currency, sum(amount_minor) AS amount_minor FROM payments
    WHERE status = 'pending'
    GROUP BY account_id, currency
), pending_balances AS (
    SELECT account_id, currency, balance_minor FROM balances_v WHERE ledger_account = 'wallet:pending'
)
SELECT 'refunds and chargebacks are at most what was captured' AS name, count(*) AS violations
FROM given_back
JOIN payments USING (account_id, payment_id)
WHERE given_back.amount_minor > CASE payments.status WHEN 'completed' THEN payments.amount_minor ELSE 0 END
UNION ALL
SELECT 'held money is open holds and refunds on their way out', count(*)
FROM held
FULL JOIN held_balances USING (account_id, currency)
WHERE coalesce(held.amount_minor, 0) <> coalesce(held_balances.balance_minor, 0)
UNION ALL
SELECT 'pending money is payments under way', count(*)
FROM waiting
FULL JOIN pending_balances USING (account_id, currency)
WHERE coalesce(waiting.amount_minor, 0) <> coalesce(pending_balances.balance_minor, 0)
UNION ALL
SELECT 'payments and refunds under way are asked about', count(*)
FROM (
    SELECT next_check_at FROM payments WHERE status = 'pending'
    UNION ALL
    SELECT next_check_at FROM refunds WHERE status = 'pending'
) AS under_way
WHERE next_check_at < $3 - interval '1 day'
