-- What other slices may read of notifications: by which channels each one goes, and how far that is.
CREATE OR REPLACE VIEW deliveries_v AS
SELECT account_id, notification_id, method, status, created_at FROM deliveries;
GRANT SELECT ON deliveries_v TO lineserve_app;
