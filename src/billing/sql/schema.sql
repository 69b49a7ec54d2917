-- What the migrations, functions and views make on PostgreSQL 18; `make golden` writes this file.
CREATE SCHEMA queue;

CREATE SCHEMA sandbox;

CREATE TYPE queue.pgqueuer_status AS ENUM (
    'queued',
    'picked',
    'successful',
    'exception',
    'canceled',
    'deleted',
    'failed'
);

CREATE FUNCTION public.audit_start() RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256('\x617564697420747261696c'::bytea);

CREATE TABLE public.audit_records (
    number bigint NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    actor_name text,
    action text NOT NULL,
    objects jsonb NOT NULL,
    account_id uuid,
    occurred_at timestamp with time zone NOT NULL,
    ip text,
    request_id text,
    status integer,
    body_digest bytea,
    details jsonb NOT NULL,
    chain_hash bytea NOT NULL,
    CONSTRAINT ck_audit_records_actor_kind CHECK ((actor_kind = ANY (ARRAY['operator'::text, 'account_key'::text, 'system'::text]))),
    CONSTRAINT ck_audit_records_body_digest CHECK ((length(body_digest) = 32)),
    CONSTRAINT ck_audit_records_chain_hash CHECK ((length(chain_hash) = 32)),
    CONSTRAINT ck_audit_records_number CHECK ((number > 0)),
    CONSTRAINT ck_audit_records_status CHECK (((status >= 100) AND (status <= 599)))
);

CREATE FUNCTION public.audit_text(record public.audit_records) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (jsonb_build_array((record).number, (record).actor_kind, (record).actor_id, (record).actor_name, (record).action, (record).objects, (record).account_id, ((EXTRACT(epoch FROM (record).occurred_at) * (1000000)::numeric))::bigint, (record).ip, (record).request_id, (record).status, encode((record).body_digest, 'hex'::text), (record).details))::text;

