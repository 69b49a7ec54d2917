-- migrate:up
-- What the receipt of a payment says beside the payment itself, frozen when its money was collected.
CREATE TABLE receipts (
    account_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    parties jsonb NOT NULL,  -- as of an invoice
    is_by_wallet boolean NOT NULL,  -- the invoices were paid from the wallet that the money went into, not by this very payment
    invoices jsonb NOT NULL,  -- those that were paid: number, issued_at, total_minor, amount_minor, due_minor
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_receipts PRIMARY KEY (account_id, payment_id),
    CONSTRAINT fk_receipts_payment FOREIGN KEY (account_id, payment_id) REFERENCES payments
);
GRANT SELECT, INSERT ON receipts TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
