-- The ledger's only ways to write: everything that moves money calls post_transfers, or post_transfer for one transfer.

-- The canonical text of a transfer, as the hash chain reads it.
CREATE OR REPLACE FUNCTION transfer_text(
    number bigint, currency text, source text, destination text, amount_minor bigint,
    template text, reference text, ordinal integer, effective_at timestamptz, recorded_at timestamptz
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE  -- as jsonb_build_array is: said to be immutable, it would be called, not built into its statement
RETURN jsonb_build_array(
    number, currency, source, destination, amount_minor, template, reference, ordinal,
    (extract(epoch FROM effective_at) * 1000000)::bigint, (extract(epoch FROM recorded_at) * 1000000)::bigint
)::text;

-- Where an account's chain begins.
CREATE OR REPLACE FUNCTION chain_start(account_id uuid) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(uuid_send(account_id));

-- Post one transfer: what post_transfers does with an array of one, in single-row statements that take a third of its time.
-- The head is advanced at once, which locks it, too; a replay, which nothing but the lock can tell for sure, puts it back.
CREATE OR REPLACE FUNCTION post_transfer(
    p_account_id uuid, p_currency text, p_source text, p_destination text, p_amount bigint,
    p_template text, p_reference text, p_ordinal integer, p_effective_at timestamptz, p_recorded_at timestamptz
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_number bigint;
    v_chain_hash bytea;
    v_moved integer;
BEGIN
    UPDATE heads SET last_number = last_number + 1, chain_hash = sha256(chain_hash || convert_to(transfer_text(
        last_number + 1, p_currency, p_source, p_destination, p_amount,
        p_template, p_reference, p_ordinal, p_effective_at, p_recorded_at
    ), 'UTF8'))
    WHERE account_id = p_account_id
    RETURNING last_number, chain_hash INTO v_number, v_chain_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an account has no ledger head' USING ERRCODE = 'LS002';
    END IF;

    INSERT INTO transfers (
        account_id, number, currency, source, destination, amount_minor,
        template, reference, ordinal, effective_at, recorded_at, chain_hash
    )
    VALUES (
        p_account_id, v_number, p_currency, p_source, p_destination, p_amount,
        p_template, p_reference, p_ordinal, p_effective_at, p_recorded_at, v_chain_hash
    )
    ON CONFLICT (account_id, template, reference, ordinal) DO NOTHING;
    IF NOT FOUND THEN
        IF (p_currency, p_source, p_destination, p_amount) IS DISTINCT FROM (
            SELECT (currency, source, destination, amount_minor) FROM transfers
            WHERE account_id = p_account_id AND template = p_template AND reference = p_reference AND ordinal = p_ordinal
        ) THEN
            RAISE EXCEPTION 'a transfer was posted before with other content' USING ERRCODE = 'LS001';
        END IF;
        UPDATE heads SET last_number = v_number - 1, chain_hash = (  -- the last of an account has its hash, and there is one
            SELECT transfers.chain_hash FROM transfers WHERE account_id = p_account_id AND number = v_number - 1
        )
        WHERE account_id = p_account_id;
        RETURN 0;
    END IF;

    UPDATE balances SET balance_minor = balance_minor + CASE ledger_account WHEN p_source THEN -p_amount ELSE p_amount END
    WHERE account_id = p_account_id AND currency = p_currency AND ledger_account IN (p_source, p_destination);
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved < 2 THEN
        INSERT INTO balances (account_id, currency, ledger_account, balance_minor)
        SELECT p_account_id, p_currency, ledger_account, change_minor
        FROM (VALUES (p_source, -p_amount), (p_destination, p_amount)) AS changes (ledger_account, change_minor)
        WHERE NOT EXISTS (
            SELECT FROM balances
            WHERE balances.account_id = p_account_id AND balances.currency = p_currency
                AND balances.ledger_account = changes.ledger_account
        );
    END IF;
    IF EXISTS (SELECT FROM watched_accounts WHERE account_id = p_account_id) THEN
        PERFORM touch_accounts(ARRAY[p_account_id]);
    END IF;
    RETURN 1;
END
$$;

-- Post transfers, given as parallel arrays, for any number of accounts: all of them or none.
-- Idempotent on (account, template, reference, ordinal): one that is there with the same content is a replay and changes
-- nothing; with other content it raises LS001. A balance that may not fall below zero raises 23514. Returns how many were new.
CREATE OR REPLACE FUNCTION post_transfers(
    p_account_ids uuid[], p_currencies text[], p_sources text[], p_destinations text[], p_amounts bigint[],
    p_templates text[], p_references text[], p_ordinals integer[], p_effective_ats timestamptz[], p_recorded_at timestamptz
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_locked integer;
    v_new integer;
BEGIN
    -- One lock per account, always in the same order; the statements below then see all that was posted before.
    SELECT count(*) INTO v_locked FROM (
        SELECT FROM heads WHERE heads.account_id = ANY (p_account_ids) ORDER BY heads.account_id FOR UPDATE
    ) AS locked;
    IF v_locked <> (SELECT count(DISTINCT wanted) FROM unnest(p_account_ids) AS wanted) THEN
        RAISE EXCEPTION 'an account has no ledger head' USING ERRCODE = 'LS002';
    END IF;

    WITH incoming AS (
        -- One sent twice in the same arrays is posted once, where it stands first.
        SELECT DISTINCT ON (account_id, template, reference, ordinal) * FROM unnest(
            p_account_ids, p_currencies, p_sources, p_destinations, p_amounts, p_templates, p_references, p_ordinals, p_effective_ats
        ) WITH ORDINALITY AS t (
            account_id, currency, source, destination, amount_minor, template, reference, ordinal, effective_at, position
        )
        ORDER BY account_id, template, reference, ordinal, position
    ), fresh AS (
        -- A look-up each, by OFFSET 0, however small the tables were when the plan was made; rows are held, so that their place
        -- stays theirs.
        SELECT incoming.*,
            head_row,
            chain_hash AS chain_before,
            last_number + row_number() OVER (PARTITION BY incoming.account_id ORDER BY position) AS number
        FROM incoming
        CROSS JOIN LATERAL (
            SELECT ctid AS head_row, last_number, chain_hash FROM heads
            WHERE heads.account_id = incoming.account_id
            OFFSET 0
        ) AS head
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM transfers
            WHERE transfers.account_id = incoming.account_id AND transfers.template = incoming.template
                AND transfers.reference = incoming.reference AND transfers.ordinal = incoming.ordinal
            OFFSET 0
        ) AS earlier ON true
        WHERE is_there IS NULL
    ), chained AS (
        SELECT account_id, head_row, max(number) AS last_number, sha256(chain_before || convert_to(string_agg(
            transfer_text(number, currency, source, destination, amount_minor, template, reference, ordinal, effective_at, p_recorded_at),
            E'\n' ORDER BY number), 'UTF8')) AS chain_hash
        FROM fresh
        GROUP BY account_id, head_row, chain_before
    ), inserted AS (
        INSERT INTO transfers (
            account_id, number, currency, source, destination, amount_minor,
            template, reference, ordinal, effective_at, recorded_at, chain_hash
        )
        SELECT fresh.account_id, number, currency, source, destination, amount_minor,
            template, reference, ordinal, effective_at, p_recorded_at,
            CASE WHEN number = chained.last_number THEN chained.chain_hash END
        FROM fresh
        JOIN chained ON chained.account_id = fresh.account_id
    ), advanced AS (
        UPDATE heads SET last_number = chained.last_number, chain_hash = chained.chain_hash
        FROM chained
        WHERE heads.ctid = chained.head_row AND heads.account_id = chained.account_id
    ), changes AS (
        SELECT summed.*, balance_row
        FROM (
            SELECT account_id, currency, ledger_account, sum(change_minor)::bigint AS change_minor
            FROM (
                SELECT account_id, currency, source AS ledger_account, -amount_minor AS change_minor FROM fresh
                UNION ALL
                SELECT account_id, currency, destination, amount_minor FROM fresh
            ) AS moves
            GROUP BY account_id, currency, ledger_account
        ) AS summed
        LEFT JOIN LATERAL (
            SELECT ctid AS balance_row FROM balances
            WHERE balances.account_id = summed.account_id AND balances.currency = summed.currency
                AND balances.ledger_account = summed.ledger_account
            OFFSET 0
        ) AS there ON true
    ), updated AS (
        -- Not an upsert: a CHECK would look at the change itself before the conflict is found.
        UPDATE balances SET balance_minor = balances.balance_minor + changes.change_minor
        FROM changes
        WHERE balances.ctid = changes.balance_row AND balances.account_id = changes.account_id
    ), opened AS (
        INSERT INTO balances (account_id, currency, ledger_account, balance_minor)
        SELECT account_id, currency, ledger_account, change_minor FROM changes
        WHERE balance_row IS NULL
    )
    SELECT count(*) INTO v_new FROM fresh;

    IF v_new > 0 THEN
        PERFORM touch_accounts(p_account_ids);
    END IF;
    IF v_new < cardinality(p_account_ids) THEN  -- apart from the look below, which would be planned each time
        PERFORM FROM unnest(p_account_ids, p_currencies, p_sources, p_destinations, p_amounts, p_templates, p_references, p_ordinals)
            AS sent (account_id, currency, source, destination, amount_minor, template, reference, ordinal)
        JOIN transfers ON transfers.account_id = sent.account_id AND transfers.template = sent.template
            AND transfers.reference = sent.reference AND transfers.ordinal = sent.ordinal
        WHERE (transfers.currency, transfers.source, transfers.destination, transfers.amount_minor)
            IS DISTINCT FROM (sent.currency, sent.source, sent.destination, sent.amount_minor);
        IF FOUND THEN
            RAISE EXCEPTION 'a transfer was posted before with other content' USING ERRCODE = 'LS001';
        END IF;
    END IF;
    RETURN v_new;
END
$$;
