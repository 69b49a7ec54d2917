-- Y7: lines, numbered invoices and postings of a month, with nothing looked at twice.
CREATE SCHEMA y7;
CREATE TABLE y7.invoice_lines (LIKE invoice_lines INCLUDING INDEXES);
CREATE TABLE y7.invoices (LIKE invoices INCLUDING INDEXES);
CREATE TABLE y7.transfers (LIKE transfers INCLUDING INDEXES);
CREATE TABLE y7.balances (LIKE balances INCLUDING INDEXES);
CREATE FUNCTION y7.close(p_month date, p_from timestamptz, p_to timestamptz) RETURNS bigint
LANGUAGE sql
AS $$
WITH charges AS (
    SELECT account_id, plan AS item, 'plan' AS kind, resource_id, extract(epoch FROM p_to - p_from) / 3600 AS quantity
    FROM state_points
    WHERE effective_at < p_to
    UNION ALL
    SELECT account_id, meter, 'meter', resource_id, sum(total) FROM day_rows
    WHERE day >= p_month AND day < p_to::date AND NOT is_gauge GROUP BY account_id, meter, resource_id
    UNION ALL
    SELECT account_id, meter, 'meter', resource_id, latest * (extract(epoch FROM p_to - latest_at) / extract(epoch FROM p_to - p_from))
    FROM day_rows WHERE day = p_month AND is_gauge
), priced AS (
    SELECT charges.*, prices.price_id, prices.service, bands.base + bands.unit * quantity AS cost
    FROM charges
    JOIN prices ON prices.kind = charges.kind AND prices.item = charges.item
    JOIN bands ON bands.price_id = prices.price_id AND quantity > bands.low AND quantity <= coalesce(bands.high, 'infinity')
), lines AS (
    INSERT INTO y7.invoice_lines (
        account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units, service_period,
        service, type, project_id, project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor, unrounded
    )
    SELECT account_id, md5(account_id::text || p_month)::uuid, row_number() OVER (PARTITION BY account_id ORDER BY item), 'usage', 'usage', price_id, kind,
        item, resource_id, 1, p_month, service, resource_id, account_id, 'default', resource_id, 'eu', item, round(quantity, 12), 'unit', 1,
        round(cost * 100)::bigint, cost
    FROM priced
    RETURNING account_id, invoice_id, amount_minor
), totals AS (
    SELECT account_id, invoice_id, sum(amount_minor)::bigint AS net_minor FROM lines GROUP BY account_id, invoice_id
), sums AS (
    SELECT totals.*, CASE WHEN country IS NULL THEN 0 ELSE round(net_minor * 0.16)::bigint END AS tax_minor
    FROM totals JOIN accounts USING (account_id)
), invoices AS (
    INSERT INTO y7.invoices (
        account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor, paid_at_issue_minor, issued_at,
        due_at, parties
    )
    SELECT account_id, invoice_id, 'invoice', 'INV-' || row_number() OVER (ORDER BY account_id), p_month, 'USD', net_minor, tax_minor,
        net_minor + tax_minor, 0, p_to, p_to, '{}'
    FROM sums
), moves AS (
    SELECT account_id, invoice_id, 0 AS ordinal, 'receivable' AS source, 'revenue' AS destination, net_minor AS amount_minor FROM sums
    UNION ALL
    SELECT account_id, invoice_id, 1, 'receivable', 'tax:VAT', tax_minor FROM sums WHERE tax_minor > 0
    UNION ALL
    SELECT account_id, invoice_id, 2, 'wallet:cash', 'receivable', net_minor + tax_minor FROM sums WHERE tax_minor > 0
), transfers AS (
    INSERT INTO y7.transfers (
        account_id, number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at, recorded_at
    )
    SELECT account_id, ordinal + (p_month - date '2000-01-01') * 10, 'USD', source, destination, amount_minor, 'invoice.issued',
        invoice_id::text, ordinal, p_to, p_to
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
