-- What every story begins with: the books of one account, and two short names. Transfers are posted by post_transfers alone.
INSERT INTO heads (account_id, last_number, chain_hash)
VALUES ('00000000-0000-7000-8000-000000000001', 0, chain_start('00000000-0000-7000-8000-000000000001'));

CREATE FUNCTION pg_temp.post(
    source text, destination text, amount_minor bigint, template text, reference text, ordinal integer = 0, currency text = 'USD'
) RETURNS text
LANGUAGE sql
RETURN post_transfers(
    ARRAY['00000000-0000-7000-8000-000000000001'::uuid], ARRAY[currency], ARRAY[source], ARRAY[destination], ARRAY[amount_minor],
    ARRAY[template], ARRAY[reference], ARRAY[ordinal], ARRAY['2024-02-01 10:00Z'::timestamptz], '2024-02-01 10:00Z')
    || ' posted';

CREATE TEMPORARY VIEW books AS
SELECT currency, ledger_account, balance_minor FROM balances
WHERE account_id = '00000000-0000-7000-8000-000000000001'
ORDER BY currency, ledger_account;
