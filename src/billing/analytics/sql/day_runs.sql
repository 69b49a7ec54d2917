-- What each UTC day adds to the quantity of the parts `used` (part_no, account_id, resource_id, kind, item, units, billable, aggregation,
-- first_day, of months with their first_day, end_day and the instant until which they count): runs of days that add the same, so that
-- what stands still for a month is one row. A part's runs may lie above each other.
-- Seconds and unit-seconds fall on the day they pass in, events on the day they happened, a highest or last value on each day that has one.
spans AS MATERIALIZED (
    SELECT account_id, resource_id, plan, units, status, start_at, coalesce(end_at, 'infinity') AS end_at
    FROM resource_spans_v
    WHERE account_id = ANY ($1) AND status <> 'deleting'
),
-- Rows of gauges with how long their last level held after the day, the one that was carried in first.
levels AS (
    SELECT gauges_v.account_id, gauges_v.resource_id, gauges_v.meter, days.day, days.total, days.latest, days.latest_at,
        (days.day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end,
        coalesce(lead(days.first_at) OVER (
            PARTITION BY gauges_v.account_id, gauges_v.resource_id, gauges_v.meter ORDER BY days.day
        ), 'infinity') AS next_at
    FROM gauges_v
    CROSS JOIN (SELECT min(first_day) AS first_day, max(until) AS until FROM months) AS counted
    CROSS JOIN LATERAL (
        SELECT * FROM day_rows_v
        WHERE day_rows_v.account_id = gauges_v.account_id AND day_rows_v.resource_id = gauges_v.resource_id
            AND day_rows_v.meter = gauges_v.meter AND day_rows_v.is_gauge
            AND day_rows_v.day >= counted.first_day AND day_rows_v.day::timestamp AT TIME ZONE 'UTC' < counted.until
        UNION ALL
        (SELECT * FROM day_rows_v
        WHERE day_rows_v.account_id = gauges_v.account_id AND day_rows_v.resource_id = gauges_v.resource_id
            AND day_rows_v.meter = gauges_v.meter AND day_rows_v.is_gauge AND day_rows_v.day < counted.first_day
        ORDER BY day_rows_v.day DESC LIMIT 1)
    ) AS days
    WHERE gauges_v.account_id = ANY ($1)
),
-- Time in which a part grows evenly, by `rate` a second.
stretches AS (
    SELECT used.part_no, 1 AS rate, greatest(spans.start_at, months.first_day::timestamp AT TIME ZONE 'UTC') AS start_at,
        least(spans.end_at, months.until) AS end_at
    FROM used
    JOIN months ON months.first_day = used.first_day
    JOIN spans ON spans.account_id = used.account_id AND spans.resource_id = used.resource_id AND spans.plan = used.item
        AND spans.units = used.units AND spans.status = ANY (used.billable)
        AND spans.start_at < months.until AND spans.end_at > months.first_day::timestamp AT TIME ZONE 'UTC'
    WHERE used.kind = 'plan'
    UNION ALL
    SELECT used.part_no, levels.latest, greatest(spans.start_at, levels.day_end, months.first_day::timestamp AT TIME ZONE 'UTC'),
        least(spans.end_at, levels.next_at, months.until)
    FROM used
    JOIN months ON months.first_day = used.first_day
    JOIN levels ON levels.account_id = used.account_id AND levels.resource_id = used.resource_id AND levels.meter = used.item
        AND levels.day_end < months.until AND levels.next_at > months.first_day::timestamp AT TIME ZONE 'UTC'
    JOIN spans ON spans.account_id = used.account_id AND spans.resource_id = used.resource_id
        AND spans.start_at < least(levels.next_at, months.until)
        AND spans.end_at > greatest(levels.day_end, months.first_day::timestamp AT TIME ZONE 'UTC')
    WHERE used.kind = 'meter' AND used.aggregation = 'time_weighted'
),
dated AS (
    SELECT part_no, rate, start_at, end_at, (start_at AT TIME ZONE 'UTC')::date AS start_day, (end_at AT TIME ZONE 'UTC')::date AS end_day
    FROM stretches
    WHERE start_at < end_at
),
runs AS MATERIALIZED (
    -- a stretch is the rest of its first day, whole days, and the beginning of its last
    SELECT dated.part_no, days.first_day, days.last_day, dated.rate * days.seconds AS reading
    FROM dated
    CROSS JOIN LATERAL (
        SELECT start_day AS first_day, start_day AS last_day,
            extract(epoch FROM least(end_at, (start_day + 1)::timestamp AT TIME ZONE 'UTC') - start_at) AS seconds
        UNION ALL
        SELECT start_day + 1, end_day - 1, 86400 WHERE start_day + 1 < end_day
        UNION ALL
        SELECT end_day, end_day, extract(epoch FROM end_at - end_day::timestamp AT TIME ZONE 'UTC')
        WHERE start_day < end_day AND end_at > end_day::timestamp AT TIME ZONE 'UTC'
    ) AS days
    WHERE dated.rate > 0
    UNION ALL
    SELECT used.part_no, day_rows_v.day, day_rows_v.day,
        CASE used.aggregation WHEN 'sum' THEN day_rows_v.total WHEN 'max' THEN day_rows_v.highest ELSE day_rows_v.latest END
    FROM months
    JOIN day_rows_v ON day_rows_v.account_id = ANY ($1) AND NOT day_rows_v.is_gauge
        AND day_rows_v.day >= months.first_day AND day_rows_v.day < months.end_day
    JOIN used ON used.first_day = months.first_day AND used.account_id = day_rows_v.account_id
        AND used.resource_id = day_rows_v.resource_id AND used.item = day_rows_v.meter AND used.kind = 'meter'
    WHERE CASE used.aggregation WHEN 'sum' THEN day_rows_v.total WHEN 'max' THEN day_rows_v.highest ELSE day_rows_v.latest END > 0
    UNION ALL
    -- a day with readings of a gauge, less what lies after the end of the count
    SELECT used.part_no, levels.day, levels.day, counted.reading
    FROM used
    JOIN months ON months.first_day = used.first_day
    JOIN levels ON levels.account_id = used.account_id AND levels.resource_id = used.resource_id AND levels.meter = used.item
        AND levels.day >= months.first_day AND levels.day < months.end_day AND levels.day::timestamp AT TIME ZONE 'UTC' < months.until
    JOIN resources_v ON resources_v.account_id = used.account_id AND resources_v.resource_id = used.resource_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN least(months.until, resources_v.deleted_at) < levels.day_end
            THEN levels.total - levels.latest * metered_seconds(used.account_id, used.resource_id,
                greatest(least(months.until, resources_v.deleted_at), levels.latest_at), levels.day_end)
            ELSE levels.total END AS reading
    ) AS counted
    WHERE used.kind = 'meter' AND used.aggregation = 'time_weighted' AND counted.reading > 0
),
