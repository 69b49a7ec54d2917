    -- The day rows of meters that count events, with the aggregate that their meter takes.
    SELECT date_trunc('month', day_rows_v.day::timestamp)::date AS month, day_rows_v.resource_id, day_rows_v.meter, meters_v.aggregation,
        day_rows_v.day,
        CASE meters_v.aggregation WHEN 'sum' THEN day_rows_v.total WHEN 'max' THEN day_rows_v.highest ELSE day_rows_v.latest END AS reading
    FROM day_rows_v
    JOIN meters_v ON meters_v.meter = day_rows_v.meter
    WHERE day_rows_v.account_id = ($1::uuid[])[1] AND NOT day_rows_v.is_gauge
