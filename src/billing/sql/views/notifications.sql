-- What other slices may read of notifications: by which channels the account itself is told, and how far that is.
CREATE OR REPLACE VIEW deliveries_v AS
SELECT account_id, notification_id, method,
       CASE WHEN status = 'sent' THEN 'sent' WHEN status IN ('pending', 'sending') THEN 'pending' ELSE 'failed' END AS status,
       created_at
FROM deliveries
WHERE recipient_number = 0;
GRANT SELECT ON deliveries_v TO lineserve_app;

-- A delivery with its message and its newest 20 attempts, in order.
CREATE OR REPLACE VIEW delivery_log_v AS
SELECT d.account_id, d.delivery_id, d.notification_id, n.template, n.object_id, d.method, d.recipient_number, d.recipient, d.status,
       d.reason, d.attempts, d.next_at, d.created_at, d.finished_at, newest.numbers, newest.gateways, newest.started_ats,
       newest.ended_ats, newest.outcomes, newest.gateway_ids, newest.reasons
FROM deliveries AS d
JOIN notifications AS n ON n.account_id = d.account_id AND n.notification_id = d.notification_id
CROSS JOIN LATERAL (
    SELECT array_agg(a.number ORDER BY a.number) AS numbers, array_agg(a.gateway ORDER BY a.number) AS gateways,
           array_agg(a.started_at ORDER BY a.number) AS started_ats, array_agg(a.ended_at ORDER BY a.number) AS ended_ats,
           array_agg(a.outcome ORDER BY a.number) AS outcomes, array_agg(a.gateway_id ORDER BY a.number) AS gateway_ids,
           array_agg(a.reason ORDER BY a.number) AS reasons
    FROM (
        SELECT * FROM delivery_attempts
        WHERE delivery_attempts.account_id = d.account_id AND delivery_attempts.delivery_id = d.delivery_id
        ORDER BY delivery_attempts.number DESC
        LIMIT 20
    ) AS a
) AS newest;
GRANT SELECT ON delivery_log_v TO lineserve_app;
