-- The months whose sums are kept and stand, as in billed_months.sql: those that were kept since $1, and the part $2 of all accounts; with no $1
-- all of them.
SELECT versions.account_id, versions.period, (versions.period + interval '1 month')::date AS end_day
FROM kept_months
JOIN period_versions_v AS versions ON versions.account_id = kept_months.account_id AND versions.period = kept_months.period
    AND versions.version = kept_months.version
WHERE (
    $1::timestamptz IS NULL OR kept_months.kept_at >= $1 OR (hashtextextended(kept_months.account_id::text, 0) & 15) = $2::integer
) AND kept_months.types_digest = (
\ir types_digest.sql
)
ORDER BY versions.account_id, versions.period
