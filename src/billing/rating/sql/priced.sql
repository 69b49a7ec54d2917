-- From `scope` and `quantities` to charges, lines and shares.
located AS (
    SELECT quantities.*, resources.region, coalesce(homes.project_id, resources.project_id) AS project_id,
        resources.type, resources.name AS resource_name,
        scope.currency, scope.minor_per_major, scope.contract
    FROM quantities
    JOIN scope ON scope.account_id = quantities.account_id
    JOIN resources_by_end_v AS resources ON resources.account_id = quantities.account_id AND resources.resource_id = quantities.resource_id
    LEFT JOIN homes ON homes.account_id = quantities.account_id AND homes.resource_id = quantities.resource_id
    WHERE quantities.quantity > 0
        -- what ended before the month has used nothing in it
        AND resources.account_id = ANY ($1) AND resources.ended_at > $2
),

-- The price in force, looked up once per distinct key.
price_keys AS MATERIALIZED (
    SELECT keys.*, (
\ir price_in_force.sql
    ) AS price_id
    FROM (
        SELECT DISTINCT kind, item, region, currency, contract, $2::timestamptz AS month_start FROM located
    ) AS keys
),
-- A month that was billed keeps the prices that are pinned on its lines.
chosen AS (
    SELECT located.*, coalesce(pins.price_id, price_keys.price_id) AS price_id
    FROM located
    JOIN price_keys ON price_keys.kind = located.kind AND price_keys.item = located.item
        AND price_keys.region = located.region AND price_keys.currency = located.currency
        AND price_keys.contract = located.contract
    LEFT JOIN pins ON pins.account_id = located.account_id AND pins.kind = located.kind AND pins.item = located.item
        AND pins.region = located.region
),
unpriced AS (
    SELECT DISTINCT account_id, kind, item, resource_id FROM chosen WHERE price_id IS NULL
),
parts AS (
    SELECT chosen.account_id, chosen.price_id, chosen.units, chosen.resource_id, chosen.region, chosen.project_id,
        chosen.type, chosen.resource_name, chosen.minor_per_major,
        CASE prices_v.scope WHEN 'resource' THEN chosen.resource_id ELSE '' END AS charge_resource_id,
        -- a quantity is a fraction, divided once and at the end
        CASE WHEN prices_v.model = 'flat' OR chosen.is_gauge THEN extract(epoch FROM $3 - $2) ELSE 1 END AS denominator,
        billable.quantity
    FROM chosen
    JOIN prices_v ON prices_v.price_id = chosen.price_id
    CROSS JOIN LATERAL (
        SELECT CASE chosen.kind WHEN 'meter' THEN chosen.quantity
            ELSE CASE WHEN 'running' = ANY (prices_v.billable) THEN chosen.quantity - chosen.stopped ELSE 0 END
                + CASE WHEN 'stopped' = ANY (prices_v.billable) THEN chosen.stopped ELSE 0 END
        END AS quantity
    ) AS billable
    WHERE billable.quantity > 0
),

-- A charge is one price over a whole quantity: its band, the cost as a fraction, and the only division.
totals AS (
    SELECT account_id, price_id, charge_resource_id, units, denominator, minor_per_major, sum(quantity) AS quantity
    FROM parts
    GROUP BY account_id, price_id, charge_resource_id, units, denominator, minor_per_major
),
costs AS (
\ir cost.sql
),
charges AS (
    SELECT 'usage' AS kind, costs.*, floor(cost * minor_per_major + 0.5) AS amount_minor FROM costs
    UNION ALL
    SELECT 'minimum', account_id, price_id, charge_resource_id, units, denominator, minor_per_major, quantity, billed_quantity,
        round(minimum - cost, 12), minimum, cap_applied, floor(round(minimum - cost, 12) * minor_per_major + 0.5)
    FROM costs
    WHERE $5::boolean AND minimum > cost
),