CREATE FUNCTION public.broken_audit_records(p_since timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(number bigint)
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

CREATE FUNCTION public.chain_start(account_id uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256(uuid_send(account_id));

CREATE FUNCTION public.end_states(p_account_id uuid, p_resource_id text, p_since timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_first timestamptz := coalesce((
        SELECT max(effective_at) FROM state_points
        WHERE account_id = p_account_id AND resource_id = p_resource_id AND effective_at < p_since
    ), p_since);
    v_deleted_at timestamptz := (SELECT deleted_at FROM resources WHERE account_id = p_account_id AND resource_id = p_resource_id);
BEGIN
    UPDATE state_points SET end_at = held.end_at
    FROM (
        SELECT effective_at, CASE WHEN effective_at >= v_deleted_at THEN effective_at
            ELSE least(lead(effective_at) OVER (ORDER BY effective_at), v_deleted_at) END AS end_at
        FROM state_points
        WHERE account_id = p_account_id AND resource_id = p_resource_id AND effective_at >= v_first
    ) AS held
    WHERE state_points.account_id = p_account_id AND state_points.resource_id = p_resource_id
        AND state_points.effective_at >= v_first AND state_points.effective_at = held.effective_at
        AND state_points.end_at IS DISTINCT FROM held.end_at;
    UPDATE gauges SET ended_at = v_deleted_at
    WHERE account_id = p_account_id AND resource_id = p_resource_id AND ended_at IS DISTINCT FROM v_deleted_at;
END
$$;

CREATE FUNCTION public.hold_keys(p_given_back bigint[], p_lock_ids bigint[], p_account_ids uuid[], p_routes text[], p_keys text[]) RETURNS TABLE(is_mine boolean, fingerprint bytea, intent jsonb, status integer, body bytea, headers jsonb)
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

CREATE FUNCTION public.ingest_usage(p_account_ids uuid[], p_sources text[], p_event_ids text[], p_resource_ids text[], p_meters text[], p_quantities numeric[], p_occurred_ats timestamp with time zone[], p_reasons text[], p_now timestamp with time zone) RETURNS TABLE("position" bigint, outcome text, reason text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_taken record;
BEGIN
    WITH incoming AS (
        SELECT * FROM unnest(
            p_account_ids, p_sources, p_event_ids, p_resource_ids, p_meters, p_quantities, p_occurred_ats, p_reasons
        ) WITH ORDINALITY AS t (account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, position)
    ), firsts AS (
        SELECT DISTINCT ON (account_id, source, event_id) * FROM incoming ORDER BY account_id, source, event_id, position
    ), judged AS (
        SELECT firsts.account_id, firsts.source, firsts.event_id, firsts.resource_id, firsts.meter, firsts.quantity,
            firsts.occurred_at, (firsts.occurred_at AT TIME ZONE 'UTC')::date AS day, firsts.position,
            meters.aggregation = 'time_weighted' AS is_gauge, resources.deleted_at,
            accounts.account_id IS NOT NULL AND (quarantined.event_id IS NULL OR (
                quarantined.resource_id, quarantined.meter, quarantined.quantity, quarantined.occurred_at
            ) = (firsts.resource_id, firsts.meter, firsts.quantity, firsts.occurred_at)
                AND quarantined.voided_at IS NULL) AS is_admitted,
            CASE
                -- what waits already keeps what it waits for: it came in time, and sent again it is no later
                WHEN firsts.reason IS NOT NULL THEN coalesce(quarantined.reason, firsts.reason)
                WHEN resources.resource_id IS NULL THEN 'resource_unknown'
                WHEN firsts.occurred_at < resources.created_at OR firsts.occurred_at >= resources.deleted_at
                    OR (
                        SELECT status FROM state_points
                        WHERE state_points.account_id = firsts.account_id AND state_points.resource_id = firsts.resource_id
                            AND state_points.effective_at <= firsts.occurred_at
                        ORDER BY effective_at DESC
                        LIMIT 1
                    ) = 'deleting'
                    THEN 'outside_resource_life'
                WHEN meters.meter IS NULL THEN 'meter_unknown'
                -- each is read from its end of the index, past no price that it replaced and no contract of another
                WHEN coalesce((
                    SELECT true FROM prices_v AS prices
                    WHERE prices.kind = 'meter' AND prices.item = firsts.meter AND prices.currency = accounts.currency
                        AND prices.account_id IS NULL AND prices.region IS NULL
                        AND prices.valid_from <= months.month_start AND coalesce(prices.valid_to, 'infinity') > months.month_start
                    ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
                    LIMIT 1
                ), (
                    SELECT true FROM prices_v AS prices
                    WHERE prices.kind = 'meter' AND prices.item = firsts.meter AND prices.currency = accounts.currency
                        AND prices.account_id IS NULL AND prices.region = resources.region
                        AND prices.valid_from <= months.month_start AND coalesce(prices.valid_to, 'infinity') > months.month_start
                    ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
                    LIMIT 1
                ), (
                    SELECT true FROM prices_v AS prices
                    WHERE prices.kind = 'meter' AND prices.item = firsts.meter AND prices.currency = accounts.currency
                        AND prices.account_id = firsts.account_id AND prices.region IS NULL
                        AND prices.valid_from <= months.month_start AND coalesce(prices.valid_to, 'infinity') > months.month_start
                    ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
                    LIMIT 1
                ), (
                    SELECT true FROM prices_v AS prices
                    WHERE prices.kind = 'meter' AND prices.item = firsts.meter AND prices.currency = accounts.currency
                        AND prices.account_id = firsts.account_id AND prices.region = resources.region
                        AND prices.valid_from <= months.month_start AND coalesce(prices.valid_to, 'infinity') > months.month_start
                    ORDER BY prices.account_id DESC, prices.region DESC, prices.valid_from DESC
                    LIMIT 1
                )) IS NULL THEN 'price_missing'
            END AS objection
        FROM firsts
        CROSS JOIN LATERAL (SELECT date_trunc('month', firsts.occurred_at, 'UTC') AS month_start) AS months
        LEFT JOIN accounts_v AS accounts ON accounts.account_id = firsts.account_id
        LEFT JOIN resources ON resources.account_id = firsts.account_id AND resources.resource_id = firsts.resource_id
        LEFT JOIN meters_v AS meters ON meters.meter = firsts.meter
        LEFT JOIN quarantined_events AS quarantined ON quarantined.account_id = firsts.account_id
            AND quarantined.source = firsts.source AND quarantined.event_id = firsts.event_id
    ), stored AS (
        INSERT INTO usage_events (account_id, source, event_id, resource_id, meter, quantity, occurred_at, recorded_at)
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, p_now FROM judged
        WHERE is_admitted AND objection IS NULL
        ORDER BY account_id, source, event_id
        ON CONFLICT (account_id, source, event_id) DO NOTHING
        RETURNING account_id, source, event_id
    ), counted AS (
        SELECT judged.* FROM judged JOIN stored USING (account_id, source, event_id)
    ), folded AS (
        INSERT INTO day_rows AS d (
            account_id, day, resource_id, meter, total, highest, latest, latest_at, first_at, is_gauge, events
        )
        SELECT account_id, day, resource_id, meter, sum(quantity), max(quantity),
            (array_agg(quantity ORDER BY occurred_at DESC, quantity DESC))[1],
            max(occurred_at), min(occurred_at), is_gauge, count(*)
        FROM counted
        GROUP BY account_id, day, resource_id, meter, is_gauge
        ORDER BY account_id, day, resource_id, meter
        ON CONFLICT (account_id, day, resource_id, meter) DO UPDATE SET
            total = d.total + excluded.total,
            highest = greatest(d.highest, excluded.highest),
            latest = CASE
                WHEN excluded.latest_at > d.latest_at THEN excluded.latest
                WHEN excluded.latest_at = d.latest_at THEN greatest(d.latest, excluded.latest)
                ELSE d.latest
            END,
            latest_at = greatest(d.latest_at, excluded.latest_at),
            first_at = least(d.first_at, excluded.first_at),
            events = d.events + excluded.events
    ), registered AS (
        INSERT INTO gauges (account_id, resource_id, meter, ended_at)
        SELECT DISTINCT account_id, resource_id, meter, deleted_at FROM counted WHERE is_gauge ORDER BY account_id, resource_id, meter
        ON CONFLICT DO NOTHING
    ), released AS (
        UPDATE quarantined_events SET resolved_at = p_now FROM stored
        WHERE quarantined_events.account_id = stored.account_id AND quarantined_events.source = stored.source
            AND quarantined_events.event_id = stored.event_id AND quarantined_events.resolved_at IS NULL
    ), quarantined AS (
        INSERT INTO quarantined_events (
            account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at
        )
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, objection, p_now FROM judged
        WHERE is_admitted AND objection IS NOT NULL AND NOT EXISTS (
            SELECT FROM usage_events
            WHERE usage_events.account_id = judged.account_id AND usage_events.source = judged.source
                AND usage_events.event_id = judged.event_id
        )
        ORDER BY account_id, source, event_id
        ON CONFLICT (account_id, source, event_id) DO UPDATE SET reason = excluded.reason, tried_at = p_now
        WHERE quarantined_events.resolved_at IS NULL
    )
    SELECT array_agg(position) AS positions,
        array_agg(account_id) AS account_ids, array_agg(date_trunc('month', day)::date) AS periods,
        array_agg(account_id) FILTER (WHERE is_gauge) AS gauge_account_ids,
        array_agg(resource_id) FILTER (WHERE is_gauge) AS gauge_resource_ids,
        array_agg(meter) FILTER (WHERE is_gauge) AS gauge_meters,
        array_agg(day) FILTER (WHERE is_gauge) AS gauge_days,
        bool_or(is_gauge AND day < date_trunc('month', p_now AT TIME ZONE 'UTC')) AS has_late_gauges
    INTO v_taken
    FROM counted;

    IF v_taken.has_late_gauges THEN
        SELECT array_agg(account_id), array_agg(period) INTO v_taken.account_ids, v_taken.periods
        FROM (
            SELECT * FROM unnest(v_taken.account_ids, v_taken.periods) AS own (account_id, period)
            UNION
            SELECT * FROM months_of_levels(
                v_taken.gauge_account_ids, v_taken.gauge_resource_ids, v_taken.gauge_meters, v_taken.gauge_days, p_now)
        ) AS touched;
    END IF;
    IF v_taken.positions IS NOT NULL THEN
        PERFORM touch_periods(v_taken.account_ids, v_taken.periods, p_now);
    END IF;
    IF v_taken.gauge_days IS NOT NULL THEN
        PERFORM refold_gauges(
            v_taken.gauge_account_ids, v_taken.gauge_resource_ids, v_taken.gauge_meters, v_taken.gauge_days);
    END IF;

    -- What was not taken in is compared with what is there under its key.
    RETURN QUERY
    SELECT incoming.position,
        CASE
            WHEN taken.position IS NOT NULL THEN 'accepted'
            WHEN stored.event_id IS NOT NULL AND stored_same.is_same THEN 'duplicate'
            WHEN stored.event_id IS NULL AND held_same.is_same AND held.voided_at IS NOT NULL THEN 'duplicate'
            WHEN stored.event_id IS NULL AND held_same.is_same THEN 'quarantined'
            ELSE 'rejected'
        END,
        CASE
            WHEN taken.position IS NOT NULL OR stored.event_id IS NOT NULL AND stored_same.is_same THEN NULL
            WHEN stored.event_id IS NULL AND held_same.is_same AND held.voided_at IS NOT NULL THEN NULL
            WHEN stored.event_id IS NULL AND held_same.is_same THEN held.reason
            WHEN stored.event_id IS NULL AND held.event_id IS NULL THEN 'account_unknown'
            ELSE 'event_conflict'
        END
    FROM unnest(p_account_ids, p_sources, p_event_ids, p_resource_ids, p_meters, p_quantities, p_occurred_ats)
        WITH ORDINALITY AS incoming (account_id, source, event_id, resource_id, meter, quantity, occurred_at, position)
    LEFT JOIN unnest(v_taken.positions) AS taken (position) ON taken.position = incoming.position
    -- One by one, so that no plan that was made while the tables were small reads them whole.
    LEFT JOIN LATERAL (
        SELECT * FROM usage_events
        WHERE taken.position IS NULL AND account_id = incoming.account_id AND source = incoming.source
            AND event_id = incoming.event_id
        LIMIT 1
    ) AS stored ON true
    LEFT JOIN LATERAL (
        SELECT * FROM quarantined_events
        WHERE taken.position IS NULL AND account_id = incoming.account_id AND source = incoming.source
            AND event_id = incoming.event_id
        LIMIT 1
    ) AS held ON true
    CROSS JOIN LATERAL (SELECT (stored.resource_id, stored.meter, stored.quantity, stored.occurred_at)
        = (incoming.resource_id, incoming.meter, incoming.quantity, incoming.occurred_at)) AS stored_same (is_same)
    CROSS JOIN LATERAL (SELECT (held.resource_id, held.meter, held.quantity, held.occurred_at)
        = (incoming.resource_id, incoming.meter, incoming.quantity, incoming.occurred_at)) AS held_same (is_same)
    ORDER BY incoming.position;
END
$$;

CREATE FUNCTION public.metered_seconds(p_account_id uuid, p_resource_id text, p_since timestamp with time zone, p_until timestamp with time zone) RETURNS numeric
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN p_since >= p_until THEN 0 ELSE extract(epoch FROM p_until - p_since) - coalesce((
        SELECT sum(extract(epoch FROM least(coalesce(end_at, 'infinity'), p_until) - greatest(effective_at, p_since)))
        FROM state_points
        WHERE account_id = p_account_id AND resource_id = p_resource_id AND status = 'deleting'
            AND effective_at < p_until AND coalesce(end_at, 'infinity') > p_since
    ), 0) END
$$;

CREATE FUNCTION public.months_of_levels(p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[], p_now timestamp with time zone) RETURNS TABLE(account_id uuid, period date)
    LANGUAGE sql STABLE
    AS $$
    SELECT DISTINCT asked.account_id, month::date
    FROM unnest(p_account_ids, p_resource_ids, p_meters, p_days) AS asked (account_id, resource_id, meter, day)
    JOIN gauges ON gauges.account_id = asked.account_id AND gauges.resource_id = asked.resource_id AND gauges.meter = asked.meter
    JOIN resources ON resources.account_id = asked.account_id AND resources.resource_id = asked.resource_id
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', asked.day::timestamp),
        least(p_now AT TIME ZONE 'UTC', resources.deleted_at AT TIME ZONE 'UTC', (
            SELECT min(day_rows.day)::timestamp FROM day_rows
            WHERE day_rows.account_id = asked.account_id AND day_rows.resource_id = asked.resource_id
                AND day_rows.meter = asked.meter AND day_rows.is_gauge AND day_rows.day > asked.day
        )),
        interval '1 month'
    ) AS month
$$;

CREATE FUNCTION public.post_transfer(p_account_id uuid, p_currency text, p_source text, p_destination text, p_amount bigint, p_template text, p_reference text, p_ordinal integer, p_effective_at timestamp with time zone, p_recorded_at timestamp with time zone) RETURNS integer
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

CREATE FUNCTION public.post_transfers(p_account_ids uuid[], p_currencies text[], p_sources text[], p_destinations text[], p_amounts bigint[], p_templates text[], p_references text[], p_ordinals integer[], p_effective_ats timestamp with time zone[], p_recorded_at timestamp with time zone) RETURNS integer
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

CREATE FUNCTION public.recount_days(p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH wanted AS (
        SELECT day_rows.account_id, day_rows.resource_id, day_rows.meter, day_rows.day
        FROM unnest(p_account_ids, p_resource_ids, p_meters, p_days) AS t (account_id, resource_id, meter, day)
        JOIN day_rows ON day_rows.account_id = t.account_id AND day_rows.day = t.day AND day_rows.resource_id = t.resource_id
            AND day_rows.meter = t.meter AND NOT day_rows.is_gauge
    ), counted AS (
        SELECT wanted.account_id, wanted.resource_id, wanted.meter, wanted.day,
            sum(quantity) AS total, max(quantity) AS highest,
            (array_agg(quantity ORDER BY occurred_at DESC, quantity DESC))[1] AS latest,
            max(occurred_at) AS latest_at, min(occurred_at) AS first_at, count(*) AS events
        FROM wanted
        JOIN usage_events ON usage_events.account_id = wanted.account_id AND usage_events.resource_id = wanted.resource_id
            AND usage_events.meter = wanted.meter AND usage_events.voided_at IS NULL
            AND usage_events.occurred_at >= wanted.day::timestamp AT TIME ZONE 'UTC'
            AND usage_events.occurred_at < (wanted.day + 1)::timestamp AT TIME ZONE 'UTC'
        GROUP BY wanted.account_id, wanted.resource_id, wanted.meter, wanted.day
    ), emptied AS (
        DELETE FROM day_rows USING wanted
        WHERE day_rows.account_id = wanted.account_id AND day_rows.day = wanted.day
            AND day_rows.resource_id = wanted.resource_id AND day_rows.meter = wanted.meter
            AND NOT EXISTS (
                SELECT FROM counted
                WHERE counted.account_id = wanted.account_id AND counted.day = wanted.day
                    AND counted.resource_id = wanted.resource_id AND counted.meter = wanted.meter
            )
    )
    UPDATE day_rows SET total = counted.total, highest = counted.highest, latest = counted.latest,
        latest_at = counted.latest_at, first_at = counted.first_at, events = counted.events
    FROM counted
    WHERE day_rows.account_id = counted.account_id AND day_rows.day = counted.day
        AND day_rows.resource_id = counted.resource_id AND day_rows.meter = counted.meter
$$;

CREATE FUNCTION public.refold_gauges(p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH wanted AS (
        SELECT day_rows.account_id, day_rows.resource_id, day_rows.meter, day_rows.day
        FROM (
            SELECT DISTINCT * FROM unnest(p_account_ids, p_resource_ids, p_meters, p_days) AS t (account_id, resource_id, meter, day)
        ) AS asked
        JOIN day_rows ON day_rows.account_id = asked.account_id AND day_rows.day = asked.day
            AND day_rows.resource_id = asked.resource_id AND day_rows.meter = asked.meter AND day_rows.is_gauge
    ), readings AS (
        SELECT wanted.*, usage_events.quantity, usage_events.occurred_at,
            -- of two readings at one instant the larger holds
            lead(usage_events.occurred_at, 1, (wanted.day + 1)::timestamp AT TIME ZONE 'UTC') OVER (
                PARTITION BY wanted.account_id, wanted.resource_id, wanted.meter, wanted.day
                ORDER BY usage_events.occurred_at, usage_events.quantity
            ) AS next_at
        FROM wanted
        JOIN resources ON resources.account_id = wanted.account_id AND resources.resource_id = wanted.resource_id
        JOIN usage_events ON usage_events.account_id = wanted.account_id AND usage_events.resource_id = wanted.resource_id
            AND usage_events.meter = wanted.meter AND usage_events.voided_at IS NULL
            AND usage_events.occurred_at >= wanted.day::timestamp AT TIME ZONE 'UTC'
            AND usage_events.occurred_at < (wanted.day + 1)::timestamp AT TIME ZONE 'UTC'
            AND usage_events.occurred_at < coalesce(resources.deleted_at, 'infinity')
    ), folded AS (
        SELECT account_id, resource_id, meter, day,
            sum(quantity * metered_seconds(account_id, resource_id, occurred_at, next_at)) AS total,
            max(quantity) AS highest,
            (array_agg(quantity ORDER BY occurred_at DESC, quantity DESC))[1] AS latest,
            max(occurred_at) AS latest_at, min(occurred_at) AS first_at, count(*) AS events
        FROM readings
        GROUP BY account_id, resource_id, meter, day
    ), emptied AS (
        DELETE FROM day_rows USING wanted
        WHERE day_rows.account_id = wanted.account_id AND day_rows.day = wanted.day
            AND day_rows.resource_id = wanted.resource_id AND day_rows.meter = wanted.meter
            AND NOT EXISTS (
                SELECT FROM folded
                WHERE folded.account_id = wanted.account_id AND folded.day = wanted.day
                    AND folded.resource_id = wanted.resource_id AND folded.meter = wanted.meter
            )
    )
    UPDATE day_rows SET total = folded.total, highest = folded.highest, latest = folded.latest,
        latest_at = folded.latest_at, first_at = folded.first_at, events = folded.events
    FROM folded
    WHERE day_rows.account_id = folded.account_id AND day_rows.day = folded.day
        AND day_rows.resource_id = folded.resource_id AND day_rows.meter = folded.meter
$$;

CREATE FUNCTION public.resource_states_v(p_account_id uuid, p_at timestamp with time zone) RETURNS TABLE(account_id uuid, resource_id text, project_id uuid, type text, service text, name text, region text, created_at timestamp with time zone, deleted_at timestamp with time zone, status text, plan text, units numeric)
    LANGUAGE sql STABLE
    AS $$
    SELECT resources.account_id, resources.resource_id, project_id, type, service, name, region, created_at, deleted_at,
        CASE WHEN resources.deleted_at <= p_at THEN 'deleted' ELSE (shown.point).status END, (shown.point).plan, (shown.point).units
    FROM resources
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT points FROM state_points AS points
             WHERE points.account_id = resources.account_id AND points.resource_id = resources.resource_id AND effective_at <= p_at
             ORDER BY effective_at DESC LIMIT 1),
            (SELECT points FROM state_points AS points
             WHERE points.account_id = resources.account_id AND points.resource_id = resources.resource_id
             ORDER BY effective_at LIMIT 1)
        ) AS point
        OFFSET 0
    ) AS shown
    WHERE resources.account_id = p_account_id
$$;

CREATE FUNCTION public.set_aside_usage(p_account_id uuid, p_resource_id text, p_since timestamp with time zone, p_most bigint, OUT is_more boolean, OUT months date[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_days date[];
    v_meters text[];
    v_held record;
BEGIN
    SELECT array_agg(day) FILTER (WHERE is_taken), array_agg(meter) FILTER (WHERE is_taken), coalesce(bool_or(NOT is_taken), false)
    INTO v_days, v_meters, is_more
    FROM (
        SELECT day, meter, running <= p_most OR p_since IS NULL AND running = events AS is_taken
        FROM (
            SELECT day, meter, events, sum(events) OVER (ORDER BY day, meter) AS running
            FROM (
                SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, usage_events.meter, count(*) AS events
                FROM resource_gaps_v AS gaps
                CROSS JOIN meters_v
                JOIN usage_events ON usage_events.account_id = gaps.account_id AND usage_events.resource_id = gaps.resource_id
                    AND usage_events.meter = meters_v.meter AND voided_at IS NULL
                    AND occurred_at >= greatest(gaps.start_at, p_since) AND occurred_at < gaps.end_at
                WHERE gaps.account_id = p_account_id AND gaps.resource_id = p_resource_id
                GROUP BY day, usage_events.meter
            ) AS outside
        ) AS summed
    ) AS judged;
    SELECT coalesce(array_agg(DISTINCT date_trunc('month', day)::date), '{}') INTO months FROM unnest(v_days) AS day;
    IF v_days IS NULL THEN
        RETURN;
    END IF;

    -- The rows are held first, in the order in which all hold them; what arrives meanwhile is then seen or waits.
    SELECT array_agg(p_account_id) AS account_ids, array_agg(p_resource_id) AS resource_ids, array_agg(meter) AS meters,
        array_agg(day) AS days
    INTO v_held
    FROM (
        SELECT day, meter FROM day_rows
        WHERE account_id = p_account_id AND resource_id = p_resource_id
            AND (day, meter) IN (SELECT * FROM unnest(v_days, v_meters))
        ORDER BY account_id, day, resource_id, meter
        FOR UPDATE
    ) AS held;
    WITH moved AS (
        DELETE FROM usage_events USING resource_gaps_v AS gaps, unnest(v_days, v_meters) AS wanted (day, meter)
        WHERE gaps.account_id = p_account_id AND gaps.resource_id = p_resource_id
            AND usage_events.account_id = p_account_id AND usage_events.resource_id = p_resource_id
            AND usage_events.meter = wanted.meter AND voided_at IS NULL
            AND occurred_at >= greatest(gaps.start_at, p_since, wanted.day::timestamp AT TIME ZONE 'UTC')
            AND occurred_at < least(gaps.end_at, (wanted.day + 1)::timestamp AT TIME ZONE 'UTC')
        RETURNING usage_events.*
    )
    INSERT INTO quarantined_events (account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at)
    SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, 'outside_resource_life', recorded_at FROM moved
    ORDER BY account_id, source, event_id
    ON CONFLICT (account_id, source, event_id) DO UPDATE SET reason = excluded.reason, resolved_at = NULL;
    PERFORM recount_days(v_held.account_ids, v_held.resource_ids, v_held.meters, v_held.days);
    PERFORM refold_gauges(v_held.account_ids, v_held.resource_ids, v_held.meters, v_held.days);
END
$$;

CREATE FUNCTION public.touch_accounts(p_account_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO account_touches (account_id, transaction_id)
    SELECT account_id, pg_current_xact_id() FROM watched_accounts WHERE account_id = ANY (p_account_ids)
    ON CONFLICT (account_id, transaction_id) DO NOTHING;
END
$$;

CREATE FUNCTION public.touch_periods(p_account_ids uuid[], p_periods date[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_running date := date_trunc('month', p_now AT TIME ZONE 'UTC');
BEGIN
    IF v_running > ANY (p_periods) THEN
        INSERT INTO period_versions (account_id, period, version, dirty_at)
        SELECT DISTINCT account_id, period, 1, p_now
        FROM unnest(p_account_ids, p_periods) AS touched (account_id, period)
        WHERE period < v_running
        ORDER BY account_id, period
        ON CONFLICT (account_id, period) DO UPDATE SET version = period_versions.version + 1,
            dirty_at = CASE WHEN period_versions.version > coalesce(period_versions.rated_version, 0)
                THEN coalesce(period_versions.dirty_at, p_now) ELSE p_now END;
    END IF;
    PERFORM touch_accounts(p_account_ids);
END
$$;

CREATE FUNCTION public.transfer_text(number bigint, currency text, source text, destination text, amount_minor bigint, template text, reference text, ordinal integer, effective_at timestamp with time zone, recorded_at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (jsonb_build_array(number, currency, source, destination, amount_minor, template, reference, ordinal, ((EXTRACT(epoch FROM effective_at) * (1000000)::numeric))::bigint, ((EXTRACT(epoch FROM recorded_at) * (1000000)::numeric))::bigint))::text;

CREATE FUNCTION public.void_usage(p_account_id uuid, p_source text, p_event_id text, p_now timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_event usage_events;
    v_day date;
    v_is_gauge boolean;
    v_voided_at timestamptz;
BEGIN
    SELECT * INTO v_event FROM usage_events
    WHERE account_id = p_account_id AND source = p_source AND event_id = p_event_id;
    IF FOUND THEN
        -- The day row is held first, so that what arrives meanwhile is either seen below or waits.
        v_day := (v_event.occurred_at AT TIME ZONE 'UTC')::date;
        SELECT is_gauge INTO v_is_gauge FROM day_rows
        WHERE account_id = p_account_id AND day = v_day AND resource_id = v_event.resource_id AND meter = v_event.meter
        FOR UPDATE;
        SELECT * INTO v_event FROM usage_events
        WHERE account_id = p_account_id AND source = p_source AND event_id = p_event_id
        FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        SELECT voided_at INTO v_voided_at FROM quarantined_events
        WHERE account_id = p_account_id AND source = p_source AND event_id = p_event_id
        FOR UPDATE;
        IF NOT FOUND THEN
            RETURN 'unknown';
        ELSIF v_voided_at IS NOT NULL THEN
            RETURN 'again';
        END IF;
        UPDATE quarantined_events SET voided_at = p_now, resolved_at = p_now
        WHERE account_id = p_account_id AND source = p_source AND event_id = p_event_id;
        RETURN 'voided';
    ELSIF v_event.voided_at IS NOT NULL THEN
        RETURN 'again';
    END IF;
    UPDATE usage_events SET voided_at = p_now
    WHERE account_id = p_account_id AND source = p_source AND event_id = p_event_id;
    IF v_is_gauge THEN
        PERFORM refold_gauges(ARRAY[p_account_id], ARRAY[v_event.resource_id], ARRAY[v_event.meter], ARRAY[v_day]);
    ELSE
        PERFORM recount_days(ARRAY[p_account_id], ARRAY[v_event.resource_id], ARRAY[v_event.meter], ARRAY[v_day]);
    END IF;
    PERFORM touch_periods(array_agg(p_account_id), array_agg(period), p_now)
    FROM (
        SELECT date_trunc('month', v_day)::date AS period
        UNION
        SELECT period FROM months_of_levels(
            ARRAY[p_account_id], ARRAY[v_event.resource_id], ARRAY[v_event.meter], ARRAY[v_day], p_now)
    ) AS touched;
    RETURN 'voided';
END
$$;

CREATE FUNCTION public.write_audit_record(p_actor_kind text, p_actor_id uuid, p_actor_name text, p_action text, p_objects jsonb, p_account_id uuid, p_occurred_at timestamp with time zone, p_ip text, p_request_id text, p_status integer, p_body_digest bytea, p_details jsonb) RETURNS bigint
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

CREATE FUNCTION queue.fn_pgqueuer_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    to_emit BOOLEAN := false;  -- Flag to decide whether to emit a notification
BEGIN
    -- Check operation type and set the emit flag accordingly
    IF TG_OP = 'UPDATE' AND OLD IS DISTINCT FROM NEW THEN
        to_emit := true;
    ELSIF TG_OP = 'DELETE' THEN
        to_emit := true;
    ELSIF TG_OP = 'INSERT' THEN
        to_emit := true;
    ELSIF TG_OP = 'TRUNCATE' THEN
        to_emit := true;
    END IF;

    -- Perform notification if the emit flag is set
    IF to_emit THEN
        PERFORM pg_notify(
            'ch_pgqueuer',
            json_build_object(
                'channel', 'ch_pgqueuer',
                'operation', lower(TG_OP),
                'sent_at', NOW(),
                'table', TG_TABLE_NAME,
                'type', 'table_changed_event'
            )::text
        );
    END IF;

    -- Return appropriate value based on the operation
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSE
        RETURN NULL; -- For TRUNCATE and other non-row-specific contexts
    END IF;

END;
$$;

CREATE TABLE public.account_touches (
    account_id uuid NOT NULL,
    transaction_id xid8 NOT NULL
);

CREATE TABLE public.accounts (
    account_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    company text,
    status text NOT NULL,
    verified boolean NOT NULL,
    currency text NOT NULL,
    timezone text NOT NULL,
    country text,
    phone text,
    address text,
    tax_id text,
    tax_exempt boolean NOT NULL,
    terms_days integer NOT NULL,
    billing_paused boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_accounts_status CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'closed'::text]))),
    CONSTRAINT ck_accounts_terms_days CHECK (((terms_days >= 0) AND (terms_days <= 365)))
);

CREATE VIEW public.accounts_v AS
 SELECT account_id,
    email,
    name,
    company,
    status,
    verified,
    currency,
    timezone,
    country,
    phone,
    address,
    tax_id,
    tax_exempt,
    terms_days,
    created_at
   FROM public.accounts;

CREATE TABLE public.alert_firings (
    account_id uuid NOT NULL,
    firing_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    percent integer NOT NULL,
    revision bigint NOT NULL,
    occasion integer NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    is_quantity boolean NOT NULL,
    value numeric NOT NULL,
    threshold numeric NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_alert_firings_kind CHECK ((kind = ANY (ARRAY['fired'::text, 'recovered'::text]))),
    CONSTRAINT ck_alert_firings_percent CHECK (((percent >= 0) AND (percent <= 100)))
);

CREATE TABLE public.alerts (
    account_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    type text NOT NULL,
    condition text NOT NULL,
    threshold numeric NOT NULL,
    currency text NOT NULL,
    project_id uuid,
    metric text,
    methods text[] NOT NULL,
    revision bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_alerts_condition CHECK ((condition = ANY (ARRAY['greater_than'::text, 'less_than'::text]))),
    CONSTRAINT ck_alerts_methods CHECK (((cardinality(methods) > 0) AND (methods <@ ARRAY['email'::text, 'sms'::text, 'webhook'::text]))),
    CONSTRAINT ck_alerts_metric CHECK (((metric IS NULL) OR (type = 'usage'::text))),
    CONSTRAINT ck_alerts_minor CHECK (((metric IS NOT NULL) OR (threshold = trunc(threshold)))),
    CONSTRAINT ck_alerts_project CHECK (((project_id IS NULL) OR (type = 'budget'::text))),
    CONSTRAINT ck_alerts_revision CHECK ((revision > 0)),
    CONSTRAINT ck_alerts_threshold CHECK ((threshold > (0)::numeric)),
    CONSTRAINT ck_alerts_type CHECK ((type = ANY (ARRAY['budget'::text, 'usage'::text, 'balance'::text])))
);

CREATE TABLE public.api_keys (
    digest bytea NOT NULL,
    key_id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    permissions text[] NOT NULL,
    ip_whitelist cidr[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT ck_api_keys_digest CHECK ((length(digest) = 32))
);

CREATE TABLE public.audit_head (
    is_only boolean DEFAULT true NOT NULL,
    last_number bigint NOT NULL,
    chain_hash bytea NOT NULL,
    CONSTRAINT ck_audit_head_only CHECK (is_only)
)
WITH (fillfactor='50');

CREATE TABLE public.balances (
    account_id uuid NOT NULL,
    currency text NOT NULL,
    ledger_account text NOT NULL,
    balance_minor bigint NOT NULL,
    is_spent boolean GENERATED ALWAYS AS ((starts_with(ledger_account, 'promo:'::text) AND (balance_minor = 0))) STORED NOT NULL,
    CONSTRAINT ck_balances_guarded CHECK (((balance_minor >= 0) OR (NOT (starts_with(ledger_account, 'wallet:'::text) OR starts_with(ledger_account, 'promo:'::text)))))
)
WITH (fillfactor='50');

CREATE VIEW public.balances_v AS
 SELECT account_id,
    currency,
    ledger_account,
    balance_minor,
    is_spent
   FROM public.balances;

CREATE TABLE public.bands (
    price_id uuid NOT NULL,
    ordinal integer NOT NULL,
    low numeric NOT NULL,
    high numeric,
    base numeric NOT NULL,
    unit numeric NOT NULL,
    CONSTRAINT ck_bands_bounds CHECK ((high > low))
);

CREATE VIEW public.bands_v AS
 SELECT price_id,
    ordinal,
    low,
    high,
    base,
    unit
   FROM public.bands;

CREATE TABLE public.run_accounts (
    run_id uuid NOT NULL,
    account_id uuid NOT NULL,
    state text NOT NULL,
    reason text,
    invoice_id uuid,
    currency text,
    total_minor bigint,
    is_accepted boolean DEFAULT false NOT NULL,
    CONSTRAINT ck_run_accounts_state CHECK ((state = ANY (ARRAY['queued'::text, 'rated'::text, 'done'::text, 'parked'::text])))
)
WITH (fillfactor='50');

CREATE VIEW public.billed_accounts_v AS
 SELECT run_id,
    account_id
   FROM public.run_accounts
  WHERE (state = 'done'::text);

CREATE TABLE public.billed_items (
    kind text NOT NULL,
    item text NOT NULL,
    currency text NOT NULL,
    last_period date NOT NULL
);

CREATE TABLE public.invoice_lines (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    charge_kind text NOT NULL,
    price_id uuid NOT NULL,
    item_kind text NOT NULL,
    item text NOT NULL,
    charge_resource_id text NOT NULL,
    units numeric NOT NULL,
    service_period date NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    project_id uuid NOT NULL,
    project_name text NOT NULL,
    resource_name text,
    region text NOT NULL,
    description text NOT NULL,
    quantity numeric NOT NULL,
    unit text NOT NULL,
    unit_price numeric,
    amount_minor bigint NOT NULL,
    unrounded numeric NOT NULL,
    CONSTRAINT ck_invoice_lines_charge_kind CHECK ((charge_kind = ANY (ARRAY['usage'::text, 'minimum'::text]))),
    CONSTRAINT ck_invoice_lines_kind CHECK ((kind = ANY (ARRAY['usage'::text, 'minimum'::text, 'correction'::text])))
);

CREATE TABLE public.invoice_states (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    status text NOT NULL,
    paid_minor bigint NOT NULL,
    credited_minor bigint DEFAULT 0 NOT NULL,
    paid_at timestamp with time zone,
    ended_at timestamp with time zone,
    overdue_at timestamp with time zone,
    CONSTRAINT ck_invoice_states_credited CHECK ((credited_minor >= 0)),
    CONSTRAINT ck_invoice_states_paid CHECK ((paid_minor >= 0)),
    CONSTRAINT ck_invoice_states_status CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'paid'::text, 'uncollectible'::text, 'void'::text])))
);

CREATE VIEW public.billed_lines_v AS
 SELECT lines.account_id,
    lines.service_period,
    lines.charge_kind,
    lines.item_kind,
    lines.item,
    lines.price_id,
    lines.charge_resource_id,
    lines.units,
    lines.service,
    lines.type,
    lines.project_id,
    lines.region,
    lines.amount_minor
   FROM (public.invoice_lines lines
     JOIN public.invoice_states states ON (((states.account_id = lines.account_id) AND (states.invoice_id = lines.invoice_id))))
  WHERE (states.status <> 'void'::text);

CREATE TABLE public.chargebacks (
    account_id uuid NOT NULL,
    chargeback_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    cash_minor bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_chargebacks_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_chargebacks_cash CHECK (((cash_minor >= 0) AND (cash_minor <= amount_minor)))
);

CREATE TABLE public.payments (
    account_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    kind text NOT NULL,
    payment_method_id uuid,
    gateway text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL,
    failure_reason text,
    description text NOT NULL,
    reference text,
    invoice_id uuid,
    created_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone,
    completed_at timestamp with time zone,
    next_check_at timestamp with time zone,
    checks integer DEFAULT 0 NOT NULL,
    CONSTRAINT ck_payments_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_payments_completed CHECK (((status = 'completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT ck_payments_failed CHECK (((status = 'failed'::text) = (failure_reason IS NOT NULL))),
    CONSTRAINT ck_payments_invoice CHECK (((kind = 'invoice'::text) = (invoice_id IS NOT NULL))),
    CONSTRAINT ck_payments_kind CHECK ((kind = ANY (ARRAY['topup'::text, 'invoice'::text, 'recorded'::text]))),
    CONSTRAINT ck_payments_recorded CHECK (((kind = 'recorded'::text) = ((reference IS NOT NULL) AND (received_at IS NOT NULL)))),
    CONSTRAINT ck_payments_status CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text])))
);

CREATE VIEW public.chargeback_transactions_v AS
 SELECT chargebacks.account_id,
    (chargebacks.chargeback_id)::text AS sort_id,
    'chargeback'::text AS type,
    chargebacks.amount_minor,
    chargebacks.currency,
    (('Chargeback of '::text || lower("left"(payments.description, 1))) || substr(payments.description, 2)) AS description,
    'completed'::text AS status,
    chargebacks.created_at,
    NULL::text AS service,
    NULL::text AS resource_id,
    chargebacks.chargeback_id AS payment_id,
    payments.payment_method_id,
    payments.invoice_id,
    NULL::text AS failure_reason,
    chargebacks.payment_id AS of_payment_id
   FROM (public.chargebacks
     CROSS JOIN LATERAL ( SELECT payments_1.description,
            payments_1.payment_method_id,
            payments_1.invoice_id
           FROM public.payments payments_1
          WHERE ((payments_1.account_id = chargebacks.account_id) AND (payments_1.payment_id = chargebacks.payment_id))
         OFFSET 0) payments);

CREATE TABLE public.check_marks (
    check_group text NOT NULL,
    since timestamp with time zone NOT NULL,
    part integer NOT NULL
);

CREATE TABLE public.close_corrections (
    account_id uuid NOT NULL,
    period date NOT NULL,
    corrected_period date NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE public.closes (
    account_id uuid NOT NULL,
    period date NOT NULL,
    invoice_id uuid,
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    version bigint NOT NULL,
    rated_at timestamp with time zone NOT NULL,
    finalized_at timestamp with time zone
)
WITH (fillfactor='50');

CREATE VIEW public.closes_v AS
 SELECT account_id,
    period,
    rated_at
   FROM public.closes;

CREATE TABLE public.code_digest (
    is_only boolean DEFAULT true NOT NULL,
    digest text NOT NULL,
    CONSTRAINT ck_code_digest_only CHECK (is_only)
);

CREATE TABLE public.runs (
    run_id uuid NOT NULL,
    kind text NOT NULL,
    period date NOT NULL,
    dry_run boolean NOT NULL,
    only_accounts uuid[],
    status text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    errors jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT ck_runs_kind CHECK ((kind = 'close'::text)),
    CONSTRAINT ck_runs_status CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'completed'::text, 'failed'::text])))
);

