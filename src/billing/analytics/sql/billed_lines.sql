-- Finalised months of the account $1 from the day $2 to before $3: what their lines say so far, by charge, project and region, and where
-- their resources were. With $4 by day, $5 is what to group by, $6 a project or null. Answers need the days of a line (`needs_days`)
-- where it pools resources, where a part of its month is asked for, or by day.
WITH asked AS (
    SELECT $4::boolean AS by_day, $5::text AS grouping, $6::uuid AS project_id
),
months AS (
    SELECT month::date AS first_day, (month + interval '1 month')::date AS end_day,
        (month + interval '1 month') AT TIME ZONE 'UTC' AS until,
        greatest(month::date, $2::date) AS from_day, least((month + interval '1 month')::date, $3::date) AS to_day
    FROM generate_series(date_trunc('month', $2::timestamp), $3::date - interval '1 day', '1 month') AS month
),
cost_lines AS MATERIALIZED (
    SELECT row_number() OVER () AS line_no, sums.*, months.from_day = months.first_day AND months.to_day = months.end_day AS is_whole,
        asked.by_day OR sums.charge_resource_id = '' OR months.from_day > months.first_day OR months.to_day < months.end_day AS needs_days
    FROM asked
    CROSS JOIN (
        SELECT service_period AS month, item_kind, item, price_id, charge_resource_id, units, project_id, region, service,
            CASE WHEN min(type) = max(type) THEN min(type) ELSE '' END AS type, sum(amount_minor) AS amount_minor
        FROM billed_lines_v
        WHERE account_id = ($1::uuid[])[1] AND service_period >= date_trunc('month', $2::timestamp)::date AND service_period < $3
            AND ($6 IS NULL OR project_id = $6)
        GROUP BY service_period, item_kind, item, price_id, charge_resource_id, units, project_id, region, service
    ) AS sums
    JOIN months ON months.first_day = sums.month
),
-- The project that each resource had when the month was closed; of one that came later, its first.
places AS MATERIALIZED (
    SELECT homes.month, resources.resource_id, resources.region, resources.type, coalesce(homes.project_id, resources.project_id) AS project_id
    FROM resources_by_end_v AS resources
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (months.first_day) months.first_day AS month, moves.project_id
        FROM months
        LEFT JOIN closes_v ON closes_v.account_id = ($1::uuid[])[1] AND closes_v.period = months.first_day
        LEFT JOIN resource_moves_v AS moves ON moves.account_id = ($1::uuid[])[1] AND moves.resource_id = resources.resource_id
        ORDER BY months.first_day, coalesce(moves.recorded_at <= closes_v.rated_at, false) DESC,
            CASE WHEN moves.recorded_at <= closes_v.rated_at THEN moves.recorded_at END DESC, moves.recorded_at
    ) AS homes
    WHERE resources.account_id = ($1::uuid[])[1]
        AND resources.ended_at > date_trunc('month', $2::timestamp) AT TIME ZONE 'UTC'
),
given_parts AS (
    SELECT cost_lines.line_no, cost_lines.charge_resource_id AS resource_id, cost_lines.type, 1::numeric AS quantity
    FROM cost_lines
    WHERE NOT cost_lines.needs_days
),
counted_rows AS MATERIALIZED (
\ir counted_rows.sql
        AND day_rows_v.day >= date_trunc('month', $2::timestamp)::date
        AND day_rows_v.day < (date_trunc('month', $3::date - interval '1 day') + interval '1 month')::date
),
\ir cost_shares.sql
