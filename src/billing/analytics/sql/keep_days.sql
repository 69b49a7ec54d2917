-- Keeps what each day of a whole finalised month cost by place.
,
\ir day_sums.sql
INSERT INTO kept_days (account_id, period, project_id, region, service, type, shares, resource_ids, resource_days)
SELECT account_id, period, project_id, region, service, type, shares, resource_ids, resource_days FROM day_sums