CREATE VIEW public.completed_runs_v AS
 SELECT run_id,
    period,
    finished_at
   FROM public.runs
  WHERE ((status = 'completed'::text) AND (NOT dry_run));

CREATE TABLE public.credit_note_lines (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    ordinal integer NOT NULL,
    invoice_ordinal integer,
    amount_minor bigint NOT NULL,
    CONSTRAINT ck_credit_note_lines_amount CHECK ((amount_minor > 0))
);

CREATE TABLE public.credit_note_taxes (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    ordinal integer NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT ck_credit_note_taxes_amount CHECK ((amount_minor >= 0))
);

CREATE TABLE public.credit_notes (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    kind text NOT NULL,
    number text NOT NULL,
    currency text NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    restored_minor bigint NOT NULL,
    returned_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    reason text NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    parties jsonb NOT NULL,
    CONSTRAINT ck_credit_notes_given_back CHECK ((((restored_minor + returned_minor) + refunded_minor) <= total_minor)),
    CONSTRAINT ck_credit_notes_kind CHECK ((kind = ANY (ARRAY['credit'::text, 'refund'::text]))),
    CONSTRAINT ck_credit_notes_net CHECK ((net_minor >= 0)),
    CONSTRAINT ck_credit_notes_refunded CHECK ((refunded_minor >= 0)),
    CONSTRAINT ck_credit_notes_restored CHECK ((restored_minor >= 0)),
    CONSTRAINT ck_credit_notes_returned CHECK ((returned_minor >= 0)),
    CONSTRAINT ck_credit_notes_tax CHECK ((tax_minor >= 0)),
    CONSTRAINT ck_credit_notes_total CHECK (((total_minor = (net_minor + tax_minor)) AND (total_minor > 0))),
    CONSTRAINT ck_credit_notes_way CHECK ((
CASE kind
    WHEN 'credit'::text THEN refunded_minor
    ELSE returned_minor
END = 0))
);

CREATE TABLE public.invoices (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    kind text NOT NULL,
    number text NOT NULL,
    period date NOT NULL,
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    paid_at_issue_minor bigint NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    parties jsonb NOT NULL,
    CONSTRAINT ck_invoices_kind CHECK ((kind = ANY (ARRAY['invoice'::text, 'credit_note'::text]))),
    CONSTRAINT ck_invoices_sign CHECK (((kind = 'credit_note'::text) = (total_minor < 0))),
    CONSTRAINT ck_invoices_total CHECK ((total_minor = (subtotal_minor + tax_minor)))
);

CREATE VIEW public.credit_note_transactions_v AS
 SELECT notes.account_id,
    notes.credit_note_id AS invoice_id,
    7 AS part_kind,
    0 AS ordinal,
    'adjustment'::text AS type,
    notes.total_minor AS amount_minor,
    notes.currency,
    ((('Credit note '::text || notes.number) || ' for invoice '::text) || invoices.number) AS description,
    notes.issued_at AS created_at,
    NULL::text AS service,
    NULL::text AS resource_id
   FROM (public.credit_notes notes
     CROSS JOIN LATERAL ( SELECT invoices_1.number
           FROM public.invoices invoices_1
          WHERE ((invoices_1.account_id = notes.account_id) AND (invoices_1.invoice_id = notes.invoice_id))
         OFFSET 0) invoices);

CREATE TABLE public.promotional_credits (
    account_id uuid NOT NULL,
    credit_id uuid NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    reason text NOT NULL,
    priority integer NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT ck_promotional_credits_amount CHECK ((amount_minor > 0))
);

CREATE VIEW public.credit_transactions_v AS
 SELECT account_id,
    credit_id AS source_id,
    4 AS part_kind,
    'credit'::text AS type,
    amount_minor,
    currency,
    ('Promotional credit, '::text || reason) AS description,
    granted_at AS created_at
   FROM public.promotional_credits;

CREATE VIEW public.credited_invoices_v AS
 SELECT account_id,
    credit_note_id,
    invoice_id
   FROM public.credit_notes;

CREATE TABLE public.currencies (
    currency text NOT NULL,
    decimals integer NOT NULL,
    CONSTRAINT ck_currencies_decimals CHECK (((decimals >= 0) AND (decimals <= 4)))
);

CREATE VIEW public.currencies_v AS
 SELECT currency,
    decimals,
    (('1e'::text || decimals))::numeric AS minor_per_major
   FROM public.currencies;

CREATE TABLE public.day_rows (
    account_id uuid NOT NULL,
    day date NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    total numeric NOT NULL,
    highest numeric NOT NULL,
    latest numeric NOT NULL,
    latest_at timestamp with time zone NOT NULL,
    first_at timestamp with time zone NOT NULL,
    is_gauge boolean NOT NULL,
    events bigint NOT NULL
)
WITH (fillfactor='80');

CREATE VIEW public.day_rows_v AS
 SELECT account_id,
    day,
    resource_id,
    meter,
    total,
    highest,
    latest,
    latest_at,
    first_at,
    is_gauge,
    events
   FROM public.day_rows;

CREATE TABLE public.deliveries (
    account_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    method text NOT NULL,
    recipient_number integer NOT NULL,
    recipient text,
    status text NOT NULL,
    reason text,
    attempts integer NOT NULL,
    tries integer NOT NULL,
    next_at timestamp with time zone,
    handed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_deliveries_finished CHECK (((status = ANY (ARRAY['pending'::text, 'sending'::text])) = (finished_at IS NULL))),
    CONSTRAINT ck_deliveries_method CHECK ((method = ANY (ARRAY['email'::text, 'sms'::text, 'webhook'::text]))),
    CONSTRAINT ck_deliveries_next CHECK ((((status = ANY (ARRAY['pending'::text, 'sending'::text])) AND (method <> 'webhook'::text)) = (next_at IS NOT NULL))),
    CONSTRAINT ck_deliveries_reached CHECK (((recipient IS NOT NULL) OR (method = 'webhook'::text) OR (status = 'suppressed'::text))),
    CONSTRAINT ck_deliveries_reason CHECK (((status <> ALL (ARRAY['failed'::text, 'unknown'::text, 'suppressed'::text])) OR (reason IS NOT NULL))),
    CONSTRAINT ck_deliveries_recipient CHECK (((recipient_number >= 0) AND (recipient_number <= 3))),
    CONSTRAINT ck_deliveries_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text, 'failed'::text, 'unknown'::text, 'suppressed'::text])))
)
WITH (fillfactor='80');

CREATE VIEW public.deliveries_v AS
 SELECT account_id,
    notification_id,
    method,
        CASE
            WHEN (status = 'sent'::text) THEN 'sent'::text
            WHEN (status = ANY (ARRAY['pending'::text, 'sending'::text])) THEN 'pending'::text
            ELSE 'failed'::text
        END AS status,
    created_at
   FROM public.deliveries
  WHERE (recipient_number = 0);

CREATE TABLE public.delivery_attempts (
    account_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    gateway text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    outcome text,
    gateway_id text,
    reason text,
    CONSTRAINT ck_delivery_attempts_ended CHECK (((ended_at IS NULL) = (outcome IS NULL))),
    CONSTRAINT ck_delivery_attempts_number CHECK ((number > 0)),
    CONSTRAINT ck_delivery_attempts_outcome CHECK ((outcome = ANY (ARRAY['sent'::text, 'refused'::text, 'failed'::text, 'unknown'::text])))
);

CREATE TABLE public.notifications (
    account_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    template text NOT NULL,
    subject text GENERATED ALWAYS AS (
CASE
    WHEN (template = ANY (ARRAY['payment.succeeded'::text, 'payment.failed'::text])) THEN 'payment'::text
    WHEN (template = ANY (ARRAY['refund.succeeded'::text, 'refund.failed'::text])) THEN 'refund'::text
    ELSE template
END) STORED NOT NULL,
    object_id text NOT NULL,
    attempt integer NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_notifications_attempt CHECK ((attempt > 0))
);

