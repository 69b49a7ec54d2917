-- What other slices may read of payments: money from outside as the history shows it.
CREATE OR REPLACE VIEW payment_transactions_v AS
SELECT account_id, payment_id::text AS sort_id, 'payment'::text AS type, amount_minor, currency, description, status, created_at,
       NULL::text AS service, NULL::text AS resource_id, payment_id, payment_method_id, invoice_id, failure_reason
FROM payments;
GRANT SELECT ON payment_transactions_v TO lineserve_app;
