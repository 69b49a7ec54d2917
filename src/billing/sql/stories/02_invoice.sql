\ir books.sql
-- The account has 60.00 in its wallet.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 6000, 'topup.started', 'pay-1');
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 6000, 'topup.settled', 'pay-1');

-- An invoice of 100.00 and 16.00 tax is issued: one posting of two transfers. The account owes 116.00 (receivable is what we are
-- owed, below zero), we have earned 100.00, and 16.00 belong to the tax authority.
SELECT post_transfers(
    array_fill('00000000-0000-7000-8000-000000000001'::uuid, ARRAY[2]), ARRAY['USD', 'USD'], ARRAY['receivable', 'receivable'],
    ARRAY['revenue', 'tax:VAT'], ARRAY[10000, 1600], ARRAY['invoice.issued', 'invoice.issued'], ARRAY['inv-1', 'inv-1'], ARRAY[0, 1],
    array_fill('2024-02-01 10:00Z'::timestamptz, ARRAY[2]), '2024-02-01 10:00Z');
SELECT * FROM books;

-- The wallet pays what it can.
SELECT pg_temp.post('wallet:cash', 'receivable', 6000, 'invoice.paid_from_cash', 'inv-1', 1);
SELECT * FROM books;

-- More money comes and pays the rest: the invoice's second payment, so ordinal 2.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 10000, 'payment.recorded', 'pay-2');
SELECT pg_temp.post('wallet:cash', 'receivable', 5600, 'invoice.paid_from_cash', 'inv-1', 2);
SELECT * FROM books;

-- The books balance.
SELECT currency, sum(balance_minor) AS sum_minor FROM balances GROUP BY currency;