-- Lines: the parts of a charge by project and region.
charge_parts AS (
    SELECT charges.kind, charges.account_id, charges.price_id, charges.charge_resource_id, charges.units, charges.denominator,
        charges.amount_minor AS charge_amount_minor, charges.cost AS charge_cost, charges.quantity AS charge_quantity,
        charges.billed_quantity, charges.cap_applied, parts.quantity, parts.project_id, parts.region, parts.type,
        CASE WHEN charges.charge_resource_id <> '' THEN parts.resource_name END AS resource_name
    -- FULL, though each has its other: a join that is never made by nested loops, of which many resources make the square
    FROM charges
    FULL JOIN parts ON parts.account_id = charges.account_id AND parts.price_id = charges.price_id
        AND parts.charge_resource_id = charges.charge_resource_id AND parts.units = charges.units
),
line_splits AS (
    SELECT kind, account_id, price_id, charge_resource_id, units, denominator, charge_quantity, billed_quantity, charge_cost, cap_applied,
        charge_amount_minor, project_id, region, sum(quantity) AS quantity,
        CASE WHEN min(type) = max(type) THEN min(type) ELSE '' END AS type, min(resource_name) AS resource_name
    FROM charge_parts
    WHERE quantity <> charge_quantity
    GROUP BY kind, account_id, price_id, charge_resource_id, units, denominator, charge_quantity, billed_quantity, charge_cost, cap_applied,
        charge_amount_minor, project_id, region
),
lines AS (
    -- the only part of a charge is the charge: no quantity is 0
    SELECT kind, account_id, price_id, charge_resource_id, units, denominator, quantity, charge_quantity, billed_quantity,
        charge_cost, cap_applied, project_id, region, type, resource_name,
        charge_amount_minor AS amount_minor, charge_cost AS unrounded
    FROM charge_parts
    WHERE quantity = charge_quantity
    UNION ALL
    SELECT kind, account_id, price_id, charge_resource_id, units, denominator, quantity, charge_quantity, billed_quantity,
        charge_cost, cap_applied, project_id, region, type, resource_name,
        whole_minor + (charge_amount_minor - sum(whole_minor) OVER charge
            >= row_number() OVER (charge ORDER BY rest_minor DESC, project_id, region))::integer AS amount_minor,
        (whole_cost + (charge_cost * 1e12 - sum(whole_cost) OVER charge
            >= row_number() OVER (charge ORDER BY rest_cost DESC, project_id, region))::integer) * 0.000000000001 AS unrounded
    FROM line_splits
    CROSS JOIN LATERAL (
        SELECT div(charge_amount_minor * quantity, charge_quantity) AS whole_minor,
            mod(charge_amount_minor * quantity, charge_quantity) AS rest_minor,
            div(charge_cost * 1e12 * quantity, charge_quantity) AS whole_cost,
            mod(charge_cost * 1e12 * quantity, charge_quantity) AS rest_cost
    ) AS splits
    WINDOW charge AS (PARTITION BY kind, account_id, price_id, charge_resource_id, units)
),

-- Shares: the parts of a line by resource.
share_splits AS (
    SELECT lines.kind, lines.account_id, lines.price_id, lines.charge_resource_id, lines.units, lines.denominator,
        lines.project_id, lines.region, lines.amount_minor AS line_amount_minor, lines.quantity AS line_quantity, lines.billed_quantity,
        parts.resource_id, parts.resource_name, parts.type, parts.quantity
    FROM lines
    FULL JOIN parts ON parts.account_id = lines.account_id AND parts.price_id = lines.price_id
        AND parts.charge_resource_id = lines.charge_resource_id AND parts.units = lines.units
        AND parts.project_id = lines.project_id AND parts.region = lines.region
),
shares AS (
    SELECT kind, account_id, price_id, charge_resource_id, units, denominator, project_id, region, resource_id, resource_name, type,
        quantity, billed_quantity, line_amount_minor AS amount_minor
    FROM share_splits
    WHERE quantity = line_quantity
    UNION ALL
    SELECT kind, account_id, price_id, charge_resource_id, units, denominator, project_id, region, resource_id, resource_name, type,
        quantity, billed_quantity,
        whole_minor + (line_amount_minor - sum(whole_minor) OVER line
            >= row_number() OVER (line ORDER BY rest_minor DESC, resource_id))::integer AS amount_minor
    FROM share_splits
    CROSS JOIN LATERAL (
        SELECT div(line_amount_minor * quantity, line_quantity) AS whole_minor,
            mod(line_amount_minor * quantity, line_quantity) AS rest_minor
    ) AS splits
    WHERE quantity <> line_quantity
    WINDOW line AS (PARTITION BY kind, account_id, price_id, charge_resource_id, units, project_id, region)
)
