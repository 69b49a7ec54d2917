-- migrate:up
-- How far each group of checks has come: written by the runs of `billing check` that found nothing.
CREATE TABLE check_marks (
    check_group text NOT NULL,
    since timestamptz NOT NULL,  -- what was recorded from then on is still to be read
    part integer NOT NULL,  -- the part of all accounts that is read next, whatever was recorded
    CONSTRAINT pk_check_marks PRIMARY KEY (check_group)
);
GRANT SELECT, INSERT, UPDATE ON check_marks TO lineserve_app;

-- What was recorded lately, for a few pages: rows are stored in about that order.
CREATE INDEX ix_transfers_recorded ON transfers USING brin (recorded_at) WITH (pages_per_range = 32);
CREATE INDEX ix_usage_events_recorded ON usage_events USING brin (recorded_at) WITH (pages_per_range = 32);

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
