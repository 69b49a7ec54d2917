-- After cost_shares.sql, not by day: what a whole finalised month cost by place and type, as costs_by_place.sql groups further.
    SELECT ($1::uuid[])[1] AS account_id, cost_lines.month AS period, cost_lines.project_id, cost_lines.region, cost_lines.service,
        coalesce(part_shares.type, '') AS type, div(sum(part_shares.share), 1e40)::bigint AS amount_minor,
        coalesce(array_agg(DISTINCT part_shares.resource_id) FILTER (WHERE part_shares.resource_id IS NOT NULL), '{}') AS resource_ids
    FROM part_shares
    JOIN cost_lines ON cost_lines.line_no = part_shares.line_no
    GROUP BY cost_lines.month, cost_lines.project_id, cost_lines.region, cost_lines.service, coalesce(part_shares.type, '')
