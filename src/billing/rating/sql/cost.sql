    -- The cost of `totals` (account_id, price_id, charge_resource_id, units, denominator, minor_per_major, quantity): the band
    -- that holds the quantity, then base + unit × what lies above the band's low bound, as one fraction; no branch per model.
    SELECT totals.account_id, totals.price_id, totals.charge_resource_id, totals.units, totals.denominator, totals.minor_per_major,
        totals.quantity, above.billed_quantity,
        -- rounded half up to 12 decimals in whole numbers
        div(2e12 * fraction.numerator + fraction.denominator, 2 * fraction.denominator) * 0.000000000001 AS cost,
        prices_v.minimum, capped.cap_applied
    FROM totals
    JOIN prices_v ON prices_v.price_id = totals.price_id
    JOIN bands_v ON bands_v.price_id = totals.price_id AND totals.quantity > bands_v.low * totals.denominator
        AND (bands_v.high IS NULL OR totals.quantity <= bands_v.high * totals.denominator)
    CROSS JOIN LATERAL (
        SELECT totals.quantity - bands_v.low * totals.denominator AS quantity, prices_v.step * totals.denominator AS step
    ) AS over
    CROSS JOIN LATERAL (
        SELECT greatest(
            CASE WHEN over.step IS NULL THEN over.quantity
                ELSE over.step * (div(over.quantity, over.step) + (mod(over.quantity, over.step) > 0)::integer) END,
            prices_v.minimum_quantity * totals.denominator) AS billed_quantity
    ) AS above
    CROSS JOIN LATERAL (
        SELECT bands_v.base * totals.denominator * prices_v.per + bands_v.unit * above.billed_quantity AS numerator,
            totals.denominator * prices_v.per AS denominator
    ) AS plain
    CROSS JOIN LATERAL (
        SELECT least(plain.numerator, prices_v.cap * plain.denominator) * totals.units AS numerator,
            plain.numerator > prices_v.cap * plain.denominator AS cap_applied
    ) AS capped
    CROSS JOIN LATERAL (
        SELECT least(capped.numerator, prices_v.maximum * plain.denominator) AS numerator, plain.denominator
    ) AS fraction
