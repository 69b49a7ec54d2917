-- The invariants of invoices, each with the number of places where it is broken. Goes on from `asked` (kit/checks.py): documents of the
-- accounts in the part that is read, and those that were issued lately. What has a state (paid, open) is read of all accounts.
, part_of AS (
    SELECT account_id FROM accounts_v, asked WHERE since IS NULL OR (hashtextextended(account_id::text, 0) & 15) = part
), own AS (
    SELECT invoices.* FROM part_of JOIN invoices USING (account_id)
    UNION
    SELECT invoices.* FROM invoices WHERE issued_at >= $1
), own_notes AS (
    SELECT credit_notes.* FROM part_of JOIN credit_notes USING (account_id)
    UNION
    SELECT credit_notes.* FROM credit_notes WHERE issued_at >= $1
), line_sums AS (
    SELECT account_id, invoice_id, sum(amount_minor) AS lines_minor
    FROM invoice_lines JOIN own USING (account_id, invoice_id) GROUP BY account_id, invoice_id
), tax_sums AS (
    SELECT account_id, invoice_id, sum(amount_minor) AS taxes_minor
    FROM invoice_taxes JOIN own USING (account_id, invoice_id) GROUP BY account_id, invoice_id
), payment_sums AS (
    SELECT account_id, invoice_id, sum(amount_minor) AS paid_minor FROM invoice_payments GROUP BY account_id, invoice_id
), open_invoices AS (
    SELECT invoices.account_id, invoices.currency, sum(invoices.total_minor - invoice_states.paid_minor - invoice_states.credited_minor) AS open_minor
    FROM invoices
    JOIN invoice_states USING (account_id, invoice_id)
    WHERE invoices.kind = 'invoice' AND invoice_states.status IN ('pending', 'processing', 'paid')
    GROUP BY invoices.account_id, invoices.currency
), receivables AS (
    SELECT account_id, currency, -balance_minor AS open_minor FROM balances_v WHERE ledger_account = 'receivable'
), charges AS (
    SELECT l.account_id, l.invoice_id, sum(l.amount_minor) AS amount_minor,
        floor(sum(l.unrounded) * currencies_v.minor_per_major + 0.5) AS rounded_minor
    FROM own
    JOIN invoice_lines AS l ON l.account_id = own.account_id AND l.invoice_id = own.invoice_id
    JOIN closes ON closes.account_id = l.account_id AND closes.invoice_id = l.invoice_id
    JOIN currencies_v ON currencies_v.currency = closes.currency
    WHERE l.kind <> 'correction'
    GROUP BY l.account_id, l.invoice_id, l.kind, l.price_id, l.charge_resource_id, l.units, currencies_v.minor_per_major
)
SELECT 'invoices are their lines and taxes' AS name, count(*) AS violations
FROM own
LEFT JOIN line_sums USING (account_id, invoice_id)
LEFT JOIN tax_sums USING (account_id, invoice_id)
WHERE subtotal_minor <> coalesce(lines_minor, 0) OR tax_minor <> coalesce(taxes_minor, 0)
UNION ALL
SELECT 'lines are their charges, rounded once', count(*)
FROM charges
WHERE amount_minor <> rounded_minor
UNION ALL
SELECT 'what an invoice was paid is its payments', count(*)
FROM invoice_states
LEFT JOIN payment_sums USING (account_id, invoice_id)
WHERE invoice_states.paid_minor <> coalesce(payment_sums.paid_minor, 0)
UNION ALL
SELECT 'receivables are the open invoices', count(*)
FROM open_invoices
FULL JOIN receivables USING (account_id, currency)
WHERE coalesce(open_invoices.open_minor, 0) <> coalesce(receivables.open_minor, 0)
UNION ALL
SELECT 'numbers have no holes', count(*)
FROM (
    SELECT FROM number_series
    LEFT JOIN invoice_numbers USING (series)
    GROUP BY series, last_number
    HAVING count(number) <> last_number OR coalesce(max(number), 0) <> last_number
) AS broken
UNION ALL
SELECT 'every invoice has the number that it was allotted', count(*)
FROM own
LEFT JOIN invoice_numbers AS n ON n.invoice_id = own.invoice_id AND n.account_id = own.account_id
WHERE own.number IS DISTINCT FROM n.series || '-' || lpad(n.number::text, greatest(3, length(n.number::text)), '0')
UNION ALL
SELECT 'credit notes are their parts and taxes', count(*)
FROM own_notes AS n
WHERE net_minor <> (
        SELECT coalesce(sum(amount_minor), 0) FROM credit_note_lines AS l
        WHERE l.account_id = n.account_id AND l.credit_note_id = n.credit_note_id
    ) OR tax_minor <> (
        SELECT coalesce(sum(amount_minor), 0) FROM credit_note_taxes AS t
        WHERE t.account_id = n.account_id AND t.credit_note_id = n.credit_note_id
    )
UNION ALL
SELECT 'every credit note has the number that it was allotted', count(*)
FROM own_notes
LEFT JOIN invoice_numbers AS n ON n.invoice_id = own_notes.credit_note_id AND n.account_id = own_notes.account_id
WHERE own_notes.number IS DISTINCT FROM n.series || '-' || lpad(n.number::text, greatest(3, length(n.number::text)), '0')
UNION ALL
SELECT 'invoices are credited at most what they came to', count(*)
FROM (
    SELECT FROM own_notes
    JOIN credit_notes AS n ON n.account_id = own_notes.account_id AND n.invoice_id = own_notes.invoice_id
    JOIN invoices ON invoices.account_id = n.account_id AND invoices.invoice_id = n.invoice_id
    GROUP BY n.account_id, n.invoice_id, own_notes.credit_note_id, invoices.subtotal_minor, invoices.total_minor
    HAVING sum(n.total_minor) > invoices.total_minor OR sum(n.net_minor) > invoices.subtotal_minor
) AS broken
UNION ALL
SELECT 'numbers are in order of issue', count(*)
FROM (
    SELECT issued_at < lag(issued_at) OVER (PARTITION BY series ORDER BY number) AS is_before FROM invoice_numbers
) AS pairs
WHERE is_before
UNION ALL
SELECT 'runs end within a day', count(*)
FROM runs
WHERE status IN ('queued', 'running') AND coalesce(started_at, created_at) < $3 - interval '1 day';
