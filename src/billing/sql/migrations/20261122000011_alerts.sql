-- migrate:up
-- Accounts that something watches. Whoever writes to one of them leaves a touch (touch_accounts); of the others nothing is noted.
CREATE TABLE watched_accounts (
    account_id uuid NOT NULL CONSTRAINT fk_watched_accounts_account REFERENCES accounts,
    next_due_at timestamptz,  -- null: nothing of it moves unless it is touched
    evaluated_at timestamptz,
    CONSTRAINT pk_watched_accounts PRIMARY KEY (account_id)
) WITH (fillfactor = 70);
CREATE INDEX ix_watched_accounts_due ON watched_accounts (next_due_at, account_id) WHERE next_due_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON watched_accounts TO lineserve_app;

-- One row per transaction that wrote to a watched account, until somebody has looked: writers never wait for each other here.
CREATE TABLE account_touches (
    account_id uuid NOT NULL,
    transaction_id xid8 NOT NULL,
    CONSTRAINT pk_account_touches PRIMARY KEY (account_id, transaction_id)
);
GRANT SELECT, INSERT, DELETE ON account_touches TO lineserve_app;

CREATE TABLE alerts (
    account_id uuid NOT NULL CONSTRAINT fk_alerts_account REFERENCES accounts,
    alert_id uuid NOT NULL,
    type text NOT NULL CONSTRAINT ck_alerts_type CHECK (type IN ('budget', 'usage', 'balance')),
    condition text NOT NULL CONSTRAINT ck_alerts_condition CHECK (condition IN ('greater_than', 'less_than')),
    threshold numeric NOT NULL CONSTRAINT ck_alerts_threshold CHECK (threshold > 0),  -- minor units; with a metric the meter's unit
    currency text NOT NULL,
    project_id uuid,
    metric text,
    methods text[] NOT NULL CONSTRAINT ck_alerts_methods
        CHECK (cardinality(methods) > 0 AND methods <@ ARRAY['email', 'sms', 'webhook']),
    revision bigint NOT NULL CONSTRAINT ck_alerts_revision CHECK (revision > 0),
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_alerts PRIMARY KEY (account_id, alert_id),
    CONSTRAINT ck_alerts_project CHECK (project_id IS NULL OR type = 'budget'),
    CONSTRAINT ck_alerts_metric CHECK (metric IS NULL OR type = 'usage'),
    CONSTRAINT ck_alerts_minor CHECK (metric IS NOT NULL OR threshold = trunc(threshold)),
    CONSTRAINT fk_alerts_project FOREIGN KEY (account_id, project_id) REFERENCES projects
);
CREATE INDEX ix_alerts_created ON alerts (account_id, created_at, alert_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON alerts TO lineserve_app;

-- Each crossing that was found, of an alert (percent 0) or of a project's budget (the percent that was passed): the history outlives
-- its alert. A firing is its notification: they have one id.
CREATE TABLE alert_firings (
    account_id uuid NOT NULL,
    firing_id uuid NOT NULL,
    subject_id uuid NOT NULL,  -- the alert, or the project
    percent integer NOT NULL CONSTRAINT ck_alert_firings_percent CHECK (percent BETWEEN 0 AND 100),
    revision bigint NOT NULL,  -- the alert's, or the budget in minor units
    occasion integer NOT NULL,  -- the month (202402), or the number of the balance's crossing
    kind text NOT NULL CONSTRAINT ck_alert_firings_kind CHECK (kind IN ('fired', 'recovered')),
    currency text NOT NULL,
    is_quantity boolean NOT NULL,  -- then value and threshold are in the metric's unit, else in minor units
    value numeric NOT NULL,
    threshold numeric NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_alert_firings PRIMARY KEY (account_id, firing_id),
    CONSTRAINT uq_alert_firings_once UNIQUE (account_id, subject_id, percent, revision, occasion, kind)
);
CREATE INDEX ix_alert_firings_created ON alert_firings (account_id, created_at DESC, percent DESC, firing_id DESC);
GRANT SELECT, INSERT ON alert_firings TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
