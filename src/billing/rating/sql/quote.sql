-- What quantities cost at given prices, with the cost of the rating statement. $1 to $5 are the totals (position, price, units,
-- quantity, denominator), $6 the currency; $7 to $12 are prices that stand in no rate card, $13 to $17 their bands.
WITH quoted_prices AS (
    SELECT price_id, step, minimum_quantity, per, cap, maximum, minimum FROM prices_v WHERE price_id = ANY ($2::uuid[])
    UNION ALL
    SELECT price_id, step, minimum_quantity, per, cap, maximum, minimum
    FROM unnest($7::uuid[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[])
        AS drafts (price_id, step, minimum_quantity, per, cap, maximum)
    CROSS JOIN LATERAL (SELECT NULL::numeric) AS none (minimum)
), quoted_bands AS (
    SELECT price_id, low, high, base, unit FROM bands_v WHERE price_id = ANY ($2)
    UNION ALL
    SELECT * FROM unnest($13::uuid[], $14::numeric[], $15::numeric[], $16::numeric[], $17::numeric[])
), prices_v AS (
    SELECT * FROM quoted_prices
), bands_v AS (
    SELECT * FROM quoted_bands
), totals AS (
    SELECT NULL::uuid AS account_id, price_id, position::text AS charge_resource_id, units, denominator, minor_per_major, quantity
    FROM unnest($1::integer[], $2, $3::numeric[], $4::numeric[], $5::numeric[])
        AS asked (position, price_id, units, quantity, denominator)
    CROSS JOIN currencies_v
    WHERE currencies_v.currency = $6
), costs AS (
\ir cost.sql
)
SELECT charge_resource_id::integer AS position, cost, billed_quantity, cap_applied, floor(cost * minor_per_major + 0.5) AS amount_minor
FROM costs
