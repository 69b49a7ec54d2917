-- migrate:up
-- One head per account: locked for posting, it numbers the account's transfers and carries the end of their hash chain.
CREATE TABLE heads (
    account_id uuid NOT NULL,
    last_number bigint NOT NULL,
    chain_hash bytea NOT NULL,
    CONSTRAINT pk_heads PRIMARY KEY (account_id)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON heads TO lineserve_app;

CREATE TABLE transfers (
    account_id uuid NOT NULL,
    number bigint NOT NULL CONSTRAINT ck_transfers_number CHECK (number > 0),
    currency text NOT NULL,
    source text NOT NULL,
    destination text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_transfers_amount CHECK (amount_minor > 0),
    template text NOT NULL,
    reference text NOT NULL,
    ordinal integer NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    chain_hash bytea,  -- on the last transfer of each posting: sha256 of the hash before and the posting's transfers
    CONSTRAINT pk_transfers PRIMARY KEY (account_id, number),
    CONSTRAINT uq_transfers_content UNIQUE (account_id, template, reference, ordinal),
    CONSTRAINT ck_transfers_between CHECK (source <> destination)
);
GRANT SELECT, INSERT ON transfers TO lineserve_app;

-- The projection of the transfers; what is a customer's own may never fall below zero.
CREATE TABLE balances (
    account_id uuid NOT NULL,
    currency text NOT NULL,
    ledger_account text NOT NULL,
    balance_minor bigint NOT NULL,
    -- of nearly all promotional credits that there ever were; it changes with the last unit, so that other changes stay on their page
    is_spent boolean NOT NULL GENERATED ALWAYS AS (starts_with(ledger_account, 'promo:') AND balance_minor = 0) STORED,
    CONSTRAINT pk_balances PRIMARY KEY (account_id, currency, ledger_account),
    CONSTRAINT ck_balances_guarded CHECK (
        balance_minor >= 0 OR NOT (starts_with(ledger_account, 'wallet:') OR starts_with(ledger_account, 'promo:'))
    )
) WITH (fillfactor = 50);
CREATE INDEX ix_balances_left ON balances (account_id, currency, ledger_account) WHERE NOT is_spent;
GRANT SELECT, INSERT, UPDATE ON balances TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
