\ir books.sql
-- A top-up is asked of the gateway: the money is on its way, nobody can spend it.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 5000, 'topup.started', 'pay-1');
SELECT * FROM books;

-- It arrives.
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 5000, 'topup.settled', 'pay-1');
SELECT * FROM books;

-- The gateway says so once more: a transfer is posted once per template and reference, so nothing moves.
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 5000, 'topup.settled', 'pay-1');
SELECT * FROM books;

-- Another top-up is declined: what was started is reversed, nothing is deleted.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 700, 'topup.started', 'pay-2');
SELECT pg_temp.post('wallet:pending', 'gateway:sandbox', 700, 'topup.failed', 'pay-2');

-- Money may come another way too, and in another currency: the books of each currency balance on their own.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 1000, 'payment.recorded', 'pay-3', currency => 'KES');
SELECT * FROM books;

-- The account's transfers are numbered without holes; the last one of each posting carries the hash of all before it.
SELECT number, currency, source, destination, amount_minor, template, reference, length(chain_hash) AS hash_bytes
FROM transfers ORDER BY number;
