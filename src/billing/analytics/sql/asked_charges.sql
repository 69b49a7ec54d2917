-- After the rating statement: the charges that are asked about, by kind ($7), price ($8), resource ($9, '' where pooled) and units ($10).
, asked AS (
    SELECT * FROM unnest($7::text[], $8::uuid[], $9::text[], $10::numeric[]) AS t (kind, price_id, charge_resource_id, units)
)
