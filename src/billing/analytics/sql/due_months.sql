-- The finalised months of the accounts $1 whose sums are to be made: the month $2, unless there is so little in it that reading it anew costs
-- next to nothing (fewer than $3 resources and day rows); each after one that is kept; and what is kept, but out of date.
SELECT versions.account_id, versions.period
FROM period_versions_v AS versions
LEFT JOIN kept_months ON kept_months.account_id = versions.account_id AND kept_months.period = versions.period
WHERE versions.account_id = ANY ($1::uuid[]) AND versions.version = versions.rated_version AND CASE
    WHEN kept_months.period IS NOT NULL THEN kept_months.version <> versions.version
        OR kept_months.types_digest <> (
\ir types_digest.sql
        )
    WHEN EXISTS (
        SELECT FROM kept_months AS earlier WHERE earlier.account_id = versions.account_id AND earlier.period < versions.period
    ) THEN true
    ELSE versions.period = $2::date AND $3::integer <= (
        SELECT count(*) FROM (
            (SELECT FROM day_rows_v
            WHERE day_rows_v.account_id = versions.account_id AND day_rows_v.day >= $2 AND day_rows_v.day < $2 + interval '1 month'
            LIMIT $3)
            UNION ALL
            (SELECT FROM resources_v WHERE resources_v.account_id = versions.account_id LIMIT $3)
        ) AS counted
    ) END
ORDER BY versions.account_id, versions.period
