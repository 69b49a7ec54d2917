-- What other slices may read of the books.
CREATE OR REPLACE VIEW balances_v AS
SELECT account_id, currency, ledger_account, balance_minor FROM balances;
GRANT SELECT ON balances_v TO lineserve_app;
