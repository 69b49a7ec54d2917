-- Issue the drafted and numbered invoices $1 of one month: taxes by the account's country at issue, collection from promotional
-- credit and then cash, the frozen document, its state, its payments. The caller holds the accounts' ledger heads and posts what
-- is returned. $2 is the issuer, $3 to $5 the most that some credits may pay of some invoices (the others: all of it).
WITH numbered AS (
    SELECT n.account_id, n.invoice_id, n.issued_at, closes.period, closes.currency, closes.subtotal_minor,
        n.series || '-' || lpad(n.number::text, greatest(3, length(n.number::text)), '0') AS number,
        CASE WHEN accounts_v.tax_exempt THEN NULL ELSE accounts_v.country END AS tax_country,
        ((n.issued_at AT TIME ZONE 'UTC')::date + accounts_v.terms_days)::timestamp AT TIME ZONE 'UTC' AS due_at,
        jsonb_build_object(
            'issuer', $2::jsonb, 'template_version', $6::integer, 'time_zone', accounts_v.timezone,
            'account', jsonb_build_object(
                'name', accounts_v.name, 'company', accounts_v.company, 'email', accounts_v.email, 'address', accounts_v.address,
                'country', accounts_v.country, 'tax_id', accounts_v.tax_id)
        ) AS parties
    FROM invoice_numbers AS n
    JOIN closes ON closes.account_id = n.account_id AND closes.invoice_id = n.invoice_id
    JOIN accounts_v ON accounts_v.account_id = n.account_id
    WHERE n.invoice_id = ANY ($1::uuid[]) AND closes.finalized_at IS NULL
), taxes AS (
    SELECT numbered.account_id, numbered.invoice_id, rates.name, rates.percent, numbered.subtotal_minor AS base_minor,
        round(numbered.subtotal_minor * rates.percent / 100)::bigint AS amount_minor,  -- half a unit goes away from zero
        row_number() OVER (PARTITION BY numbered.invoice_id ORDER BY rates.name) AS ordinal
    FROM numbered
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (tax_rates_v.name) tax_rates_v.name, tax_rates_v.percent
        FROM tax_rates_v
        WHERE tax_rates_v.country = numbered.tax_country
            AND tax_rates_v.valid_from <= (numbered.issued_at AT TIME ZONE 'UTC')::date
        ORDER BY tax_rates_v.name, tax_rates_v.valid_from DESC
    ) AS rates
    WHERE rates.percent > 0
), totals AS (
    SELECT numbered.account_id, numbered.invoice_id, numbered.period, numbered.currency,
        coalesce(sum(taxes.amount_minor), 0)::bigint AS tax_minor,
        (numbered.subtotal_minor + coalesce(sum(taxes.amount_minor), 0))::bigint AS total_minor
    FROM numbered
    LEFT JOIN taxes ON taxes.account_id = numbered.account_id AND taxes.invoice_id = numbered.invoice_id
    GROUP BY numbered.account_id, numbered.invoice_id, numbered.period, numbered.currency, numbered.subtotal_minor
), limits AS (
    SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::bigint[]) AS t (invoice_id, credit_id, most_minor)
), sources AS (
    -- What may pay, in this order: credit by priority, soonest expiry, oldest; then cash.
    SELECT totals.invoice_id, 'credit' AS source, credits.credit_id AS source_id,
        least(credits.balance_minor, coalesce(limits.most_minor, totals.total_minor)) AS available_minor,
        row_number() OVER (
            PARTITION BY totals.invoice_id
            ORDER BY credits.priority, credits.expires_at NULLS LAST, credits.granted_at, credits.credit_id
        ) AS rank
    FROM totals
    JOIN promotional_credits_v AS credits ON credits.account_id = totals.account_id AND credits.currency = totals.currency
        AND credits.balance_minor > 0 AND credits.granted_at < (totals.period + interval '1 month') AT TIME ZONE 'UTC'
        AND coalesce(credits.expires_at, 'infinity') > totals.period::timestamp AT TIME ZONE 'UTC'
    LEFT JOIN limits ON limits.invoice_id = totals.invoice_id AND limits.credit_id = credits.credit_id
    UNION ALL
    SELECT totals.invoice_id, 'wallet', NULL, balances_v.balance_minor, 1000000
    FROM totals
    JOIN balances_v ON balances_v.account_id = totals.account_id AND balances_v.currency = totals.currency
        AND balances_v.ledger_account = 'wallet:cash'
), drawn AS (
    SELECT totals.account_id, totals.invoice_id, sources.source, sources.source_id, sources.rank,
        greatest(0, least(sources.available_minor, totals.total_minor - coalesce(sum(sources.available_minor) OVER (
            PARTITION BY totals.invoice_id ORDER BY sources.rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0)))::bigint AS amount_minor
    FROM totals
    JOIN sources ON sources.invoice_id = totals.invoice_id
    WHERE totals.total_minor > 0
), payments AS (
    SELECT account_id, invoice_id, source, source_id, amount_minor,
        row_number() OVER (PARTITION BY invoice_id ORDER BY rank) AS ordinal
    FROM drawn
    WHERE amount_minor > 0
), paid AS (
    SELECT invoice_id, sum(amount_minor)::bigint AS paid_minor FROM payments GROUP BY invoice_id
), issued AS (
    INSERT INTO invoices (
        account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor,
        issued_at, due_at, parties
    )
    SELECT numbered.account_id, numbered.invoice_id, CASE WHEN total_minor < 0 THEN 'credit_note' ELSE 'invoice' END, number,
        numbered.period, numbered.currency, subtotal_minor, tax_minor, total_minor,
        coalesce(paid_minor, 0), issued_at, due_at, parties
    FROM numbered
    JOIN totals ON totals.invoice_id = numbered.invoice_id
    LEFT JOIN paid ON paid.invoice_id = numbered.invoice_id
    ORDER BY numbered.account_id
), issued_states AS (
    INSERT INTO invoice_states (account_id, invoice_id, status, paid_minor, paid_at, overdue_at)
    SELECT numbered.account_id, numbered.invoice_id,
        CASE WHEN coalesce(paid_minor, 0) >= total_minor THEN 'paid' ELSE 'pending' END, coalesce(paid_minor, 0),
        CASE WHEN coalesce(paid_minor, 0) >= total_minor THEN issued_at END,
        CASE WHEN coalesce(paid_minor, 0) < total_minor THEN due_at END
    FROM numbered
    JOIN totals ON totals.invoice_id = numbered.invoice_id
    LEFT JOIN paid ON paid.invoice_id = numbered.invoice_id
), issued_taxes AS (
    INSERT INTO invoice_taxes (account_id, invoice_id, ordinal, name, percent, base_minor, amount_minor)
    SELECT account_id, invoice_id, ordinal, name, percent, base_minor, amount_minor FROM taxes
), issued_payments AS (
    INSERT INTO invoice_payments (account_id, invoice_id, ordinal, source, source_id, amount_minor, created_at)
    SELECT payments.account_id, payments.invoice_id, ordinal, source, source_id, amount_minor, issued_at
    FROM payments
    JOIN numbered ON numbered.invoice_id = payments.invoice_id
), finalized AS (
    UPDATE closes SET finalized_at = numbered.issued_at FROM numbered
    WHERE closes.account_id = numbered.account_id AND closes.period = numbered.period
)
SELECT numbered.account_id, numbered.invoice_id, numbered.number, numbered.currency, numbered.issued_at, numbered.due_at,
    numbered.subtotal_minor, totals.total_minor, coalesce(paid.paid_minor, 0) AS paid_minor,
    ARRAY(SELECT name FROM taxes WHERE taxes.invoice_id = numbered.invoice_id ORDER BY ordinal) AS tax_names,
    ARRAY(SELECT amount_minor FROM taxes WHERE taxes.invoice_id = numbered.invoice_id ORDER BY ordinal) AS tax_amounts_minor,
    ARRAY(SELECT source_id FROM payments WHERE payments.invoice_id = numbered.invoice_id ORDER BY ordinal) AS payment_sources,
    ARRAY(SELECT amount_minor FROM payments WHERE payments.invoice_id = numbered.invoice_id ORDER BY ordinal) AS payment_amounts_minor
FROM numbered
JOIN totals ON totals.invoice_id = numbered.invoice_id
LEFT JOIN paid ON paid.invoice_id = numbered.invoice_id
ORDER BY numbered.account_id
