-- The resources of some charges, the one with most first: of each charge at most $12, or the resource $11 alone, with how many there are.
\ir asked_charges.sql
, ranked AS (
    SELECT shares.kind, shares.price_id, shares.charge_resource_id, shares.units, shares.resource_id AS shared_resource_id,
        shares.resource_name, shares.type, shares.project_id, shares.region, shares.quantity, shares.amount_minor,
        row_number() OVER (charge ORDER BY shares.quantity DESC, shares.resource_id) AS rank, count(*) OVER charge AS total
    FROM shares
    JOIN asked ON asked.kind = shares.kind AND asked.price_id = shares.price_id
        AND asked.charge_resource_id = shares.charge_resource_id AND asked.units = shares.units
    WINDOW charge AS (PARTITION BY shares.kind, shares.price_id, shares.charge_resource_id, shares.units)
)
SELECT kind, price_id, charge_resource_id AS resource_id, units, shared_resource_id, resource_name, type, project_id, region,
    quantity, amount_minor, total
FROM ranked
WHERE CASE WHEN $11::text IS NULL THEN rank <= $12::integer ELSE shared_resource_id = $11 END
ORDER BY kind DESC, price_id, charge_resource_id, units, rank
