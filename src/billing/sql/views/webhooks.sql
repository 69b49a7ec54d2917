-- A message to an endpoint with its newest 20 attempts, newest first, each as [number, started_at, status_code, duration_ms, reason].
CREATE OR REPLACE VIEW webhook_deliveries_v AS
SELECT account_id, endpoint_id, message_id, type, object_id, version, status, attempts, reason, next_at, created_at, finished_at,
       ARRAY(
           SELECT jsonb_build_array(number, started_at, status_code, duration_ms, webhook_attempts.reason)
           FROM webhook_attempts
           WHERE webhook_attempts.account_id = webhook_messages.account_id
               AND webhook_attempts.endpoint_id = webhook_messages.endpoint_id
               AND webhook_attempts.message_id = webhook_messages.message_id
           ORDER BY number DESC
           LIMIT 20
       ) AS newest
FROM webhook_messages;
GRANT SELECT ON webhook_deliveries_v TO lineserve_app;
