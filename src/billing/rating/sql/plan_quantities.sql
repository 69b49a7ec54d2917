-- Seconds of each plan of the accounts $1 by resource and units, and how many of them it was stopped, within the month from $2 to $3 and
-- up to the instant $4.
plan_quantities AS (
    SELECT account_id, resource_id, plan, units, sum(seconds) AS quantity,
        coalesce(sum(seconds) FILTER (WHERE status = 'stopped'), 0) AS stopped
    FROM spans_by_end_v
    CROSS JOIN LATERAL (
        SELECT extract(epoch FROM least(ended_at, $3::timestamptz + $6::interval, $4::timestamptz)
            - greatest(start_at, $2::timestamptz)) AS seconds
    ) AS inside
    WHERE account_id = ANY ($1) AND plan IS NOT NULL AND status <> 'deleting'  -- no price bills what is being deleted
        AND start_at < least($3 + $6, $4) AND ended_at > $2
    GROUP BY account_id, resource_id, plan, units
),
