\ir books.sql
-- An invoice of 11.60, tax of 1.60 in it, and a wallet of 2.00, which pays first.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 200, 'payment.recorded', 'pay-1');
SELECT pg_temp.post('receivable', 'revenue', 1000, 'invoice.issued', 'inv-1', 0);
SELECT pg_temp.post('receivable', 'tax:VAT', 160, 'invoice.issued', 'inv-1', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 200, 'invoice.paid_from_cash', 'inv-1', 1);
SELECT * FROM books;

-- The rest is asked of a card, which is declined: nothing has moved in the end.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 960, 'invoice.payment_started', 'pay-2');
SELECT pg_temp.post('wallet:pending', 'gateway:sandbox', 960, 'invoice.payment_failed', 'pay-2');
SELECT * FROM books;

-- Another card pays it. Its money is set against the invoice that it was asked for.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 960, 'invoice.payment_started', 'pay-3');
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 960, 'invoice.payment_settled', 'pay-3');
SELECT pg_temp.post('wallet:cash', 'receivable', 960, 'invoice.paid_from_method', 'inv-1', 2);
SELECT * FROM books;

-- Beside it, a promotional credit that was given to the wrong account, and taken back whole.
SELECT pg_temp.post('promotions', 'promo:wrong', 1000, 'credit.granted', 'wrong');
SELECT pg_temp.post('promo:wrong', 'promotions', 1000, 'credit.undone', 'wrong');
SELECT * FROM books;
