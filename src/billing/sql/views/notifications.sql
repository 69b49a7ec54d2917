-- What other slices may read of notifications: by which channels the account itself is told, and how far that is.
CREATE OR REPLACE VIEW deliveries_v AS
SELECT account_id, notification_id, method,
       CASE WHEN status = 'sent' THEN 'sent' WHEN status IN ('pending', 'sending') THEN 'pending' ELSE 'failed' END AS status,
       created_at
FROM deliveries
WHERE recipient_number = 0;
GRANT SELECT ON deliveries_v TO lineserve_app;
