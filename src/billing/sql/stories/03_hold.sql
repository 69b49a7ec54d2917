\ir books.sql
SELECT pg_temp.post('gateway:external', 'wallet:cash', 5000, 'payment.recorded', 'pay-1');

-- 30.00 are set aside: still the account's money, but not spendable.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 3000, 'hold.placed', 'hold-1');
SELECT * FROM books;

-- 20.00 of them are taken, the rest is given back.
SELECT pg_temp.post('wallet:held', 'revenue', 2000, 'hold.captured', 'hold-1');
SELECT pg_temp.post('wallet:held', 'wallet:cash', 1000, 'hold.released', 'hold-1');
SELECT * FROM books;

-- A hold that nobody captures is released whole.
SELECT pg_temp.post('wallet:cash', 'wallet:held', 3000, 'hold.placed', 'hold-2');
SELECT pg_temp.post('wallet:held', 'wallet:cash', 3000, 'hold.released', 'hold-2');
SELECT * FROM books;
