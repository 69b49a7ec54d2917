-- Shares by service, project, region or month (`asked.grouping`) and type, with the resources that have them.
SELECT groups.key, groups.name, part_shares.type, sum(part_shares.share) AS share,
    coalesce(array_agg(DISTINCT part_shares.resource_id) FILTER (WHERE part_shares.resource_id IS NOT NULL), '{}') AS resource_ids
FROM asked
CROSS JOIN part_shares
JOIN cost_lines ON cost_lines.line_no = part_shares.line_no
JOIN projects_v ON projects_v.account_id = ($1::uuid[])[1] AND projects_v.project_id = cost_lines.project_id
CROSS JOIN LATERAL (
    SELECT CASE asked.grouping
            WHEN 'service' THEN cost_lines.service
            WHEN 'project' THEN cost_lines.project_id::text
            WHEN 'region' THEN cost_lines.region
            WHEN 'month' THEN cost_lines.month::text
        END AS key,
        CASE asked.grouping WHEN 'project' THEN projects_v.name ELSE '' END AS name
) AS groups
GROUP BY groups.key, groups.name, part_shares.type
ORDER BY groups.key, part_shares.type
