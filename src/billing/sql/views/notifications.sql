-- What other slices may read of notifications: by which channels the account itself is told, and how far that is.
CREATE OR REPLACE VIEW deliveries_v AS
SELECT account_id, notification_id, method,
       CASE WHEN status = 'sent' THEN 'sent' WHEN status IN ('pending', 'sending') THEN 'pending' ELSE 'failed' END AS status,
       created_at
FROM deliveries
WHERE recipient_number = 0;
GRANT SELECT ON deliveries_v TO lineserve_app;

-- A delivery with its message and its newest 20 attempts, newest first, each as
-- [number, gateway, started_at, ended_at, outcome, gateway_id, reason].
CREATE OR REPLACE VIEW delivery_log_v AS
SELECT d.account_id, d.delivery_id, d.notification_id, n.template, n.object_id, d.method, d.recipient_number, d.recipient, d.status,
       d.reason, d.attempts, d.next_at, d.created_at, d.finished_at,
       ARRAY(
           SELECT jsonb_build_array(a.number, a.gateway, a.started_at, a.ended_at, a.outcome, a.gateway_id, a.reason)
           FROM delivery_attempts AS a
           WHERE a.account_id = d.account_id AND a.delivery_id = d.delivery_id
           ORDER BY a.number DESC
           LIMIT 20
       ) AS newest
FROM deliveries AS d
JOIN notifications AS n ON n.account_id = d.account_id AND n.notification_id = d.notification_id;
GRANT SELECT ON delivery_log_v TO lineserve_app;
