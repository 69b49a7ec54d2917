-- The rating statement: what the accounts $1 used in the month from $2 to $3, counted up to the instant $4, and what it costs.
-- With $5 the minimum charges are there too; $6 is 0 but for an outlook, which lets plans run on past the month's end.
-- It stands between `scope` and `pins`, `homes` (nothing_pinned.sql, or what a month that was billed holds to) and a query over
--   charges   one per account, price and (scope resource) resource and units, and its rounded amount
--   lines     charges split by project and region
--   shares    lines split by resource
--   unpriced  quantities for which no price is in force
-- Every split is by quantity, with the largest remainder, so that parts sum to the whole.

-- Quantities: seconds of a plan, of which it was stopped some, and each meter's own aggregate, per resource: one row each.
\ir plan_quantities.sql
meter_sums AS (
    SELECT sums.*, meters_v.aggregation
    FROM (
        SELECT account_id, resource_id, meter, sum(total) AS total, max(highest) AS highest, max(day) AS last_day
        FROM day_rows_v
        WHERE account_id = ANY ($1) AND NOT is_gauge AND day >= ($2 AT TIME ZONE 'UTC')::date AND day < ($3 AT TIME ZONE 'UTC')::date
        GROUP BY account_id, resource_id, meter
    ) AS sums
    JOIN meters_v ON meters_v.meter = sums.meter
),
meter_quantities AS (
    SELECT account_id, resource_id, meter, CASE aggregation WHEN 'sum' THEN total ELSE highest END AS quantity
    FROM meter_sums
    WHERE aggregation IN ('sum', 'max')
    UNION ALL
    -- looked up, for an aggregate in an order would have all day rows sorted
    SELECT meter_sums.account_id, meter_sums.resource_id, meter_sums.meter, day_rows_v.latest
    FROM meter_sums
    JOIN day_rows_v ON day_rows_v.account_id = meter_sums.account_id AND day_rows_v.day = meter_sums.last_day
        AND day_rows_v.resource_id = meter_sums.resource_id AND day_rows_v.meter = meter_sums.meter
    WHERE meter_sums.aggregation = 'last' AND day_rows_v.account_id = ANY ($1)
),
counted AS NOT MATERIALIZED (SELECT $2 AS since, least($3, $4) AS until),
\ir gauge_quantities.sql
quantities AS (
    SELECT account_id, resource_id, 'plan' AS kind, plan AS item, units, quantity, stopped, false AS is_gauge FROM plan_quantities
    UNION ALL
    SELECT account_id, resource_id, 'meter', meter, 1, quantity, 0, false FROM meter_quantities
    UNION ALL
    SELECT account_id, resource_id, 'meter', meter, 1, quantity, 0, true FROM gauge_quantities
),
\ir priced.sql
