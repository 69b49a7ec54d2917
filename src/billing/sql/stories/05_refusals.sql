\ir books.sql
SELECT pg_temp.post('gateway:external', 'wallet:cash', 5000, 'payment.recorded', 'pay-1');

-- What is the account's own never falls below zero: not a wallet, not a credit.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 5001, 'hold.placed', 'hold-1');
SELECT pg_temp.post('promo:welcome', 'receivable', 1, 'invoice.paid_from_credit', 'inv-1');

-- Nor does one currency lend to another.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 1, 'hold.placed', 'hold-1', currency => 'KES');

-- The same reference with another amount is no replay.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 5001, 'payment.recorded', 'pay-1');

-- A transfer moves a positive amount, from one ledger account to another.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 0, 'payment.recorded', 'pay-2');
SELECT pg_temp.post('gateway:external', 'wallet:cash', -5, 'payment.recorded', 'pay-2');
SELECT pg_temp.post('wallet:cash', 'wallet:cash', 5, 'payment.recorded', 'pay-2');

-- An account without a head has no books.
SELECT post_transfers(
    ARRAY['00000000-0000-7000-8000-000000000002'::uuid], ARRAY['USD'], ARRAY['gateway:external'], ARRAY['wallet:cash'], ARRAY[5],
    ARRAY['payment.recorded'], ARRAY['pay-3'], ARRAY[0], ARRAY['2024-02-01 10:00Z'::timestamptz], '2024-02-01 10:00Z');

-- What is posted stays as it is: the application may read and add transfers, no more.
UPDATE transfers SET amount_minor = 6000;
DELETE FROM transfers;
TRUNCATE transfers;

-- None of this has left a trace.
SELECT * FROM books;
SELECT number, template, reference, amount_minor FROM transfers;
