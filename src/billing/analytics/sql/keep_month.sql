-- Says that the sums of the month $2 of the account $1 are kept, as of its version now, at $3; nothing if it is to be corrected yet.
INSERT INTO kept_months (account_id, period, version, types_digest, kept_at)
SELECT versions.account_id, versions.period, versions.version, (
\ir types_digest.sql
    ), $3::timestamptz
FROM period_versions_v AS versions
WHERE versions.account_id = $1::uuid AND versions.period = $2::date AND versions.version = versions.rated_version
ON CONFLICT (account_id, period) DO NOTHING
RETURNING version
