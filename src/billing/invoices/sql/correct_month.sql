-- After the rating statement with pinned_by_lines.sql: what the billed month from $2 costs the accounts $1 now, less what its lines
-- (voided invoices' aside) have said so far, by charge, project and region. Differences become correction lines of the documents $7;
-- with $8 nothing is written. Answers with the sum of each account's differences.
, asked AS (
    SELECT * FROM unnest($1, $7::uuid[]) AS t (account_id, invoice_id)
),
\ir differences.sql
, written AS (
    INSERT INTO invoice_lines (
        account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units, service_period,
        service, type, project_id, project_name, resource_name, region, description, quantity, unit, unit_price, amount_minor,
        unrounded
    )
    SELECT lines.account_id, asked.invoice_id,
        (SELECT coalesce(max(ordinal), 0) FROM invoice_lines AS l
         WHERE l.account_id = lines.account_id AND l.invoice_id = asked.invoice_id)
        + row_number() OVER (
            PARTITION BY lines.account_id
\ir lines_in_order.sql
        ),
        'correction', lines.kind, lines.price_id, prices_v.kind, prices_v.item, lines.charge_resource_id, lines.units,
        ($2 AT TIME ZONE 'UTC')::date, prices_v.service, lines.type, lines.project_id, projects_v.name, lines.resource_name,
        lines.region,
        'Correction for ' || to_char($2 AT TIME ZONE 'UTC', 'FMMonth YYYY') || ': '
            || CASE lines.kind WHEN 'minimum' THEN 'Minimum charge: ' ELSE '' END || coalesce(meters_v.name, prices_v.item)
            || CASE WHEN lines.resource_name IS NOT NULL THEN ' (' || lines.resource_name || ')' ELSE '' END,
        trim_scale(lines.quantity),
        CASE WHEN lines.kind = 'minimum' THEN 'minimum' WHEN prices_v.model = 'hourly' THEN 'hour'
            WHEN prices_v.model = 'flat' THEN 'month' ELSE meters_v.unit END,
        NULL, lines.amount_minor, lines.unrounded
    FROM differences AS lines
    JOIN asked ON asked.account_id = lines.account_id
    JOIN prices_v ON prices_v.price_id = lines.price_id
    JOIN projects_v ON projects_v.account_id = lines.account_id AND projects_v.project_id = lines.project_id
    LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
    WHERE lines.amount_minor <> 0 AND NOT $8::boolean
)
SELECT asked.account_id, coalesce(sum(differences.amount_minor), 0)::bigint AS amount_minor
FROM asked
LEFT JOIN differences ON differences.account_id = asked.account_id
GROUP BY asked.account_id
