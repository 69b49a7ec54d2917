        -- How a line of `lines` with its `prices_v` and `meters_v` is put to people.
        SELECT
            CASE lines.kind WHEN 'minimum' THEN 'Minimum charge: ' ELSE '' END
                || coalesce(meters_v.name, prices_v.item)
                || CASE WHEN lines.units <> 1 THEN ' × ' || trim_scale(lines.units) ELSE '' END
                || CASE WHEN lines.resource_name IS NOT NULL THEN ' (' || lines.resource_name || ')' ELSE '' END
                || CASE WHEN lines.cap_applied AND lines.kind = 'usage' THEN ', at most the monthly price' ELSE '' END AS description,
            CASE
                WHEN lines.kind = 'minimum' THEN 1
                WHEN prices_v.model = 'hourly' THEN trim_scale(round(lines.billed_quantity / 3600, 12))
                ELSE trim_scale(round(lines.quantity / lines.denominator, 12))
            END AS quantity,
            CASE
                WHEN lines.kind = 'minimum' THEN 'minimum'
                WHEN prices_v.model = 'hourly' THEN 'hour'
                WHEN prices_v.model = 'flat' THEN 'month'
                ELSE meters_v.unit
            END AS unit,
            CASE WHEN lines.kind = 'usage' THEN trim_scale(prices_v.unit_price * lines.units) END AS unit_price
