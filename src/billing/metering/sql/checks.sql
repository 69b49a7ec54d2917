-- Metering's own invariants, each with the number of places where it is broken. Goes on from `asked` (kit/checks.py): all of an
-- account in the part that is read, else the days of the events that were recorded lately.
, scope AS (
    SELECT account_id FROM accounts_v, asked WHERE since IS NULL OR (hashtextextended(account_id::text, 0) & 15) = part
), own_days AS (
    SELECT account_id, day, resource_id, meter FROM scope JOIN day_rows USING (account_id)
    UNION
    SELECT account_id, (occurred_at AT TIME ZONE 'UTC')::date, resource_id, meter FROM scope JOIN usage_events USING (account_id)
    UNION
    SELECT account_id, (occurred_at AT TIME ZONE 'UTC')::date, resource_id, meter FROM usage_events WHERE recorded_at >= $1
), own_events AS (
    SELECT usage_events.*, own_days.day
    FROM own_days
    JOIN usage_events ON usage_events.account_id = own_days.account_id AND usage_events.resource_id = own_days.resource_id
        AND usage_events.meter = own_days.meter
        AND usage_events.occurred_at >= own_days.day::timestamp AT TIME ZONE 'UTC'
        AND usage_events.occurred_at < (own_days.day + 1)::timestamp AT TIME ZONE 'UTC'
    WHERE voided_at IS NULL
), counted AS (
    SELECT e.account_id, e.day, e.resource_id, e.meter,
        sum(quantity) AS total, max(quantity) AS highest, count(*) AS events,
        (array_agg(quantity ORDER BY occurred_at DESC, quantity DESC))[1] AS latest, max(occurred_at) AS latest_at,
        min(occurred_at) AS first_at
    FROM own_events AS e
    JOIN resources ON resources.account_id = e.account_id AND resources.resource_id = e.resource_id
    JOIN meters_v ON meters_v.meter = e.meter
    -- a gauge's readings from after the resource's end do not count, also while they wait for the job that takes them out
    WHERE meters_v.aggregation <> 'time_weighted' OR occurred_at < coalesce(resources.deleted_at, 'infinity')
    GROUP BY e.account_id, e.day, e.resource_id, e.meter
), rows_to_be AS (
    SELECT day_rows.* FROM own_days JOIN day_rows USING (account_id, day, resource_id, meter)
), last_closed AS (
    SELECT account_id, max(period) AS period FROM period_versions WHERE rated_version IS NOT NULL GROUP BY account_id
)
SELECT 'day rows are their events' AS name, count(*) AS violations
FROM counted
FULL JOIN rows_to_be USING (account_id, day, resource_id, meter)
WHERE (counted.highest, counted.events, counted.latest, counted.latest_at, counted.first_at)
        IS DISTINCT FROM (rows_to_be.highest, rows_to_be.events, rows_to_be.latest, rows_to_be.latest_at, rows_to_be.first_at)
    OR (NOT rows_to_be.is_gauge AND counted.total <> rows_to_be.total)
UNION ALL
SELECT 'an event is billed or in quarantine, not both', count(*)
FROM quarantined_events
JOIN usage_events USING (account_id, source, event_id)
WHERE quarantined_events.resolved_at IS NULL
UNION ALL
SELECT 'what left the quarantine is billed or voided', count(*)
FROM scope
JOIN quarantined_events AS q USING (account_id)
WHERE q.resolved_at IS NOT NULL AND q.voided_at IS NULL AND NOT EXISTS (
    SELECT FROM usage_events AS e
    WHERE (e.account_id, e.source, e.event_id) = (q.account_id, q.source, q.event_id)
        AND (e.resource_id, e.meter, e.quantity, e.occurred_at) = (q.resource_id, q.meter, q.quantity, q.occurred_at)
)
UNION ALL
SELECT 'counted usage lies within its resource''s life', count(*)
FROM own_events AS e
JOIN resources ON resources.account_id = e.account_id AND resources.resource_id = e.resource_id
WHERE (e.occurred_at < resources.created_at OR EXISTS (
    SELECT FROM resource_gaps_v AS gaps
    WHERE gaps.account_id = e.account_id AND gaps.resource_id = e.resource_id
        AND gaps.start_at <= e.occurred_at AND gaps.end_at > e.occurred_at
)) AND NOT EXISTS (
    -- the job has not come to it yet
    SELECT FROM shortened_resources AS s WHERE s.account_id = e.account_id AND s.resource_id = e.resource_id
)
UNION ALL
SELECT 'states hold until the next, or the resource''s end', count(*)
FROM (
    SELECT FROM (
        SELECT end_at, CASE WHEN effective_at >= deleted_at THEN effective_at
            ELSE least(lead(effective_at) OVER (PARTITION BY account_id, resource_id ORDER BY effective_at), deleted_at) END AS held_until
        FROM scope
        JOIN resources USING (account_id)
        JOIN state_points USING (account_id, resource_id)
    ) AS states
    WHERE end_at IS DISTINCT FROM held_until
    UNION ALL
    SELECT FROM scope
    JOIN resources USING (account_id)
    JOIN gauges USING (account_id, resource_id)
    WHERE ended_at < coalesce(deleted_at, 'infinity')
) AS wrong
UNION ALL
SELECT 'shortened lives are settled within a day', count(*)
FROM shortened_resources
WHERE due_at < $3 - interval '1 day'
UNION ALL
SELECT 'months written to after their close are corrected within 45 days', count(*)
FROM period_versions AS p
JOIN last_closed ON last_closed.account_id = p.account_id AND p.period <= last_closed.period
WHERE p.version > coalesce(p.rated_version, 0) AND p.dirty_at < $3 - interval '45 days';
