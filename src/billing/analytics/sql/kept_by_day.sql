-- What days of the account $1 cost by type (days null), and who was there on which days (share null), from what is kept of the months $2;
-- the days from $3 to before $4. The same columns as costs_by_day.sql.
WITH kept AS (
    SELECT kept_days.*, greatest($3::date, kept_days.period) AS from_day,
        least($4::date, (kept_days.period + interval '1 month')::date) AS to_day
    FROM kept_days
    WHERE kept_days.account_id = $1::uuid AND kept_days.period = ANY ($2::date[])
)
SELECT days.day AS first_day, days.day AS last_day, kept.type, sum(days.share) AS share, NULL AS resource_id, NULL::bigint AS days
FROM kept
CROSS JOIN LATERAL (
    SELECT kept.from_day + number::integer - 1 AS day, share
    FROM unnest(kept.shares[kept.from_day - kept.period + 1:kept.to_day - kept.period]) WITH ORDINALITY AS inside (share, number)
    WHERE share IS NOT NULL
) AS days
GROUP BY days.day, kept.type
UNION ALL
SELECT kept.period, NULL, kept.type, NULL, present.resource_id, bit_or(present.days)
FROM kept
CROSS JOIN LATERAL (
    SELECT resource_id, days & (((1::bigint << (kept.to_day - kept.from_day)) - 1) << (kept.from_day - kept.period)) AS days
    FROM unnest(kept.resource_ids, kept.resource_days) AS inside (resource_id, days)
) AS present
WHERE present.days <> 0
GROUP BY kept.period, kept.type, present.resource_id
ORDER BY first_day, last_day, type, resource_id
