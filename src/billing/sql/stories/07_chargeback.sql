\ir books.sql
-- A top-up of 50.00 has settled; 35.00 of it paid an invoice.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 5000, 'topup.started', 'pay-1');
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 5000, 'topup.settled', 'pay-1');
SELECT pg_temp.post('receivable', 'revenue', 3500, 'invoice.issued', 'inv-1');
SELECT pg_temp.post('wallet:cash', 'receivable', 3500, 'invoice.paid_from_cash', 'inv-1');

-- The card's owner disputes it all, and the gateway has taken the 50.00 back: the wallet gives the 15.00 that it has, the account
-- owes the rest, which stands below zero.
SELECT pg_temp.post('wallet:cash', 'gateway:sandbox', 1500, 'chargeback.taken', 'chargeback-1', 0);
SELECT pg_temp.post('owed', 'gateway:sandbox', 3500, 'chargeback.taken', 'chargeback-1', 1);
SELECT * FROM books;

-- Money that arrives pays what is owed first: of 20.00 the wallet keeps nothing.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 2000, 'payment.recorded', 'pay-2');
SELECT pg_temp.post('wallet:cash', 'owed', 2000, 'owed.paid', 'pay-2');
SELECT * FROM books;

-- Of the next 20.00 it keeps 5.00.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 2000, 'payment.recorded', 'pay-3');
SELECT pg_temp.post('wallet:cash', 'owed', 1500, 'owed.paid', 'pay-3');
SELECT * FROM books;
