-- Y7: the lines, numbered invoices with their taxes, and postings of a month, with nothing looked at twice: the same rows as ours,
-- held against them by `y7.differing` after each month. Prices are looked up by item alone, states never change and a gauge is read
-- on the first of each month, for the estate is so; there are no checks, locks, events, states, hashes, worklist or versions.
CREATE SCHEMA y7;
CREATE TABLE y7.invoice_lines (LIKE invoice_lines INCLUDING INDEXES);
CREATE TABLE y7.invoices (LIKE invoices INCLUDING INDEXES);
CREATE TABLE y7.invoice_taxes (LIKE invoice_taxes INCLUDING INDEXES);
CREATE TABLE y7.transfers (LIKE transfers INCLUDING INDEXES);
CREATE TABLE y7.balances (LIKE balances INCLUDING INDEXES INCLUDING GENERATED) WITH (fillfactor = 50);
CREATE FUNCTION y7.close(p_month date, p_from timestamptz, p_to timestamptz, p_series text, p_after bigint, p_now timestamptz) RETURNS bigint
LANGUAGE sql
AS $$
WITH charges AS (
    SELECT account_id, plan AS item, 'plan' AS kind, resource_id, extract(epoch FROM p_to - greatest(effective_at, p_from)) AS quantity
    FROM state_points
    WHERE effective_at < p_to
    UNION ALL
    SELECT account_id, meter, 'meter', resource_id, sum(total) FROM day_rows
    WHERE day >= p_month AND day < p_to::date AND NOT is_gauge GROUP BY account_id, meter, resource_id
    UNION ALL
    SELECT account_id, meter, 'meter', resource_id, (
            read.latest * extract(epoch FROM p_to - read.latest_at)
            + coalesce(carried.latest * extract(epoch FROM read.first_at - p_from), 0)
        ) / extract(epoch FROM p_to - p_from)
    FROM day_rows AS read
    LEFT JOIN (SELECT * FROM day_rows WHERE day = p_month - interval '1 month' AND is_gauge) AS carried
        USING (account_id, meter, resource_id)
    WHERE read.day = p_month AND read.is_gauge
), priced AS (
    SELECT charges.account_id, charges.item, charges.kind, charges.resource_id, prices.price_id, prices.service, prices.model, prices.cap,
        CASE prices.model WHEN 'flat' THEN 'month' WHEN 'hourly' THEN 'hour' ELSE meters.unit END AS unit, bands.unit AS unit_price,
        CASE prices.model WHEN 'flat' THEN quantity / extract(epoch FROM p_to - p_from) WHEN 'hourly' THEN quantity / 3600
            ELSE quantity END AS quantity
    FROM charges
    JOIN prices ON prices.kind = charges.kind AND prices.item = charges.item
    JOIN bands ON bands.price_id = prices.price_id AND bands.high IS NULL
    LEFT JOIN meters ON meters.meter = charges.item
), rated AS (
    SELECT *, round(least(unit_price * quantity, cap), 12) AS cost, unit_price * quantity > cap AS cap_applied FROM priced
), lines AS (
    INSERT INTO y7.invoice_lines (
        account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units, service_period,
        service, type, project_id, project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor, unrounded
    )
    SELECT account_id, md5(account_id::text || p_month)::uuid, row_number() OVER (PARTITION BY account_id ORDER BY service, item), 'usage',
        'usage', price_id, kind, item, CASE kind WHEN 'plan' THEN resource_id ELSE '' END, 1, p_month, service, resource_id, account_id,
        'default', CASE kind WHEN 'plan' THEN resource_id END, 'eu',
        item || CASE kind WHEN 'plan' THEN ' (' || resource_id || ')' ELSE '' END
            || CASE WHEN cap_applied THEN ', at most the monthly price' ELSE '' END,
        trim_scale(round(quantity, 12)), unit, unit_price, round(cost * 100)::bigint, cost
    FROM rated
    RETURNING account_id, invoice_id, amount_minor
), totals AS (
    SELECT account_id, invoice_id, sum(amount_minor)::bigint AS net_minor FROM lines GROUP BY account_id, invoice_id
), sums AS (
    SELECT totals.account_id, totals.invoice_id, totals.net_minor, accounts.name, accounts.email, accounts.country, accounts.timezone,
        (p_now::date + accounts.terms_days)::timestamptz AS due_at, taxes.name AS tax_name, taxes.percent,
        round(totals.net_minor * taxes.percent / 100)::bigint AS tax_minor,
        CASE WHEN balances.account_id IS NULL THEN 0 ELSE totals.net_minor + round(totals.net_minor * coalesce(taxes.percent, 0) / 100)::bigint
            END AS paid_minor
    FROM totals
    JOIN accounts USING (account_id)
    LEFT JOIN tax_rates AS taxes ON taxes.country = accounts.country
    LEFT JOIN balances ON balances.account_id = totals.account_id AND balances.ledger_account = 'wallet:cash'
), invoices AS (
    INSERT INTO y7.invoices (
        account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor, issued_at,
        due_at, parties
    )
    SELECT account_id, invoice_id, 'invoice', p_series || '-' || lpad(number::text, greatest(3, length(number::text)), '0'), p_month, 'USD',
        net_minor, coalesce(tax_minor, 0), net_minor + coalesce(tax_minor, 0), paid_minor, p_now, due_at, jsonb_build_object(
            'issuer', '{"name": "Lineserve", "address": "", "tax_id": null, "bank_details": null, "mobile_money": null,
                "support_email": null, "logo_sha256": null}'::jsonb, 'template_version', 1, 'time_zone', timezone,
            'account', jsonb_build_object('name', name, 'company', null, 'email', email, 'address', null, 'country', country, 'tax_id', null))
    FROM (SELECT sums.*, p_after + row_number() OVER (ORDER BY account_id) AS number FROM sums) AS numbered
), taxes AS (
    INSERT INTO y7.invoice_taxes (account_id, invoice_id, ordinal, name, percent, base_minor, amount_minor)
    SELECT account_id, invoice_id, 1, tax_name, percent, net_minor, tax_minor FROM sums WHERE tax_name IS NOT NULL
), moves AS (
    SELECT account_id, invoice_id, 0 AS ordinal, 'receivable' AS source, 'revenue' AS destination, net_minor AS amount_minor,
        'invoice.issued' AS template
    FROM sums
    UNION ALL
    SELECT account_id, invoice_id, 1, 'receivable', 'tax:' || tax_name, tax_minor, 'invoice.issued' FROM sums WHERE tax_minor > 0
    UNION ALL
    SELECT account_id, invoice_id, 2, 'wallet:cash', 'receivable', paid_minor, 'invoice.paid_from_cash' FROM sums WHERE paid_minor > 0
), transfers AS (
    INSERT INTO y7.transfers (
        account_id, number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at, recorded_at
    )
    SELECT account_id, ordinal + (p_month - date '2000-01-01') * 10, 'USD', source, destination, amount_minor, template,
        invoice_id::text, ordinal, p_now, p_now
    FROM moves
), changes AS (
    INSERT INTO y7.balances (account_id, currency, ledger_account, balance_minor)
    SELECT account_id, 'USD', ledger_account, sum(change_minor)::bigint
    FROM (
        SELECT account_id, source AS ledger_account, -amount_minor AS change_minor FROM moves
        UNION ALL
        SELECT account_id, destination, amount_minor FROM moves
    ) AS sides
    GROUP BY account_id, ledger_account
    ON CONFLICT (account_id, currency, ledger_account) DO UPDATE
    SET balance_minor = y7.balances.balance_minor + excluded.balance_minor
)
SELECT count(*) FROM sums
$$;
-- How many rows of a month are here and not there: their contents but for ids that are new each time.
CREATE FUNCTION y7.differing(p_month date) RETURNS bigint
LANGUAGE sql
AS $$
SELECT (
    SELECT count(*) FROM (
        SELECT account_id, ordinal, price_id, charge_resource_id, type, resource_name, description, quantity, unit, unit_price, amount_minor,
            unrounded
        FROM invoice_lines WHERE service_period = p_month
        EXCEPT ALL
        SELECT account_id, ordinal, price_id, charge_resource_id, type, resource_name, description, quantity, unit, unit_price, amount_minor,
            unrounded
        FROM y7.invoice_lines WHERE service_period = p_month
    ) AS lines
) + (
    SELECT count(*) FROM (
        SELECT account_id, number, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor, issued_at, due_at, parties
        FROM invoices WHERE period = p_month
        EXCEPT ALL
        SELECT account_id, number, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor, issued_at, due_at, parties
        FROM y7.invoices WHERE period = p_month
    ) AS documents
) + (
    SELECT count(*) FROM (
        SELECT t.account_id, source, destination, amount_minor, template, effective_at, recorded_at FROM transfers AS t
        JOIN invoices AS i ON i.account_id = t.account_id AND i.invoice_id::text = t.reference AND i.period = p_month
        EXCEPT ALL
        SELECT t.account_id, source, destination, amount_minor, template, effective_at, recorded_at FROM y7.transfers AS t
        JOIN y7.invoices AS i ON i.account_id = t.account_id AND i.invoice_id::text = t.reference AND i.period = p_month
    ) AS moves
)
$$;
