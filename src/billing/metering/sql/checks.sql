-- Metering's own invariants, each with the number of places where it is broken.
WITH counted AS (
    SELECT usage_events.account_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, usage_events.resource_id, usage_events.meter,
        sum(quantity) AS total, max(quantity) AS highest, count(*) AS events,
        (array_agg(quantity ORDER BY occurred_at DESC, quantity DESC))[1] AS latest, max(occurred_at) AS latest_at
    FROM usage_events
    JOIN resources ON resources.account_id = usage_events.account_id AND resources.resource_id = usage_events.resource_id
    JOIN meters_v ON meters_v.meter = usage_events.meter
    -- a gauge's readings from after the resource's end are not counted
    WHERE voided_at IS NULL AND (meters_v.aggregation <> 'time_weighted' OR occurred_at < coalesce(resources.deleted_at, 'infinity'))
    GROUP BY usage_events.account_id, day, usage_events.resource_id, usage_events.meter
)
SELECT 'day rows are their events' AS name, count(*) AS violations
FROM counted
FULL JOIN day_rows USING (account_id, day, resource_id, meter)
WHERE (counted.highest, counted.events, counted.latest, counted.latest_at)
        IS DISTINCT FROM (day_rows.highest, day_rows.events, day_rows.latest, day_rows.latest_at)
    OR (NOT day_rows.is_gauge AND counted.total <> day_rows.total)
UNION ALL
SELECT 'an event is billed or in quarantine, not both', count(*)
FROM quarantined_events
JOIN usage_events USING (account_id, source, event_id)
WHERE quarantined_events.resolved_at IS NULL;
