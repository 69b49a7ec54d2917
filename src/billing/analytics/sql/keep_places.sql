-- Keeps what a whole finalised month cost by place.
INSERT INTO kept_places (account_id, period, project_id, region, service, type, amount_minor, resource_ids)
\ir place_sums.sql
