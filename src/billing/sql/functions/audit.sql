-- The audit trail's only way to write, and its verifier.

-- The canonical text of a record, as the hash chain reads it.
CREATE OR REPLACE FUNCTION audit_text(record audit_records) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_array(
    record.number, record.actor_kind, record.actor_id, record.actor_name, record.action, record.objects, record.account_id,
    (extract(epoch FROM record.occurred_at) * 1000000)::bigint, record.ip, record.request_id, record.status,
    encode(record.body_digest, 'hex'), record.details
)::text;

-- Where the chain begins.
CREATE OR REPLACE FUNCTION audit_start() RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256('audit trail');

-- Append a record and return its number. To be called last in a transaction: the head stays locked until its end.
CREATE OR REPLACE FUNCTION write_audit_record(
    p_actor_kind text, p_actor_id uuid, p_actor_name text, p_action text, p_objects jsonb, p_account_id uuid,
    p_occurred_at timestamptz, p_ip text, p_request_id text, p_status integer, p_body_digest bytea, p_details jsonb
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_record audit_records;
BEGIN
    SELECT last_number + 1, chain_hash INTO STRICT v_record.number, v_record.chain_hash FROM audit_head FOR UPDATE;
    v_record.actor_kind := p_actor_kind;
    v_record.actor_id := p_actor_id;
    v_record.actor_name := p_actor_name;
    v_record.action := p_action;
    v_record.objects := p_objects;
    v_record.account_id := p_account_id;
    v_record.occurred_at := p_occurred_at;
    v_record.ip := p_ip;
    v_record.request_id := p_request_id;
    v_record.status := p_status;
    v_record.body_digest := p_body_digest;
    v_record.details := p_details;
    v_record.chain_hash := sha256(v_record.chain_hash || convert_to(audit_text(v_record), 'UTF8'));
    INSERT INTO audit_records VALUES (v_record.*);
    UPDATE audit_head SET last_number = v_record.number, chain_hash = v_record.chain_hash;
    RETURN v_record.number;
END
$$;

-- The records, of those that were written since an instant (null: of all), whose hash is not that of the hash before and their own
-- text: changed, or next to one that was changed or taken out.
CREATE OR REPLACE FUNCTION broken_audit_records(p_since timestamptz DEFAULT NULL) RETURNS TABLE (number bigint)
LANGUAGE sql STABLE
AS $$
    WITH firsts AS (
        SELECT min(number) AS number FROM audit_records WHERE p_since IS NULL OR occurred_at >= p_since
    )
    SELECT (record).number
    FROM firsts, (
        SELECT r AS record, coalesce(lag(r.chain_hash) OVER (ORDER BY r.number), audit_start()) AS chain_before
        FROM audit_records AS r
        WHERE r.number >= (SELECT number - 1 FROM firsts)
    ) AS links
    WHERE (record).number >= firsts.number
        AND (record).chain_hash <> sha256(chain_before || convert_to(audit_text(record), 'UTF8'))
$$;
