-- After `by_account` (account_id, currency, service, amount_minor): each service, and (without one) each currency as a whole.
SELECT currency, service, count(*) AS accounts, sum(amount_minor) AS amount_minor
FROM by_account
GROUP BY currency, service
UNION ALL
SELECT currency, NULL, count(*), sum(amount_minor)
FROM (SELECT account_id, currency, sum(amount_minor) AS amount_minor FROM by_account GROUP BY account_id, currency) AS accounts
GROUP BY currency
