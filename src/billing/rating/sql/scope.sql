-- The accounts that are rated, with what their prices are looked up by.
scope AS (
    SELECT accounts_v.account_id, accounts_v.currency, currencies_v.minor_per_major,
        -- accounts without a contract share the look-up of their prices
        CASE WHEN EXISTS (SELECT FROM prices_v WHERE prices_v.account_id = accounts_v.account_id
                AND coalesce(prices_v.valid_to, 'infinity') > $2)
            THEN accounts_v.account_id ELSE '00000000-0000-0000-0000-000000000000' END AS contract
    FROM accounts_v
    JOIN currencies_v ON currencies_v.currency = accounts_v.currency
    WHERE accounts_v.account_id = ANY ($1::uuid[])
),
