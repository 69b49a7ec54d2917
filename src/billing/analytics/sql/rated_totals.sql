-- After the rating statement: what the month costs the accounts $1 so far.
, by_account AS (
    SELECT charges.account_id, scope.currency, prices_v.service, sum(charges.amount_minor) AS amount_minor
    FROM charges
    JOIN scope ON scope.account_id = charges.account_id
    JOIN prices_v ON prices_v.price_id = charges.price_id
    GROUP BY charges.account_id, scope.currency, prices_v.service
)
\ir service_totals.sql
