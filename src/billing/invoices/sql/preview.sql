-- After the rating statement: the lines as an invoice would show them.
SELECT row_number() OVER (
\ir lines_in_order.sql
        ) AS ordinal,
    lines.kind, prices_v.kind AS item_kind, prices_v.item, lines.charge_resource_id AS resource_id, lines.units,
    ($2 AT TIME ZONE 'UTC')::date AS service_period, prices_v.service, lines.type, lines.project_id,
    projects_v.name AS project_name, lines.resource_name, lines.region, shown.description, shown.quantity, shown.unit,
    shown.unit_price, lines.amount_minor, lines.unrounded
FROM lines
JOIN prices_v ON prices_v.price_id = lines.price_id
JOIN projects_v ON projects_v.account_id = lines.account_id AND projects_v.project_id = lines.project_id
LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
CROSS JOIN LATERAL (
\ir shown_line.sql
) AS shown
ORDER BY ordinal
