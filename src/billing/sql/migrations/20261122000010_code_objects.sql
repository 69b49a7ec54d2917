-- migrate:up
-- Which functions and views are in place: the digest of the files that made them.
CREATE TABLE code_digest (
    is_only boolean NOT NULL DEFAULT true CONSTRAINT ck_code_digest_only CHECK (is_only),
    digest text NOT NULL,
    CONSTRAINT pk_code_digest PRIMARY KEY (is_only)
);

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
