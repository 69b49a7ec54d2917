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
    CONSTRAINT pk_payment_methods PRIMARY KEY (account_id, payment_method_id)
);
CREATE UNIQUE INDEX uq_payment_methods_default ON payment_methods (account_id) WHERE is_default AND deleted_at IS NULL;
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
    reference text,
    invoice_id uuid,
    created_at timestamptz NOT NULL,
    completed_at timestamptz,
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    CONSTRAINT pk_payments PRIMARY KEY (account_id, payment_id),
    CONSTRAINT fk_payments_method FOREIGN KEY (account_id, payment_method_id) REFERENCES payment_methods
);
CREATE INDEX ix_payments_created ON payments (account_id, created_at DESC, payment_id DESC);
CREATE INDEX ix_payments_unsettled ON payments (next_check_at) WHERE status = 'pending';
CREATE UNIQUE INDEX uq_payments_reference ON payments (account_id, reference) WHERE reference IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON payments TO lineserve_app;

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
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL CONSTRAINT ck_charges_status CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason text,
    created_at timestamptz NOT NULL,
    settled_at timestamptz
);
GRANT USAGE ON SCHEMA sandbox TO lineserve_app;
GRANT SELECT, INSERT, UPDATE ON sandbox.instruments, sandbox.charges TO lineserve_app;

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

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
