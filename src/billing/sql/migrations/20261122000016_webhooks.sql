-- migrate:up
-- The fingerprint of the secret key that this database's secrets are derived from: whoever has another one signs nothing.
CREATE TABLE secret_keys (
    purpose text NOT NULL,
    fingerprint bytea NOT NULL CONSTRAINT ck_secret_keys_fingerprint CHECK (length(fingerprint) = 16),
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_secret_keys PRIMARY KEY (purpose)
);
GRANT SELECT, INSERT ON secret_keys TO lineserve_app;

-- Where an account wants its events sent. Its secrets are derived, and nowhere stored.
CREATE TABLE webhook_endpoints (
    account_id uuid NOT NULL CONSTRAINT fk_webhook_endpoints_account REFERENCES accounts,
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    description text,
    events text[] NOT NULL CONSTRAINT ck_webhook_endpoints_events CHECK (cardinality(events) > 0),
    status text NOT NULL CONSTRAINT ck_webhook_endpoints_status CHECK (status IN ('enabled', 'disabled')),
    disabled_reason text CONSTRAINT ck_webhook_endpoints_reason CHECK (disabled_reason IN ('asked', 'failing', 'gone')),
    disabled_at timestamptz,
    secret_number integer NOT NULL CONSTRAINT ck_webhook_endpoints_secret CHECK (secret_number > 0),
    secret_rotated_at timestamptz,  -- the secret before it signs for a day longer
    failing_since timestamptz,  -- since when no attempt has succeeded; null: the last one did
    failures integer NOT NULL,  -- how many attempts have failed since then
    is_slow boolean NOT NULL,  -- its last answer took long
    due_at timestamptz,  -- no later than this there is something to send; null: nothing
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT pk_webhook_endpoints PRIMARY KEY (account_id, endpoint_id),
    CONSTRAINT ck_webhook_endpoints_disabled CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)
        AND (status = 'disabled') = (disabled_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX ix_webhook_endpoints_created ON webhook_endpoints (account_id, created_at, endpoint_id) WHERE deleted_at IS NULL;
CREATE INDEX ix_webhook_endpoints_due ON webhook_endpoints (due_at, account_id, endpoint_id) WHERE due_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON webhook_endpoints TO lineserve_app;

-- One event for one endpoint, with the very bytes that every attempt sends.
CREATE TABLE webhook_messages (
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    message_id uuid NOT NULL,  -- the event's
    type text NOT NULL,
    object_id text NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    notification_id uuid,  -- of an alert that is told by webhook: its delivery ends with this message
    status text NOT NULL CONSTRAINT ck_webhook_messages_status CHECK (status IN ('pending', 'sending', 'delivered', 'failed')),
    attempts integer NOT NULL,  -- in all
    tries integer NOT NULL,  -- since it was sent, or sent again
    next_at timestamptz,  -- pending: not before; sending: the attempt is given up for lost then
    reason text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT pk_webhook_messages PRIMARY KEY (account_id, endpoint_id, message_id),
    CONSTRAINT ck_webhook_messages_next CHECK ((status IN ('pending', 'sending')) = (next_at IS NOT NULL)),
    CONSTRAINT ck_webhook_messages_finished CHECK ((status IN ('delivered', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT fk_webhook_messages_endpoint FOREIGN KEY (account_id, endpoint_id) REFERENCES webhook_endpoints
);
CREATE INDEX ix_webhook_messages_due ON webhook_messages (account_id, endpoint_id, next_at, version) WHERE next_at IS NOT NULL;
-- What is under way is counted at each claim and each end: not by reading all that waits.
CREATE INDEX ix_webhook_messages_sending ON webhook_messages (account_id, endpoint_id, next_at) WHERE status = 'sending';
CREATE INDEX ix_webhook_messages_created ON webhook_messages (account_id, endpoint_id, created_at DESC, message_id DESC);
CREATE INDEX ix_webhook_messages_newest ON webhook_messages (created_at DESC, message_id DESC, endpoint_id DESC);
CREATE INDEX ix_webhook_messages_failed ON webhook_messages (created_at DESC, message_id DESC, endpoint_id DESC)
    WHERE status = 'failed';
CREATE INDEX ix_webhook_messages_finished ON webhook_messages (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ix_webhook_messages_notification ON webhook_messages (account_id, notification_id)
    WHERE notification_id IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_messages TO lineserve_app;

-- Committed before the call, its outcome after it. Nothing that a receiver answers is kept but the status.
CREATE TABLE webhook_attempts (
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    message_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    status_code integer,
    duration_ms integer,  -- null: under way, or lost with its process
    reason text,  -- null: it succeeded
    CONSTRAINT pk_webhook_attempts PRIMARY KEY (account_id, endpoint_id, message_id, number),
    CONSTRAINT fk_webhook_attempts_message FOREIGN KEY (account_id, endpoint_id, message_id)
        REFERENCES webhook_messages ON DELETE CASCADE
);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_attempts TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
