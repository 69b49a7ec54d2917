-- What a month that was billed holds to: its prices by account, plan or meter and region, and the projects that its resources had.
-- An open month has nothing here.
pins AS (
    SELECT NULL::uuid AS account_id, NULL::text AS kind, NULL::text AS item, NULL::text AS region, NULL::uuid AS price_id WHERE false
),
homes AS (
    SELECT NULL::uuid AS account_id, NULL::text AS resource_id, NULL::uuid AS project_id WHERE false
),
