\ir books.sql
-- An invoice of 11.60, tax of 1.60 in it, of which a wallet of 5.00 has paid what it could.
SELECT pg_temp.post('gateway:external', 'wallet:cash', 500, 'payment.recorded', 'pay-1');
SELECT pg_temp.post('receivable', 'revenue', 1000, 'invoice.issued', 'inv-1', 0);
SELECT pg_temp.post('receivable', 'tax:VAT', 160, 'invoice.issued', 'inv-1', 1);
SELECT pg_temp.post('wallet:cash', 'receivable', 500, 'invoice.paid_from_cash', 'inv-1', 1);
SELECT * FROM books;

-- An operator takes 5.80 of it back: that lowers what is open.
SELECT pg_temp.post('revenue', 'receivable', 500, 'credit_note.issued', 'cn-1', 0);
SELECT pg_temp.post('tax:VAT', 'receivable', 80, 'credit_note.issued', 'cn-1', 1);
SELECT * FROM books;

-- And then the other half: 0.80 were still open, the rest had been paid and goes back into the wallet.
SELECT pg_temp.post('revenue', 'receivable', 500, 'credit_note.issued', 'cn-2', 0);
SELECT pg_temp.post('tax:VAT', 'receivable', 80, 'credit_note.issued', 'cn-2', 1);
SELECT pg_temp.post('receivable', 'wallet:cash', 500, 'credit_note.returned', 'cn-2');
SELECT * FROM books;
