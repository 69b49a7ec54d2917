-- From `asked`, `months`, `cost_lines` and `known_parts` to shares of lines. A share is in 10^-40 minor units: exact but for what is
-- below that, which whoever rounds takes away again.
--   part_shares   a resource's share of a line in the days asked for, and its quantity there (null: nothing is left of it)
--   day_shares    what each day of a run costs, by type of resource
--   presences     on which days of a month (bit 0: its first) a resource used something
used AS MATERIALIZED (
    SELECT * FROM known_parts WHERE needs_runs
),
\ir day_runs.sql
run_sums AS (
    SELECT part_no, sum(reading * (last_day - first_day + 1)) AS readings, max(reading) AS highest FROM runs GROUP BY part_no
),
last_readings AS (
    SELECT DISTINCT ON (runs.part_no) runs.part_no, runs.reading
    FROM used
    JOIN runs ON runs.part_no = used.part_no
    WHERE used.aggregation = 'last'
    ORDER BY runs.part_no, runs.last_day DESC
),
-- A line of one resource needs no quantity to be shared; a line whose usage is gone is shared by the days of its month.
quantities_of_parts AS (
    SELECT parts.part_no, parts.line_no, parts.resource_id, parts.type, run_sums.readings,
        coalesce(parts.aggregation IN ('max', 'last'), false) AS is_shared,
        CASE
            WHEN parts.quantity IS NOT NULL THEN parts.quantity
            WHEN NOT parts.needs_runs THEN 1
            WHEN parts.aggregation = 'max' THEN run_sums.highest
            WHEN parts.aggregation = 'last' THEN last_readings.reading
            ELSE run_sums.readings
        END AS quantity
    FROM known_parts AS parts
    LEFT JOIN run_sums ON run_sums.part_no = parts.part_no
    LEFT JOIN last_readings ON last_readings.part_no = parts.part_no
),
weighed AS MATERIALIZED (
    SELECT parts.*, cost_lines.is_whole, cost_lines.amount_minor, cost_lines.first_day,
        sum(parts.quantity) OVER (PARTITION BY parts.line_no) AS line_quantity
    FROM (
        SELECT part_no, line_no, resource_id, type, readings, is_shared, quantity FROM quantities_of_parts WHERE quantity > 0
        UNION ALL
        SELECT -line_no, line_no, nullif(charge_resource_id, ''), type, end_day - first_day, false, end_day - first_day
        FROM cost_lines
        WHERE line_no NOT IN (SELECT line_no FROM quantities_of_parts WHERE quantity > 0)
    ) AS parts
    JOIN cost_lines ON cost_lines.line_no = parts.line_no
),
-- The runs of the days asked for, with whose they are. What a day of a run costs is amount × reading × factor / divisor.
asked_runs AS MATERIALIZED (
    SELECT weighed.part_no, weighed.line_no, weighed.resource_id, weighed.type, months.first_day AS month, all_runs.reading,
        greatest(all_runs.first_day, months.from_day) AS first_day, least(all_runs.last_day, months.to_day - 1) AS last_day
    FROM (
        SELECT part_no, first_day, last_day, reading FROM runs
        UNION ALL
        SELECT -line_no, first_day, end_day - 1, 1 FROM cost_lines
    ) AS all_runs
    JOIN weighed ON weighed.part_no = all_runs.part_no
    JOIN months ON months.first_day = weighed.first_day
    WHERE all_runs.first_day < months.to_day AND all_runs.last_day >= months.from_day
),
factors AS (
    SELECT *, CASE WHEN is_shared THEN part_no END AS shared_part_no, amount_minor * CASE WHEN is_shared THEN quantity ELSE 1 END AS factor,
        line_quantity * CASE WHEN is_shared THEN readings ELSE 1 END AS divisor
    FROM weighed
),
-- Whole months: the line's minor units by largest remainder (ties: resource id), as usage has them. Others: by their days.
splits AS (
    SELECT *, div(amount_minor * quantity, line_quantity) - (mod(amount_minor * quantity, line_quantity) < 0)::integer AS whole_minor,
        mod(mod(amount_minor * quantity, line_quantity) + line_quantity, line_quantity) AS rest_minor
    FROM weighed
    WHERE is_whole
),
part_shares AS (
    SELECT line_no, resource_id, type, CASE WHEN part_no > 0 THEN quantity END AS quantity,
        (whole_minor + (amount_minor - sum(whole_minor) OVER line
            >= row_number() OVER (line ORDER BY rest_minor DESC, resource_id))::integer) * 1e40 AS share
    FROM splits
    WINDOW line AS (PARTITION BY line_no)
    UNION ALL
    SELECT factors.line_no, factors.resource_id, factors.type,
        CASE WHEN factors.is_shared THEN div(factors.quantity * inside.readings * 1e30, factors.readings) * 1e-30
            WHEN factors.part_no > 0 THEN inside.readings END,
        div(factors.factor * inside.readings * 1e40, factors.divisor)
    FROM factors
    JOIN (
        SELECT part_no, sum(reading * (last_day - first_day + 1)) AS readings FROM asked_runs GROUP BY part_no
    ) AS inside ON inside.part_no = factors.part_no
    WHERE NOT factors.is_whole
),
-- What days of a line have in common is summed before it is divided.
day_shares AS (
    SELECT sums.first_day, sums.last_day, sums.type, sum(div(sums.factor * sums.readings * 1e40, sums.divisor)) AS share
    FROM (
        SELECT asked_runs.first_day, asked_runs.last_day, factors.type, factors.line_no, factors.factor, factors.divisor,
            sum(asked_runs.reading) AS readings
        FROM asked_runs
        JOIN factors ON factors.part_no = asked_runs.part_no
        GROUP BY asked_runs.first_day, asked_runs.last_day, factors.type, factors.line_no, factors.shared_part_no, factors.factor,
            factors.divisor
    ) AS sums
    GROUP BY sums.first_day, sums.last_day, sums.type
),
presences AS (
    SELECT resource_id, type, month, bit_or(((1::bigint << (last_day - first_day + 1)) - 1) << (first_day - month)) AS days
    FROM asked_runs
    GROUP BY resource_id, type, month
)
