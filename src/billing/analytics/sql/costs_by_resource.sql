-- Shares by line and resource with what is shown of each, and what the days of each run cost (first_day is there).
SELECT NULL::date AS first_day, NULL::date AS last_day, part_shares.share, cost_lines.month, cost_lines.service,
    part_shares.resource_id, coalesce(resources_v.name, '') AS resource_name, part_shares.type, cost_lines.price_id, prices_v.kind,
    prices_v.model, prices_v.step, prices_v.minimum_quantity, meters_v.shows_as,
    CASE WHEN meters_v.aggregation = 'time_weighted' THEN (months.end_day - months.first_day) * 86400 ELSE 1 END AS denominator,
    part_shares.quantity
FROM (
    SELECT line_no, resource_id, type, sum(share) AS share, sum(quantity) AS quantity
    FROM part_shares
    GROUP BY line_no, resource_id, type
) AS part_shares
JOIN cost_lines ON cost_lines.line_no = part_shares.line_no
JOIN months ON months.first_day = cost_lines.month
JOIN prices_v ON prices_v.price_id = cost_lines.price_id
LEFT JOIN meters_v ON prices_v.kind = 'meter' AND meters_v.meter = prices_v.item
LEFT JOIN resources_v ON resources_v.account_id = ($1::uuid[])[1] AND resources_v.resource_id = part_shares.resource_id
UNION ALL
SELECT first_day, last_day, share, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM day_shares
ORDER BY first_day, last_day, service, resource_id, price_id, month
