-- After the rating statement: draft the month of the accounts $1, each with its invoice id in $7, and say what became of each.
-- $8 is the most that one invoice may come to in minor units, $9 the versions of the month seen before, $10 now; with $11 nothing is
-- written; $12 are the accounts whose unusual total an operator has accepted. An account that another run drafted meanwhile is left
-- to it.
, asked AS (
    SELECT * FROM unnest($1, $7::uuid[], $9::bigint[]) AS t (account_id, invoice_id, version)
), sums AS (
    SELECT asked.account_id, asked.invoice_id, asked.version, scope.currency,
        coalesce(sum(lines.amount_minor), 0) AS subtotal_minor, count(lines.price_id) AS line_count
    FROM asked
    JOIN scope ON scope.account_id = asked.account_id
    LEFT JOIN lines ON lines.account_id = asked.account_id
    GROUP BY asked.account_id, asked.invoice_id, asked.version, scope.currency
), judged AS (
    SELECT sums.*, CASE
        WHEN sums.account_id IN (SELECT unpriced.account_id FROM unpriced) THEN 'price_missing'
        WHEN subtotal_minor > $8::bigint THEN 'amount_out_of_bounds'
        WHEN last_three.invoices = 3 AND NOT sums.account_id = ANY ($12::uuid[])
            AND 3 * total.total_minor > greatest(10 * last_three.sum_minor, 3 * 10000 * currencies_v.minor_per_major) THEN 'total_unusual'
    END AS objection
    FROM sums
    JOIN accounts_v ON accounts_v.account_id = sums.account_id AND accounts_v.account_id = ANY ($1)
    JOIN currencies_v ON currencies_v.currency = sums.currency
    CROSS JOIN LATERAL (
        -- with the taxes of today: those of the issue, unless a rate changes in between
        SELECT sums.subtotal_minor + coalesce(sum(round(sums.subtotal_minor * rates.percent / 100)), 0) AS total_minor
        FROM (
            SELECT DISTINCT ON (tax_rates_v.name) tax_rates_v.name, tax_rates_v.percent
            FROM tax_rates_v
            WHERE tax_rates_v.country = accounts_v.country AND NOT accounts_v.tax_exempt
                AND tax_rates_v.valid_from <= ($10::timestamptz AT TIME ZONE 'UTC')::date
            ORDER BY tax_rates_v.name, tax_rates_v.valid_from DESC
        ) AS rates
    ) AS total
    CROSS JOIN LATERAL (
        SELECT count(*) AS invoices, sum(total_minor) AS sum_minor
        FROM (
            SELECT total_minor
            FROM invoices
            JOIN invoice_states ON invoice_states.account_id = invoices.account_id AND invoice_states.invoice_id = invoices.invoice_id
            WHERE invoices.account_id = sums.account_id AND invoices.kind = 'invoice' AND invoice_states.status <> 'void'
                AND total.total_minor > 10000 * currencies_v.minor_per_major  -- else not looked at
            ORDER BY issued_at DESC, invoices.invoice_id DESC
            LIMIT 3
        ) AS invoices
    ) AS last_three
), drafted AS (
    INSERT INTO closes (account_id, period, invoice_id, currency, subtotal_minor, version, rated_at)
    SELECT account_id, ($2 AT TIME ZONE 'UTC')::date, invoice_id, currency, subtotal_minor, version, $10::timestamptz
    FROM judged
    WHERE objection IS NULL AND NOT $11::boolean
    ORDER BY account_id
    ON CONFLICT (account_id, period) DO NOTHING
    RETURNING account_id, invoice_id
), written AS (
    INSERT INTO invoice_lines (
        account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units, service_period, service, type,
        project_id, project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor, unrounded
    )
    SELECT lines.account_id, drafted.invoice_id,
        row_number() OVER (
            PARTITION BY lines.account_id
\ir lines_in_order.sql
        ),
        lines.kind, lines.kind, lines.price_id, prices_v.kind, prices_v.item, lines.charge_resource_id, lines.units,
        ($2 AT TIME ZONE 'UTC')::date, prices_v.service, lines.type, lines.project_id, projects_v.name, lines.resource_name,
        lines.region, shown.description, shown.quantity, shown.unit, shown.unit_price, lines.amount_minor, lines.unrounded
    FROM drafted
    JOIN lines ON lines.account_id = drafted.account_id
    JOIN prices_v ON prices_v.price_id = lines.price_id
    JOIN projects_v ON projects_v.account_id = lines.account_id AND projects_v.project_id = lines.project_id
        AND projects_v.account_id = ANY ($1)
    LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
    CROSS JOIN LATERAL (
\ir shown_line.sql
    ) AS shown
)
SELECT judged.account_id, judged.invoice_id, judged.currency, judged.subtotal_minor, judged.line_count, judged.objection,
    drafted.account_id IS NOT NULL AS is_drafted
FROM judged
LEFT JOIN drafted ON drafted.account_id = judged.account_id
