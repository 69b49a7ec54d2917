-- A message to an endpoint with its newest 20 attempts, in order.
CREATE OR REPLACE VIEW webhook_deliveries_v AS
SELECT m.account_id, m.endpoint_id, m.message_id, m.type, m.object_id, m.version, m.status, m.attempts, m.reason, m.next_at,
       m.created_at, m.finished_at, newest.numbers, newest.started_ats, newest.status_codes, newest.durations_ms, newest.reasons
FROM webhook_messages AS m
CROSS JOIN LATERAL (
    SELECT array_agg(a.number ORDER BY a.number) AS numbers, array_agg(a.started_at ORDER BY a.number) AS started_ats,
           array_agg(a.status_code ORDER BY a.number) AS status_codes, array_agg(a.duration_ms ORDER BY a.number) AS durations_ms,
           array_agg(a.reason ORDER BY a.number) AS reasons
    FROM (
        SELECT * FROM webhook_attempts
        WHERE webhook_attempts.account_id = m.account_id AND webhook_attempts.endpoint_id = m.endpoint_id
            AND webhook_attempts.message_id = m.message_id
        ORDER BY webhook_attempts.number DESC
        LIMIT 20
    ) AS a
) AS newest;
GRANT SELECT ON webhook_deliveries_v TO lineserve_app;
