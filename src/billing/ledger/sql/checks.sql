-- The books' own invariants, each with the number of places where it is broken. Goes on from `asked` (kit/checks.py).
, scope AS (
    SELECT account_id FROM heads, asked WHERE since IS NULL OR (hashtextextended(account_id::text, 0) & 15) = part
    UNION
    SELECT account_id FROM transfers WHERE recorded_at >= $1
), own_transfers AS (
    SELECT transfers.* FROM scope JOIN transfers USING (account_id)
), own_balances AS (
    SELECT balances.* FROM scope JOIN balances USING (account_id)
), own_heads AS (
    SELECT heads.* FROM scope JOIN heads USING (account_id)
), moves AS (
    SELECT account_id, currency, source AS ledger_account, -amount_minor AS change_minor FROM own_transfers
    UNION ALL
    SELECT account_id, currency, destination, amount_minor FROM own_transfers
), sums AS (
    SELECT account_id, currency, ledger_account, sum(change_minor) AS balance_minor
    FROM moves
    GROUP BY account_id, currency, ledger_account
), postings AS (
    -- A posting ends with the transfer that carries its hash.
    SELECT *, count(chain_hash) OVER (PARTITION BY account_id ORDER BY number) - (chain_hash IS NOT NULL)::integer AS posting
    FROM own_transfers
), chain AS (
    SELECT account_id, posting, max(number) AS last_number, (array_agg(chain_hash ORDER BY number DESC))[1] AS chain_hash,
        string_agg(
            transfer_text(number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at, recorded_at),
            E'\n' ORDER BY number) AS content
    FROM postings
    GROUP BY account_id, posting
), links AS (
    SELECT account_id, chain_hash, content,
        coalesce(lag(chain_hash) OVER (PARTITION BY account_id ORDER BY posting), chain_start(account_id)) AS chain_before
    FROM chain
)
SELECT 'balances sum to zero' AS name, count(*) AS violations
FROM (SELECT FROM own_balances GROUP BY account_id, currency HAVING sum(balance_minor) <> 0) AS broken
UNION ALL
SELECT 'balances are the sum of their transfers', count(*)
FROM sums
FULL JOIN own_balances AS balances USING (account_id, currency, ledger_account)
WHERE coalesce(sums.balance_minor, 0) <> coalesce(balances.balance_minor, 0)
UNION ALL
SELECT 'wallets and credits are not negative', count(*)
FROM sums
WHERE balance_minor < 0 AND (starts_with(ledger_account, 'wallet:') OR starts_with(ledger_account, 'promo:'))
UNION ALL
SELECT 'nobody is owed by a chargeback', count(*)
FROM sums
WHERE balance_minor > 0 AND ledger_account = 'owed'
UNION ALL
SELECT 'transfers are numbered without holes', count(*)
FROM (
    SELECT FROM own_heads
    LEFT JOIN transfers USING (account_id)
    GROUP BY account_id, last_number
    HAVING count(number) <> last_number OR coalesce(max(number), 0) <> last_number
) AS broken
UNION ALL
SELECT 'hash chain holds', count(*)
FROM links
WHERE chain_hash IS DISTINCT FROM sha256(chain_before || convert_to(content, 'UTF8'))
UNION ALL
SELECT 'heads carry the end of their chain', count(*)
FROM own_heads AS heads
WHERE chain_hash <> coalesce(
    (SELECT transfers.chain_hash FROM transfers WHERE transfers.account_id = heads.account_id ORDER BY number DESC LIMIT 1),
    chain_start(account_id));
