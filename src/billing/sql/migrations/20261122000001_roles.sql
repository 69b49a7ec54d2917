-- migrate:up
-- Four roles. The owner, who runs this, migrates. The application works as lineserve_app, which owns nothing: it can do only what a
-- migration grants. lineserve_ops reads for operators' reports, lineserve_read for dashboards (views/zz_rights.sql): neither writes.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['lineserve_app', 'lineserve_ops', 'lineserve_read'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
DO $$
BEGIN
    EXECUTE format('GRANT lineserve_app TO %I', current_user);
END
$$;
GRANT USAGE ON SCHEMA public TO lineserve_app, lineserve_ops, lineserve_read;
GRANT SELECT ON schema_migrations TO lineserve_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO lineserve_ops;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
