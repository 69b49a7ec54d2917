-- What the month from $2 holds to since it was billed: the prices on its lines, and the project that each resource had at its close
-- (of one that came later, its first).
pins AS (
    SELECT DISTINCT ON (account_id, item_kind, item, region) account_id, item_kind AS kind, item, region, price_id
    FROM invoice_lines
    WHERE account_id = ANY ($1) AND service_period = ($2::timestamptz AT TIME ZONE 'UTC')::date
    ORDER BY account_id, item_kind, item, region, invoice_id, ordinal
),
homes AS (
    SELECT DISTINCT ON (moves.account_id, moves.resource_id) moves.account_id, moves.resource_id, moves.project_id
    FROM resource_moves_v AS moves
    LEFT JOIN closes ON closes.account_id = moves.account_id AND closes.period = ($2 AT TIME ZONE 'UTC')::date
    WHERE moves.account_id = ANY ($1)
    ORDER BY moves.account_id, moves.resource_id, coalesce(moves.recorded_at <= closes.rated_at, false) DESC,
        CASE WHEN moves.recorded_at <= closes.rated_at THEN moves.recorded_at END DESC, moves.recorded_at
),