CREATE VIEW public.delivery_log_v AS
 SELECT d.account_id,
    d.delivery_id,
    d.notification_id,
    n.template,
    n.object_id,
    d.method,
    d.recipient_number,
    d.recipient,
    d.status,
    d.reason,
    d.attempts,
    d.next_at,
    d.created_at,
    d.finished_at,
    ARRAY( SELECT jsonb_build_array(a.number, a.gateway, a.started_at, a.ended_at, a.outcome, a.gateway_id, a.reason) AS jsonb_build_array
           FROM public.delivery_attempts a
          WHERE ((a.account_id = d.account_id) AND (a.delivery_id = d.delivery_id))
          ORDER BY a.number DESC
         LIMIT 20) AS newest
   FROM (public.deliveries d
     JOIN public.notifications n ON (((n.account_id = d.account_id) AND (n.notification_id = d.notification_id))));

CREATE TABLE public.document_pdfs (
    account_id uuid NOT NULL,
    document_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    made_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.document_pdfs ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE public.transfers (
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    destination text NOT NULL,
    amount_minor bigint NOT NULL,
    template text NOT NULL,
    reference text NOT NULL,
    ordinal integer NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    chain_hash bytea,
    CONSTRAINT ck_transfers_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_transfers_between CHECK ((source <> destination)),
    CONSTRAINT ck_transfers_number CHECK ((number > 0))
);

CREATE VIEW public.expired_credits_v AS
 SELECT account_id,
    reference AS credit_reference
   FROM public.transfers
  WHERE (template = 'credit.expired'::text);

CREATE VIEW public.finalized_items_v AS
 SELECT invoices.account_id,
    invoices.period,
    invoices.currency,
    lines.item_kind,
    lines.item
   FROM (public.invoices
     JOIN public.invoice_lines lines ON (((lines.account_id = invoices.account_id) AND (lines.invoice_id = invoices.invoice_id))));

CREATE TABLE public.gateway_notices (
    gateway text NOT NULL,
    notice_id text NOT NULL,
    type text NOT NULL,
    account_id uuid,
    object_id uuid,
    body_digest bytea NOT NULL,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_gateway_notices_body_digest CHECK ((length(body_digest) = 32))
);

CREATE TABLE public.gauges (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    ended_at timestamp with time zone
);

CREATE VIEW public.gauges_by_end_v AS
 SELECT account_id,
    resource_id,
    meter,
    COALESCE(ended_at, 'infinity'::timestamp with time zone) AS ended_at
   FROM public.gauges
  WHERE (COALESCE(ended_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone);

CREATE VIEW public.gauges_v AS
 SELECT account_id,
    resource_id,
    meter
   FROM public.gauges;

CREATE TABLE public.heads (
    account_id uuid NOT NULL,
    last_number bigint NOT NULL,
    chain_hash bytea NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.holds (
    account_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    reference text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    captured_minor bigint,
    status text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT ck_holds_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_holds_captured CHECK (((captured_minor >= 1) AND (captured_minor <= amount_minor))),
    CONSTRAINT ck_holds_captured_status CHECK (((status = 'captured'::text) = (captured_minor IS NOT NULL))),
    CONSTRAINT ck_holds_ended CHECK (((status = 'open'::text) = (ended_at IS NULL))),
    CONSTRAINT ck_holds_status CHECK ((status = ANY (ARRAY['open'::text, 'captured'::text, 'released'::text])))
);

CREATE VIEW public.hold_transactions_v AS
 SELECT account_id,
    hold_id AS source_id,
    3 AS part_kind,
    'charge'::text AS type,
    captured_minor AS amount_minor,
    currency,
    ('Captured hold, '::text || reference) AS description,
    ended_at AS created_at
   FROM public.holds
  WHERE (status = 'captured'::text);

CREATE TABLE public.idempotency_keys (
    account_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    intent jsonb,
    status integer,
    body bytea,
    headers jsonb,
    created_at timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

CREATE VIEW public.invoice_line_transactions_v AS
 SELECT invoices.account_id,
    invoices.invoice_id,
    1 AS part_kind,
    lines.ordinal,
        CASE
            WHEN (lines.amount_minor < 0) THEN 'adjustment'::text
            ELSE 'charge'::text
        END AS type,
    abs(lines.amount_minor) AS amount_minor,
    invoices.currency,
    (lines.description || to_char((lines.service_period)::timestamp with time zone, '" - "FMMonth YYYY'::text)) AS description,
    invoices.issued_at AS created_at,
    lines.service,
    NULLIF(lines.charge_resource_id, ''::text) AS resource_id
   FROM (public.invoices
     JOIN public.invoice_lines lines ON (((lines.account_id = invoices.account_id) AND (lines.invoice_id = invoices.invoice_id))))
  WHERE ((lines.amount_minor <> 0) AND (invoices.total_minor >= 0));

CREATE TABLE public.invoice_numbers (
    series text NOT NULL,
    number bigint NOT NULL,
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    issued_at timestamp with time zone NOT NULL
);

CREATE TABLE public.invoice_payments (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    source text NOT NULL,
    source_id uuid,
    amount_minor bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_invoice_payments_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_invoice_payments_source CHECK ((source = ANY (ARRAY['credit'::text, 'wallet'::text, 'method'::text])))
);

CREATE TABLE public.invoice_taxes (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL,
    base_minor bigint NOT NULL,
    amount_minor bigint NOT NULL
);

CREATE VIEW public.invoice_tax_transactions_v AS
 SELECT invoices.account_id,
    invoices.invoice_id,
    2 AS part_kind,
    taxes.ordinal,
        CASE
            WHEN (taxes.amount_minor < 0) THEN 'adjustment'::text
            ELSE 'charge'::text
        END AS type,
    abs(taxes.amount_minor) AS amount_minor,
    invoices.currency,
    ((((taxes.name || ' '::text) || trim_scale(taxes.percent)) || '%'::text) || to_char((invoices.period)::timestamp with time zone, '" - "FMMonth YYYY'::text)) AS description,
    invoices.issued_at AS created_at,
    NULL::text AS service,
    NULL::text AS resource_id
   FROM (public.invoices
     JOIN public.invoice_taxes taxes ON (((taxes.account_id = invoices.account_id) AND (taxes.invoice_id = invoices.invoice_id))))
  WHERE ((taxes.amount_minor <> 0) AND (invoices.total_minor >= 0));

CREATE VIEW public.negative_invoice_transactions_v AS
 SELECT account_id,
    invoice_id,
    5 AS part_kind,
    0 AS ordinal,
    'adjustment'::text AS type,
    (- total_minor) AS amount_minor,
    currency,
    (('Credit note '::text || number) || to_char((period)::timestamp with time zone, '" - "FMMonth YYYY'::text)) AS description,
    issued_at AS created_at,
    NULL::text AS service,
    NULL::text AS resource_id
   FROM public.invoices
  WHERE (total_minor < 0);

CREATE VIEW public.voiding_transactions_v AS
 SELECT states.account_id,
    states.invoice_id,
    6 AS part_kind,
    0 AS ordinal,
    'adjustment'::text AS type,
    invoices.total_minor AS amount_minor,
    invoices.currency,
    (('Invoice '::text || invoices.number) || ' voided'::text) AS description,
    states.ended_at AS created_at,
    NULL::text AS service,
    NULL::text AS resource_id
   FROM (public.invoice_states states
     CROSS JOIN LATERAL ( SELECT invoices_1.total_minor,
            invoices_1.currency,
            invoices_1.number
           FROM public.invoices invoices_1
          WHERE ((invoices_1.account_id = states.account_id) AND (invoices_1.invoice_id = states.invoice_id))
         OFFSET 0) invoices)
  WHERE ((states.status = 'void'::text) AND (invoices.total_minor > 0));

CREATE VIEW public.invoice_transactions_v AS
 SELECT invoice_line_transactions_v.account_id,
    invoice_line_transactions_v.invoice_id,
    invoice_line_transactions_v.part_kind,
    invoice_line_transactions_v.ordinal,
    invoice_line_transactions_v.type,
    invoice_line_transactions_v.amount_minor,
    invoice_line_transactions_v.currency,
    invoice_line_transactions_v.description,
    invoice_line_transactions_v.created_at,
    invoice_line_transactions_v.service,
    invoice_line_transactions_v.resource_id
   FROM public.invoice_line_transactions_v
UNION ALL
 SELECT invoice_tax_transactions_v.account_id,
    invoice_tax_transactions_v.invoice_id,
    invoice_tax_transactions_v.part_kind,
    invoice_tax_transactions_v.ordinal,
    invoice_tax_transactions_v.type,
    invoice_tax_transactions_v.amount_minor,
    invoice_tax_transactions_v.currency,
    invoice_tax_transactions_v.description,
    invoice_tax_transactions_v.created_at,
    invoice_tax_transactions_v.service,
    invoice_tax_transactions_v.resource_id
   FROM public.invoice_tax_transactions_v
UNION ALL
 SELECT negative_invoice_transactions_v.account_id,
    negative_invoice_transactions_v.invoice_id,
    negative_invoice_transactions_v.part_kind,
    negative_invoice_transactions_v.ordinal,
    negative_invoice_transactions_v.type,
    negative_invoice_transactions_v.amount_minor,
    negative_invoice_transactions_v.currency,
    negative_invoice_transactions_v.description,
    negative_invoice_transactions_v.created_at,
    negative_invoice_transactions_v.service,
    negative_invoice_transactions_v.resource_id
   FROM public.negative_invoice_transactions_v
UNION ALL
 SELECT voiding_transactions_v.account_id,
    voiding_transactions_v.invoice_id,
    voiding_transactions_v.part_kind,
    voiding_transactions_v.ordinal,
    voiding_transactions_v.type,
    voiding_transactions_v.amount_minor,
    voiding_transactions_v.currency,
    voiding_transactions_v.description,
    voiding_transactions_v.created_at,
    voiding_transactions_v.service,
    voiding_transactions_v.resource_id
   FROM public.voiding_transactions_v
UNION ALL
 SELECT credit_note_transactions_v.account_id,
    credit_note_transactions_v.invoice_id,
    credit_note_transactions_v.part_kind,
    credit_note_transactions_v.ordinal,
    credit_note_transactions_v.type,
    credit_note_transactions_v.amount_minor,
    credit_note_transactions_v.currency,
    credit_note_transactions_v.description,
    credit_note_transactions_v.created_at,
    credit_note_transactions_v.service,
    credit_note_transactions_v.resource_id
   FROM public.credit_note_transactions_v;

CREATE VIEW public.issued_invoices_v AS
 SELECT account_id,
    invoice_id,
    issued_at
   FROM public.invoices;

CREATE TABLE public.issuer_logos (
    sha256 bytea NOT NULL,
    content bytea NOT NULL
);

CREATE TABLE public.issuers (
    issuer text NOT NULL,
    name text NOT NULL,
    address text NOT NULL,
    tax_id text,
    bank_details text,
    mobile_money text,
    support_email text,
    logo_sha256 bytea,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.jobs (
    job text NOT NULL,
    every_s integer NOT NULL,
    registered_at timestamp with time zone NOT NULL,
    period_at timestamp with time zone,
    worker_id uuid,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    succeeded_at timestamp with time zone,
    duration_ms bigint,
    failures integer DEFAULT 0 NOT NULL,
    reason text,
    CONSTRAINT ck_jobs_every CHECK ((every_s > 0)),
    CONSTRAINT ck_jobs_failures CHECK ((failures >= 0))
)
WITH (fillfactor='50');

CREATE TABLE public.kept_days (
    account_id uuid NOT NULL,
    period date NOT NULL,
    project_id uuid NOT NULL,
    region text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    shares numeric[] NOT NULL,
    resource_ids text[] NOT NULL,
    resource_days bigint[] NOT NULL,
    CONSTRAINT ck_kept_days_resources CHECK ((cardinality(resource_ids) = cardinality(resource_days)))
);

CREATE TABLE public.kept_months (
    account_id uuid NOT NULL,
    period date NOT NULL,
    version bigint NOT NULL,
    types_digest bigint NOT NULL,
    kept_at timestamp with time zone NOT NULL
);

CREATE TABLE public.kept_places (
    account_id uuid NOT NULL,
    period date NOT NULL,
    project_id uuid NOT NULL,
    region text NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    amount_minor bigint NOT NULL,
    resource_ids text[] NOT NULL
);

CREATE TABLE public.kept_runs (
    run_id uuid NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    reached uuid NOT NULL,
    is_done boolean NOT NULL
);

CREATE TABLE public.meters (
    meter text NOT NULL,
    service text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    aggregation text NOT NULL,
    shows_as text,
    CONSTRAINT ck_meters_aggregation CHECK ((aggregation = ANY (ARRAY['sum'::text, 'max'::text, 'last'::text, 'time_weighted'::text]))),
    CONSTRAINT ck_meters_shows_as CHECK ((shows_as = ANY (ARRAY['hours'::text, 'storage_gb'::text, 'bandwidth_gb'::text, 'messages_sent'::text])))
);

CREATE VIEW public.meters_v AS
 SELECT meter,
    service,
    name,
    unit,
    aggregation,
    shows_as
   FROM public.meters;

CREATE TABLE public.notification_settings (
    account_id uuid NOT NULL,
    email_off text[] NOT NULL,
    sms_on text[] NOT NULL,
    email_recipients text[] NOT NULL,
    quiet_start time without time zone,
    quiet_end time without time zone,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_notification_settings_email CHECK ((email_off <@ ARRAY['payments'::text, 'budgets'::text])),
    CONSTRAINT ck_notification_settings_quiet CHECK (((quiet_start IS NULL) = (quiet_end IS NULL))),
    CONSTRAINT ck_notification_settings_recipients CHECK ((cardinality(email_recipients) <= 3)),
    CONSTRAINT ck_notification_settings_sms CHECK ((sms_on <@ ARRAY['invoices'::text, 'payments'::text, 'budgets'::text, 'security'::text, 'account'::text]))
);

CREATE TABLE public.number_series (
    series text NOT NULL,
    last_number bigint NOT NULL
);

CREATE VIEW public.open_holds_v AS
 SELECT account_id,
    hold_id,
    currency,
    amount_minor
   FROM public.holds
  WHERE (status = 'open'::text);

CREATE TABLE public.operator_keys (
    digest bytea NOT NULL,
    key_id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT ck_operator_keys_digest CHECK ((length(digest) = 32))
);

CREATE SEQUENCE public.outbox_versions
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.outbox_events (
    account_id uuid NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    object_id text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    dispatched_at timestamp with time zone,
    version bigint DEFAULT nextval('public.outbox_versions'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relayed_at timestamp with time zone,
    relay_due_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    relay_failures integer DEFAULT 0 NOT NULL
);

CREATE TABLE public.payment_methods (
    account_id uuid NOT NULL,
    payment_method_id uuid NOT NULL,
    type text NOT NULL,
    gateway text NOT NULL,
    gateway_reference text NOT NULL,
    brand text,
    bank_name text,
    last4 text NOT NULL,
    exp_month integer,
    exp_year integer,
    is_default boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    expiry_due_at timestamp with time zone,
    CONSTRAINT ck_payment_methods_default CHECK ((NOT (is_default AND (deleted_at IS NOT NULL)))),
    CONSTRAINT ck_payment_methods_type CHECK ((type = ANY (ARRAY['card'::text, 'bank_account'::text])))
);

CREATE VIEW public.received_transactions_v AS
 SELECT account_id,
    (payment_id)::text AS sort_id,
    'payment'::text AS type,
    amount_minor,
    currency,
    description,
    status,
    created_at,
    NULL::text AS service,
    NULL::text AS resource_id,
    payment_id,
    payment_method_id,
    invoice_id,
    failure_reason,
    payment_id AS of_payment_id
   FROM public.payments;

CREATE TABLE public.refunds (
    account_id uuid NOT NULL,
    refund_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    gateway text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    reason text NOT NULL,
    status text NOT NULL,
    failure_reason text,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    next_check_at timestamp with time zone,
    checks integer DEFAULT 0 NOT NULL,
    credit_note_id uuid,
    CONSTRAINT ck_refunds_amount CHECK ((amount_minor > 0)),
    CONSTRAINT ck_refunds_ended CHECK (((status = 'pending'::text) = (ended_at IS NULL))),
    CONSTRAINT ck_refunds_failed CHECK (((status = 'failed'::text) = (failure_reason IS NOT NULL))),
    CONSTRAINT ck_refunds_status CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text])))
);

CREATE VIEW public.refund_transactions_v AS
 SELECT refunds.account_id,
    (refunds.refund_id)::text AS sort_id,
    'refund'::text AS type,
    refunds.amount_minor,
    refunds.currency,
    (('Refund of '::text || lower("left"(payments.description, 1))) || substr(payments.description, 2)) AS description,
    refunds.status,
    refunds.created_at,
    NULL::text AS service,
    NULL::text AS resource_id,
    refunds.refund_id AS payment_id,
    payments.payment_method_id,
    payments.invoice_id,
    refunds.failure_reason,
    refunds.payment_id AS of_payment_id
   FROM (public.refunds
     CROSS JOIN LATERAL ( SELECT payments_1.description,
            payments_1.payment_method_id,
            payments_1.invoice_id
           FROM public.payments payments_1
          WHERE ((payments_1.account_id = refunds.account_id) AND (payments_1.payment_id = refunds.payment_id))
         OFFSET 0) payments);

CREATE VIEW public.payment_transactions_v AS
 SELECT received_transactions_v.account_id,
    received_transactions_v.sort_id,
    received_transactions_v.type,
    received_transactions_v.amount_minor,
    received_transactions_v.currency,
    received_transactions_v.description,
    received_transactions_v.status,
    received_transactions_v.created_at,
    received_transactions_v.service,
    received_transactions_v.resource_id,
    received_transactions_v.payment_id,
    received_transactions_v.payment_method_id,
    received_transactions_v.invoice_id,
    received_transactions_v.failure_reason,
    received_transactions_v.of_payment_id
   FROM public.received_transactions_v
UNION ALL
 SELECT refund_transactions_v.account_id,
    refund_transactions_v.sort_id,
    refund_transactions_v.type,
    refund_transactions_v.amount_minor,
    refund_transactions_v.currency,
    refund_transactions_v.description,
    refund_transactions_v.status,
    refund_transactions_v.created_at,
    refund_transactions_v.service,
    refund_transactions_v.resource_id,
    refund_transactions_v.payment_id,
    refund_transactions_v.payment_method_id,
    refund_transactions_v.invoice_id,
    refund_transactions_v.failure_reason,
    refund_transactions_v.of_payment_id
   FROM public.refund_transactions_v
UNION ALL
 SELECT chargeback_transactions_v.account_id,
    chargeback_transactions_v.sort_id,
    chargeback_transactions_v.type,
    chargeback_transactions_v.amount_minor,
    chargeback_transactions_v.currency,
    chargeback_transactions_v.description,
    chargeback_transactions_v.status,
    chargeback_transactions_v.created_at,
    chargeback_transactions_v.service,
    chargeback_transactions_v.resource_id,
    chargeback_transactions_v.payment_id,
    chargeback_transactions_v.payment_method_id,
    chargeback_transactions_v.invoice_id,
    chargeback_transactions_v.failure_reason,
    chargeback_transactions_v.of_payment_id
   FROM public.chargeback_transactions_v;

CREATE TABLE public.period_versions (
    account_id uuid NOT NULL,
    period date NOT NULL,
    version bigint NOT NULL,
    rated_version bigint,
    dirty_at timestamp with time zone,
    CONSTRAINT ck_period_versions_period CHECK ((EXTRACT(day FROM period) = (1)::numeric))
);

CREATE VIEW public.period_versions_v AS
 SELECT account_id,
    period,
    version,
    rated_version
   FROM public.period_versions;

CREATE TABLE public.prices (
    price_id uuid NOT NULL,
    rate_card_id uuid NOT NULL,
    kind text NOT NULL,
    item text NOT NULL,
    service text NOT NULL,
    region text,
    currency text NOT NULL,
    account_id uuid,
    valid_from timestamp with time zone NOT NULL,
    valid_to timestamp with time zone,
    model text NOT NULL,
    scope text NOT NULL,
    definition jsonb NOT NULL,
    billable text[] NOT NULL,
    step numeric,
    minimum_quantity numeric NOT NULL,
    per numeric NOT NULL,
    cap numeric,
    maximum numeric,
    minimum numeric,
    CONSTRAINT ck_prices_kind CHECK ((kind = ANY (ARRAY['plan'::text, 'meter'::text]))),
    CONSTRAINT ck_prices_model CHECK ((model = ANY (ARRAY['per_unit'::text, 'graduated'::text, 'volume'::text, 'package'::text, 'flat'::text, 'hourly'::text]))),
    CONSTRAINT ck_prices_per CHECK ((per > (0)::numeric)),
    CONSTRAINT ck_prices_scope CHECK ((scope = ANY (ARRAY['resource'::text, 'account'::text])))
);

CREATE VIEW public.prices_v AS
 SELECT price_id,
    rate_card_id,
    kind,
    item,
    service,
    region,
    currency,
    account_id,
    valid_from,
    valid_to,
    model,
    scope,
    definition,
    billable,
    step,
    minimum_quantity,
    per,
    cap,
    maximum,
    minimum,
    (
        CASE
            WHEN ((model = 'per_unit'::text) AND (COALESCE(((definition ->> 'included'::text))::numeric, (0)::numeric) = (0)::numeric)) THEN ((definition ->> 'unit_price'::text))::numeric
            WHEN (model = 'flat'::text) THEN ((definition ->> 'amount'::text))::numeric
            WHEN (model = 'hourly'::text) THEN ((definition ->> 'hourly_price'::text))::numeric
            ELSE NULL::numeric
        END * ((1)::numeric - (COALESCE(((definition ->> 'discount_percent'::text))::numeric, (0)::numeric) * 0.01))) AS unit_price
   FROM public.prices;

CREATE TABLE public.projects (
    account_id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    region text,
    budget_minor bigint,
    is_default boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT ck_projects_budget CHECK ((budget_minor > 0))
);

CREATE VIEW public.projects_v AS
 SELECT account_id,
    project_id,
    name,
    description,
    region,
    budget_minor,
    is_default,
    created_at,
    deleted_at
   FROM public.projects;

CREATE VIEW public.promotional_credits_v AS
 SELECT promotional_credits.account_id,
    promotional_credits.credit_id,
    promotional_credits.currency,
    promotional_credits.priority,
    promotional_credits.granted_at,
    promotional_credits.expires_at,
    COALESCE(balances.balance_minor, (0)::bigint) AS balance_minor
   FROM (public.promotional_credits
     LEFT JOIN public.balances_v balances ON (((balances.account_id = promotional_credits.account_id) AND (balances.currency = promotional_credits.currency) AND (balances.ledger_account = ('promo:'::text || promotional_credits.credit_id)))));

CREATE TABLE public.quarantined_events (
    account_id uuid NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    tried_at timestamp with time zone,
    resolved_at timestamp with time zone,
    voided_at timestamp with time zone,
    CONSTRAINT ck_quarantined_events_voided CHECK (((voided_at IS NULL) OR (resolved_at IS NOT NULL)))
);

CREATE TABLE public.rate_cards (
    rate_card_id uuid NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    account_id uuid,
    valid_from timestamp with time zone NOT NULL,
    valid_to timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_rate_cards_validity CHECK ((valid_to > valid_from))
);

CREATE TABLE public.receipts (
    account_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    parties jsonb NOT NULL,
    is_by_wallet boolean NOT NULL,
    invoices jsonb NOT NULL,
    recorded_at timestamp with time zone NOT NULL
);

CREATE TABLE public.resource_deletions (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    project_id uuid NOT NULL,
    status_before text NOT NULL,
    plan_before text,
    units_before numeric NOT NULL,
    stopped_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    alarmed_at timestamp with time zone,
    restored_at timestamp with time zone,
    CONSTRAINT ck_resource_deletions_end CHECK (((confirmed_at IS NULL) OR (restored_at IS NULL)))
);

CREATE TABLE public.state_points (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    plan text,
    units numeric NOT NULL,
    status text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    end_at timestamp with time zone,
    CONSTRAINT ck_state_points_end CHECK ((end_at >= effective_at)),
    CONSTRAINT ck_state_points_status CHECK ((status = ANY (ARRAY['running'::text, 'stopped'::text, 'deleting'::text, 'deleted'::text]))),
    CONSTRAINT ck_state_points_units CHECK ((units > (0)::numeric))
);

CREATE VIEW public.resource_spans_v AS
 SELECT account_id,
    resource_id,
    plan,
    units,
    status,
    effective_at AS start_at,
    end_at
   FROM public.state_points
  WHERE ((status <> 'deleted'::text) AND (COALESCE(end_at, 'infinity'::timestamp with time zone) > effective_at));

CREATE TABLE public.resources (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    project_id uuid NOT NULL,
    type text NOT NULL,
    service text NOT NULL,
    name text NOT NULL,
    region text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    recorded_at timestamp with time zone NOT NULL
);

CREATE VIEW public.resource_gaps_v AS
 SELECT resource_spans_v.account_id,
    resource_spans_v.resource_id,
    resource_spans_v.start_at,
    COALESCE(resource_spans_v.end_at, 'infinity'::timestamp with time zone) AS end_at
   FROM public.resource_spans_v
  WHERE (resource_spans_v.status = 'deleting'::text)
UNION ALL
 SELECT resources.account_id,
    resources.resource_id,
    resources.deleted_at AS start_at,
    'infinity'::timestamp with time zone AS end_at
   FROM public.resources
  WHERE (resources.deleted_at IS NOT NULL);

CREATE TABLE public.resource_moves (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    project_id uuid NOT NULL
);

CREATE VIEW public.resource_moves_v AS
 SELECT account_id,
    resource_id,
    recorded_at,
    project_id
   FROM public.resource_moves;

CREATE VIEW public.resources_by_end_v AS
 SELECT account_id,
    resource_id,
    project_id,
    type,
    service,
    name,
    region,
    created_at,
    deleted_at,
    COALESCE(deleted_at, 'infinity'::timestamp with time zone) AS ended_at
   FROM public.resources
  WHERE (COALESCE(deleted_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone);

CREATE VIEW public.resources_v AS
 SELECT account_id,
    resource_id,
    project_id,
    type,
    service,
    name,
    region,
    created_at,
    deleted_at
   FROM public.resources;

CREATE TABLE public.run_chunks (
    run_id uuid NOT NULL,
    chunk integer NOT NULL,
    first_account_id uuid NOT NULL,
    last_account_id uuid NOT NULL,
    state text NOT NULL,
    CONSTRAINT ck_run_chunks_state CHECK ((state = ANY (ARRAY['queued'::text, 'rated'::text, 'numbered'::text, 'done'::text])))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.secret_keys (
    purpose text NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_secret_keys_fingerprint CHECK ((length(fingerprint) = 16))
);

CREATE TABLE public.shortened_resources (
    account_id uuid NOT NULL,
    resource_id text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone NOT NULL
);

CREATE VIEW public.spans_by_end_v AS
 SELECT account_id,
    resource_id,
    plan,
    units,
    status,
    effective_at AS start_at,
    COALESCE(end_at, 'infinity'::timestamp with time zone) AS ended_at
   FROM public.state_points
  WHERE ((status <> 'deleted'::text) AND (COALESCE(end_at, 'infinity'::timestamp with time zone) > effective_at) AND (COALESCE(end_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone));

CREATE TABLE public.tax_rates (
    country text NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL,
    valid_from date NOT NULL,
    CONSTRAINT ck_tax_rates_percent CHECK (((percent >= (0)::numeric) AND (percent <= (100)::numeric)))
);

CREATE VIEW public.tax_rates_v AS
 SELECT country,
    name,
    percent,
    valid_from
   FROM public.tax_rates;

CREATE TABLE public.undone_credits (
    account_id uuid NOT NULL,
    credit_id uuid NOT NULL,
    reason text NOT NULL,
    undone_at timestamp with time zone NOT NULL
);

CREATE VIEW public.unspent_credits_v AS
 SELECT balances.account_id,
    credits.credit_id,
    credits.currency,
    credits.amount_minor,
    credits.reason,
    credits.priority,
    credits.granted_at,
    credits.expires_at,
    balances.balance_minor
   FROM (public.balances_v balances
     CROSS JOIN LATERAL ( SELECT promotional_credits.credit_id,
            promotional_credits.currency,
            promotional_credits.amount_minor,
            promotional_credits.reason,
            promotional_credits.priority,
            promotional_credits.granted_at,
            promotional_credits.expires_at
           FROM public.promotional_credits
          WHERE ((promotional_credits.account_id = balances.account_id) AND (promotional_credits.credit_id =
                CASE
                    WHEN starts_with(balances.ledger_account, 'promo:'::text) THEN (substr(balances.ledger_account, 7))::uuid
                    ELSE NULL::uuid
                END))
         OFFSET 0) credits)
  WHERE ((NOT balances.is_spent) AND (balances.balance_minor > 0) AND starts_with(balances.ledger_account, 'promo:'::text));

CREATE TABLE public.usage_events (
    account_id uuid NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    resource_id text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    voided_at timestamp with time zone,
    CONSTRAINT ck_usage_events_quantity CHECK ((quantity >= (0)::numeric))
);

CREATE VIEW public.wallet_transactions_v AS
 SELECT hold_transactions_v.account_id,
    hold_transactions_v.source_id,
    hold_transactions_v.part_kind,
    hold_transactions_v.type,
    hold_transactions_v.amount_minor,
    hold_transactions_v.currency,
    hold_transactions_v.description,
    hold_transactions_v.created_at
   FROM public.hold_transactions_v
UNION ALL
 SELECT credit_transactions_v.account_id,
    credit_transactions_v.source_id,
    credit_transactions_v.part_kind,
    credit_transactions_v.type,
    credit_transactions_v.amount_minor,
    credit_transactions_v.currency,
    credit_transactions_v.description,
    credit_transactions_v.created_at
   FROM public.credit_transactions_v;

CREATE TABLE public.watched_accounts (
    account_id uuid NOT NULL,
    next_due_at timestamp with time zone,
    evaluated_at timestamp with time zone
)
WITH (fillfactor='70');

CREATE TABLE public.webhook_attempts (
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    message_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    status_code integer,
    duration_ms integer,
    reason text
);

CREATE TABLE public.webhook_messages (
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    message_id uuid NOT NULL,
    type text NOT NULL,
    object_id text NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    notification_id uuid,
    status text NOT NULL,
    attempts integer NOT NULL,
    tries integer NOT NULL,
    next_at timestamp with time zone,
    reason text,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_webhook_messages_finished CHECK (((status = ANY (ARRAY['delivered'::text, 'failed'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT ck_webhook_messages_next CHECK (((status = ANY (ARRAY['pending'::text, 'sending'::text])) = (next_at IS NOT NULL))),
    CONSTRAINT ck_webhook_messages_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'delivered'::text, 'failed'::text])))
);

CREATE VIEW public.webhook_deliveries_v AS
 SELECT account_id,
    endpoint_id,
    message_id,
    type,
    object_id,
    version,
    status,
    attempts,
    reason,
    next_at,
    created_at,
    finished_at,
    ARRAY( SELECT jsonb_build_array(webhook_attempts.number, webhook_attempts.started_at, webhook_attempts.status_code, webhook_attempts.duration_ms, webhook_attempts.reason) AS jsonb_build_array
           FROM public.webhook_attempts
          WHERE ((webhook_attempts.account_id = webhook_messages.account_id) AND (webhook_attempts.endpoint_id = webhook_messages.endpoint_id) AND (webhook_attempts.message_id = webhook_messages.message_id))
          ORDER BY webhook_attempts.number DESC
         LIMIT 20) AS newest
   FROM public.webhook_messages;

CREATE TABLE public.webhook_endpoints (
    account_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    description text,
    events text[] NOT NULL,
    status text NOT NULL,
    disabled_reason text,
    disabled_at timestamp with time zone,
    secret_number integer NOT NULL,
    secret_rotated_at timestamp with time zone,
    failing_since timestamp with time zone,
    failures integer NOT NULL,
    is_slow boolean NOT NULL,
    due_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT ck_webhook_endpoints_disabled CHECK ((((status = 'disabled'::text) = (disabled_reason IS NOT NULL)) AND ((status = 'disabled'::text) = (disabled_at IS NOT NULL)))),
    CONSTRAINT ck_webhook_endpoints_events CHECK ((cardinality(events) > 0)),
    CONSTRAINT ck_webhook_endpoints_reason CHECK ((disabled_reason = ANY (ARRAY['asked'::text, 'failing'::text, 'gone'::text]))),
    CONSTRAINT ck_webhook_endpoints_secret CHECK ((secret_number > 0)),
    CONSTRAINT ck_webhook_endpoints_status CHECK ((status = ANY (ARRAY['enabled'::text, 'disabled'::text])))
)
WITH (fillfactor='70');

CREATE TABLE queue.pgqueuer (
    id bigint NOT NULL,
    priority integer NOT NULL,
    queue_manager_id uuid,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    execute_after timestamp with time zone DEFAULT now() NOT NULL,
    status queue.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    slot bigint
);

CREATE SEQUENCE queue.pgqueuer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE queue.pgqueuer_id_seq OWNED BY queue.pgqueuer.id;

CREATE TABLE queue.pgqueuer_log (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    job_id bigint NOT NULL,
    status queue.pgqueuer_status NOT NULL,
    priority integer NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
);

ALTER TABLE queue.pgqueuer_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME queue.pgqueuer_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE queue.pgqueuer_schedules (
    id bigint NOT NULL,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    next_run timestamp with time zone DEFAULT now() NOT NULL,
    last_run timestamp with time zone,
    status queue.pgqueuer_status DEFAULT 'queued'::queue.pgqueuer_status
);

CREATE SEQUENCE queue.pgqueuer_schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE queue.pgqueuer_schedules_id_seq OWNED BY queue.pgqueuer_schedules.id;

CREATE TABLE queue.pgqueuer_statistics (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT date_trunc('sec'::text, now()) NOT NULL,
    count bigint NOT NULL,
    priority integer NOT NULL,
    status queue.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);

CREATE SEQUENCE queue.pgqueuer_statistics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE queue.pgqueuer_statistics_id_seq OWNED BY queue.pgqueuer_statistics.id;

CREATE TABLE sandbox.charges (
    key text NOT NULL,
    reference text NOT NULL,
    account_reference text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL,
    reason text,
    created_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT ck_charges_status CHECK ((status = ANY (ARRAY['pending'::text, 'succeeded'::text, 'failed'::text])))
);

CREATE TABLE sandbox.instruments (
    reference text NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE sandbox.refunds (
    key text NOT NULL,
    charge_key text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL,
    reason text,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_refunds_status CHECK ((status = ANY (ARRAY['succeeded'::text, 'failed'::text])))
);

ALTER TABLE ONLY queue.pgqueuer ALTER COLUMN id SET DEFAULT nextval('queue.pgqueuer_id_seq'::regclass);

ALTER TABLE ONLY queue.pgqueuer_schedules ALTER COLUMN id SET DEFAULT nextval('queue.pgqueuer_schedules_id_seq'::regclass);

ALTER TABLE ONLY queue.pgqueuer_statistics ALTER COLUMN id SET DEFAULT nextval('queue.pgqueuer_statistics_id_seq'::regclass);

ALTER TABLE ONLY public.account_touches
    ADD CONSTRAINT pk_account_touches PRIMARY KEY (account_id, transaction_id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT pk_accounts PRIMARY KEY (account_id);

ALTER TABLE ONLY public.alert_firings
    ADD CONSTRAINT pk_alert_firings PRIMARY KEY (account_id, firing_id);

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT pk_alerts PRIMARY KEY (account_id, alert_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (digest);

ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT pk_audit_head PRIMARY KEY (is_only);

ALTER TABLE ONLY public.audit_records
    ADD CONSTRAINT pk_audit_records PRIMARY KEY (number);

ALTER TABLE ONLY public.balances
    ADD CONSTRAINT pk_balances PRIMARY KEY (account_id, currency, ledger_account);

ALTER TABLE ONLY public.bands
    ADD CONSTRAINT pk_bands PRIMARY KEY (price_id, ordinal);

ALTER TABLE ONLY public.billed_items
    ADD CONSTRAINT pk_billed_items PRIMARY KEY (kind, item, currency);

ALTER TABLE ONLY public.chargebacks
    ADD CONSTRAINT pk_chargebacks PRIMARY KEY (account_id, chargeback_id);

ALTER TABLE ONLY public.check_marks
    ADD CONSTRAINT pk_check_marks PRIMARY KEY (check_group);

ALTER TABLE ONLY public.close_corrections
    ADD CONSTRAINT pk_close_corrections PRIMARY KEY (account_id, period, corrected_period);

ALTER TABLE ONLY public.closes
    ADD CONSTRAINT pk_closes PRIMARY KEY (account_id, period);

ALTER TABLE ONLY public.code_digest
    ADD CONSTRAINT pk_code_digest PRIMARY KEY (is_only);

ALTER TABLE ONLY public.credit_note_lines
    ADD CONSTRAINT pk_credit_note_lines PRIMARY KEY (account_id, credit_note_id, ordinal);

ALTER TABLE ONLY public.credit_note_taxes
    ADD CONSTRAINT pk_credit_note_taxes PRIMARY KEY (account_id, credit_note_id, ordinal);

ALTER TABLE ONLY public.credit_notes
    ADD CONSTRAINT pk_credit_notes PRIMARY KEY (account_id, credit_note_id);

ALTER TABLE ONLY public.currencies
    ADD CONSTRAINT pk_currencies PRIMARY KEY (currency);

ALTER TABLE ONLY public.day_rows
    ADD CONSTRAINT pk_day_rows PRIMARY KEY (account_id, day, resource_id, meter);

ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT pk_deliveries PRIMARY KEY (account_id, delivery_id);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT pk_delivery_attempts PRIMARY KEY (account_id, delivery_id, number);

ALTER TABLE ONLY public.document_pdfs
    ADD CONSTRAINT pk_document_pdfs PRIMARY KEY (account_id, document_id);

ALTER TABLE ONLY public.gateway_notices
    ADD CONSTRAINT pk_gateway_notices PRIMARY KEY (gateway, notice_id);

ALTER TABLE ONLY public.gauges
    ADD CONSTRAINT pk_gauges PRIMARY KEY (account_id, resource_id, meter);

ALTER TABLE ONLY public.heads
    ADD CONSTRAINT pk_heads PRIMARY KEY (account_id);

ALTER TABLE ONLY public.holds
    ADD CONSTRAINT pk_holds PRIMARY KEY (account_id, hold_id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT pk_idempotency_keys PRIMARY KEY (account_id, route, key);

ALTER TABLE ONLY public.invoice_lines
    ADD CONSTRAINT pk_invoice_lines PRIMARY KEY (account_id, invoice_id, ordinal);

ALTER TABLE ONLY public.invoice_numbers
    ADD CONSTRAINT pk_invoice_numbers PRIMARY KEY (series, number);

ALTER TABLE ONLY public.invoice_payments
    ADD CONSTRAINT pk_invoice_payments PRIMARY KEY (account_id, invoice_id, ordinal);

ALTER TABLE ONLY public.invoice_states
    ADD CONSTRAINT pk_invoice_states PRIMARY KEY (account_id, invoice_id);

ALTER TABLE ONLY public.invoice_taxes
    ADD CONSTRAINT pk_invoice_taxes PRIMARY KEY (account_id, invoice_id, ordinal);

ALTER TABLE ONLY public.invoices
    ADD CONSTRAINT pk_invoices PRIMARY KEY (account_id, invoice_id);

ALTER TABLE ONLY public.issuer_logos
    ADD CONSTRAINT pk_issuer_logos PRIMARY KEY (sha256);

ALTER TABLE ONLY public.issuers
    ADD CONSTRAINT pk_issuers PRIMARY KEY (issuer);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (job);

ALTER TABLE ONLY public.kept_days
    ADD CONSTRAINT pk_kept_days PRIMARY KEY (account_id, period, project_id, region, service, type);

ALTER TABLE ONLY public.kept_months
    ADD CONSTRAINT pk_kept_months PRIMARY KEY (account_id, period);

ALTER TABLE ONLY public.kept_places
    ADD CONSTRAINT pk_kept_places PRIMARY KEY (account_id, period, project_id, region, service, type);

ALTER TABLE ONLY public.kept_runs
    ADD CONSTRAINT pk_kept_runs PRIMARY KEY (run_id);

ALTER TABLE ONLY public.meters
    ADD CONSTRAINT pk_meters PRIMARY KEY (meter);

ALTER TABLE ONLY public.notification_settings
    ADD CONSTRAINT pk_notification_settings PRIMARY KEY (account_id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT pk_notifications PRIMARY KEY (account_id, notification_id);

ALTER TABLE ONLY public.number_series
    ADD CONSTRAINT pk_number_series PRIMARY KEY (series);

ALTER TABLE ONLY public.operator_keys
    ADD CONSTRAINT pk_operator_keys PRIMARY KEY (digest);

ALTER TABLE ONLY public.outbox_events
    ADD CONSTRAINT pk_outbox_events PRIMARY KEY (account_id, event_id);

ALTER TABLE ONLY public.payment_methods
    ADD CONSTRAINT pk_payment_methods PRIMARY KEY (account_id, payment_method_id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT pk_payments PRIMARY KEY (account_id, payment_id);

ALTER TABLE ONLY public.period_versions
    ADD CONSTRAINT pk_period_versions PRIMARY KEY (account_id, period);

ALTER TABLE ONLY public.prices
    ADD CONSTRAINT pk_prices PRIMARY KEY (price_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT pk_projects PRIMARY KEY (account_id, project_id);

ALTER TABLE ONLY public.promotional_credits
    ADD CONSTRAINT pk_promotional_credits PRIMARY KEY (account_id, credit_id);

ALTER TABLE ONLY public.quarantined_events
    ADD CONSTRAINT pk_quarantined_events PRIMARY KEY (account_id, source, event_id);

ALTER TABLE ONLY public.rate_cards
    ADD CONSTRAINT pk_rate_cards PRIMARY KEY (rate_card_id);

ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT pk_receipts PRIMARY KEY (account_id, payment_id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT pk_refunds PRIMARY KEY (account_id, refund_id);

ALTER TABLE ONLY public.resource_deletions
    ADD CONSTRAINT pk_resource_deletions PRIMARY KEY (account_id, resource_id, asked_at);

ALTER TABLE ONLY public.resource_moves
    ADD CONSTRAINT pk_resource_moves PRIMARY KEY (account_id, resource_id, recorded_at);

ALTER TABLE ONLY public.resources
    ADD CONSTRAINT pk_resources PRIMARY KEY (account_id, resource_id);

ALTER TABLE ONLY public.run_accounts
    ADD CONSTRAINT pk_run_accounts PRIMARY KEY (run_id, account_id);

ALTER TABLE ONLY public.run_chunks
    ADD CONSTRAINT pk_run_chunks PRIMARY KEY (run_id, chunk);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (run_id);

ALTER TABLE ONLY public.secret_keys
    ADD CONSTRAINT pk_secret_keys PRIMARY KEY (purpose);

ALTER TABLE ONLY public.shortened_resources
    ADD CONSTRAINT pk_shortened_resources PRIMARY KEY (account_id, resource_id);

ALTER TABLE ONLY public.state_points
    ADD CONSTRAINT pk_state_points PRIMARY KEY (account_id, resource_id, effective_at);

ALTER TABLE ONLY public.tax_rates
    ADD CONSTRAINT pk_tax_rates PRIMARY KEY (country, name, valid_from);

ALTER TABLE ONLY public.transfers
    ADD CONSTRAINT pk_transfers PRIMARY KEY (account_id, number);

ALTER TABLE ONLY public.undone_credits
    ADD CONSTRAINT pk_undone_credits PRIMARY KEY (account_id, credit_id);

ALTER TABLE ONLY public.usage_events
    ADD CONSTRAINT pk_usage_events PRIMARY KEY (account_id, source, event_id);

ALTER TABLE ONLY public.watched_accounts
    ADD CONSTRAINT pk_watched_accounts PRIMARY KEY (account_id);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT pk_webhook_attempts PRIMARY KEY (account_id, endpoint_id, message_id, number);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT pk_webhook_endpoints PRIMARY KEY (account_id, endpoint_id);

ALTER TABLE ONLY public.webhook_messages
    ADD CONSTRAINT pk_webhook_messages PRIMARY KEY (account_id, endpoint_id, message_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.alert_firings
    ADD CONSTRAINT uq_alert_firings_once UNIQUE (account_id, subject_id, percent, revision, occasion, kind);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_id UNIQUE (account_id, key_id);

ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT uq_deliveries_once UNIQUE (account_id, notification_id, method, recipient_number);

ALTER TABLE ONLY public.holds
    ADD CONSTRAINT uq_holds_reference UNIQUE (account_id, reference);

ALTER TABLE ONLY public.invoice_numbers
    ADD CONSTRAINT uq_invoice_numbers_invoice UNIQUE (invoice_id);

ALTER TABLE ONLY public.invoices
    ADD CONSTRAINT uq_invoices_period UNIQUE (account_id, period);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT uq_notifications_once UNIQUE (account_id, subject, object_id, attempt);

ALTER TABLE ONLY public.operator_keys
    ADD CONSTRAINT uq_operator_keys_id UNIQUE (key_id);

ALTER TABLE ONLY public.prices
    ADD CONSTRAINT uq_prices_start UNIQUE NULLS NOT DISTINCT (kind, item, currency, account_id, region, valid_from);

ALTER TABLE ONLY public.transfers
    ADD CONSTRAINT uq_transfers_content UNIQUE (account_id, template, reference, ordinal);

ALTER TABLE ONLY queue.pgqueuer_log
    ADD CONSTRAINT pgqueuer_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY queue.pgqueuer
    ADD CONSTRAINT pgqueuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY queue.pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_expression_entrypoint_key UNIQUE (expression, entrypoint);

ALTER TABLE ONLY queue.pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY queue.pgqueuer_statistics
    ADD CONSTRAINT pgqueuer_statistics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sandbox.charges
    ADD CONSTRAINT pk_charges PRIMARY KEY (key);

ALTER TABLE ONLY sandbox.instruments
    ADD CONSTRAINT pk_instruments PRIMARY KEY (reference);

ALTER TABLE ONLY sandbox.refunds
    ADD CONSTRAINT pk_refunds PRIMARY KEY (key);

CREATE INDEX ix_alert_firings_created ON public.alert_firings USING btree (account_id, created_at DESC, percent DESC, firing_id DESC);

CREATE INDEX ix_alerts_created ON public.alerts USING btree (account_id, created_at, alert_id);

CREATE INDEX ix_api_keys_created ON public.api_keys USING btree (account_id, created_at DESC, key_id DESC) WHERE (revoked_at IS NULL);

CREATE INDEX ix_audit_records_account ON public.audit_records USING btree (account_id, number) WHERE (account_id IS NOT NULL);

CREATE INDEX ix_audit_records_actor ON public.audit_records USING btree (actor_kind, actor_id, number);

CREATE INDEX ix_audit_records_occurred ON public.audit_records USING btree (occurred_at);

CREATE INDEX ix_balances_left ON public.balances USING btree (account_id, currency, ledger_account) WHERE (NOT is_spent);

CREATE INDEX ix_chargebacks_created ON public.chargebacks USING btree (account_id, created_at DESC, chargeback_id DESC);

CREATE INDEX ix_chargebacks_payment ON public.chargebacks USING btree (account_id, payment_id);

CREATE INDEX ix_credit_notes_invoice ON public.credit_notes USING btree (account_id, invoice_id, issued_at);

CREATE INDEX ix_credit_notes_issued ON public.credit_notes USING btree (account_id, issued_at DESC, credit_note_id DESC);

CREATE INDEX ix_day_rows_gauge ON public.day_rows USING btree (account_id, resource_id, meter, day) WHERE is_gauge;

CREATE INDEX ix_deliveries_due ON public.deliveries USING btree (method, next_at, account_id, delivery_id) WHERE (next_at IS NOT NULL);

CREATE INDEX ix_deliveries_newest ON public.deliveries USING btree (created_at DESC, delivery_id DESC);

CREATE INDEX ix_deliveries_status ON public.deliveries USING btree (status, created_at DESC, delivery_id DESC) WHERE (status <> 'sent'::text);

CREATE INDEX ix_gateway_notices_received ON public.gateway_notices USING btree (received_at);

CREATE INDEX ix_gauges_end ON public.gauges USING btree (account_id, COALESCE(ended_at, 'infinity'::timestamp with time zone)) WHERE (COALESCE(ended_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone);

CREATE INDEX ix_holds_captured ON public.holds USING btree (account_id, ended_at DESC, hold_id DESC) WHERE (status = 'captured'::text);

CREATE INDEX ix_holds_created ON public.holds USING btree (account_id, created_at DESC, hold_id DESC);

CREATE INDEX ix_holds_id ON public.holds USING btree (hold_id);

CREATE INDEX ix_holds_open ON public.holds USING btree (account_id, expires_at) WHERE (status = 'open'::text);

CREATE INDEX ix_invoice_lines_service ON public.invoice_lines USING btree (account_id, service_period, price_id);

CREATE INDEX ix_invoice_states_overdue ON public.invoice_states USING btree (overdue_at, account_id, invoice_id) WHERE (overdue_at IS NOT NULL);

CREATE INDEX ix_invoice_states_void ON public.invoice_states USING btree (account_id, ended_at DESC, invoice_id DESC) WHERE (status = 'void'::text);

CREATE INDEX ix_invoices_issued ON public.invoices USING btree (account_id, issued_at DESC, invoice_id DESC);

CREATE INDEX ix_invoices_negative ON public.invoices USING btree (account_id, issued_at DESC, invoice_id DESC) WHERE (total_minor < 0);

CREATE INDEX ix_notifications_created ON public.notifications USING btree (account_id, created_at DESC, notification_id DESC);

CREATE INDEX ix_outbox_events_order ON public.outbox_events USING btree (transaction_id, version);

CREATE INDEX ix_outbox_events_undispatched ON public.outbox_events USING btree (created_at, event_id) WHERE (dispatched_at IS NULL);

CREATE INDEX ix_outbox_events_unrelayed ON public.outbox_events USING btree (relay_due_at, version) WHERE (relayed_at IS NULL);

CREATE INDEX ix_payment_methods_created ON public.payment_methods USING btree (account_id, created_at DESC, payment_method_id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX ix_payment_methods_expiry ON public.payment_methods USING btree (expiry_due_at, account_id, payment_method_id) WHERE (expiry_due_at IS NOT NULL);

CREATE INDEX ix_payments_created ON public.payments USING btree (account_id, created_at DESC, payment_id DESC);

CREATE INDEX ix_payments_id ON public.payments USING btree (payment_id);

CREATE INDEX ix_payments_invoice ON public.payments USING btree (account_id, invoice_id) WHERE (invoice_id IS NOT NULL);

CREATE INDEX ix_payments_unsettled ON public.payments USING btree (next_check_at, account_id, payment_id) WHERE (status = 'pending'::text);

CREATE INDEX ix_prices_contract ON public.prices USING btree (account_id, COALESCE(valid_to, 'infinity'::timestamp with time zone)) WHERE (account_id IS NOT NULL);

CREATE INDEX ix_prices_rate_card ON public.prices USING btree (rate_card_id);

CREATE INDEX ix_prices_service ON public.prices USING btree (service);

CREATE INDEX ix_projects_created ON public.projects USING btree (account_id, created_at, project_id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_projects_id ON public.projects USING btree (project_id);

CREATE INDEX ix_promotional_credits_granted ON public.promotional_credits USING btree (account_id, granted_at DESC, credit_id DESC);

CREATE INDEX ix_quarantined_events_account ON public.quarantined_events USING btree (account_id, recorded_at, source, event_id) WHERE (resolved_at IS NULL);

CREATE INDEX ix_quarantined_events_open ON public.quarantined_events USING btree (recorded_at, account_id, source, event_id) WHERE (resolved_at IS NULL);

CREATE INDEX ix_quarantined_events_resource ON public.quarantined_events USING btree (account_id, resource_id, source, event_id) WHERE ((resolved_at IS NULL) AND (reason = ANY (ARRAY['resource_unknown'::text, 'outside_resource_life'::text, 'meter_unknown'::text, 'price_missing'::text])));

CREATE INDEX ix_quarantined_events_turn ON public.quarantined_events USING btree (account_id, tried_at NULLS FIRST, source, event_id) WHERE ((resolved_at IS NULL) AND (reason = ANY (ARRAY['resource_unknown'::text, 'outside_resource_life'::text, 'meter_unknown'::text, 'price_missing'::text])));

CREATE INDEX ix_refunds_created ON public.refunds USING btree (account_id, created_at DESC, refund_id DESC);

CREATE INDEX ix_refunds_credit_note ON public.refunds USING btree (account_id, credit_note_id) WHERE (credit_note_id IS NOT NULL);

CREATE INDEX ix_refunds_payment ON public.refunds USING btree (account_id, payment_id);

CREATE INDEX ix_refunds_unsettled ON public.refunds USING btree (next_check_at, account_id, refund_id) WHERE (status = 'pending'::text);

CREATE INDEX ix_resource_deletions_open ON public.resource_deletions USING btree (asked_at, account_id, resource_id) WHERE ((confirmed_at IS NULL) AND (restored_at IS NULL) AND (alarmed_at IS NULL));

CREATE INDEX ix_resource_deletions_project ON public.resource_deletions USING btree (account_id, project_id, asked_at);

CREATE INDEX ix_resource_deletions_unstopped ON public.resource_deletions USING btree (asked_at, account_id, resource_id) WHERE (stopped_at IS NULL);

CREATE INDEX ix_resources_end ON public.resources USING btree (account_id, COALESCE(deleted_at, 'infinity'::timestamp with time zone)) WHERE (COALESCE(deleted_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone);

CREATE INDEX ix_resources_living ON public.resources USING btree (account_id, project_id, created_at, resource_id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_resources_project ON public.resources USING btree (account_id, project_id, created_at, resource_id);

CREATE INDEX ix_run_accounts_parked ON public.run_accounts USING btree (run_id, account_id) WHERE (reason IS NOT NULL);

CREATE INDEX ix_run_chunks_state ON public.run_chunks USING btree (run_id, state, chunk);

CREATE INDEX ix_runs_created ON public.runs USING btree (created_at DESC, run_id DESC);

CREATE INDEX ix_runs_unfinished ON public.runs USING btree (created_at, run_id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX ix_shortened_resources_due ON public.shortened_resources USING btree (due_at, account_id, resource_id);

CREATE INDEX ix_state_points_deleting ON public.state_points USING btree (account_id, COALESCE(end_at, 'infinity'::timestamp with time zone), resource_id) WHERE (status = 'deleting'::text);

CREATE INDEX ix_state_points_end ON public.state_points USING btree (account_id, COALESCE(end_at, 'infinity'::timestamp with time zone)) WHERE (COALESCE(end_at, 'infinity'::timestamp with time zone) > '-infinity'::timestamp with time zone);

CREATE INDEX ix_transfers_recorded ON public.transfers USING brin (recorded_at) WITH (pages_per_range='32');

CREATE INDEX ix_usage_events_recorded ON public.usage_events USING brin (recorded_at) WITH (pages_per_range='32');

CREATE INDEX ix_usage_events_series ON public.usage_events USING btree (account_id, resource_id, meter, occurred_at);

CREATE INDEX ix_watched_accounts_due ON public.watched_accounts USING btree (next_due_at, account_id) WHERE (next_due_at IS NOT NULL);

CREATE INDEX ix_webhook_endpoints_created ON public.webhook_endpoints USING btree (account_id, created_at, endpoint_id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_webhook_endpoints_due ON public.webhook_endpoints USING btree (due_at, account_id, endpoint_id) WHERE (due_at IS NOT NULL);

CREATE INDEX ix_webhook_messages_created ON public.webhook_messages USING btree (account_id, endpoint_id, created_at DESC, message_id DESC);

CREATE INDEX ix_webhook_messages_due ON public.webhook_messages USING btree (account_id, endpoint_id, next_at, version) WHERE (next_at IS NOT NULL);

CREATE INDEX ix_webhook_messages_failed ON public.webhook_messages USING btree (created_at DESC, message_id DESC, endpoint_id DESC) WHERE (status = 'failed'::text);

CREATE INDEX ix_webhook_messages_finished ON public.webhook_messages USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX ix_webhook_messages_newest ON public.webhook_messages USING btree (created_at DESC, message_id DESC, endpoint_id DESC);

CREATE INDEX ix_webhook_messages_notification ON public.webhook_messages USING btree (account_id, notification_id) WHERE (notification_id IS NOT NULL);

CREATE INDEX ix_webhook_messages_sending ON public.webhook_messages USING btree (account_id, endpoint_id, next_at) WHERE (status = 'sending'::text);

CREATE UNIQUE INDEX uq_payment_methods_default ON public.payment_methods USING btree (account_id) WHERE is_default;

CREATE UNIQUE INDEX uq_payments_reference ON public.payments USING btree (account_id, reference) WHERE (reference IS NOT NULL);

CREATE UNIQUE INDEX uq_payments_under_way ON public.payments USING btree (account_id, invoice_id) WHERE ((status = 'pending'::text) AND (invoice_id IS NOT NULL));

CREATE UNIQUE INDEX uq_projects_default ON public.projects USING btree (account_id) WHERE is_default;

CREATE INDEX pgqueuer_ep_ea_idx ON queue.pgqueuer USING btree (entrypoint, execute_after) WHERE (status = 'queued'::queue.pgqueuer_status);

CREATE INDEX pgqueuer_ep_prio_id_idx ON queue.pgqueuer USING btree (entrypoint, priority DESC, id) WHERE (status = 'queued'::queue.pgqueuer_status);

CREATE INDEX pgqueuer_log_created ON queue.pgqueuer_log USING btree (created);

CREATE INDEX pgqueuer_log_job_id_status ON queue.pgqueuer_log USING btree (job_id, created DESC);

CREATE INDEX pgqueuer_log_not_aggregated ON queue.pgqueuer_log USING btree ((1)) WHERE (NOT aggregated);

CREATE INDEX pgqueuer_log_status ON queue.pgqueuer_log USING btree (status);

CREATE INDEX pgqueuer_picked_heartbeat_idx ON queue.pgqueuer USING btree (heartbeat) WHERE (status = 'picked'::queue.pgqueuer_status);

CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON queue.pgqueuer USING btree (entrypoint, slot) WHERE ((status = 'picked'::queue.pgqueuer_status) AND (slot IS NOT NULL));

CREATE INDEX pgqueuer_priority_id_id1_idx ON queue.pgqueuer USING btree (priority, id DESC) INCLUDE (id) WHERE (status = 'queued'::queue.pgqueuer_status);

CREATE INDEX pgqueuer_queue_manager_id_idx ON queue.pgqueuer USING btree (queue_manager_id) WHERE (queue_manager_id IS NOT NULL);

CREATE UNIQUE INDEX pgqueuer_statistics_unique_count ON queue.pgqueuer_statistics USING btree (priority, date_trunc('sec'::text, timezone('UTC'::text, created)), status, entrypoint);

CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON queue.pgqueuer USING btree (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::queue.pgqueuer_status, 'picked'::queue.pgqueuer_status])) AND (dedupe_key IS NOT NULL));

CREATE INDEX pgqueuer_updated_id_id1_idx ON queue.pgqueuer USING btree (updated, id DESC) INCLUDE (id) WHERE (status = 'picked'::queue.pgqueuer_status);

CREATE INDEX ix_refunds_charge ON sandbox.refunds USING btree (charge_key);

CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON queue.pgqueuer FOR EACH STATEMENT EXECUTE FUNCTION queue.fn_pgqueuer_changed();

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT fk_alerts_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT fk_alerts_project FOREIGN KEY (account_id, project_id) REFERENCES public.projects(account_id, project_id);

ALTER TABLE ONLY public.bands
    ADD CONSTRAINT fk_bands_price FOREIGN KEY (price_id) REFERENCES public.prices(price_id);

ALTER TABLE ONLY public.chargebacks
    ADD CONSTRAINT fk_chargebacks_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.chargebacks
    ADD CONSTRAINT fk_chargebacks_payment FOREIGN KEY (account_id, payment_id) REFERENCES public.payments(account_id, payment_id);

ALTER TABLE ONLY public.close_corrections
    ADD CONSTRAINT fk_close_corrections_close FOREIGN KEY (account_id, period) REFERENCES public.closes(account_id, period);

ALTER TABLE ONLY public.closes
    ADD CONSTRAINT fk_closes_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.credit_note_lines
    ADD CONSTRAINT fk_credit_note_lines_note FOREIGN KEY (account_id, credit_note_id) REFERENCES public.credit_notes(account_id, credit_note_id);

ALTER TABLE ONLY public.credit_note_taxes
    ADD CONSTRAINT fk_credit_note_taxes_note FOREIGN KEY (account_id, credit_note_id) REFERENCES public.credit_notes(account_id, credit_note_id);

ALTER TABLE ONLY public.credit_notes
    ADD CONSTRAINT fk_credit_notes_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES public.invoices(account_id, invoice_id);

ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT fk_deliveries_notification FOREIGN KEY (account_id, notification_id) REFERENCES public.notifications(account_id, notification_id);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT fk_delivery_attempts_delivery FOREIGN KEY (account_id, delivery_id) REFERENCES public.deliveries(account_id, delivery_id);

ALTER TABLE ONLY public.holds
    ADD CONSTRAINT fk_holds_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.invoice_payments
    ADD CONSTRAINT fk_invoice_payments_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES public.invoices(account_id, invoice_id);

ALTER TABLE ONLY public.invoice_states
    ADD CONSTRAINT fk_invoice_states_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES public.invoices(account_id, invoice_id);

ALTER TABLE ONLY public.invoice_taxes
    ADD CONSTRAINT fk_invoice_taxes_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES public.invoices(account_id, invoice_id);

ALTER TABLE ONLY public.invoices
    ADD CONSTRAINT fk_invoices_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.kept_days
    ADD CONSTRAINT fk_kept_days_month FOREIGN KEY (account_id, period) REFERENCES public.kept_months(account_id, period) ON DELETE CASCADE;

ALTER TABLE ONLY public.kept_months
    ADD CONSTRAINT fk_kept_months_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.kept_places
    ADD CONSTRAINT fk_kept_places_month FOREIGN KEY (account_id, period) REFERENCES public.kept_months(account_id, period) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_settings
    ADD CONSTRAINT fk_notification_settings_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT fk_notifications_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.payment_methods
    ADD CONSTRAINT fk_payment_methods_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT fk_payments_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT fk_payments_method FOREIGN KEY (account_id, payment_method_id) REFERENCES public.payment_methods(account_id, payment_method_id);

ALTER TABLE ONLY public.prices
    ADD CONSTRAINT fk_prices_rate_card FOREIGN KEY (rate_card_id) REFERENCES public.rate_cards(rate_card_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT fk_projects_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.promotional_credits
    ADD CONSTRAINT fk_promotional_credits_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.rate_cards
    ADD CONSTRAINT fk_rate_cards_currency FOREIGN KEY (currency) REFERENCES public.currencies(currency);

ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT fk_receipts_payment FOREIGN KEY (account_id, payment_id) REFERENCES public.payments(account_id, payment_id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT fk_refunds_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT fk_refunds_payment FOREIGN KEY (account_id, payment_id) REFERENCES public.payments(account_id, payment_id);

ALTER TABLE ONLY public.resource_deletions
    ADD CONSTRAINT fk_resource_deletions_project FOREIGN KEY (account_id, project_id) REFERENCES public.projects(account_id, project_id);

ALTER TABLE ONLY public.resource_deletions
    ADD CONSTRAINT fk_resource_deletions_resource FOREIGN KEY (account_id, resource_id) REFERENCES public.resources(account_id, resource_id);

ALTER TABLE ONLY public.resource_moves
    ADD CONSTRAINT fk_resource_moves_resource FOREIGN KEY (account_id, resource_id) REFERENCES public.resources(account_id, resource_id);

ALTER TABLE ONLY public.resources
    ADD CONSTRAINT fk_resources_project FOREIGN KEY (account_id, project_id) REFERENCES public.projects(account_id, project_id);

ALTER TABLE ONLY public.run_chunks
    ADD CONSTRAINT fk_run_chunks_run FOREIGN KEY (run_id) REFERENCES public.runs(run_id);

ALTER TABLE ONLY public.shortened_resources
    ADD CONSTRAINT fk_shortened_resources_resource FOREIGN KEY (account_id, resource_id) REFERENCES public.resources(account_id, resource_id);

ALTER TABLE ONLY public.state_points
    ADD CONSTRAINT fk_state_points_resource FOREIGN KEY (account_id, resource_id) REFERENCES public.resources(account_id, resource_id);

ALTER TABLE ONLY public.undone_credits
    ADD CONSTRAINT fk_undone_credits_credit FOREIGN KEY (account_id, credit_id) REFERENCES public.promotional_credits(account_id, credit_id);

ALTER TABLE ONLY public.watched_accounts
    ADD CONSTRAINT fk_watched_accounts_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT fk_webhook_attempts_message FOREIGN KEY (account_id, endpoint_id, message_id) REFERENCES public.webhook_messages(account_id, endpoint_id, message_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT fk_webhook_endpoints_account FOREIGN KEY (account_id) REFERENCES public.accounts(account_id);

ALTER TABLE ONLY public.webhook_messages
    ADD CONSTRAINT fk_webhook_messages_endpoint FOREIGN KEY (account_id, endpoint_id) REFERENCES public.webhook_endpoints(account_id, endpoint_id);

GRANT USAGE ON SCHEMA public TO lineserve_app;
GRANT USAGE ON SCHEMA public TO lineserve_ops;
GRANT USAGE ON SCHEMA public TO lineserve_read;

GRANT USAGE ON SCHEMA queue TO lineserve_app;

GRANT USAGE ON SCHEMA sandbox TO lineserve_app;

GRANT SELECT ON TABLE public.audit_records TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.audit_records TO lineserve_app;

GRANT SELECT ON TABLE public.account_touches TO lineserve_ops;
GRANT SELECT,INSERT,DELETE ON TABLE public.account_touches TO lineserve_app;

GRANT SELECT ON TABLE public.accounts TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.accounts TO lineserve_app;

GRANT SELECT ON TABLE public.accounts_v TO lineserve_ops;
GRANT SELECT ON TABLE public.accounts_v TO lineserve_app;

GRANT SELECT ON TABLE public.alert_firings TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.alert_firings TO lineserve_app;

GRANT SELECT ON TABLE public.alerts TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO lineserve_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.api_keys TO lineserve_app;

GRANT SELECT(key_id) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(account_id) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(name) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(prefix) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(permissions) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(ip_whitelist) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(created_at) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(expires_at) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(revoked_at) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT(last_used_at) ON TABLE public.api_keys TO lineserve_ops;

GRANT SELECT ON TABLE public.audit_head TO lineserve_ops;
GRANT SELECT,UPDATE ON TABLE public.audit_head TO lineserve_app;

GRANT SELECT ON TABLE public.balances TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.balances TO lineserve_app;

GRANT SELECT ON TABLE public.balances_v TO lineserve_ops;
GRANT SELECT ON TABLE public.balances_v TO lineserve_app;
GRANT SELECT ON TABLE public.balances_v TO lineserve_read;

GRANT SELECT ON TABLE public.bands TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.bands TO lineserve_app;

GRANT SELECT ON TABLE public.bands_v TO lineserve_ops;
GRANT SELECT ON TABLE public.bands_v TO lineserve_app;
GRANT SELECT ON TABLE public.bands_v TO lineserve_read;

GRANT SELECT ON TABLE public.run_accounts TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.run_accounts TO lineserve_app;

GRANT SELECT ON TABLE public.billed_accounts_v TO lineserve_ops;
GRANT SELECT ON TABLE public.billed_accounts_v TO lineserve_app;
GRANT SELECT ON TABLE public.billed_accounts_v TO lineserve_read;

GRANT SELECT ON TABLE public.billed_items TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.billed_items TO lineserve_app;

GRANT SELECT ON TABLE public.invoice_lines TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.invoice_lines TO lineserve_app;

GRANT SELECT ON TABLE public.invoice_states TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.invoice_states TO lineserve_app;

GRANT SELECT ON TABLE public.billed_lines_v TO lineserve_ops;
GRANT SELECT ON TABLE public.billed_lines_v TO lineserve_app;
GRANT SELECT ON TABLE public.billed_lines_v TO lineserve_read;

GRANT SELECT ON TABLE public.chargebacks TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.chargebacks TO lineserve_app;

GRANT SELECT ON TABLE public.payments TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.payments TO lineserve_app;

GRANT SELECT ON TABLE public.chargeback_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.chargeback_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.chargeback_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.check_marks TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.check_marks TO lineserve_app;

GRANT SELECT ON TABLE public.close_corrections TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.close_corrections TO lineserve_app;

GRANT SELECT ON TABLE public.closes TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.closes TO lineserve_app;

GRANT SELECT ON TABLE public.closes_v TO lineserve_ops;
GRANT SELECT ON TABLE public.closes_v TO lineserve_app;
GRANT SELECT ON TABLE public.closes_v TO lineserve_read;

GRANT SELECT ON TABLE public.code_digest TO lineserve_ops;

GRANT SELECT ON TABLE public.runs TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.runs TO lineserve_app;

GRANT SELECT ON TABLE public.completed_runs_v TO lineserve_ops;
GRANT SELECT ON TABLE public.completed_runs_v TO lineserve_app;
GRANT SELECT ON TABLE public.completed_runs_v TO lineserve_read;

GRANT SELECT ON TABLE public.credit_note_lines TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.credit_note_lines TO lineserve_app;

GRANT SELECT ON TABLE public.credit_note_taxes TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.credit_note_taxes TO lineserve_app;

GRANT SELECT ON TABLE public.credit_notes TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.credit_notes TO lineserve_app;

GRANT SELECT ON TABLE public.invoices TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.invoices TO lineserve_app;

GRANT SELECT ON TABLE public.credit_note_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.credit_note_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.credit_note_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.promotional_credits TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.promotional_credits TO lineserve_app;

GRANT SELECT ON TABLE public.credit_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.credit_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.credit_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.credited_invoices_v TO lineserve_ops;
GRANT SELECT ON TABLE public.credited_invoices_v TO lineserve_app;
GRANT SELECT ON TABLE public.credited_invoices_v TO lineserve_read;

GRANT SELECT ON TABLE public.currencies TO lineserve_ops;
GRANT SELECT ON TABLE public.currencies TO lineserve_app;

GRANT SELECT ON TABLE public.currencies_v TO lineserve_ops;
GRANT SELECT ON TABLE public.currencies_v TO lineserve_app;
GRANT SELECT ON TABLE public.currencies_v TO lineserve_read;

GRANT SELECT ON TABLE public.day_rows TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.day_rows TO lineserve_app;

GRANT SELECT ON TABLE public.day_rows_v TO lineserve_ops;
GRANT SELECT ON TABLE public.day_rows_v TO lineserve_app;
GRANT SELECT ON TABLE public.day_rows_v TO lineserve_read;

GRANT SELECT ON TABLE public.deliveries TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.deliveries TO lineserve_app;

GRANT SELECT ON TABLE public.deliveries_v TO lineserve_ops;
GRANT SELECT ON TABLE public.deliveries_v TO lineserve_app;
GRANT SELECT ON TABLE public.deliveries_v TO lineserve_read;

GRANT SELECT ON TABLE public.delivery_attempts TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.delivery_attempts TO lineserve_app;

GRANT UPDATE(ended_at) ON TABLE public.delivery_attempts TO lineserve_app;

GRANT UPDATE(outcome) ON TABLE public.delivery_attempts TO lineserve_app;

GRANT UPDATE(gateway_id) ON TABLE public.delivery_attempts TO lineserve_app;

GRANT UPDATE(reason) ON TABLE public.delivery_attempts TO lineserve_app;

GRANT SELECT ON TABLE public.notifications TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.notifications TO lineserve_app;

GRANT SELECT ON TABLE public.delivery_log_v TO lineserve_ops;
GRANT SELECT ON TABLE public.delivery_log_v TO lineserve_app;

GRANT SELECT ON TABLE public.document_pdfs TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.document_pdfs TO lineserve_app;

GRANT SELECT ON TABLE public.transfers TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.transfers TO lineserve_app;

GRANT SELECT ON TABLE public.expired_credits_v TO lineserve_ops;
GRANT SELECT ON TABLE public.expired_credits_v TO lineserve_app;
GRANT SELECT ON TABLE public.expired_credits_v TO lineserve_read;

GRANT SELECT ON TABLE public.finalized_items_v TO lineserve_ops;
GRANT SELECT ON TABLE public.finalized_items_v TO lineserve_app;
GRANT SELECT ON TABLE public.finalized_items_v TO lineserve_read;

GRANT SELECT ON TABLE public.gateway_notices TO lineserve_ops;
GRANT SELECT,INSERT,DELETE ON TABLE public.gateway_notices TO lineserve_app;

GRANT SELECT ON TABLE public.gauges TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.gauges TO lineserve_app;

GRANT SELECT ON TABLE public.gauges_by_end_v TO lineserve_ops;
GRANT SELECT ON TABLE public.gauges_by_end_v TO lineserve_app;
GRANT SELECT ON TABLE public.gauges_by_end_v TO lineserve_read;

GRANT SELECT ON TABLE public.gauges_v TO lineserve_ops;
GRANT SELECT ON TABLE public.gauges_v TO lineserve_app;
GRANT SELECT ON TABLE public.gauges_v TO lineserve_read;

GRANT SELECT ON TABLE public.heads TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.heads TO lineserve_app;

GRANT SELECT ON TABLE public.holds TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.holds TO lineserve_app;

GRANT SELECT ON TABLE public.hold_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.hold_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.hold_transactions_v TO lineserve_read;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO lineserve_app;

GRANT SELECT(account_id) ON TABLE public.idempotency_keys TO lineserve_ops;

GRANT SELECT(route) ON TABLE public.idempotency_keys TO lineserve_ops;

GRANT SELECT(key) ON TABLE public.idempotency_keys TO lineserve_ops;

GRANT SELECT(status) ON TABLE public.idempotency_keys TO lineserve_ops;

GRANT SELECT(created_at) ON TABLE public.idempotency_keys TO lineserve_ops;

GRANT SELECT ON TABLE public.invoice_line_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.invoice_line_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.invoice_line_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.invoice_numbers TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.invoice_numbers TO lineserve_app;

GRANT SELECT ON TABLE public.invoice_payments TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.invoice_payments TO lineserve_app;

GRANT SELECT ON TABLE public.invoice_taxes TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.invoice_taxes TO lineserve_app;

GRANT SELECT ON TABLE public.invoice_tax_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.invoice_tax_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.invoice_tax_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.negative_invoice_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.negative_invoice_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.negative_invoice_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.voiding_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.voiding_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.voiding_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.invoice_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.invoice_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.invoice_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.issued_invoices_v TO lineserve_ops;
GRANT SELECT ON TABLE public.issued_invoices_v TO lineserve_app;
GRANT SELECT ON TABLE public.issued_invoices_v TO lineserve_read;

GRANT SELECT ON TABLE public.issuer_logos TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.issuer_logos TO lineserve_app;

GRANT SELECT ON TABLE public.issuers TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.issuers TO lineserve_app;

GRANT SELECT ON TABLE public.jobs TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.jobs TO lineserve_app;

GRANT SELECT ON TABLE public.kept_days TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.kept_days TO lineserve_app;

GRANT SELECT ON TABLE public.kept_months TO lineserve_ops;
GRANT SELECT,INSERT,DELETE ON TABLE public.kept_months TO lineserve_app;

GRANT SELECT ON TABLE public.kept_places TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.kept_places TO lineserve_app;

GRANT SELECT ON TABLE public.kept_runs TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.kept_runs TO lineserve_app;

GRANT SELECT ON TABLE public.meters TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.meters TO lineserve_app;

GRANT SELECT ON TABLE public.meters_v TO lineserve_ops;
GRANT SELECT ON TABLE public.meters_v TO lineserve_app;
GRANT SELECT ON TABLE public.meters_v TO lineserve_read;

GRANT SELECT ON TABLE public.notification_settings TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.notification_settings TO lineserve_app;

GRANT SELECT ON TABLE public.number_series TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.number_series TO lineserve_app;

GRANT SELECT ON TABLE public.open_holds_v TO lineserve_ops;
GRANT SELECT ON TABLE public.open_holds_v TO lineserve_app;
GRANT SELECT ON TABLE public.open_holds_v TO lineserve_read;

GRANT SELECT,INSERT,UPDATE ON TABLE public.operator_keys TO lineserve_app;

GRANT SELECT(key_id) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(name) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(scopes) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(created_at) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(expires_at) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(revoked_at) ON TABLE public.operator_keys TO lineserve_ops;

GRANT SELECT(last_used_at) ON TABLE public.operator_keys TO lineserve_ops;

GRANT USAGE ON SEQUENCE public.outbox_versions TO lineserve_app;

GRANT SELECT ON TABLE public.outbox_events TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox_events TO lineserve_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.payment_methods TO lineserve_app;

GRANT SELECT(account_id) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(payment_method_id) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(type) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(gateway) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(brand) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(bank_name) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(last4) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(exp_month) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(exp_year) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(is_default) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(created_at) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT(deleted_at) ON TABLE public.payment_methods TO lineserve_ops;

GRANT SELECT ON TABLE public.received_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.received_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.received_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.refunds TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.refunds TO lineserve_app;

GRANT SELECT ON TABLE public.refund_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.refund_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.refund_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.payment_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.payment_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.payment_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.period_versions TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.period_versions TO lineserve_app;

GRANT SELECT ON TABLE public.period_versions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.period_versions_v TO lineserve_app;
GRANT SELECT ON TABLE public.period_versions_v TO lineserve_read;

GRANT SELECT ON TABLE public.prices TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.prices TO lineserve_app;

GRANT UPDATE(valid_to) ON TABLE public.prices TO lineserve_app;

GRANT SELECT ON TABLE public.prices_v TO lineserve_ops;
GRANT SELECT ON TABLE public.prices_v TO lineserve_app;
GRANT SELECT ON TABLE public.prices_v TO lineserve_read;

GRANT SELECT ON TABLE public.projects TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.projects TO lineserve_app;

GRANT SELECT ON TABLE public.projects_v TO lineserve_ops;
GRANT SELECT ON TABLE public.projects_v TO lineserve_app;
GRANT SELECT ON TABLE public.projects_v TO lineserve_read;

GRANT SELECT ON TABLE public.promotional_credits_v TO lineserve_ops;
GRANT SELECT ON TABLE public.promotional_credits_v TO lineserve_app;
GRANT SELECT ON TABLE public.promotional_credits_v TO lineserve_read;

GRANT SELECT ON TABLE public.quarantined_events TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.quarantined_events TO lineserve_app;

GRANT SELECT ON TABLE public.rate_cards TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.rate_cards TO lineserve_app;

GRANT SELECT ON TABLE public.receipts TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.receipts TO lineserve_app;

GRANT SELECT ON TABLE public.resource_deletions TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.resource_deletions TO lineserve_app;

GRANT SELECT ON TABLE public.state_points TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.state_points TO lineserve_app;

GRANT SELECT ON TABLE public.resource_spans_v TO lineserve_ops;
GRANT SELECT ON TABLE public.resource_spans_v TO lineserve_app;
GRANT SELECT ON TABLE public.resource_spans_v TO lineserve_read;

GRANT SELECT ON TABLE public.resources TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.resources TO lineserve_app;

GRANT SELECT ON TABLE public.resource_gaps_v TO lineserve_ops;
GRANT SELECT ON TABLE public.resource_gaps_v TO lineserve_app;
GRANT SELECT ON TABLE public.resource_gaps_v TO lineserve_read;

GRANT SELECT ON TABLE public.resource_moves TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.resource_moves TO lineserve_app;

GRANT SELECT ON TABLE public.resource_moves_v TO lineserve_ops;
GRANT SELECT ON TABLE public.resource_moves_v TO lineserve_app;
GRANT SELECT ON TABLE public.resource_moves_v TO lineserve_read;

GRANT SELECT ON TABLE public.resources_by_end_v TO lineserve_ops;
GRANT SELECT ON TABLE public.resources_by_end_v TO lineserve_app;
GRANT SELECT ON TABLE public.resources_by_end_v TO lineserve_read;

GRANT SELECT ON TABLE public.resources_v TO lineserve_ops;
GRANT SELECT ON TABLE public.resources_v TO lineserve_app;
GRANT SELECT ON TABLE public.resources_v TO lineserve_read;

GRANT SELECT ON TABLE public.run_chunks TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.run_chunks TO lineserve_app;

GRANT SELECT ON TABLE public.schema_migrations TO lineserve_app;

GRANT SELECT ON TABLE public.secret_keys TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.secret_keys TO lineserve_app;

GRANT SELECT ON TABLE public.shortened_resources TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.shortened_resources TO lineserve_app;

GRANT SELECT ON TABLE public.spans_by_end_v TO lineserve_ops;
GRANT SELECT ON TABLE public.spans_by_end_v TO lineserve_app;
GRANT SELECT ON TABLE public.spans_by_end_v TO lineserve_read;

GRANT SELECT ON TABLE public.tax_rates TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.tax_rates TO lineserve_app;

GRANT SELECT ON TABLE public.tax_rates_v TO lineserve_ops;
GRANT SELECT ON TABLE public.tax_rates_v TO lineserve_app;
GRANT SELECT ON TABLE public.tax_rates_v TO lineserve_read;

GRANT SELECT ON TABLE public.undone_credits TO lineserve_ops;
GRANT SELECT,INSERT ON TABLE public.undone_credits TO lineserve_app;

GRANT SELECT ON TABLE public.unspent_credits_v TO lineserve_ops;
GRANT SELECT ON TABLE public.unspent_credits_v TO lineserve_app;
GRANT SELECT ON TABLE public.unspent_credits_v TO lineserve_read;

GRANT SELECT ON TABLE public.usage_events TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.usage_events TO lineserve_app;

GRANT SELECT ON TABLE public.wallet_transactions_v TO lineserve_ops;
GRANT SELECT ON TABLE public.wallet_transactions_v TO lineserve_app;
GRANT SELECT ON TABLE public.wallet_transactions_v TO lineserve_read;

GRANT SELECT ON TABLE public.watched_accounts TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.watched_accounts TO lineserve_app;

GRANT SELECT ON TABLE public.webhook_attempts TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_attempts TO lineserve_app;

GRANT SELECT ON TABLE public.webhook_messages TO lineserve_ops;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_messages TO lineserve_app;

GRANT SELECT ON TABLE public.webhook_deliveries_v TO lineserve_ops;
GRANT SELECT ON TABLE public.webhook_deliveries_v TO lineserve_app;
GRANT SELECT ON TABLE public.webhook_deliveries_v TO lineserve_read;

GRANT SELECT ON TABLE public.webhook_endpoints TO lineserve_ops;
GRANT SELECT,INSERT,UPDATE ON TABLE public.webhook_endpoints TO lineserve_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE queue.pgqueuer TO lineserve_app;

GRANT SELECT,USAGE ON SEQUENCE queue.pgqueuer_id_seq TO lineserve_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE queue.pgqueuer_log TO lineserve_app;

GRANT SELECT,USAGE ON SEQUENCE queue.pgqueuer_log_id_seq TO lineserve_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE queue.pgqueuer_schedules TO lineserve_app;

GRANT SELECT,USAGE ON SEQUENCE queue.pgqueuer_schedules_id_seq TO lineserve_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE queue.pgqueuer_statistics TO lineserve_app;

GRANT SELECT,USAGE ON SEQUENCE queue.pgqueuer_statistics_id_seq TO lineserve_app;

GRANT SELECT,INSERT,UPDATE ON TABLE sandbox.charges TO lineserve_app;

GRANT SELECT,INSERT,UPDATE ON TABLE sandbox.instruments TO lineserve_app;

GRANT SELECT,INSERT,UPDATE ON TABLE sandbox.refunds TO lineserve_app;

ALTER DEFAULT PRIVILEGES FOR ROLE lineserve_owner IN SCHEMA public GRANT SELECT ON TABLES TO lineserve_ops;
