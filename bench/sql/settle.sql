CREATE TABLE IF NOT EXISTS bench_accounts (number integer PRIMARY KEY, account_id uuid NOT NULL);
INSERT INTO bench_accounts
SELECT number, ('01900000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid FROM generate_series({first}, {last}) AS number;
INSERT INTO accounts (account_id, email, name, status, verified, currency, timezone, country, tax_exempt, terms_days, created_at)
SELECT account_id, 'a' || number || '@bench.example', 'Account ' || number, 'active', true, 'USD', 'UTC', CASE WHEN number % 2 = 0 THEN 'KE' END,
    false, 14, '2024-01-01Z'
FROM bench_accounts WHERE number >= {first};
INSERT INTO heads (account_id, last_number, chain_hash)
SELECT account_id, 0, chain_start(account_id) FROM bench_accounts WHERE number >= {first};
INSERT INTO projects (account_id, project_id, name, is_default, created_at)
SELECT account_id, account_id, 'default', true, '2024-01-01Z' FROM bench_accounts WHERE number >= {first};
INSERT INTO resources (account_id, resource_id, project_id, type, service, name, region, created_at, recorded_at)
SELECT account_id, name, account_id, name, service, name, 'eu', '2024-01-01Z', '2024-01-01Z'
FROM bench_accounts, (VALUES ('server', 'compute'), ('disk', 'storage')) AS things (name, service)
WHERE number >= {first};
INSERT INTO resource_moves (account_id, resource_id, recorded_at, project_id)
SELECT account_id, name, '2024-01-01Z', account_id FROM bench_accounts, (VALUES ('server'), ('disk')) AS things (name) WHERE number >= {first};
INSERT INTO state_points (account_id, resource_id, effective_at, plan, units, status, recorded_at)
SELECT account_id, name, '2024-01-01Z', plan, 1, 'running', '2024-01-01Z'
FROM bench_accounts, (VALUES ('server', 'vps'), ('disk', 'disk')) AS things (name, plan)
WHERE number >= {first};
INSERT INTO gauges (account_id, resource_id, meter) SELECT account_id, 'disk', 'level' FROM bench_accounts WHERE number >= {first};
