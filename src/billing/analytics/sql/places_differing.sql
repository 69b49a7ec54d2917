-- How many places of a month are not kept as they are reckoned now.
, reckoned AS (
\ir place_sums.sql
), kept AS (
    SELECT account_id, period, project_id, region, service, type, amount_minor, resource_ids
    FROM kept_places
    WHERE account_id = ($1::uuid[])[1] AND period = $2::date
)
SELECT count(*)
FROM ((TABLE reckoned EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE reckoned)) AS differing
