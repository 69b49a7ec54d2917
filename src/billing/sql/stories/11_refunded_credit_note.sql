\ir books.sql
-- An invoice of 20.00, paid from a promotional credit of 8.00 and from a top-up of 50.00.
SELECT pg_temp.post('gateway:sandbox', 'wallet:pending', 5000, 'topup.started', 'pay-1');
SELECT pg_temp.post('wallet:pending', 'wallet:cash', 5000, 'topup.settled', 'pay-1');
SELECT pg_temp.post('promotions', 'promo:g', 800, 'credit.granted', 'g');
SELECT pg_temp.post('receivable', 'revenue', 2000, 'invoice.issued', 'inv-1', 0);
SELECT pg_temp.post('promo:g', 'receivable', 800, 'invoice.paid_from_credit', 'inv-1', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 1200, 'invoice.paid_from_cash', 'inv-1', 2);
SELECT * FROM books;

-- An operator takes 15.00 back and refunds it: the money that was paid goes out, 3.00 go back to the credit.
SELECT pg_temp.post('revenue', 'receivable', 1500, 'credit_note.issued', 'cn-1', 0);
SELECT pg_temp.post('receivable', 'wallet:cash', 1200, 'credit_note.returned', 'cn-1', 0);
SELECT pg_temp.post('receivable', 'promo:g', 300, 'credit_note.returned', 'cn-1', 1);
SELECT pg_temp.post('wallet:cash', 'wallet:held', 1200, 'refund.started', 'ref-1');
SELECT * FROM books;

-- The gateway gives it back. Had it refused, the 12.00 would be in the wallet.
SELECT pg_temp.post('wallet:held', 'gateway:sandbox', 1200, 'refund.settled', 'ref-1');
SELECT * FROM books;
