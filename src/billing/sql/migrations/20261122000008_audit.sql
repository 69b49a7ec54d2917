-- migrate:up
-- Who did what: written in the transaction of the action itself, last of all, and never changed.
CREATE TABLE audit_records (
    number bigint NOT NULL CONSTRAINT ck_audit_records_number CHECK (number > 0),
    actor_kind text NOT NULL CONSTRAINT ck_audit_records_actor_kind CHECK (actor_kind IN ('operator', 'account_key', 'system')),
    actor_id uuid,
    actor_name text,
    action text NOT NULL,
    objects jsonb NOT NULL,
    account_id uuid,
    occurred_at timestamptz NOT NULL,
    ip text,
    request_id text,
    status integer CONSTRAINT ck_audit_records_status CHECK (status BETWEEN 100 AND 599),
    body_digest bytea CONSTRAINT ck_audit_records_body_digest CHECK (length(body_digest) = 32),
    details jsonb NOT NULL,
    chain_hash bytea NOT NULL CONSTRAINT ck_audit_records_chain_hash CHECK (length(chain_hash) = 32),
    CONSTRAINT pk_audit_records PRIMARY KEY (number)
);
CREATE INDEX ix_audit_records_account ON audit_records (account_id, number) WHERE account_id IS NOT NULL;
CREATE INDEX ix_audit_records_actor ON audit_records (actor_kind, actor_id, number);
CREATE INDEX ix_audit_records_occurred ON audit_records (occurred_at);
GRANT SELECT, INSERT ON audit_records TO lineserve_app;

-- Locked by each write: it numbers the records and carries the end of their hash chain.
CREATE TABLE audit_head (
    is_only boolean NOT NULL DEFAULT true CONSTRAINT ck_audit_head_only CHECK (is_only),
    last_number bigint NOT NULL,
    chain_hash bytea NOT NULL,
    CONSTRAINT pk_audit_head PRIMARY KEY (is_only)
) WITH (fillfactor = 50);
INSERT INTO audit_head (last_number, chain_hash) VALUES (0, sha256('audit trail'));
GRANT SELECT, UPDATE ON audit_head TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
