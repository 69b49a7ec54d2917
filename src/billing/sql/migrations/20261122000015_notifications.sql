-- migrate:up
-- What an account is told.
CREATE TABLE notifications (
    account_id uuid NOT NULL CONSTRAINT fk_notifications_account REFERENCES accounts,
    notification_id uuid NOT NULL,
    template text NOT NULL,
    subject text NOT NULL GENERATED ALWAYS AS (  -- of what ends one way or the other, one end is told
        CASE WHEN template IN ('payment.succeeded', 'payment.failed') THEN 'payment'
             WHEN template IN ('refund.succeeded', 'refund.failed') THEN 'refund'
             ELSE template END) STORED,
    object_id text NOT NULL,
    attempt integer NOT NULL CONSTRAINT ck_notifications_attempt CHECK (attempt > 0),
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_notifications PRIMARY KEY (account_id, notification_id),
    CONSTRAINT uq_notifications_once UNIQUE (account_id, subject, object_id, attempt)
);
CREATE INDEX ix_notifications_created ON notifications (account_id, created_at DESC, notification_id DESC);
GRANT SELECT, INSERT ON notifications TO lineserve_app;

-- A notification on its way to one recipient by one channel. Recipient 0 is the account itself, the others are its settings'.
CREATE TABLE deliveries (
    account_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    method text NOT NULL CONSTRAINT ck_deliveries_method CHECK (method IN ('email', 'sms', 'webhook')),
    recipient_number integer NOT NULL CONSTRAINT ck_deliveries_recipient CHECK (recipient_number BETWEEN 0 AND 3),
    recipient text,  -- an address or a number; of a webhook its endpoints know
    status text NOT NULL CONSTRAINT ck_deliveries_status
        CHECK (status IN ('pending', 'sending', 'sent', 'failed', 'unknown', 'suppressed')),
    reason text,  -- why it is not sent, or not yet
    attempts integer NOT NULL,  -- in all
    tries integer NOT NULL,  -- since it was told, or sent again
    next_at timestamptz,  -- pending: not before; sending: the attempt is given up for lost then
    handed_at timestamptz,  -- since when the gateway may have the message of the attempt under way
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT pk_deliveries PRIMARY KEY (account_id, delivery_id),
    CONSTRAINT uq_deliveries_once UNIQUE (account_id, notification_id, method, recipient_number),
    CONSTRAINT fk_deliveries_notification FOREIGN KEY (account_id, notification_id) REFERENCES notifications,
    CONSTRAINT ck_deliveries_next CHECK ((status IN ('pending', 'sending') AND method <> 'webhook') = (next_at IS NOT NULL)),
    CONSTRAINT ck_deliveries_finished CHECK ((status IN ('pending', 'sending')) = (finished_at IS NULL)),
    CONSTRAINT ck_deliveries_reason CHECK (status NOT IN ('failed', 'unknown', 'suppressed') OR reason IS NOT NULL),
    CONSTRAINT ck_deliveries_reached CHECK (recipient IS NOT NULL OR method = 'webhook' OR status = 'suppressed')
) WITH (fillfactor = 80);
CREATE INDEX ix_deliveries_due ON deliveries (method, next_at, account_id, delivery_id) WHERE next_at IS NOT NULL;
CREATE INDEX ix_deliveries_newest ON deliveries (created_at DESC, delivery_id DESC);
CREATE INDEX ix_deliveries_status ON deliveries (status, created_at DESC, delivery_id DESC) WHERE status <> 'sent';
GRANT SELECT, INSERT, UPDATE ON deliveries TO lineserve_app;

-- Committed before the call, its outcome after it.
CREATE TABLE delivery_attempts (
    account_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL CONSTRAINT ck_delivery_attempts_number CHECK (number > 0),
    gateway text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,  -- null: under way
    outcome text CONSTRAINT ck_delivery_attempts_outcome CHECK (outcome IN ('sent', 'refused', 'failed', 'unknown')),
    gateway_id text,  -- what the gateway calls the message
    reason text,
    CONSTRAINT pk_delivery_attempts PRIMARY KEY (account_id, delivery_id, number),
    CONSTRAINT fk_delivery_attempts_delivery FOREIGN KEY (account_id, delivery_id) REFERENCES deliveries,
    CONSTRAINT ck_delivery_attempts_ended CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
GRANT SELECT, INSERT, UPDATE (ended_at, outcome, gateway_id, reason) ON delivery_attempts TO lineserve_app;

-- How an account wants to be told. One without a row has what the columns default to.
CREATE TABLE notification_settings (
    account_id uuid NOT NULL CONSTRAINT fk_notification_settings_account REFERENCES accounts,
    email_off text[] NOT NULL CONSTRAINT ck_notification_settings_email CHECK (email_off <@ ARRAY['payments', 'budgets']),
    sms_on text[] NOT NULL CONSTRAINT ck_notification_settings_sms
        CHECK (sms_on <@ ARRAY['invoices', 'payments', 'budgets', 'security', 'account']),
    email_recipients text[] NOT NULL CONSTRAINT ck_notification_settings_recipients CHECK (cardinality(email_recipients) <= 3),
    quiet_start time,
    quiet_end time,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pk_notification_settings PRIMARY KEY (account_id),
    CONSTRAINT ck_notification_settings_quiet CHECK ((quiet_start IS NULL) = (quiet_end IS NULL))
);
GRANT SELECT, INSERT, UPDATE ON notification_settings TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
