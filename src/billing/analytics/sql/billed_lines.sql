-- Finalised months of the account $1 from the day $2 to before $3: what their lines say so far, by charge, project and region, and whose
-- quantities share it. With $4 by day, $5 is what to group by, $6 a project or null.
-- A part needs its days where the line pools resources, or where days are asked for: `needs_runs`.
WITH asked AS (
    SELECT $2::date AS first_day, $3::date AS end_day, $4::boolean AS by_day, $5::text AS grouping, $6::uuid AS project_id
),
months AS (
    SELECT month::date AS first_day, (month + interval '1 month')::date AS end_day,
        (month + interval '1 month') AT TIME ZONE 'UTC' AS until,
        greatest(month::date, asked.first_day) AS from_day, least((month + interval '1 month')::date, asked.end_day) AS to_day
    FROM asked
    CROSS JOIN generate_series(date_trunc('month', asked.first_day::timestamp), asked.end_day - interval '1 day', '1 month') AS month
),
cost_lines AS MATERIALIZED (
    SELECT row_number() OVER () AS line_no, months.first_day, months.end_day,
        months.from_day = months.first_day AND months.to_day = months.end_day AS is_whole,
        billed.item_kind, billed.item, billed.price_id, billed.charge_resource_id, billed.units, billed.project_id, billed.region,
        billed.service, CASE WHEN min(billed.type) = max(billed.type) THEN min(billed.type) ELSE '' END AS type,
        sum(billed.amount_minor) AS amount_minor
    FROM asked
    CROSS JOIN months
    JOIN billed_lines_v AS billed ON billed.account_id = ANY ($1::uuid[]) AND billed.service_period = months.first_day
    WHERE asked.project_id IS NULL OR billed.project_id = asked.project_id
    GROUP BY months.first_day, months.end_day, months.from_day, months.to_day, billed.item_kind, billed.item, billed.price_id,
        billed.charge_resource_id, billed.units, billed.project_id, billed.region, billed.service
),
-- The project that each resource had when the month was closed; of one that came later, its first.
homes AS (
    SELECT DISTINCT ON (months.first_day, moves.resource_id) months.first_day, moves.resource_id, moves.project_id
    FROM months
    CROSS JOIN resource_moves_v AS moves
    LEFT JOIN closes_v ON closes_v.account_id = moves.account_id AND closes_v.period = months.first_day
    WHERE moves.account_id = ANY ($1)
    ORDER BY months.first_day, moves.resource_id, coalesce(moves.recorded_at <= closes_v.rated_at, false) DESC,
        CASE WHEN moves.recorded_at <= closes_v.rated_at THEN moves.recorded_at END DESC, moves.recorded_at
),
parts_of_lines AS (
    SELECT cost_lines.line_no, resources_v.account_id, resources_v.resource_id, resources_v.type
    FROM cost_lines
    JOIN resources_v ON resources_v.account_id = ANY ($1) AND resources_v.resource_id = cost_lines.charge_resource_id
    WHERE cost_lines.charge_resource_id <> ''
    UNION ALL
    SELECT cost_lines.line_no, resources_v.account_id, resources_v.resource_id, resources_v.type
    FROM cost_lines
    JOIN resources_v ON resources_v.account_id = ANY ($1) AND resources_v.region = cost_lines.region
        AND resources_v.created_at < cost_lines.end_day::timestamp AT TIME ZONE 'UTC'
        AND coalesce(resources_v.deleted_at, 'infinity') > cost_lines.first_day::timestamp AT TIME ZONE 'UTC'
    LEFT JOIN homes ON homes.first_day = cost_lines.first_day AND homes.resource_id = resources_v.resource_id
    WHERE cost_lines.charge_resource_id = '' AND coalesce(homes.project_id, resources_v.project_id) = cost_lines.project_id
),
known_parts AS (
    SELECT row_number() OVER () AS part_no, parts_of_lines.*, cost_lines.first_day, cost_lines.item_kind AS kind, cost_lines.item,
        cost_lines.units, prices_v.billable, meters_v.aggregation, NULL::numeric AS quantity,
        asked.by_day OR NOT cost_lines.is_whole OR cost_lines.charge_resource_id = '' AS needs_runs
    FROM asked
    CROSS JOIN parts_of_lines
    JOIN cost_lines ON cost_lines.line_no = parts_of_lines.line_no
    JOIN prices_v ON prices_v.price_id = cost_lines.price_id
    LEFT JOIN meters_v ON cost_lines.item_kind = 'meter' AND meters_v.meter = cost_lines.item
),
\ir cost_shares.sql
