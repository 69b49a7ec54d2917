-- migrate:up
-- The application works as lineserve_app, which owns nothing: it can do only what a migration grants.
DO $$
BEGIN
    CREATE ROLE lineserve_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    EXECUTE format('GRANT lineserve_app TO %I', current_user);
END
$$;
GRANT USAGE ON SCHEMA public TO lineserve_app;
GRANT SELECT ON schema_migrations TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
