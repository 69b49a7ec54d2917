-- What the days of each run cost a day, by type (days null); and who was there on which days (share null).
SELECT first_day, last_day, type, share, NULL AS resource_id, NULL::bigint AS days FROM day_shares
UNION ALL
SELECT month, NULL, type, NULL, resource_id, days FROM presences
ORDER BY first_day, last_day, type, resource_id
