-- The price in force at $7 (a month's start) for each of some plans and meters ($1 position, $2 kind, $3 item, $4 region), in the
-- currency $5 and for the account $6 (null: none), with its bands.
SELECT chosen.position, prices.*, bands.*
FROM (
    SELECT keys.position, (
\ir price_in_force.sql
    ) AS price_id
    FROM (
        SELECT asked.*, $5::text AS currency, coalesce((
                SELECT prices_v.account_id FROM prices_v
                WHERE prices_v.account_id = $6::uuid AND coalesce(prices_v.valid_to, 'infinity') > $7
                ORDER BY coalesce(prices_v.valid_to, 'infinity') DESC
                LIMIT 1
            ), '00000000-0000-0000-0000-000000000000') AS contract,
            $7::timestamptz AS month_start
        FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[]) AS asked (position, kind, item, region)
    ) AS keys
    OFFSET 0  -- looked for once, and looked up one by one
) AS chosen
CROSS JOIN LATERAL (
    SELECT price_id, model, step, minimum_quantity, per, cap, maximum FROM prices_v
    WHERE prices_v.price_id = chosen.price_id
    OFFSET 0
) AS prices
CROSS JOIN LATERAL (
    SELECT array_agg(low ORDER BY ordinal) AS lows, array_agg(high ORDER BY ordinal) AS highs,
        array_agg(base ORDER BY ordinal) AS bases, array_agg(unit ORDER BY ordinal) AS unit_prices
    FROM bands_v
    WHERE bands_v.price_id = chosen.price_id
) AS bands
