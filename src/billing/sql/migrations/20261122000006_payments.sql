-- migrate:up
CREATE TABLE payment_methods (
    account_id uuid NOT NULL CONSTRAINT fk_payment_methods_account REFERENCES accounts,
    payment_method_id uuid NOT NULL,
    type text NOT NULL CONSTRAINT ck_payment_methods_type CHECK (type IN ('card', 'bank_account')),
    gateway text NOT NULL,
    gateway_reference text NOT NULL,
    brand text,
    bank_name text,
    last4 text NOT NULL,
    exp_month integer,
    exp_year integer,
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    expiry_due_at timestamptz,  -- when its expiry is to be told next
    CONSTRAINT pk_payment_methods PRIMARY KEY (account_id, payment_method_id),
    CONSTRAINT ck_payment_methods_default CHECK (NOT (is_default AND deleted_at IS NOT NULL))
);
CREATE UNIQUE INDEX uq_payment_methods_default ON payment_methods (account_id) WHERE is_default;
CREATE INDEX ix_payment_methods_expiry ON payment_methods (expiry_due_at, account_id, payment_method_id)
    WHERE expiry_due_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON payment_methods TO lineserve_app;

CREATE TABLE payments (
    account_id uuid NOT NULL CONSTRAINT fk_payments_account REFERENCES accounts,
    payment_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_payments_kind CHECK (kind IN ('topup', 'invoice', 'recorded')),
    payment_method_id uuid,
    gateway text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_payments_amount CHECK (amount_minor > 0),
    status text NOT NULL CONSTRAINT ck_payments_status CHECK (status IN ('pending', 'completed', 'failed')),
    failure_reason text,
    description text NOT NULL,
    reference text,  -- of recorded money alone: what the bank statement or cheque says
    invoice_id uuid,
    created_at timestamptz NOT NULL,
    received_at timestamptz,  -- of recorded money alone: when it came, in the world
    completed_at timestamptz,
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    CONSTRAINT pk_payments PRIMARY KEY (account_id, payment_id),
    CONSTRAINT ck_payments_invoice CHECK ((kind = 'invoice') = (invoice_id IS NOT NULL)),
    CONSTRAINT ck_payments_recorded CHECK ((kind = 'recorded') = (reference IS NOT NULL AND received_at IS NOT NULL)),
    CONSTRAINT ck_payments_failed CHECK ((status = 'failed') = (failure_reason IS NOT NULL)),
    CONSTRAINT ck_payments_completed CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT fk_payments_method FOREIGN KEY (account_id, payment_method_id) REFERENCES payment_methods
);
-- Of each invoice at most one payment is under way; also finds an invoice's payments.
CREATE UNIQUE INDEX uq_payments_under_way ON payments (account_id, invoice_id) WHERE status = 'pending' AND invoice_id IS NOT NULL;
CREATE INDEX ix_payments_invoice ON payments (account_id, invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX ix_payments_created ON payments (account_id, created_at DESC, payment_id DESC);
CREATE INDEX ix_payments_unsettled ON payments (next_check_at, account_id, payment_id) WHERE status = 'pending';
CREATE UNIQUE INDEX uq_payments_reference ON payments (account_id, reference) WHERE reference IS NOT NULL;
CREATE INDEX ix_payments_id ON payments (payment_id);  -- the operator names a payment alone; not unique: ids are unique by making
GRANT SELECT, INSERT, UPDATE ON payments TO lineserve_app;

-- What a gateway is asked to give back of a payment. That of one payment refunds (failed ones aside) and chargebacks are never
-- more than it captured is decided with the account's head locked.
CREATE TABLE refunds (
    account_id uuid NOT NULL CONSTRAINT fk_refunds_account REFERENCES accounts,
    refund_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    gateway text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_refunds_amount CHECK (amount_minor > 0),
    reason text NOT NULL,
    status text NOT NULL CONSTRAINT ck_refunds_status CHECK (status IN ('pending', 'completed', 'failed')),
    failure_reason text,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    credit_note_id uuid,  -- of a credit note that pays back; null: a top-up given back
    CONSTRAINT pk_refunds PRIMARY KEY (account_id, refund_id),
    CONSTRAINT ck_refunds_failed CHECK ((status = 'failed') = (failure_reason IS NOT NULL)),
    CONSTRAINT ck_refunds_ended CHECK ((status = 'pending') = (ended_at IS NULL)),
    CONSTRAINT fk_refunds_payment FOREIGN KEY (account_id, payment_id) REFERENCES payments
);
CREATE INDEX ix_refunds_payment ON refunds (account_id, payment_id);
CREATE INDEX ix_refunds_credit_note ON refunds (account_id, credit_note_id) WHERE credit_note_id IS NOT NULL;
CREATE INDEX ix_refunds_created ON refunds (account_id, created_at DESC, refund_id DESC);
CREATE INDEX ix_refunds_unsettled ON refunds (next_check_at, account_id, refund_id) WHERE status = 'pending';
GRANT SELECT, INSERT, UPDATE ON refunds TO lineserve_app;

-- What a gateway took back of a payment because its payer disputed it.
CREATE TABLE chargebacks (
    account_id uuid NOT NULL CONSTRAINT fk_chargebacks_account REFERENCES accounts,
    chargeback_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_chargebacks_amount CHECK (amount_minor > 0),
    cash_minor bigint NOT NULL CONSTRAINT ck_chargebacks_cash CHECK (cash_minor BETWEEN 0 AND amount_minor),
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_chargebacks PRIMARY KEY (account_id, chargeback_id),
    CONSTRAINT fk_chargebacks_payment FOREIGN KEY (account_id, payment_id) REFERENCES payments
);
CREATE INDEX ix_chargebacks_payment ON chargebacks (account_id, payment_id);
CREATE INDEX ix_chargebacks_created ON chargebacks (account_id, created_at DESC, chargeback_id DESC);
GRANT SELECT, INSERT ON chargebacks TO lineserve_app;

-- What gateways said unasked: by it none of their webhooks counts twice. Forgotten after 30 days.
CREATE TABLE gateway_notices (
    gateway text NOT NULL,
    notice_id text NOT NULL,
    type text NOT NULL,
    account_id uuid,  -- and object_id: what it names, which may be nothing of ours
    object_id uuid,
    body_digest bytea NOT NULL CONSTRAINT ck_gateway_notices_body_digest CHECK (length(body_digest) = 32),
    received_at timestamptz NOT NULL,
    CONSTRAINT pk_gateway_notices PRIMARY KEY (gateway, notice_id)
);
CREATE INDEX ix_gateway_notices_received ON gateway_notices (received_at);
GRANT SELECT, INSERT, DELETE ON gateway_notices TO lineserve_app;

-- The sandbox gateway stands for the outside world: its own schema, its own connection, its own role's rights.
CREATE SCHEMA sandbox;
CREATE TABLE sandbox.instruments (
    reference text NOT NULL CONSTRAINT pk_instruments PRIMARY KEY,
    token text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE sandbox.charges (
    key text NOT NULL CONSTRAINT pk_charges PRIMARY KEY,
    reference text NOT NULL,
    account_reference text NOT NULL,  -- whose charge it is, in the words of who asked for it
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL CONSTRAINT ck_charges_status CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason text,
    created_at timestamptz NOT NULL,
    settled_at timestamptz
);
CREATE TABLE sandbox.refunds (
    key text NOT NULL CONSTRAINT pk_refunds PRIMARY KEY,
    charge_key text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL CONSTRAINT ck_refunds_status CHECK (status IN ('succeeded', 'failed')),
    reason text,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_refunds_charge ON sandbox.refunds (charge_key);
GRANT USAGE ON SCHEMA sandbox TO lineserve_app;
GRANT SELECT, INSERT, UPDATE ON sandbox.instruments, sandbox.charges, sandbox.refunds TO lineserve_app;

CREATE TABLE promotional_credits (
    account_id uuid NOT NULL CONSTRAINT fk_promotional_credits_account REFERENCES accounts,
    credit_id uuid NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_promotional_credits_amount CHECK (amount_minor > 0),
    reason text NOT NULL,
    priority integer NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz,
    CONSTRAINT pk_promotional_credits PRIMARY KEY (account_id, credit_id)
);
GRANT SELECT, INSERT ON promotional_credits TO lineserve_app;

-- Credits that the operator took back: what is left of them pays for nothing any more.
CREATE TABLE undone_credits (
    account_id uuid NOT NULL,
    credit_id uuid NOT NULL,
    reason text NOT NULL,
    undone_at timestamptz NOT NULL,
    CONSTRAINT pk_undone_credits PRIMARY KEY (account_id, credit_id),
    CONSTRAINT fk_undone_credits_credit FOREIGN KEY (account_id, credit_id) REFERENCES promotional_credits
);
GRANT SELECT, INSERT ON undone_credits TO lineserve_app;

CREATE TABLE holds (
    account_id uuid NOT NULL CONSTRAINT fk_holds_account REFERENCES accounts,
    hold_id uuid NOT NULL,
    reference text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_holds_amount CHECK (amount_minor > 0),
    captured_minor bigint CONSTRAINT ck_holds_captured CHECK (captured_minor BETWEEN 1 AND amount_minor),
    status text NOT NULL CONSTRAINT ck_holds_status CHECK (status IN ('open', 'captured', 'released')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_holds PRIMARY KEY (account_id, hold_id),
    CONSTRAINT uq_holds_reference UNIQUE (account_id, reference),
    CONSTRAINT ck_holds_ended CHECK ((status = 'open') = (ended_at IS NULL)),
    CONSTRAINT ck_holds_captured_status CHECK ((status = 'captured') = (captured_minor IS NOT NULL))
);
CREATE INDEX ix_holds_open ON holds (account_id, expires_at) WHERE status = 'open';
CREATE INDEX ix_holds_id ON holds (hold_id);  -- the operator names a hold alone; not unique: ids are unique by making
GRANT SELECT, INSERT, UPDATE ON holds TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
