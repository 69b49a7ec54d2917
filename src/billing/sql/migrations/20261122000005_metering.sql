-- migrate:up
CREATE TABLE projects (
    account_id uuid NOT NULL CONSTRAINT fk_projects_account REFERENCES accounts,
    project_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    region text,
    budget_minor bigint CONSTRAINT ck_projects_budget CHECK (budget_minor > 0),
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT pk_projects PRIMARY KEY (account_id, project_id)
);
CREATE UNIQUE INDEX uq_projects_default ON projects (account_id) WHERE is_default;
GRANT SELECT, INSERT, UPDATE ON projects TO lineserve_app;

CREATE TABLE resources (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    project_id uuid NOT NULL,
    type text NOT NULL,
    service text NOT NULL,
    name text NOT NULL,
    region text NOT NULL,
    created_at timestamptz NOT NULL,  -- when it first existed in the world
    deleted_at timestamptz,  -- when it ended in the world: its first point that says so
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_resources PRIMARY KEY (account_id, resource_id),
    CONSTRAINT fk_resources_project FOREIGN KEY (account_id, project_id) REFERENCES projects
);
CREATE INDEX ix_resources_project ON resources (account_id, project_id, created_at, resource_id);
CREATE INDEX ix_resources_living ON resources (account_id, project_id, created_at, resource_id) WHERE deleted_at IS NULL;
-- Who asks for a month reads none that ended before it. All ends are later than the beginning of time, but only a statement that says so
-- too (the views `*_by_end_v`) is planned with such an index: a look-up of one resource, where most accounts have one, would be as well.
CREATE INDEX ix_resources_end ON resources (account_id, (coalesce(deleted_at, 'infinity')))
    WHERE coalesce(deleted_at, 'infinity') > '-infinity';
GRANT SELECT, INSERT, UPDATE ON resources TO lineserve_app;

CREATE TABLE state_points (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    effective_at timestamptz NOT NULL,
    plan text,
    units numeric NOT NULL CONSTRAINT ck_state_points_units CHECK (units > 0),
    status text NOT NULL CONSTRAINT ck_state_points_status CHECK (status IN ('running', 'stopped', 'deleting', 'deleted')),
    recorded_at timestamptz NOT NULL,
    -- until when it held: the next point or the resource's end, of a point after that end its own instant; null: it holds still
    end_at timestamptz CONSTRAINT ck_state_points_end CHECK (end_at >= effective_at),
    CONSTRAINT pk_state_points PRIMARY KEY (account_id, resource_id, effective_at),
    CONSTRAINT fk_state_points_resource FOREIGN KEY (account_id, resource_id) REFERENCES resources
);
CREATE INDEX ix_state_points_end ON state_points (account_id, (coalesce(end_at, 'infinity')))
    WHERE coalesce(end_at, 'infinity') > '-infinity';
CREATE INDEX ix_state_points_deleting ON state_points (account_id, (coalesce(end_at, 'infinity')), resource_id) WHERE status = 'deleting';
GRANT SELECT, INSERT, UPDATE ON state_points TO lineserve_app;

-- Which project a resource was put into, and when our books took that down: a closed month keeps the project of its close.
CREATE TABLE resource_moves (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    project_id uuid NOT NULL,
    CONSTRAINT pk_resource_moves PRIMARY KEY (account_id, resource_id, recorded_at),
    CONSTRAINT fk_resource_moves_resource FOREIGN KEY (account_id, resource_id) REFERENCES resources
);
GRANT SELECT, INSERT, UPDATE ON resource_moves TO lineserve_app;

