-- migrate:up
-- How each job stands. It runs once per period, whatever the number of workers: who moves `period_at` on has the period.
CREATE TABLE jobs (
    job text NOT NULL,
    every_s integer NOT NULL CONSTRAINT ck_jobs_every CHECK (every_s > 0),
    registered_at timestamptz NOT NULL,  -- when a worker first knew it
    period_at timestamptz,  -- the start of the period that was begun last
    worker_id uuid,  -- who began it
    started_at timestamptz,
    finished_at timestamptz,  -- null: under way, or its worker died
    succeeded_at timestamptz,
    duration_ms bigint,  -- of the run that finished last
    failures integer NOT NULL DEFAULT 0 CONSTRAINT ck_jobs_failures CHECK (failures >= 0),  -- since it succeeded
    reason text,  -- of the newest failure, until it succeeds
    CONSTRAINT pk_jobs PRIMARY KEY (job)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
