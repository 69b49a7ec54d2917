-- What the accounts $1 were billed for the month $2, corrections in later documents with it.
WITH by_account AS (
    SELECT lines.account_id, accounts_v.currency, lines.service, sum(lines.amount_minor) AS amount_minor
    FROM billed_lines_v AS lines
    JOIN accounts_v ON accounts_v.account_id = lines.account_id
    WHERE lines.account_id = ANY ($1) AND accounts_v.account_id = ANY ($1) AND lines.service_period = $2
    GROUP BY lines.account_id, accounts_v.currency, lines.service
)
\ir service_totals.sql
