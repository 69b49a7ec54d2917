\ir books.sql
-- A wallet of 10.00 and a promotional credit of 5.00 pay an invoice of 11.60, tax of 1.60 in it.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 1000, 'payment.recorded', 'pay-1');
SELECT pg_temp.post('promotions', 'promo:welcome', 500, 'credit.granted', 'welcome');
SELECT pg_temp.post('receivable', 'revenue', 1000, 'invoice.issued', 'inv-1', 0);
SELECT pg_temp.post('receivable', 'tax:VAT', 160, 'invoice.issued', 'inv-1', 1);
SELECT pg_temp.post('promo:welcome', 'receivable', 500, 'invoice.paid_from_credit', 'inv-1', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 660, 'invoice.paid_from_cash', 'inv-1', 2);
SELECT * FROM books;

-- It was wrong: voided, it earned nothing and taxed nothing, and what was paid goes back to where it came from.
SELECT pg_temp.post('revenue', 'receivable', 1000, 'invoice.voided', 'inv-1', 0);
SELECT pg_temp.post('tax:VAT', 'receivable', 160, 'invoice.voided', 'inv-1', 1);
SELECT pg_temp.post('receivable', 'promo:welcome', 500, 'invoice.payment_returned', 'inv-1', 1);
SELECT pg_temp.post('receivable', 'wallet:cash', 660, 'invoice.payment_returned', 'inv-1', 2);
SELECT * FROM books;

-- The credit's validity ends with something left of it.
SELECT pg_temp.post('promo:welcome', 'promotions', 500, 'credit.expired', 'welcome');

-- The next invoice is larger than the wallet; what nobody will pay is written off.
SELECT pg_temp.post('receivable', 'revenue', 1500, 'invoice.issued', 'inv-2', 0);
SELECT pg_temp.post('wallet:cash', 'receivable', 1000, 'invoice.paid_from_cash', 'inv-2', 1);
SELECT pg_temp.post('write_offs', 'receivable', 500, 'invoice.written_off', 'inv-2');
SELECT * FROM books;
