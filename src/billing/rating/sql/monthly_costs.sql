-- What the resources of account $1 cost in a full month at the prices of the month from $2 to $3, seen from the instant $4:
-- plans for the whole month as they are now, meters with what the last 30 days used. $5 and $6 as in charges.sql.
WITH
\ir scope.sql
\ir nothing_pinned.sql
plan_quantities AS (
    SELECT account_id, resource_id, plan, units, seconds AS quantity, CASE status WHEN 'stopped' THEN seconds ELSE 0 END AS stopped
    FROM spans_by_end_v
    CROSS JOIN (SELECT extract(epoch FROM $3::timestamptz - $2::timestamptz) AS seconds) AS month
    WHERE account_id = ANY ($1) AND plan IS NOT NULL AND status <> 'deleting' AND start_at <= $4::timestamptz AND ended_at > $4
),
meter_quantities AS (
    SELECT day_rows_v.account_id, day_rows_v.resource_id, day_rows_v.meter,
        CASE meters_v.aggregation
            WHEN 'sum' THEN sum(day_rows_v.total)
            WHEN 'max' THEN max(day_rows_v.highest)
            ELSE (array_agg(day_rows_v.latest ORDER BY day_rows_v.day DESC))[1]
        END AS quantity,
        day_rows_v.is_gauge
    FROM day_rows_v
    JOIN meters_v ON meters_v.meter = day_rows_v.meter
    WHERE day_rows_v.account_id = ANY ($1) AND day_rows_v.day > ($4 AT TIME ZONE 'UTC')::date - 30
    GROUP BY day_rows_v.account_id, day_rows_v.resource_id, day_rows_v.meter, meters_v.aggregation, day_rows_v.is_gauge
),
counted AS NOT MATERIALIZED (
    SELECT ((($4 AT TIME ZONE 'UTC')::date - 29)::timestamp AT TIME ZONE 'UTC') AS since, $4 AS until
),
\ir gauge_quantities.sql
quantities AS (
    SELECT account_id, resource_id, 'plan' AS kind, plan AS item, units, quantity, stopped, false AS is_gauge FROM plan_quantities
    UNION ALL
    SELECT account_id, resource_id, 'meter', meter, 1, quantity, 0, false FROM meter_quantities WHERE NOT is_gauge
    UNION ALL
    SELECT account_id, resource_id, 'meter', meter, 1,
        -- the mean level of those days, over a whole month
        round(quantity / extract(epoch FROM counted.until - counted.since) * extract(epoch FROM $3 - $2), 12), 0, true
    FROM gauge_quantities
    CROSS JOIN counted
),
\ir priced.sql
SELECT shares.project_id, shares.resource_id, sum(shares.amount_minor)::bigint AS amount_minor
FROM shares
JOIN resources_by_end_v AS resources ON resources.account_id = shares.account_id AND resources.resource_id = shares.resource_id
WHERE resources.account_id = ANY ($1) AND resources.ended_at > $4
GROUP BY shares.project_id, shares.resource_id
