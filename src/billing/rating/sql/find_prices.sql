-- The price in force at $7 (a month's start) for each of some plans and meters ($1 position, $2 kind, $3 item, $4 region), in the
-- currency $5 and for the account $6 (null: none), with its bands. The same choice as in priced.sql.
SELECT asked.position, found.*, bands.*
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[]) AS asked (position, kind, item, region)
CROSS JOIN LATERAL (
    SELECT price_id, model, step, minimum_quantity, per, cap, maximum
    FROM prices_v
    WHERE prices_v.kind = asked.kind AND prices_v.item = asked.item AND prices_v.currency = $5
        AND (prices_v.account_id IS NULL OR prices_v.account_id = $6)
        AND (prices_v.region IS NULL OR prices_v.region = asked.region)
        AND prices_v.valid_from <= $7 AND coalesce(prices_v.valid_to, 'infinity') > $7
    ORDER BY prices_v.account_id NULLS LAST, prices_v.region NULLS LAST, prices_v.valid_from DESC
    LIMIT 1
) AS found
CROSS JOIN LATERAL (
    SELECT array_agg(low ORDER BY ordinal) AS lows, array_agg(high ORDER BY ordinal) AS highs,
        array_agg(base ORDER BY ordinal) AS bases, array_agg(unit ORDER BY ordinal) AS unit_prices
    FROM bands_v
    WHERE bands_v.price_id = found.price_id
) AS bands
