-- What the meters of the account $1 that are shown as $5 counted from the day $2 to before $3, seen from the instant $4: runs of days with
-- what each day adds, in 10^-40 units; a gauge's level over its month. The same days as in cost_shares.sql.
WITH months AS (
    SELECT month::date AS first_day, (month + interval '1 month')::date AS end_day,
        least((month + interval '1 month') AT TIME ZONE 'UTC', $4::timestamptz) AS until,
        greatest(month::date, $2::date) AS from_day, least((month + interval '1 month')::date, $3::date) AS to_day
    FROM generate_series(date_trunc('month', $2::timestamp), $3::date - interval '1 day', '1 month') AS month
    WHERE month AT TIME ZONE 'UTC' <= $4
),
counted_rows AS MATERIALIZED (
\ir counted_rows.sql
        AND day_rows_v.day >= date_trunc('month', $2::timestamp)::date
        AND day_rows_v.day < (date_trunc('month', $3::date - interval '1 day') + interval '1 month')::date
        AND meters_v.shows_as = $5::text
),
\ir day_runs.sql
shown AS (
    SELECT used.*, meters_v.aggregation
    FROM used
    JOIN meters_v ON meters_v.meter = used.item
    WHERE used.status = 'metered' AND meters_v.shows_as = $5
)
SELECT greatest(runs.first_day, months.from_day) AS first_day, least(runs.last_day, months.to_day - 1) AS last_day,
    sum(CASE
        WHEN shown.aggregation = 'time_weighted' THEN div(runs.reading * 1e40, (months.end_day - months.first_day) * 86400)
        WHEN shown.is_shared THEN div(shown.quantity * runs.reading * 1e40, shown.readings)
        ELSE runs.reading * 1e40
    END) AS quantity
FROM shown
-- by one text: the planner takes several equalities for rarer than they are, and nests loops
JOIN runs ON concat_ws('|', runs.month, runs.status, runs.item, runs.resource_id)
    = concat_ws('|', shown.month, shown.status, shown.item, shown.resource_id)
JOIN months ON months.first_day = runs.month
WHERE runs.first_day < months.to_day AND runs.last_day >= months.from_day
GROUP BY greatest(runs.first_day, months.from_day), least(runs.last_day, months.to_day - 1)
ORDER BY first_day, last_day
