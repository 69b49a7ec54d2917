-- migrate:up
-- The operator names a project alone; not unique: ids are unique by making.
CREATE INDEX ix_projects_id ON projects (project_id);

-- What the platform is asked to delete because its project was: metering stops at `asked_at`, and goes on from `restored_at` if the
-- project was restored before the platform confirmed.
CREATE TABLE resource_deletions (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    asked_at timestamptz NOT NULL,
    project_id uuid NOT NULL,
    status_before text NOT NULL,
    plan_before text,
    units_before numeric NOT NULL,
    stopped_at timestamptz,  -- when its state was written down; null: the job has yet to do so
    confirmed_at timestamptz,
    alarmed_at timestamptz,
    restored_at timestamptz,
    CONSTRAINT pk_resource_deletions PRIMARY KEY (account_id, resource_id, asked_at),
    CONSTRAINT fk_resource_deletions_resource FOREIGN KEY (account_id, resource_id) REFERENCES resources,
    CONSTRAINT fk_resource_deletions_project FOREIGN KEY (account_id, project_id) REFERENCES projects,
    CONSTRAINT ck_resource_deletions_end CHECK (confirmed_at IS NULL OR restored_at IS NULL)
);
CREATE INDEX ix_resource_deletions_project ON resource_deletions (account_id, project_id, asked_at);
CREATE INDEX ix_resource_deletions_unstopped ON resource_deletions (asked_at, account_id, resource_id) WHERE stopped_at IS NULL;
CREATE INDEX ix_resource_deletions_open ON resource_deletions (asked_at, account_id, resource_id)
    WHERE confirmed_at IS NULL AND restored_at IS NULL AND alarmed_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON resource_deletions TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
