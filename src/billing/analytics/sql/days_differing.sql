-- How many places of a month are not kept day by day as they are reckoned now.
,
\ir day_sums.sql
, kept AS (
    SELECT account_id, period, project_id, region, service, type, shares, resource_ids, resource_days
    FROM kept_days
    WHERE account_id = ($1::uuid[])[1] AND period = $2::date
)
SELECT count(*)
FROM ((TABLE day_sums EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE day_sums)) AS differing
