\ir books.sql
-- A top-up of 50.00 has settled.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 5000, 'topup.started', 'pay-1');
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 5000, 'topup.settled', 'pay-1');

-- 30.00 of it are to go back: before the gateway is asked, they are set aside, so that nobody spends them meanwhile.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 3000, 'refund.started', 'refund-1');
SELECT * FROM books;

-- The gateway gave them back: it has 20.00 of ours now.
SELECT pg_temp.post('wallet:held', 'gateway:sandbox', 3000, 'refund.settled', 'refund-1');
SELECT * FROM books;

-- Another refund is declined: the money is in the wallet again.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 1500, 'refund.started', 'refund-2');
SELECT pg_temp.post('wallet:held', 'wallet:cash', 1500, 'refund.failed', 'refund-2');
SELECT * FROM books;

-- What is set aside for one refund cannot go into another.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 1500, 'refund.started', 'refund-3');
SELECT pg_temp.post('wallet:cash', 'wallet:held', 1500, 'refund.started', 'refund-4');
