INSERT INTO accounts (account_id, email, name, status, verified, currency, timezone, country, tax_exempt, terms_days, created_at)
VALUES ('{account_id}', 'large@bench.example', 'Large', 'active', true, 'USD', 'UTC', 'KE', false, 14, '2024-01-01Z');
INSERT INTO heads (account_id, last_number, chain_hash) VALUES ('{account_id}', 0, chain_start('{account_id}'));
INSERT INTO projects (account_id, project_id, name, is_default, created_at) VALUES ('{account_id}', '{account_id}', 'default', true, '2024-01-01Z');
INSERT INTO resources (account_id, resource_id, project_id, type, service, name, region, created_at, recorded_at)
SELECT '{account_id}', kind || '-' || number, '{account_id}', kind, service, kind || ' ' || number, 'eu', '2024-01-01Z', '2024-01-01Z'
FROM generate_series(1, {resources} / 2) AS number, (VALUES ('server', 'compute'), ('disk', 'storage')) AS things (kind, service);
INSERT INTO resource_moves (account_id, resource_id, recorded_at, project_id)
SELECT account_id, resource_id, '2024-01-01Z', account_id FROM resources WHERE account_id = '{account_id}';
INSERT INTO state_points (account_id, resource_id, effective_at, plan, units, status, recorded_at)
SELECT account_id, resource_id, '2024-01-01Z', CASE service WHEN 'compute' THEN 'vps' ELSE 'disk' END, 1, 'running', '2024-01-01Z'
FROM resources WHERE account_id = '{account_id}';
INSERT INTO gauges (account_id, resource_id, meter)
SELECT account_id, resource_id, 'level' FROM resources WHERE account_id = '{account_id}' AND service = 'storage';
