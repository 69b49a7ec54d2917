-- After the rating statement: the charges of one plan or meter ($7 kind, $8 name), those that the resource $9 has a part in and of the
-- price $10 where they are given, and what each cost before a minimum; at most $11 of them, with how many there are.
SELECT charges.kind, charges.price_id, charges.charge_resource_id AS resource_id, charges.units, charges.quantity, charges.denominator,
    charges.billed_quantity AS billed_above, usage.cost AS usage_cost, charges.cost, charges.amount_minor,
    count(*) OVER () AS total
FROM charges
JOIN charges AS usage ON usage.kind = 'usage' AND usage.account_id = charges.account_id AND usage.price_id = charges.price_id
    AND usage.charge_resource_id = charges.charge_resource_id AND usage.units = charges.units
JOIN prices_v ON prices_v.price_id = charges.price_id
WHERE prices_v.kind = $7::text AND prices_v.item = $8::text AND ($10::uuid IS NULL OR charges.price_id = $10)
    AND ($9::text IS NULL OR EXISTS (
        SELECT FROM parts
        WHERE parts.account_id = charges.account_id AND parts.price_id = charges.price_id
            AND parts.charge_resource_id = charges.charge_resource_id AND parts.units = charges.units AND parts.resource_id = $9
    ))
ORDER BY charges.charge_resource_id, charges.units, charges.price_id, charges.kind DESC
LIMIT $11::integer
