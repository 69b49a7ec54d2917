-- From `asked`, `months`, `cost_lines`, `places`, `given_parts` and `counted_rows` to shares of lines. A share is in 10^-40 minor units: exact
-- but for what is below that, which whoever rounds takes away again.
--   part_shares   a resource's share of a line in the days asked for, and its quantity there (null: nothing is left of it)
--   line_days     what each day of a run costs of a line, by type of resource; day_shares: of all lines together
--   presences     on which days of a month (bit 0: its first) a resource used something
\ir day_runs.sql
-- Joined by one text each: the planner takes several equalities for rarer than they are, and nests loops.
placed AS MATERIALIZED (
    SELECT used.*, places.type, concat_ws('|', used.month, used.status = 'metered', used.item, trim_scale(used.units), places.project_id,
        places.region) AS line_key
    FROM used
    JOIN places ON concat_ws('|', places.month, places.resource_id) = concat_ws('|', used.month, used.resource_id)
    WHERE used.quantity > 0
),
counted_parts AS MATERIALIZED (
    SELECT cost_lines.line_no, placed.*
    FROM placed
    JOIN cost_lines ON concat_ws('|', cost_lines.month, cost_lines.item_kind = 'meter', cost_lines.item, trim_scale(cost_lines.units),
            cost_lines.project_id, cost_lines.region) = placed.line_key
        AND cost_lines.charge_resource_id IN ('', placed.resource_id)
    JOIN prices_v ON prices_v.price_id = cost_lines.price_id
    WHERE cost_lines.needs_days AND (placed.status = 'metered' OR placed.status = ANY (prices_v.billable))
),
all_parts AS MATERIALIZED (
    SELECT row_number() OVER () AS part_no, parts.*, months.from_day, months.to_day, cost_lines.is_whole, cost_lines.amount_minor,
        sum(parts.quantity) OVER (PARTITION BY parts.line_no) AS line_quantity
    FROM (
        SELECT line_no, month, resource_id, type, item, units, status, readings, is_shared, quantity, true AS is_known FROM counted_parts
        UNION ALL
        SELECT line_no, NULL, resource_id, type, NULL, NULL, NULL, quantity, false, quantity, true FROM given_parts
        UNION ALL
        -- a line whose usage is gone is shared by the days of its month
        SELECT cost_lines.line_no, months.first_day, nullif(charge_resource_id, ''), type, NULL, NULL, NULL,
            months.end_day - months.first_day, false, months.end_day - months.first_day, false
        FROM cost_lines
        JOIN months ON months.first_day = cost_lines.month
        WHERE needs_days AND line_no NOT IN (SELECT line_no FROM counted_parts)
    ) AS parts
    JOIN cost_lines ON cost_lines.line_no = parts.line_no
    JOIN months ON months.first_day = cost_lines.month
),
-- What a day with a reading costs is amount × reading × factor / divisor.
weighed AS (
    SELECT *, amount_minor * CASE WHEN is_shared THEN quantity ELSE 1 END AS factor,
        line_quantity * CASE WHEN is_shared THEN readings ELSE 1 END AS divisor
    FROM all_parts
),
-- The runs of each part in the days asked for, with all that is asked of a part: joined once, however many read them.
asked_runs AS MATERIALIZED (
    SELECT part_no, line_no, resource_id, type, is_known, is_shared, is_whole, quantity, readings, factor, divisor, month, reading,
        greatest(first_day, from_day) AS first_day, least(last_day, to_day - 1) AS last_day
    FROM (
        SELECT weighed.part_no, weighed.line_no, weighed.resource_id, weighed.type, weighed.is_known, weighed.is_shared, weighed.is_whole,
            weighed.quantity, weighed.readings, weighed.factor, weighed.divisor, weighed.from_day, weighed.to_day, runs.month,
            runs.reading, runs.first_day, runs.last_day
        FROM weighed
        JOIN runs ON runs.month = weighed.month AND runs.resource_id = weighed.resource_id AND runs.item = weighed.item
            AND runs.units = weighed.units AND runs.status = weighed.status
        UNION ALL
        SELECT weighed.part_no, weighed.line_no, weighed.resource_id, weighed.type, weighed.is_known, weighed.is_shared, weighed.is_whole,
            weighed.quantity, weighed.readings, weighed.factor, weighed.divisor, weighed.from_day, weighed.to_day, months.first_day,
            1, months.first_day, months.end_day - 1
        FROM weighed
        JOIN months ON months.first_day = weighed.month
        WHERE NOT weighed.is_known
    ) AS found
    WHERE first_day < to_day AND last_day >= from_day
),
-- Whole months: the line's minor units by largest remainder (ties: resource id), as usage has them. Others: by their days.
splits AS (
    SELECT *, div(amount_minor * quantity, line_quantity) - (mod(amount_minor * quantity, line_quantity) < 0)::integer AS whole_minor,
        mod(mod(amount_minor * quantity, line_quantity) + line_quantity, line_quantity) AS rest_minor
    FROM all_parts
    WHERE is_whole
),
part_shares AS MATERIALIZED (
    SELECT line_no, resource_id, type, CASE WHEN is_known THEN quantity END AS quantity,
        (whole_minor + (amount_minor - sum(whole_minor) OVER line
            >= row_number() OVER (line ORDER BY rest_minor DESC, resource_id, part_no))::integer) * 1e40 AS share
    FROM splits
    WINDOW line AS (PARTITION BY line_no)
    UNION ALL
    SELECT line_no, resource_id, type,
        CASE WHEN is_shared THEN div(quantity * readings_inside * 1e30, readings) * 1e-30 WHEN is_known THEN readings_inside END,
        div(factor * readings_inside * 1e40, divisor)
    FROM (
        SELECT part_no, line_no, resource_id, type, is_known, is_shared, quantity, readings, factor, divisor,
            sum(reading * (last_day - first_day + 1)) AS readings_inside
        FROM asked_runs
        WHERE NOT is_whole
        GROUP BY part_no, line_no, resource_id, type, is_known, is_shared, quantity, readings, factor, divisor
    ) AS inside
),
-- What days of a line have in common is summed before it is divided.
line_days AS (
    SELECT line_no, first_day, last_day, type, div(min(factor) * sum(reading) * 1e40, min(divisor)) AS share
    FROM asked_runs
    GROUP BY first_day, last_day, type, line_no, CASE WHEN is_shared THEN part_no END
),
day_shares AS (
    SELECT first_day, last_day, type, sum(share) AS share FROM line_days GROUP BY first_day, last_day, type
),
presences AS (
    SELECT resource_id, type, month, bit_or(((1::bigint << (last_day - first_day + 1)) - 1) << (first_day - month)) AS days
    FROM asked_runs
    GROUP BY resource_id, type, month
)
