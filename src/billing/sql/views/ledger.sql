-- What other slices may read of the books.
CREATE OR REPLACE VIEW balances_v AS
SELECT account_id, currency, ledger_account, balance_minor, is_spent FROM balances;
GRANT SELECT ON balances_v TO lineserve_app;

-- Promotional credits whose rest was booked back because their validity ended.
CREATE OR REPLACE VIEW expired_credits_v AS
SELECT account_id, reference AS credit_reference FROM transfers WHERE template = 'credit.expired';
GRANT SELECT ON expired_credits_v TO lineserve_app;
