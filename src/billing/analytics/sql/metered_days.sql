-- What the meters of the account $1 that are shown as $5 counted from the day $2 to before $3, seen from the instant $4: runs of days with
-- what each day adds, in 10^-30 units; a gauge's level over its month. The same days as in cost_shares.sql.
WITH months AS (
    SELECT month::date AS first_day, (month + interval '1 month')::date AS end_day,
        least((month + interval '1 month') AT TIME ZONE 'UTC', $4::timestamptz) AS until,
        greatest(month::date, $2::date) AS from_day, least((month + interval '1 month')::date, $3::date) AS to_day
    FROM generate_series(date_trunc('month', $2::timestamp), $3::date - interval '1 day', '1 month') AS month
    WHERE month AT TIME ZONE 'UTC' <= $4
),
used AS MATERIALIZED (
    SELECT row_number() OVER () AS part_no, resources_v.account_id, resources_v.resource_id, 'meter' AS kind, meters_v.meter AS item,
        1 AS units, NULL::text[] AS billable, meters_v.aggregation, months.first_day
    FROM months
    JOIN resources_v ON resources_v.account_id = ANY ($1::uuid[]) AND resources_v.created_at < months.end_day::timestamp AT TIME ZONE 'UTC'
        AND coalesce(resources_v.deleted_at, 'infinity') > months.first_day::timestamp AT TIME ZONE 'UTC'
    CROSS JOIN meters_v
    WHERE meters_v.shows_as = $5::text
),
\ir day_runs.sql
sums AS (
    SELECT runs.part_no, sum(runs.reading * (runs.last_day - runs.first_day + 1)) AS readings, max(runs.reading) AS highest
    FROM runs
    GROUP BY runs.part_no
),
last_readings AS (
    SELECT DISTINCT ON (part_no) part_no, reading FROM runs ORDER BY part_no, last_day DESC
)
SELECT greatest(runs.first_day, months.from_day) AS first_day, least(runs.last_day, months.to_day - 1) AS last_day,
    sum(CASE used.aggregation
        WHEN 'sum' THEN runs.reading * 1e30
        WHEN 'time_weighted' THEN div(runs.reading * 1e30, (months.end_day - months.first_day) * 86400)
        WHEN 'max' THEN div(sums.highest * runs.reading * 1e30, sums.readings)
        ELSE div(last_readings.reading * runs.reading * 1e30, sums.readings)
    END) AS quantity
FROM runs
JOIN used ON used.part_no = runs.part_no
JOIN months ON months.first_day = used.first_day
JOIN sums ON sums.part_no = runs.part_no
JOIN last_readings ON last_readings.part_no = runs.part_no
WHERE runs.first_day < months.to_day AND runs.last_day >= months.from_day
GROUP BY greatest(runs.first_day, months.from_day), least(runs.last_day, months.to_day - 1)
ORDER BY first_day, last_day
