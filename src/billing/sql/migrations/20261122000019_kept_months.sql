-- migrate:up
-- A finalised month of an account whose costs were reckoned once, so that reads need not: derived, and made anew when something that it
-- was reckoned from has changed. A month without a row here, or with one that is out of date, is reckoned by each read.
CREATE TABLE kept_months (
    account_id uuid NOT NULL CONSTRAINT fk_kept_months_account REFERENCES accounts,
    period date NOT NULL,
    version bigint NOT NULL,  -- of the month as it was reckoned; of a later one the sums say nothing
    types_digest bigint NOT NULL,  -- the types that resources were shown with
    kept_at timestamptz NOT NULL,
    CONSTRAINT pk_kept_months PRIMARY KEY (account_id, period)
);
GRANT SELECT, INSERT, DELETE ON kept_months TO lineserve_app;

-- What the whole month cost by place and type, in minor units, and whom: what a group by service, project, region or month sums.
CREATE TABLE kept_places (
    account_id uuid NOT NULL,
    period date NOT NULL,
    project_id uuid NOT NULL,
    region text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,  -- '' when it is not known
    amount_minor bigint NOT NULL,
    resource_ids text[] NOT NULL,
    CONSTRAINT pk_kept_places PRIMARY KEY (account_id, period, project_id, region, service, type),
    CONSTRAINT fk_kept_places_month FOREIGN KEY (account_id, period) REFERENCES kept_months ON DELETE CASCADE
);
GRANT SELECT, INSERT ON kept_places TO lineserve_app;

-- What each day of the month cost in the same places, in 10^-40 minor units (null: nothing was used), and who was there on which days
-- (bit 0: the first): what a group by day or week sums, and any of a part of a month.
CREATE TABLE kept_days (
    account_id uuid NOT NULL,
    period date NOT NULL,
    project_id uuid NOT NULL,
    region text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    shares numeric[] NOT NULL,
    resource_ids text[] NOT NULL,
    resource_days bigint[] NOT NULL,  -- of the same place in resource_ids
    CONSTRAINT pk_kept_days PRIMARY KEY (account_id, period, project_id, region, service, type),
    CONSTRAINT fk_kept_days_month FOREIGN KEY (account_id, period) REFERENCES kept_months ON DELETE CASCADE,
    CONSTRAINT ck_kept_days_resources CHECK (cardinality(resource_ids) = cardinality(resource_days))
);
GRANT SELECT, INSERT ON kept_days TO lineserve_app;

-- How far the months that each run closed are looked through.
CREATE TABLE kept_runs (
    run_id uuid NOT NULL,
    finished_at timestamptz NOT NULL,  -- of the run: one that goes on with parked accounts finishes again
    reached uuid NOT NULL,  -- the account, in the order of ids, up to which all are done
    is_done boolean NOT NULL,
    CONSTRAINT pk_kept_runs PRIMARY KEY (run_id)
);
GRANT SELECT, INSERT, UPDATE ON kept_runs TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
