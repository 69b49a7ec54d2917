\ir books.sql
-- January was billed and paid: 100.00 and 16.00 tax.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 11600, 'payment.recorded', 'pay-1');
SELECT pg_temp.post('receivable', 'revenue', 10000, 'invoice.issued', 'inv-1', 0);
SELECT pg_temp.post('receivable', 'tax:VAT', 1600, 'invoice.issued', 'inv-1', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 11600, 'invoice.paid_from_cash', 'inv-1', 1);
SELECT * FROM books;

-- Half of that usage is voided afterwards, and February used nothing: February's document is a credit note, and its gross is
-- settled money in the wallet.
SELECT pg_temp.post('revenue', 'wallet:cash', 5000, 'invoice.credited', 'cn-1', 0);
SELECT pg_temp.post('tax:VAT', 'wallet:cash', 800, 'invoice.credited', 'cn-1', 1);
SELECT * FROM books;
