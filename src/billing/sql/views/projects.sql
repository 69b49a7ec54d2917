-- What other slices may read of projects; deleted ones too, for what was used there.
CREATE OR REPLACE VIEW projects_v AS
SELECT account_id, project_id, name, description, region, budget_minor, is_default, created_at, deleted_at
FROM projects;
GRANT SELECT ON projects_v TO lineserve_app;
