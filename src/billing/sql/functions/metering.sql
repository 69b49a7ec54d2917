-- Each write of usage or state to a past month adds one to that month's version; the running month has none.
CREATE OR REPLACE FUNCTION touch_periods(p_account_ids uuid[], p_periods date[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql  -- whose plans are kept
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

-- Say of a resource's states, from the one before an instant on, until when each held, and of its gauges when the resource ended.
-- The caller holds the resource.
CREATE OR REPLACE FUNCTION end_states(p_account_id uuid, p_resource_id text, p_since timestamptz) RETURNS void
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

-- The months that readings of gauges on some days (parallel arrays; other meters are left out) count in: that of the day, and each over
-- which the day's last level holds, up to that of the next reading, the resource's end or the running one.
CREATE OR REPLACE FUNCTION months_of_levels(
    p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[], p_now timestamptz
) RETURNS TABLE (account_id uuid, period date)
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

-- The seconds between two instants in which a resource was not being deleted; 0 when they do not rise.
CREATE OR REPLACE FUNCTION metered_seconds(
    p_account_id uuid, p_resource_id text, p_since timestamptz, p_until timestamptz
) RETURNS numeric
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN p_since >= p_until THEN 0 ELSE extract(epoch FROM p_until - p_since) - coalesce((
        SELECT sum(extract(epoch FROM least(coalesce(end_at, 'infinity'), p_until) - greatest(effective_at, p_since)))
        FROM state_points
        WHERE account_id = p_account_id AND resource_id = p_resource_id AND status = 'deleting'
            AND effective_at < p_until AND coalesce(end_at, 'infinity') > p_since
    ), 0) END
$$;

-- Fold the readings of gauges anew for some of their days; rows of other meters are left alone. The caller holds the day rows, so every committed reading is seen.
CREATE OR REPLACE FUNCTION refold_gauges(p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[]) RETURNS void
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

-- Take in usage events, given as parallel arrays: each is stored, counted into its day row, and answered, in one transaction.
-- p_reasons names what the caller already holds against an event (null: nothing). Answers in the order sent: accepted,
-- duplicate (same key and content as before), rejected (event_conflict, account_unknown) or quarantined, with the reason.
CREATE OR REPLACE FUNCTION ingest_usage(
    p_account_ids uuid[], p_sources text[], p_event_ids text[], p_resource_ids text[], p_meters text[],
    p_quantities numeric[], p_occurred_ats timestamptz[], p_reasons text[], p_now timestamptz
) RETURNS TABLE ("position" bigint, outcome text, reason text)
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

-- Count some day rows anew, gauges aside, from the events that are left; a row without any goes. The caller holds the rows.
CREATE OR REPLACE FUNCTION recount_days(p_account_ids uuid[], p_resource_ids text[], p_meters text[], p_days date[]) RETURNS void
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

-- Take an event out of the count: its day is counted again from the events that are left, and its month becomes dirty if it has ended.
-- One that waits in quarantine waits no longer. Returns voided, again (it was before) or unknown.
CREATE OR REPLACE FUNCTION void_usage(p_account_id uuid, p_source text, p_event_id text, p_now timestamptz) RETURNS text
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

-- Take a resource's events that lie outside its life as it is known now, and not before p_since (null: any), out of the count and into
-- quarantine. Whole day rows at a time, oldest first: as many as hold up to p_most such events, and without p_since at least one
-- whatever it holds. The caller adds to the versions of `months`, those that changed; `is_more` says whether events are left.
CREATE OR REPLACE FUNCTION set_aside_usage(
    p_account_id uuid, p_resource_id text, p_since timestamptz, p_most bigint, OUT is_more boolean, OUT months date[]
)
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
