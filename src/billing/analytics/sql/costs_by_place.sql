-- Shares by service, project, region or month (`asked.grouping`) and type, with the resources that have them.
SELECT groups.key, CASE asked.grouping WHEN 'project' THEN (
        SELECT projects_v.name FROM projects_v WHERE projects_v.account_id = ($1::uuid[])[1] AND projects_v.project_id = groups.key::uuid
    ) ELSE '' END AS name, part_shares.type, sum(part_shares.share) AS share,
    coalesce(array_agg(DISTINCT part_shares.resource_id) FILTER (WHERE part_shares.resource_id IS NOT NULL), '{}') AS resource_ids
FROM asked
CROSS JOIN part_shares
JOIN cost_lines ON cost_lines.line_no = part_shares.line_no
CROSS JOIN LATERAL (
    SELECT CASE asked.grouping
            WHEN 'service' THEN cost_lines.service
            WHEN 'project' THEN cost_lines.project_id::text
            WHEN 'region' THEN cost_lines.region
            WHEN 'month' THEN cost_lines.month::text
        END AS key
) AS groups
GROUP BY groups.key, asked.grouping, part_shares.type
ORDER BY groups.key, part_shares.type
