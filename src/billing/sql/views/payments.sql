-- What other slices may read of payments: money from outside, refunds and chargebacks as the history shows them. `payment_id` is the
-- row's own id (a refund's, a chargeback's), from which its transaction's id is made; `of_payment_id` is the payment it is of.
CREATE OR REPLACE VIEW payment_transactions_v AS
SELECT account_id, payment_id::text AS sort_id, 'payment'::text AS type, amount_minor, currency, description, status, created_at,
       NULL::text AS service, NULL::text AS resource_id, payment_id, payment_method_id, invoice_id, failure_reason,
       payment_id AS of_payment_id
FROM payments
UNION ALL
SELECT refunds.account_id, refund_id::text, 'refund', refunds.amount_minor, refunds.currency, 'Refund of ' || lower(left(description, 1)) || substr(description, 2),
    refunds.status, refunds.created_at, NULL, NULL, refund_id, payment_method_id, invoice_id, refunds.failure_reason,
    refunds.payment_id
FROM refunds
JOIN payments ON payments.account_id = refunds.account_id AND payments.payment_id = refunds.payment_id
UNION ALL
SELECT chargebacks.account_id, chargeback_id::text, 'chargeback', chargebacks.amount_minor, chargebacks.currency,
    'Chargeback of ' || lower(left(description, 1)) || substr(description, 2), 'completed', chargebacks.created_at, NULL, NULL,
    chargeback_id, payment_method_id, invoice_id, NULL, chargebacks.payment_id
FROM chargebacks
JOIN payments ON payments.account_id = chargebacks.account_id AND payments.payment_id = chargebacks.payment_id;
GRANT SELECT ON payment_transactions_v TO lineserve_app;
