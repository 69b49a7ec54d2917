-- After the rating statement of an open month: its lines so far, where its resources are, and those that share a line, as in
-- billed_lines.sql, from the day $7 to before $8; $9 by day, $10 what to group by, $11 a project or null.
, asked AS (
    SELECT $9::boolean AS by_day, $10::text AS grouping, $11::uuid AS project_id
),
months AS (
    SELECT bounds.*, least($3, $4) AS until, greatest(bounds.first_day, $7::date) AS from_day, least(bounds.end_day, $8::date) AS to_day
    FROM (SELECT ($2 AT TIME ZONE 'UTC')::date AS first_day, ($3 AT TIME ZONE 'UTC')::date AS end_day) AS bounds
),
cost_lines AS MATERIALIZED (
    SELECT row_number() OVER () AS line_no, months.first_day AS month, prices_v.kind AS item_kind, prices_v.item, lines.price_id,
        lines.charge_resource_id, lines.units, lines.project_id, lines.region, prices_v.service, lines.type, lines.amount_minor,
        months.from_day = months.first_day AND months.to_day = months.end_day AS is_whole,
        asked.by_day OR months.from_day > months.first_day OR months.to_day < months.end_day AS needs_days
    FROM asked
    CROSS JOIN months
    CROSS JOIN lines
    JOIN prices_v ON prices_v.price_id = lines.price_id
    WHERE asked.project_id IS NULL OR lines.project_id = asked.project_id
),
places AS MATERIALIZED (
    SELECT months.first_day AS month, resource_id, region, type, project_id
    FROM resources_by_end_v
    CROSS JOIN months
    WHERE account_id = ($1::uuid[])[1] AND ended_at > $2
),
given_parts AS (
    SELECT cost_lines.line_no, parts.resource_id, parts.type, parts.quantity
    FROM cost_lines
    JOIN parts ON parts.price_id = cost_lines.price_id AND parts.charge_resource_id = cost_lines.charge_resource_id
        AND parts.units = cost_lines.units AND parts.project_id = cost_lines.project_id AND parts.region = cost_lines.region
    WHERE NOT cost_lines.needs_days
),
counted_rows AS MATERIALIZED (
\ir counted_rows.sql
        AND day_rows_v.day >= ($2 AT TIME ZONE 'UTC')::date AND day_rows_v.day < ($3 AT TIME ZONE 'UTC')::date
),
\ir cost_shares.sql
