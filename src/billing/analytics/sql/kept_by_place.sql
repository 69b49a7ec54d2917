-- Shares of the account $1 by service, project, region or month ($2), place and type, from what is kept: of the whole months $3, and of the
-- months $4 their days from $5 to before $6. A row for each place; whoever reads them sums.
SELECT groups.key, groups.name, kept.type, kept.share, kept.resource_ids
FROM (
    SELECT kept_places.period, kept_places.project_id, kept_places.region, kept_places.service, kept_places.type,
        kept_places.amount_minor * 1e40 AS share, kept_places.resource_ids
    FROM kept_places
    WHERE kept_places.account_id = $1::uuid AND kept_places.period = ANY ($3::date[])
    UNION ALL
    SELECT kept_days.period, kept_days.project_id, kept_days.region, kept_days.service, kept_days.type, inside.share,
        ARRAY(
            SELECT present.resource_id FROM unnest(kept_days.resource_ids, kept_days.resource_days) AS present (resource_id, days)
            WHERE present.days & asked.bits <> 0
        )
    FROM kept_days
    CROSS JOIN LATERAL (
        SELECT greatest($5::date, kept_days.period) - kept_days.period AS first_number,
            least($6::date, (kept_days.period + interval '1 month')::date) - kept_days.period AS end_number
    ) AS numbers
    CROSS JOIN LATERAL (
        SELECT ((1::bigint << (numbers.end_number - numbers.first_number)) - 1) << numbers.first_number AS bits
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT sum(days.share) AS share FROM unnest(kept_days.shares[numbers.first_number + 1:numbers.end_number]) AS days (share)
    ) AS inside
    WHERE kept_days.account_id = $1 AND kept_days.period = ANY ($4::date[]) AND inside.share IS NOT NULL
) AS kept
CROSS JOIN LATERAL (
    SELECT CASE $2::text
            WHEN 'service' THEN kept.service
            WHEN 'project' THEN kept.project_id::text
            WHEN 'region' THEN kept.region
            WHEN 'month' THEN kept.period::text
        END AS key,
        CASE $2 WHEN 'project' THEN (
            SELECT projects_v.name FROM projects_v WHERE projects_v.account_id = $1 AND projects_v.project_id = kept.project_id
        ) ELSE '' END AS name
) AS groups
ORDER BY groups.key, kept.period, kept.project_id, kept.region, kept.service, kept.type
