-- What other slices may read of accounts.
CREATE OR REPLACE VIEW accounts_v AS
SELECT account_id, email, name, company, status, verified, currency, timezone, country, phone, address, tax_id, tax_exempt,
       terms_days, created_at
FROM accounts;
GRANT SELECT ON accounts_v TO lineserve_app;
