-- Messages that are due, to the endpoints of $1 (accounts) and $2 (their endpoints), begun as attempts.
-- $3 now, $4 lease, $5 limit, $6 most to one endpoint at once, $7 the reason of an attempt that was lost, $8 is_careful.
WITH taken AS (
    SELECT key.account_id, key.endpoint_id, due.message_id
    FROM unnest($1::uuid[], $2::uuid[]) AS key (account_id, endpoint_id)
    CROSS JOIN LATERAL (
        SELECT message_id FROM webhook_messages
        WHERE webhook_messages.account_id = key.account_id AND webhook_messages.endpoint_id = key.endpoint_id
            AND next_at <= $3
        ORDER BY next_at, version, message_id
        LIMIT greatest(0, $6 - (
            SELECT count(*) FROM webhook_messages AS busy
            WHERE busy.account_id = key.account_id AND busy.endpoint_id = key.endpoint_id
                AND busy.status = 'sending' AND busy.next_at > $3))
    ) AS due
    LIMIT $5
), lost AS (
    UPDATE webhook_attempts SET reason = $7
    FROM taken
    WHERE webhook_attempts.account_id = taken.account_id AND webhook_attempts.endpoint_id = taken.endpoint_id
        AND webhook_attempts.message_id = taken.message_id AND duration_ms IS NULL AND reason IS NULL
), begun AS (
    UPDATE webhook_messages
    SET status = 'sending', next_at = $3::timestamptz + $4::interval, attempts = attempts + 1, tries = tries + 1
    FROM taken
    WHERE webhook_messages.account_id = taken.account_id AND webhook_messages.endpoint_id = taken.endpoint_id
        AND webhook_messages.message_id = taken.message_id
    RETURNING webhook_messages.*
), noted AS (
    INSERT INTO webhook_attempts (account_id, endpoint_id, message_id, number, started_at)
    SELECT account_id, endpoint_id, message_id, attempts, $3 FROM begun
)
SELECT begun.account_id, begun.endpoint_id, message_id, attempts AS number, tries, url, body, secret_number,
       secret_rotated_at, notification_id, $8::boolean AS is_careful, $3::timestamptz AS started_at
FROM begun
JOIN webhook_endpoints ON webhook_endpoints.account_id = begun.account_id
    AND webhook_endpoints.endpoint_id = begun.endpoint_id
ORDER BY begun.account_id, begun.endpoint_id, version, message_id
