\ir books.sql
-- Two promotional credits: a ledger account for each. They are no money of the wallet and never become any.
SELECT pg_temp.post('promotions', 'promo:welcome', 1000, 'credit.granted', 'welcome');
SELECT pg_temp.post('promotions', 'promo:sorry', 4000, 'credit.granted', 'sorry');
SELECT pg_temp.post('gateway:external', 'wallet:cash', 2500, 'payment.recorded', 'pay-1');
SELECT * FROM books;

-- An invoice of 30.00: the credit that is due first pays first, then the next; the cash is not needed.
SELECT pg_temp.post('receivable', 'revenue', 3000, 'invoice.issued', 'inv-1');
SELECT pg_temp.post('promo:welcome', 'receivable', 1000, 'invoice.paid_from_credit', 'inv-1', 1);
SELECT pg_temp.post('promo:sorry', 'receivable', 2000, 'invoice.paid_from_credit', 'inv-1', 2);
SELECT * FROM books;

-- The next one takes what is left of the credit, and cash.
SELECT pg_temp.post('receivable', 'revenue', 3000, 'invoice.issued', 'inv-2');
SELECT pg_temp.post('promo:sorry', 'receivable', 2000, 'invoice.paid_from_credit', 'inv-2', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 1000, 'invoice.paid_from_cash', 'inv-2', 2);
SELECT * FROM books;
