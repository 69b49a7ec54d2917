-- What the two roles that only read may see; last of all files, when every table and view is there.
-- lineserve_ops: every table and view by default, but not what opens doors: digests of keys, kept answers, references at gateways.
REVOKE SELECT ON api_keys, operator_keys, idempotency_keys, payment_methods FROM lineserve_ops;
GRANT SELECT (account_id, key_id, name, prefix, permissions, ip_whitelist, created_at, expires_at, revoked_at, last_used_at)
ON api_keys TO lineserve_ops;
GRANT SELECT (key_id, name, scopes, created_at, expires_at, revoked_at, last_used_at) ON operator_keys TO lineserve_ops;
GRANT SELECT (account_id, route, key, status, created_at) ON idempotency_keys TO lineserve_ops;
GRANT SELECT (account_id, payment_method_id, type, gateway, brand, bank_name, last4, exp_month, exp_year, is_default, created_at,
    deleted_at)
ON payment_methods TO lineserve_ops;
-- lineserve_read: views alone, and of them none that names people.
DO $$
DECLARE
    view text;
BEGIN
    FOR view IN
        SELECT relname FROM pg_class
        WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace AND relname LIKE '%\_v'
          AND relname NOT IN ('accounts_v', 'delivery_log_v')
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO lineserve_read', view);
    END LOOP;
END
$$;
