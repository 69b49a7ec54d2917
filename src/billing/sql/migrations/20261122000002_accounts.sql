-- migrate:up
CREATE TABLE accounts (
    account_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    company text,
    status text NOT NULL CONSTRAINT ck_accounts_status CHECK (status IN ('active', 'suspended', 'closed')),
    verified boolean NOT NULL,
    currency text NOT NULL,
    timezone text NOT NULL,
    country text,
    phone text,
    address text,
    tax_id text,
    tax_exempt boolean NOT NULL,
    terms_days integer NOT NULL CONSTRAINT ck_accounts_terms_days CHECK (terms_days BETWEEN 0 AND 365),
    billing_paused boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (account_id)
);
GRANT SELECT, INSERT, UPDATE ON accounts TO lineserve_app;

-- Looked up by digest before the account is known: a reference table, without a foreign key to tenant data.
CREATE TABLE api_keys (
    digest bytea NOT NULL CONSTRAINT ck_api_keys_digest CHECK (length(digest) = 32),
    key_id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    permissions text[] NOT NULL,
    ip_whitelist cidr[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (digest),
    CONSTRAINT uq_api_keys_id UNIQUE (account_id, key_id)
);
GRANT SELECT, INSERT, UPDATE ON api_keys TO lineserve_app;

CREATE TABLE operator_keys (
    digest bytea NOT NULL CONSTRAINT ck_operator_keys_digest CHECK (length(digest) = 32),
    key_id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT pk_operator_keys PRIMARY KEY (digest),
    CONSTRAINT uq_operator_keys_id UNIQUE (key_id)
);
GRANT SELECT, INSERT, UPDATE ON operator_keys TO lineserve_app;

-- For operator calls account_id is the operator key's id.
CREATE TABLE idempotency_keys (
    account_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    intent jsonb,
    status integer,
    body bytea,
    headers jsonb,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (account_id, route, key)
) WITH (fillfactor = 70);  -- an intent's outcome finds room on its page
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO lineserve_app;

-- Drawn while the event's object is locked: of one object it never goes back. Gaps mean nothing.
CREATE SEQUENCE outbox_versions;
GRANT USAGE ON SEQUENCE outbox_versions TO lineserve_app;

CREATE TABLE outbox_events (
    account_id uuid NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    object_id text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    dispatched_at timestamptz,  -- by the job of ours that acts on its type
    version bigint NOT NULL DEFAULT nextval('outbox_versions'),
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),  -- who reads along this order misses nothing that commits late
    relayed_at timestamptz,  -- handed to whoever tells the world
    relay_due_at timestamptz NOT NULL DEFAULT '-infinity',  -- after a refusal: not before
    relay_failures integer NOT NULL DEFAULT 0,
    CONSTRAINT pk_outbox_events PRIMARY KEY (account_id, event_id)
);
CREATE INDEX ix_outbox_events_undispatched ON outbox_events (created_at, event_id) WHERE dispatched_at IS NULL;
CREATE INDEX ix_outbox_events_unrelayed ON outbox_events (relay_due_at, version) WHERE relayed_at IS NULL;
CREATE INDEX ix_outbox_events_order ON outbox_events (transaction_id, version);
GRANT SELECT, INSERT, UPDATE ON outbox_events TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
