-- After cost_shares.sql, by day: what each day of a whole finalised month cost by place and type, and who was there on which days, as
-- costs_by_day.sql groups further.
place_days AS MATERIALIZED (
    SELECT cost_lines.month, cost_lines.project_id, cost_lines.region, cost_lines.service, coalesce(line_days.type, '') AS type,
        days.day::date AS day, sum(line_days.share) AS share
    FROM line_days
    JOIN cost_lines ON cost_lines.line_no = line_days.line_no
    CROSS JOIN LATERAL generate_series(line_days.first_day::timestamp, line_days.last_day::timestamp, interval '1 day') AS days (day)
    GROUP BY cost_lines.month, cost_lines.project_id, cost_lines.region, cost_lines.service, coalesce(line_days.type, ''), days.day
),
place_presences AS (
    SELECT cost_lines.month, cost_lines.project_id, cost_lines.region, cost_lines.service, coalesce(asked_runs.type, '') AS type,
        asked_runs.resource_id,
        bit_or(((1::bigint << (asked_runs.last_day - asked_runs.first_day + 1)) - 1) << (asked_runs.first_day - cost_lines.month)) AS days
    FROM asked_runs
    JOIN cost_lines ON cost_lines.line_no = asked_runs.line_no
    WHERE asked_runs.resource_id IS NOT NULL
    GROUP BY cost_lines.month, cost_lines.project_id, cost_lines.region, cost_lines.service, coalesce(asked_runs.type, ''),
        asked_runs.resource_id
),
day_sums AS (
    SELECT ($1::uuid[])[1] AS account_id, places.month AS period, places.project_id, places.region, places.service, places.type,
        ARRAY(
            SELECT place_days.share
            FROM generate_series(0, months.end_day - months.first_day - 1) AS number
            LEFT JOIN place_days ON place_days.project_id = places.project_id AND place_days.region = places.region
                AND place_days.service = places.service AND place_days.type = places.type
                AND place_days.day = months.first_day + number
            ORDER BY number
        ) AS shares,
        coalesce(present.resource_ids, '{}') AS resource_ids, coalesce(present.resource_days, '{}') AS resource_days
    FROM (SELECT DISTINCT month, project_id, region, service, type FROM place_days) AS places
    JOIN months ON months.first_day = places.month
    LEFT JOIN (
        SELECT month, project_id, region, service, type, array_agg(resource_id ORDER BY resource_id) AS resource_ids,
            array_agg(days ORDER BY resource_id) AS resource_days
        FROM place_presences
        GROUP BY month, project_id, region, service, type
    ) AS present ON present.month = places.month AND present.project_id = places.project_id AND present.region = places.region
        AND present.service = places.service AND present.type = places.type
)
