-- What each UTC day adds to the quantity of some charges, day by day (shared_resource_id null), and of their resources $11. Days sum to
-- the whole exactly: seconds and unit-seconds fall on the day they pass in, sums on the day of their events; the highest or last value of
-- a month is shared among its days by their own (`reading`), to 12 decimals by largest remainder (ties: the earlier day).
\ir asked_charges.sql
, used AS (
    SELECT DISTINCT parts.account_id, parts.price_id, parts.charge_resource_id, parts.units, parts.resource_id, parts.quantity,
        prices_v.kind, prices_v.item, prices_v.billable, meters_v.aggregation
    FROM parts
    JOIN asked ON asked.price_id = parts.price_id AND asked.charge_resource_id = parts.charge_resource_id AND asked.units = parts.units
    JOIN prices_v ON prices_v.price_id = parts.price_id
    LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
),
plan_days AS (
    SELECT used.account_id, used.price_id, used.charge_resource_id, used.units, used.resource_id, days.day::date AS day,
        extract(epoch FROM least(coalesce(spans.end_at, 'infinity'), $3 + $6, $4, (days.day + interval '1 day') AT TIME ZONE 'UTC')
            - greatest(spans.start_at, $2, days.day AT TIME ZONE 'UTC')) AS reading
    FROM used
    JOIN resource_spans_v AS spans ON spans.account_id = used.account_id AND spans.resource_id = used.resource_id
        AND spans.plan = used.item AND spans.units = used.units AND spans.status = ANY (used.billable)
        AND spans.start_at < least($3 + $6, $4) AND coalesce(spans.end_at, 'infinity') > $2
    CROSS JOIN LATERAL generate_series(
        (greatest(spans.start_at, $2) AT TIME ZONE 'UTC')::date::timestamp,
        least(coalesce(spans.end_at, 'infinity'), $3 + $6, $4) AT TIME ZONE 'UTC' - interval '1 microsecond',
        interval '1 day'
    ) AS days (day)
    WHERE used.kind = 'plan'
),
meter_days AS (
    SELECT used.account_id, used.price_id, used.charge_resource_id, used.units, used.resource_id, day_rows_v.day,
        CASE used.aggregation WHEN 'sum' THEN day_rows_v.total WHEN 'max' THEN day_rows_v.highest ELSE day_rows_v.latest END AS reading
    FROM used
    JOIN day_rows_v ON day_rows_v.account_id = used.account_id AND day_rows_v.resource_id = used.resource_id
        AND day_rows_v.meter = used.item AND NOT day_rows_v.is_gauge
        AND day_rows_v.day >= ($2 AT TIME ZONE 'UTC')::date AND day_rows_v.day < ($3 AT TIME ZONE 'UTC')::date
    WHERE used.kind = 'meter'
),
-- A day with readings adds what it counted, less what lies after the end of the count; then its last level holds, day by day.
level_days AS (
    SELECT used.account_id, used.price_id, used.charge_resource_id, used.units, used.resource_id, held.day, held.reading
    FROM used
    JOIN gauge_days ON gauge_days.account_id = used.account_id AND gauge_days.resource_id = used.resource_id
        AND gauge_days.meter = used.item
    CROSS JOIN LATERAL (
        SELECT (gauge_days.day_end AT TIME ZONE 'UTC')::date - 1 AS day,
            gauge_days.total - gauge_days.latest * metered_seconds(used.account_id, used.resource_id,
                greatest(gauge_days.until, gauge_days.latest_at), gauge_days.day_end) AS reading
        WHERE gauge_days.is_inside
        UNION ALL
        SELECT days.day::date, gauge_days.latest * metered_seconds(used.account_id, used.resource_id, days.day AT TIME ZONE 'UTC',
            least((days.day + interval '1 day') AT TIME ZONE 'UTC', coalesce(gauge_days.next_at, 'infinity'), gauge_days.until))
        FROM generate_series(
            greatest(gauge_days.day_end, gauge_days.since) AT TIME ZONE 'UTC',
            least(coalesce(gauge_days.next_at, 'infinity'), gauge_days.until) AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS days (day)
    ) AS held
    WHERE used.kind = 'meter'
),
readings AS (
    SELECT account_id, price_id, charge_resource_id, units, resource_id, day, sum(reading) AS reading
    FROM (SELECT * FROM plan_days UNION ALL SELECT * FROM meter_days UNION ALL SELECT * FROM level_days) AS days
    GROUP BY account_id, price_id, charge_resource_id, units, resource_id, day
    HAVING sum(reading) > 0
),
split AS (
    SELECT readings.*, used.quantity, used.aggregation IN ('max', 'last') AS is_shared,
        div(used.quantity * 1e12 * reading, sum(reading) OVER resource) AS whole,
        mod(used.quantity * 1e12 * reading, sum(reading) OVER resource) AS rest
    FROM readings
    JOIN used USING (account_id, price_id, charge_resource_id, units, resource_id)
    WINDOW resource AS (PARTITION BY price_id, charge_resource_id, units, resource_id)
),
resource_days AS (
    SELECT price_id, charge_resource_id, units, resource_id, day, reading,
        CASE WHEN is_shared IS TRUE THEN trim_scale((whole + (quantity * 1e12 - sum(whole) OVER resource
            >= row_number() OVER (resource ORDER BY rest DESC, day))::integer) * 0.000000000001) ELSE reading END AS quantity
    FROM split
    WINDOW resource AS (PARTITION BY price_id, charge_resource_id, units, resource_id)
)
SELECT price_id, charge_resource_id AS resource_id, units, NULL AS shared_resource_id, day, sum(quantity) AS reading,
    sum(quantity) AS quantity
FROM resource_days
GROUP BY price_id, charge_resource_id, units, day
UNION ALL
SELECT price_id, charge_resource_id, units, resource_id, day, reading, quantity
FROM resource_days
WHERE resource_id = ANY ($11::text[])
ORDER BY price_id, resource_id, units, shared_resource_id NULLS FIRST, day
