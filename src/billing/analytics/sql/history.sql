-- A part of the billing history of an account ($1), newest first: of one type ($2, null: all), from $3 to before $4; $6 rows after the
-- first $7, of those that follow the key $8 to $11 (created_at, source, kind and ordinal of the part). With $5 how many there are in all.
-- Each source is read in its own index's order and no further than the rows asked for, so that a part costs the same everywhere.
WITH newest AS (
    (SELECT payment_id AS source_id, 0 AS part_kind, 0 AS ordinal, type, amount_minor, currency, description, status, created_at,
        service, resource_id
    FROM received_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, payment_id, 0, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, payment_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT payment_id, 0, 0, type, amount_minor, currency, description, status, created_at, service, resource_id
    FROM refund_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, payment_id, 0, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, payment_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT payment_id, 0, 0, type, amount_minor, currency, description, status, created_at, service, resource_id
    FROM chargeback_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, payment_id, 0, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, payment_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT part.invoice_id, part.part_kind, part.ordinal, part.type, part.amount_minor, part.currency, part.description, 'completed',
        issued.issued_at, part.service, part.resource_id
    FROM (
        SELECT account_id, invoice_id, issued_at FROM issued_invoices_v
        WHERE account_id = $1 AND issued_at >= $3::timestamptz AND issued_at < $4::timestamptz AND (issued_at, invoice_id) <= ($8::timestamptz, $9::uuid)
            AND ($2::text IS NULL OR $2::text IN ('charge', 'adjustment'))
        ORDER BY issued_at DESC, invoice_id DESC
    ) AS issued
    CROSS JOIN LATERAL (  -- lines and taxes together: who pays no tax has lines, so that no invoice is looked into beyond those shown
        (SELECT * FROM invoice_tax_transactions_v AS taxes
        WHERE taxes.account_id = issued.account_id AND taxes.invoice_id = issued.invoice_id
            AND ($2::text IS NULL OR taxes.type = $2)
            AND taxes.ordinal <= CASE WHEN issued.invoice_id = $9::uuid AND $10::integer = 2 THEN $11::integer ELSE 2147483647 END
            AND (taxes.created_at, taxes.invoice_id, taxes.part_kind, taxes.ordinal) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
        ORDER BY taxes.ordinal DESC
        LIMIT $6::bigint + $7::bigint)
        UNION ALL
        (SELECT * FROM invoice_line_transactions_v AS lines
        WHERE lines.account_id = issued.account_id AND lines.invoice_id = issued.invoice_id
            AND ($2::text IS NULL OR lines.type = $2)
            AND lines.ordinal <= CASE WHEN issued.invoice_id = $9::uuid AND $10::integer = 1 THEN $11::integer ELSE 2147483647 END
            AND (lines.created_at, lines.invoice_id, lines.part_kind, lines.ordinal) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
        ORDER BY lines.ordinal DESC
        LIMIT $6::bigint + $7::bigint)
    ) AS part
    ORDER BY issued.issued_at DESC, issued.invoice_id DESC, part.part_kind DESC, part.ordinal DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT invoice_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
    FROM negative_invoice_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, invoice_id, part_kind, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, invoice_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT invoice_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
    FROM voiding_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, invoice_id, part_kind, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, invoice_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT invoice_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
    FROM credit_note_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, invoice_id, part_kind, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, invoice_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT source_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
    FROM hold_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, source_id, part_kind, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, source_id DESC
    LIMIT $6::bigint + $7::bigint)
    UNION ALL
    (SELECT source_id, part_kind, 0, type, amount_minor, currency, description, 'completed', created_at, NULL, NULL
    FROM credit_transactions_v
    WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        AND (created_at, source_id, part_kind, 0) < ($8::timestamptz, $9::uuid, $10::integer, $11::integer)
    ORDER BY created_at DESC, source_id DESC
    LIMIT $6::bigint + $7::bigint)
), listed AS (
    SELECT * FROM newest
    ORDER BY created_at DESC, source_id DESC, part_kind DESC, ordinal DESC
    LIMIT $6::bigint OFFSET $7::bigint
)
SELECT listed.*, counted.total
FROM (
    SELECT CASE WHEN $5::boolean THEN (SELECT count(*) FROM (
        SELECT FROM payment_transactions_v
        WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        UNION ALL
        SELECT FROM invoice_transactions_v
        WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
        UNION ALL
        SELECT FROM wallet_transactions_v
        WHERE account_id = $1 AND ($2::text IS NULL OR type = $2) AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
    ) AS shown) END AS total
) AS counted
LEFT JOIN listed ON true
ORDER BY created_at DESC, source_id DESC, part_kind DESC, ordinal DESC
