-- Issue the drafted and numbered invoices $1 of the accounts $7 and the month $8: taxes by the account's country at issue, collection
-- from promotional credit and then cash, the frozen document, its state, its payments. The caller holds the accounts' ledger heads and
-- posts what is returned. $2 is the issuer, $3 to $5 the most that some credits may pay of some invoices (the others: all of it).
-- Each step hands on all that the later ones need: steps joined to each other would be nested loops, for no step's rows are foreseen.
WITH asked AS MATERIALIZED (
    SELECT closes.account_id, closes.period, closes.currency, closes.subtotal_minor, closes.invoice_id, n.issued_at, n.series, n.number,
        closes.finalized_at IS NULL AND closes.invoice_id = asked.invoice_id AS is_open
    FROM unnest($1::uuid[], $7::uuid[]) AS asked (invoice_id, account_id)
    JOIN closes ON closes.account_id = asked.account_id AND closes.period = $8::date
    JOIN invoice_numbers AS n ON n.invoice_id = asked.invoice_id
), numbered AS (
    SELECT asked.account_id, asked.invoice_id, asked.issued_at, asked.period, asked.currency, asked.subtotal_minor,
        asked.series || '-' || lpad(asked.number::text, greatest(3, length(asked.number::text)), '0') AS number,
        CASE WHEN accounts_v.tax_exempt THEN NULL ELSE accounts_v.country END AS tax_country,
        (asked.issued_at AT TIME ZONE 'UTC')::date AS issue_date,
        ((asked.issued_at AT TIME ZONE 'UTC')::date + accounts_v.terms_days)::timestamp AT TIME ZONE 'UTC' AS due_at,
        jsonb_build_object(
            'issuer', $2::jsonb, 'template_version', $6::integer, 'time_zone', accounts_v.timezone,
            'account', jsonb_build_object(
                'name', accounts_v.name, 'company', accounts_v.company, 'email', accounts_v.email, 'address', accounts_v.address,
                'country', accounts_v.country, 'tax_id', accounts_v.tax_id)
        ) AS parties
    FROM asked
    JOIN accounts_v ON accounts_v.account_id = asked.account_id
    WHERE asked.is_open
), rates AS MATERIALIZED (
    SELECT days.tax_country, days.issue_date, found.name, found.percent
    FROM (SELECT DISTINCT tax_country, issue_date FROM numbered) AS days
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (tax_rates_v.name) tax_rates_v.name, tax_rates_v.percent
        FROM tax_rates_v
        WHERE tax_rates_v.country = days.tax_country AND tax_rates_v.valid_from <= days.issue_date
        ORDER BY tax_rates_v.name, tax_rates_v.valid_from DESC
    ) AS found
    WHERE found.percent > 0
), totals AS (
    SELECT numbered.*, taxes.names AS tax_names, taxes.percents AS tax_percents, taxes.amounts_minor AS tax_amounts_minor, taxes.tax_minor,
        numbered.subtotal_minor + taxes.tax_minor AS total_minor
    FROM numbered
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(name ORDER BY name), '{}') AS names, array_agg(percent ORDER BY name) AS percents,
            coalesce(array_agg(amount_minor ORDER BY name), '{}') AS amounts_minor, coalesce(sum(amount_minor), 0)::bigint AS tax_minor
        FROM (
            SELECT rates.name, rates.percent,
                round(numbered.subtotal_minor * rates.percent / 100)::bigint AS amount_minor  -- half a unit goes away from zero
            FROM rates
            WHERE rates.tax_country = numbered.tax_country AND rates.issue_date = numbered.issue_date
        ) AS parts
    ) AS taxes
), limits AS (
    SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::bigint[]) AS t (invoice_id, credit_id, most_minor)
), sources AS (
    -- What may pay, in this order: credit by priority, soonest expiry, oldest; then cash.
    SELECT totals.account_id, totals.invoice_id, totals.issued_at, totals.total_minor, 'credit' AS source, credits.credit_id AS source_id,
        least(credits.balance_minor, coalesce(limits.most_minor, totals.total_minor)) AS available_minor,
        row_number() OVER (
            PARTITION BY totals.invoice_id
            ORDER BY credits.priority, credits.expires_at NULLS LAST, credits.granted_at, credits.credit_id
        ) AS rank
    FROM totals
    JOIN unspent_credits_v AS credits ON credits.account_id = totals.account_id AND credits.currency = totals.currency
        AND credits.granted_at < (totals.period + interval '1 month') AT TIME ZONE 'UTC'
        AND coalesce(credits.expires_at, 'infinity') > totals.period::timestamp AT TIME ZONE 'UTC'
    LEFT JOIN limits ON limits.invoice_id = totals.invoice_id AND limits.credit_id = credits.credit_id
    WHERE totals.total_minor > 0
    UNION ALL
    SELECT totals.account_id, totals.invoice_id, totals.issued_at, totals.total_minor, 'wallet', NULL, balances_v.balance_minor, 1000000
    FROM totals
    JOIN balances_v ON balances_v.account_id = totals.account_id AND balances_v.currency = totals.currency
        AND balances_v.ledger_account = 'wallet:cash'
    WHERE totals.total_minor > 0
), drawn AS (
    SELECT account_id, invoice_id, issued_at, source, source_id, rank,
        greatest(0, least(available_minor, total_minor - coalesce(sum(available_minor) OVER (
            PARTITION BY invoice_id ORDER BY rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0)))::bigint AS amount_minor
    FROM sources
), payments AS (
    SELECT account_id, invoice_id, issued_at, source, source_id, amount_minor,
        row_number() OVER (PARTITION BY invoice_id ORDER BY rank) AS ordinal
    FROM drawn
    WHERE amount_minor > 0
), paid AS (
    SELECT invoice_id, sum(amount_minor)::bigint AS paid_minor, array_agg(source_id ORDER BY ordinal) AS sources,
        array_agg(amount_minor ORDER BY ordinal) AS amounts_minor
    FROM payments
    GROUP BY invoice_id
), documents AS MATERIALIZED (
    SELECT totals.*, coalesce(paid.paid_minor, 0) AS paid_minor, coalesce(paid.paid_minor, 0) >= total_minor AS is_paid,
        coalesce(paid.sources, '{}') AS payment_sources, coalesce(paid.amounts_minor, '{}') AS payment_amounts_minor
    FROM totals
    LEFT JOIN paid ON paid.invoice_id = totals.invoice_id
), issued AS (
    INSERT INTO invoices (
        account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor,
        issued_at, due_at, parties
    )
    SELECT account_id, invoice_id, CASE WHEN total_minor < 0 THEN 'credit_note' ELSE 'invoice' END, number,
        period, currency, subtotal_minor, tax_minor, total_minor, paid_minor, issued_at, due_at, parties
    FROM documents
    ORDER BY account_id
), issued_states AS (
    INSERT INTO invoice_states (account_id, invoice_id, status, paid_minor, paid_at, overdue_at)
    SELECT account_id, invoice_id, CASE WHEN is_paid THEN 'paid' ELSE 'pending' END, paid_minor, CASE WHEN is_paid THEN issued_at END,
        CASE WHEN NOT is_paid THEN due_at END
    FROM documents
), issued_taxes AS (
    INSERT INTO invoice_taxes (account_id, invoice_id, ordinal, name, percent, base_minor, amount_minor)
    SELECT account_id, invoice_id, ordinal, name, percent, subtotal_minor, amount_minor
    FROM documents
    CROSS JOIN LATERAL unnest(tax_names, tax_percents, tax_amounts_minor) WITH ORDINALITY AS taxes (name, percent, amount_minor, ordinal)
), issued_payments AS (
    INSERT INTO invoice_payments (account_id, invoice_id, ordinal, source, source_id, amount_minor, created_at)
    SELECT account_id, invoice_id, ordinal, source, source_id, amount_minor, issued_at FROM payments
), finalized AS (
    UPDATE closes SET finalized_at = documents.issued_at FROM documents
    WHERE closes.account_id = documents.account_id AND closes.period = documents.period
)
SELECT account_id, invoice_id, number, currency, issued_at, due_at, subtotal_minor, total_minor, paid_minor, tax_names,
    tax_amounts_minor, payment_sources, payment_amounts_minor
FROM documents
ORDER BY account_id
