-- What other slices may read of payments: money from outside, refunds and chargebacks as the history shows them. `payment_id` is the
-- row's own id (a refund's, a chargeback's), from which its transaction's id is made; `of_payment_id` is the payment it is of.
-- Each kind is a view of its own, so that a list can read each in its order; the payment of one is looked up, by OFFSET 0, for no account
-- has as few payments as the plan for any account foresees.
CREATE OR REPLACE VIEW received_transactions_v AS
SELECT account_id, payment_id::text AS sort_id, 'payment'::text AS type, amount_minor, currency, description, status, created_at,
       NULL::text AS service, NULL::text AS resource_id, payment_id, payment_method_id, invoice_id, failure_reason,
       payment_id AS of_payment_id
FROM payments;

CREATE OR REPLACE VIEW refund_transactions_v AS
SELECT refunds.account_id, refund_id::text AS sort_id, 'refund'::text AS type, refunds.amount_minor, refunds.currency,
    'Refund of ' || lower(left(description, 1)) || substr(description, 2) AS description, refunds.status, refunds.created_at,
    NULL::text AS service, NULL::text AS resource_id, refund_id AS payment_id, payment_method_id, invoice_id,
    refunds.failure_reason, refunds.payment_id AS of_payment_id
FROM refunds
CROSS JOIN LATERAL (
    SELECT description, payment_method_id, invoice_id FROM payments
    WHERE payments.account_id = refunds.account_id AND payments.payment_id = refunds.payment_id
    OFFSET 0
) AS payments;

CREATE OR REPLACE VIEW chargeback_transactions_v AS
SELECT chargebacks.account_id, chargeback_id::text AS sort_id, 'chargeback'::text AS type, chargebacks.amount_minor,
    chargebacks.currency, 'Chargeback of ' || lower(left(description, 1)) || substr(description, 2) AS description,
    'completed'::text AS status, chargebacks.created_at, NULL::text AS service, NULL::text AS resource_id,
    chargeback_id AS payment_id, payment_method_id, invoice_id, NULL::text AS failure_reason,
    chargebacks.payment_id AS of_payment_id
FROM chargebacks
CROSS JOIN LATERAL (
    SELECT description, payment_method_id, invoice_id FROM payments
    WHERE payments.account_id = chargebacks.account_id AND payments.payment_id = chargebacks.payment_id
    OFFSET 0
) AS payments;

CREATE OR REPLACE VIEW payment_transactions_v AS
SELECT * FROM received_transactions_v
UNION ALL
SELECT * FROM refund_transactions_v
UNION ALL
SELECT * FROM chargeback_transactions_v;
GRANT SELECT ON received_transactions_v, refund_transactions_v, chargeback_transactions_v, payment_transactions_v TO lineserve_app;
