-- What each UTC day of `months` (first_day, end_day, the instant until which they count; without gaps) adds to the quantities of the account
-- $1, by resource and plan or meter: runs of days that add the same, so that what stands still for a month is one row. Runs may lie above
-- each other. Meters' day rows of those months are in `counted_rows`.
-- Seconds and unit-seconds fall on the day they pass in, events on the day they happened, a highest or last value on each day that has one.
frame AS (
    SELECT min(first_day) AS first_day, min(first_day)::timestamp AT TIME ZONE 'UTC' AS since, max(until) AS until FROM months
),
spans AS MATERIALIZED (
    SELECT resource_id, plan, units, status, greatest(start_at, frame.since) AS start_at,
        least(ended_at, frame.until) AS end_at
    FROM spans_by_end_v
    CROSS JOIN frame
    WHERE account_id = ($1::uuid[])[1] AND status <> 'deleting' AND start_at < frame.until
        AND ended_at > (SELECT since FROM frame)  -- known first, so that the index is asked for it
),
-- Rows of gauges with how long their last level held after the day, the one that was carried in first.
levels AS MATERIALIZED (
    SELECT gauges.resource_id, gauges.meter, days.*
    FROM gauges_by_end_v AS gauges
    CROSS JOIN frame
    CROSS JOIN LATERAL (
        SELECT day, total, latest, latest_at, (day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end, day >= frame.first_day AS is_inside,
            coalesce(lead(first_at) OVER (ORDER BY day), 'infinity') AS next_at
        FROM (
            SELECT * FROM day_rows_v
            WHERE day_rows_v.account_id = gauges.account_id AND day_rows_v.resource_id = gauges.resource_id
                AND day_rows_v.meter = gauges.meter AND day_rows_v.is_gauge AND day_rows_v.day >= frame.first_day
                AND day_rows_v.day::timestamp AT TIME ZONE 'UTC' < frame.until
            UNION ALL
            (SELECT * FROM day_rows_v
            WHERE day_rows_v.account_id = gauges.account_id AND day_rows_v.resource_id = gauges.resource_id
                AND day_rows_v.meter = gauges.meter AND day_rows_v.is_gauge AND day_rows_v.day < frame.first_day
            ORDER BY day_rows_v.day DESC LIMIT 1)
        ) AS rows
    ) AS days
    WHERE gauges.account_id = ($1::uuid[])[1] AND gauges.ended_at > (SELECT since FROM frame)
),
-- Time in which a quantity grows evenly, by `rate` a second.
stretches AS (
    SELECT resource_id, plan AS item, units, status, 1 AS rate, start_at, end_at
    FROM spans
    WHERE plan IS NOT NULL
    UNION ALL
    SELECT levels.resource_id, levels.meter, 1, 'metered', levels.latest, greatest(spans.start_at, levels.day_end),
        least(spans.end_at, levels.next_at)
    FROM levels
    JOIN spans ON spans.resource_id = levels.resource_id
    WHERE levels.latest > 0 AND levels.next_at > levels.day_end  -- first, for most levels hold to the day's end and no longer
        AND spans.start_at < levels.next_at AND spans.end_at > levels.day_end
),
dated AS (
    SELECT *, (start_at AT TIME ZONE 'UTC')::date AS start_day, (end_at AT TIME ZONE 'UTC')::date AS end_day
    FROM stretches
    WHERE start_at < end_at
),
runs AS MATERIALIZED (
    -- a stretch is the rest of its first day, the beginning of its last, and whole days between
    SELECT date_trunc('month', start_day::timestamp)::date AS month, resource_id, item, units, status, start_day AS first_day,
        start_day AS last_day,
        rate * extract(epoch FROM least(end_at, (start_day + 1)::timestamp AT TIME ZONE 'UTC') - start_at) AS reading
    FROM dated
    UNION ALL
    SELECT date_trunc('month', end_day::timestamp)::date, resource_id, item, units, status, end_day, end_day,
        rate * extract(epoch FROM end_at - end_day::timestamp AT TIME ZONE 'UTC')
    FROM dated
    WHERE start_day < end_day AND end_at > end_day::timestamp AT TIME ZONE 'UTC'
    UNION ALL
    SELECT months.first_day, dated.resource_id, dated.item, dated.units, dated.status, greatest(dated.start_day + 1, months.first_day),
        least(dated.end_day, months.end_day) - 1, dated.rate * 86400
    FROM dated
    JOIN months ON months.first_day < dated.end_day AND months.end_day > dated.start_day + 1
    WHERE dated.start_day + 1 < dated.end_day
    UNION ALL
    SELECT counted_rows.month, counted_rows.resource_id, counted_rows.meter, 1, 'metered', counted_rows.day, counted_rows.day, counted_rows.reading
    FROM counted_rows
    WHERE counted_rows.reading > 0
    UNION ALL
    -- a day with readings of a gauge, less what lies after the end of the count
    SELECT date_trunc('month', levels.day::timestamp)::date, levels.resource_id, levels.meter, 1, 'metered', levels.day, levels.day, counted.reading
    FROM levels
    CROSS JOIN frame
    JOIN resources_v ON resources_v.account_id = ($1::uuid[])[1] AND resources_v.resource_id = levels.resource_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN least(frame.until, resources_v.deleted_at) < levels.day_end
            THEN levels.total - levels.latest * metered_seconds(resources_v.account_id, levels.resource_id,
                greatest(least(frame.until, resources_v.deleted_at), levels.latest_at), levels.day_end)
            ELSE levels.total END AS reading
    ) AS counted
    WHERE levels.is_inside AND counted.reading > 0
),
-- What a resource used of each in each month: a highest or last value is the month's own.
used AS MATERIALIZED (
    SELECT sums.month, sums.resource_id, sums.item, sums.units, sums.status, sums.readings,
        coalesce(meters_v.aggregation IN ('max', 'last'), false) AS is_shared,
        CASE meters_v.aggregation WHEN 'max' THEN sums.highest WHEN 'last' THEN lasts.reading ELSE sums.readings END AS quantity
    FROM (
        SELECT month, resource_id, item, units, status, sum(reading * (last_day - first_day + 1)) AS readings, max(reading) AS highest
        FROM runs
        GROUP BY month, resource_id, item, units, status
    ) AS sums
    LEFT JOIN meters_v ON sums.status = 'metered' AND meters_v.meter = sums.item
    LEFT JOIN (
        SELECT DISTINCT ON (month, resource_id, meter) month, resource_id, meter, reading
        FROM counted_rows
        WHERE aggregation = 'last'
        ORDER BY month, resource_id, meter, day DESC
    ) AS lasts ON lasts.month = sums.month AND lasts.resource_id = sums.resource_id AND lasts.meter = sums.item
),
