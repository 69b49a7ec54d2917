-- The past months of the account $1 from $2 to before $3 that were billed or written to, each with whether its sums are kept and stand:
-- nothing was written to it since, and resources have the types that they had.
SELECT versions.period, kept_months.period IS NOT NULL AND kept_months.types_digest = (
\ir types_digest.sql
    ) AS is_kept
FROM period_versions_v AS versions
LEFT JOIN kept_months ON kept_months.account_id = versions.account_id AND kept_months.period = versions.period
    AND kept_months.version = versions.version
WHERE versions.account_id = $1::uuid AND versions.period >= date_trunc('month', $2::timestamp) AND versions.period < $3::date
ORDER BY versions.period
