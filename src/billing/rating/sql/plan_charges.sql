-- Of the rating statement (charges.sql) what plans cost: they alone grow as time goes on, but for gauges.
\ir plan_quantities.sql
quantities AS (
    SELECT account_id, resource_id, 'plan' AS kind, plan AS item, units, quantity, stopped, false AS is_gauge FROM plan_quantities
),
\ir priced.sql
