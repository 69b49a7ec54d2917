-- Freeze the receipt of the account $1's payment $2 with issuer $5 and template version $6: what the wallet paid as it came
-- (invoices $3, amounts $4), or of a payment that was made for an invoice what was set against that. One that is there stays.
INSERT INTO receipts (account_id, payment_id, parties, is_by_wallet, invoices, recorded_at)
SELECT paid.account_id, paid.payment_id, jsonb_build_object(
        'issuer', $5::jsonb, 'template_version', $6::integer, 'time_zone', accounts_v.timezone,
        'account', jsonb_build_object(
            'name', accounts_v.name, 'company', accounts_v.company, 'email', accounts_v.email,
            'address', accounts_v.address, 'country', accounts_v.country, 'tax_id', accounts_v.tax_id)),
    paid.invoice_id IS NULL,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'number', i.number, 'issued_at', to_char(i.issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'total_minor', i.total_minor, 'amount_minor', parts.amount_minor,
            'due_minor', CASE WHEN s.status IN ('pending', 'processing')
                THEN i.total_minor - s.paid_minor - s.credited_minor ELSE 0 END
        ) ORDER BY i.due_at, i.issued_at, i.invoice_id)
        FROM (
            SELECT p.invoice_id, p.amount_minor FROM invoice_payments AS p
            WHERE p.account_id = $1 AND p.invoice_id = paid.invoice_id AND p.source = 'method' AND p.source_id = $2
            UNION ALL
            SELECT given.invoice_id, given.amount_minor
            FROM unnest($3::uuid[], $4::bigint[]) AS given (invoice_id, amount_minor)
            WHERE paid.invoice_id IS NULL
        ) AS parts
        JOIN invoices AS i ON i.account_id = $1 AND i.invoice_id = parts.invoice_id
        JOIN invoice_states AS s ON s.account_id = $1 AND s.invoice_id = parts.invoice_id
    ), '[]'),
    $7
FROM payment_transactions_v AS paid
JOIN accounts_v ON accounts_v.account_id = paid.account_id
WHERE paid.account_id = $1 AND paid.payment_id = $2 AND paid.type = 'payment' AND paid.status = 'completed'
ON CONFLICT (account_id, payment_id) DO NOTHING
