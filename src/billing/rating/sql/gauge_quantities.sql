-- Unit-seconds of each gauge of the accounts $1 within `counted` (since, a midnight, to until): a reading holds until the next one or
-- the resource's end, and does not count while the resource is being deleted.
deleting AS (
    SELECT DISTINCT account_id, resource_id FROM spans_by_end_v
    CROSS JOIN counted
    WHERE account_id = ANY ($1) AND status = 'deleting' AND ended_at > counted.since
),
-- Apart, so that they are found by their end alone, not in an order that a join would like.
living_gauges AS MATERIALIZED (
    SELECT account_id, resource_id, meter FROM gauges_by_end_v
    CROSS JOIN counted
    WHERE account_id = ANY ($1) AND ended_at > counted.since
),
gauge_days AS (
    SELECT gauges.account_id, gauges.resource_id, gauges.meter,
        days.total, days.latest, days.latest_at, days.day >= (counted.since AT TIME ZONE 'UTC')::date AS is_inside,
        (days.day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end,
        counted.since, least(counted.until, resources.deleted_at) AS until, deleting.resource_id IS NOT NULL AS has_gaps,
        lead(days.first_at) OVER (
            PARTITION BY gauges.account_id, gauges.resource_id, gauges.meter ORDER BY days.day
        ) AS next_at
    FROM living_gauges AS gauges
    CROSS JOIN counted
    JOIN resources_by_end_v AS resources ON resources.account_id = gauges.account_id AND resources.resource_id = gauges.resource_id
    LEFT JOIN deleting ON deleting.account_id = gauges.account_id AND deleting.resource_id = gauges.resource_id
    CROSS JOIN LATERAL (
        SELECT * FROM day_rows_v
        WHERE day_rows_v.account_id = gauges.account_id AND day_rows_v.resource_id = gauges.resource_id
            AND day_rows_v.meter = gauges.meter AND day_rows_v.is_gauge
            AND day_rows_v.day >= (counted.since AT TIME ZONE 'UTC')::date
            AND day_rows_v.day::timestamp AT TIME ZONE 'UTC' < counted.until
        UNION ALL
        -- the level that was carried in
        (SELECT * FROM day_rows_v
        WHERE day_rows_v.account_id = gauges.account_id AND day_rows_v.resource_id = gauges.resource_id
            AND day_rows_v.meter = gauges.meter AND day_rows_v.is_gauge
            AND day_rows_v.day < (counted.since AT TIME ZONE 'UTC')::date
        ORDER BY day_rows_v.day DESC LIMIT 1)
    ) AS days
    WHERE resources.account_id = ANY ($1) AND resources.ended_at > counted.since
),
gauge_quantities AS (
    SELECT account_id, resource_id, meter, sum(
        -- the day itself, less what lies after the end of the count
        CASE WHEN is_inside THEN total - latest * after_end.seconds ELSE 0 END
        -- then the level holds until the next day with a reading
        + latest * held.seconds
    ) AS quantity
    FROM gauge_days
    CROSS JOIN LATERAL (
        SELECT greatest(until, latest_at) AS out_at, greatest(day_end, since) AS start_at, least(coalesce(next_at, 'infinity'), until) AS end_at
    ) AS bounds
    -- only a resource that was once being deleted has its states looked at
    CROSS JOIN LATERAL (
        SELECT CASE WHEN out_at >= day_end THEN 0 WHEN has_gaps THEN metered_seconds(account_id, resource_id, out_at, day_end)
            ELSE extract(epoch FROM day_end - out_at) END AS seconds
    ) AS after_end
    CROSS JOIN LATERAL (
        SELECT CASE WHEN start_at >= end_at THEN 0 WHEN has_gaps THEN metered_seconds(account_id, resource_id, start_at, end_at)
            ELSE extract(epoch FROM end_at - start_at) END AS seconds
    ) AS held
    GROUP BY account_id, resource_id, meter
),
