-- What the month from $2 costs the accounts $1 now, less what its lines (voided invoices' aside) have said so far.
earlier AS (
    SELECT l.account_id, l.charge_kind AS kind, l.price_id, l.charge_resource_id, l.units, l.project_id, l.region,
        min(l.type) AS type, min(l.resource_name) AS resource_name, sum(l.quantity) AS quantity,
        sum(l.amount_minor) AS amount_minor, sum(l.unrounded) AS unrounded
    FROM invoice_lines AS l
    LEFT JOIN invoice_states AS s ON s.account_id = l.account_id AND s.invoice_id = l.invoice_id
    WHERE l.account_id = ANY ($1) AND l.service_period = ($2 AT TIME ZONE 'UTC')::date AND coalesce(s.status, '') <> 'void'
    GROUP BY l.account_id, l.charge_kind, l.price_id, l.charge_resource_id, l.units, l.project_id, l.region
), now AS (
    SELECT lines.*, shown.quantity AS shown_quantity
    FROM lines
    JOIN prices_v ON prices_v.price_id = lines.price_id
    LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
    CROSS JOIN LATERAL (
\ir shown_line.sql
    ) AS shown
), differences AS (
    SELECT account_id, kind, price_id, charge_resource_id, units, project_id, region,
        coalesce(now.type, earlier.type) AS type, coalesce(now.resource_name, earlier.resource_name) AS resource_name,
        coalesce(now.shown_quantity, 0) - coalesce(earlier.quantity, 0) AS quantity,
        coalesce(now.amount_minor, 0) - coalesce(earlier.amount_minor, 0) AS amount_minor,
        coalesce(now.unrounded, 0) - coalesce(earlier.unrounded, 0) AS unrounded
    FROM now
    FULL JOIN earlier USING (account_id, kind, price_id, charge_resource_id, units, project_id, region)
)
