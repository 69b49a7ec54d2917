-- After the rating statement of an open month: its lines so far and the resources that share them, as in billed_lines.sql, from the day
-- $7 to before $8; $9 by day, $10 what to group by, $11 a project or null.
, asked AS (
    SELECT $7::date AS first_day, $8::date AS end_day, $9::boolean AS by_day, $10::text AS grouping, $11::uuid AS project_id
),
months AS (
    SELECT bounds.*, least($3, $4) AS until, greatest(bounds.first_day, asked.first_day) AS from_day,
        least(bounds.end_day, asked.end_day) AS to_day
    FROM asked
    CROSS JOIN (SELECT ($2 AT TIME ZONE 'UTC')::date AS first_day, ($3 AT TIME ZONE 'UTC')::date AS end_day) AS bounds
),
cost_lines AS MATERIALIZED (
    SELECT row_number() OVER () AS line_no, months.first_day, months.end_day,
        months.from_day = months.first_day AND months.to_day = months.end_day AS is_whole,
        prices_v.kind AS item_kind, prices_v.item, lines.price_id, lines.charge_resource_id, lines.units, lines.project_id,
        lines.region, prices_v.service, lines.type, lines.amount_minor
    FROM asked
    CROSS JOIN months
    CROSS JOIN lines
    JOIN prices_v ON prices_v.price_id = lines.price_id
    WHERE asked.project_id IS NULL OR lines.project_id = asked.project_id
),
known_parts AS (
    SELECT row_number() OVER () AS part_no, cost_lines.line_no, parts.account_id, parts.resource_id, parts.type, cost_lines.first_day,
        cost_lines.item_kind AS kind, cost_lines.item, cost_lines.units, prices_v.billable, meters_v.aggregation, parts.quantity,
        asked.by_day OR NOT cost_lines.is_whole AS needs_runs
    FROM asked
    CROSS JOIN cost_lines
    JOIN parts ON parts.price_id = cost_lines.price_id AND parts.charge_resource_id = cost_lines.charge_resource_id
        AND parts.units = cost_lines.units AND parts.project_id = cost_lines.project_id AND parts.region = cost_lines.region
    JOIN prices_v ON prices_v.price_id = cost_lines.price_id
    LEFT JOIN meters_v ON cost_lines.item_kind = 'meter' AND meters_v.meter = cost_lines.item
),
\ir cost_shares.sql
