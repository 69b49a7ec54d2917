-- The keys of calls under way: their session locks, and what is kept under them.

-- Give some locks back, take others and wait for none; then look up what is kept under each key. p_lock_ids has a lock for each key,
-- or null where none is to be taken. In one statement of SQL the look-up would see what was there before the locks were taken.
CREATE OR REPLACE FUNCTION hold_keys(
    p_given_back bigint[], p_lock_ids bigint[], p_account_ids uuid[], p_routes text[], p_keys text[]
) RETURNS TABLE (is_mine boolean, fingerprint bytea, intent jsonb, status integer, body bytea, headers jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
    v_are_mine boolean[];
BEGIN
    PERFORM pg_advisory_unlock(lock_id) FROM unnest(p_given_back) AS given_back (lock_id);
    v_are_mine := ARRAY(SELECT pg_try_advisory_lock(lock_id) FROM unnest(p_lock_ids) AS taken (lock_id));
    RETURN QUERY
    SELECT coalesce(asked.is_mine, false), kept.fingerprint, kept.intent, kept.status, kept.body, kept.headers
    FROM unnest(v_are_mine, p_account_ids, p_routes, p_keys)
        WITH ORDINALITY AS asked (is_mine, account_id, route, key, position)
    LEFT JOIN LATERAL (  -- a look-up each
        SELECT idempotency_keys.* FROM idempotency_keys
        WHERE idempotency_keys.account_id = asked.account_id AND idempotency_keys.route = asked.route
            AND idempotency_keys.key = asked.key
        OFFSET 0
    ) AS kept ON true
    ORDER BY asked.position;
END
$$;
