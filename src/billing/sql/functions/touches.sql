-- Which watched accounts a transaction wrote to: ledger and metering say so in the functions that write.

-- Leave a touch of this transaction on those of some accounts that are watched. Whoever takes the touch away finds what was written.
CREATE OR REPLACE FUNCTION touch_accounts(p_account_ids uuid[]) RETURNS void
LANGUAGE plpgsql  -- whose plan is kept: one look-up where nobody watches
AS $$
BEGIN
    INSERT INTO account_touches (account_id, transaction_id)
    SELECT account_id, pg_current_xact_id() FROM watched_accounts WHERE account_id = ANY (p_account_ids)
    ON CONFLICT (account_id, transaction_id) DO NOTHING;
END
$$;