CREATE TABLE usage_events (
    account_id uuid NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL CONSTRAINT ck_usage_events_quantity CHECK (quantity >= 0),
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    voided_at timestamptz,
    CONSTRAINT pk_usage_events PRIMARY KEY (account_id, source, event_id)
);
-- Readings of one gauge in one day are folded again when another arrives.
CREATE INDEX ix_usage_events_series ON usage_events (account_id, resource_id, meter, occurred_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_events TO lineserve_app;  -- one that turns out to lie outside its resource's life moves

CREATE TABLE quarantined_events (
    account_id uuid NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL,
    occurred_at timestamptz NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    tried_at timestamptz,  -- when it was last judged again; null: never
    resolved_at timestamptz,
    voided_at timestamptz,
    CONSTRAINT pk_quarantined_events PRIMARY KEY (account_id, source, event_id),
    CONSTRAINT ck_quarantined_events_voided CHECK (voided_at IS NULL OR resolved_at IS NOT NULL)
);
CREATE INDEX ix_quarantined_events_open ON quarantined_events (recorded_at, account_id, source, event_id) WHERE resolved_at IS NULL;
-- Those that may be billed after all, by resource for the report that may let them, and by account, the least lately tried first.
CREATE INDEX ix_quarantined_events_resource ON quarantined_events (account_id, resource_id, source, event_id)
    WHERE resolved_at IS NULL AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing');
CREATE INDEX ix_quarantined_events_turn ON quarantined_events (account_id, tried_at NULLS FIRST, source, event_id)
    WHERE resolved_at IS NULL AND reason IN ('resource_unknown', 'outside_resource_life', 'meter_unknown', 'price_missing');
GRANT SELECT, INSERT, UPDATE ON quarantined_events TO lineserve_app;

-- Resources whose life became shorter: a job takes usage outside of it out of the count, what the report left of it and what arrived
-- while the report was under way.
CREATE TABLE shortened_resources (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    due_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL,  -- from then on nobody counts by the longer life any more
    CONSTRAINT pk_shortened_resources PRIMARY KEY (account_id, resource_id),
    CONSTRAINT fk_shortened_resources_resource FOREIGN KEY (account_id, resource_id) REFERENCES resources
);
CREATE INDEX ix_shortened_resources_due ON shortened_resources (due_at, account_id, resource_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON shortened_resources TO lineserve_app;

-- A resource's aggregates of one UTC day. For a gauge (a time_weighted meter) `total` is unit-seconds from the day's first reading to
-- the day's end; what it carried into the day, and into days without readings, is the `latest` of the row before.
CREATE TABLE day_rows (
    account_id uuid NOT NULL,
    day date NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    total numeric NOT NULL,
    highest numeric NOT NULL,
    latest numeric NOT NULL,
    latest_at timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    is_gauge boolean NOT NULL,
    events bigint NOT NULL,
    CONSTRAINT pk_day_rows PRIMARY KEY (account_id, day, resource_id, meter)
) WITH (fillfactor = 80);
CREATE INDEX ix_day_rows_gauge ON day_rows (account_id, resource_id, meter, day) WHERE is_gauge;
GRANT SELECT, INSERT, UPDATE, DELETE ON day_rows TO lineserve_app;

-- The gauges of each resource: a level holds over months without a reading, so the close has to know whom to ask.
CREATE TABLE gauges (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    ended_at timestamptz,  -- no earlier than the resource's end, so that gauges of what ended long ago are left alone; null: unknown
    CONSTRAINT pk_gauges PRIMARY KEY (account_id, resource_id, meter)
);
CREATE INDEX ix_gauges_end ON gauges (account_id, (coalesce(ended_at, 'infinity'))) WHERE coalesce(ended_at, 'infinity') > '-infinity';
GRANT SELECT, INSERT, UPDATE ON gauges TO lineserve_app;

-- Versions of past periods: each write of usage or state adds one; a close notes the version that it saw (null: not closed yet).
CREATE TABLE period_versions (
    account_id uuid NOT NULL,
    period date NOT NULL CONSTRAINT ck_period_versions_period CHECK (extract(day FROM period) = 1),
    version bigint NOT NULL,
    rated_version bigint,
    dirty_at timestamptz,  -- of the first write that no close has seen; null: there was none
    CONSTRAINT pk_period_versions PRIMARY KEY (account_id, period)
);
GRANT SELECT, INSERT, UPDATE ON period_versions TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
