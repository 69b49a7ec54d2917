-- What other slices may read of the catalogue.
CREATE OR REPLACE VIEW currencies_v AS
SELECT currency, decimals, ('1e' || decimals)::numeric AS minor_per_major FROM currencies;

CREATE OR REPLACE VIEW meters_v AS
SELECT meter, service, name, unit, aggregation, shows_as FROM meters;

CREATE OR REPLACE VIEW prices_v AS
SELECT price_id, rate_card_id, kind, item, service, region, currency, account_id, valid_from, valid_to, model, scope, definition, billable,
    step, minimum_quantity, per, cap, maximum, minimum,
    -- the price of one unit, where the model has a single one
    CASE model
        WHEN 'per_unit' THEN (definition ->> 'unit_price')::numeric
        WHEN 'package' THEN (definition ->> 'package_price')::numeric
        WHEN 'flat' THEN (definition ->> 'amount')::numeric
        WHEN 'hourly' THEN coalesce((definition ->> 'hourly_price')::numeric, (definition ->> 'monthly_price')::numeric)
    END AS unit_price
FROM prices;

CREATE OR REPLACE VIEW bands_v AS
SELECT price_id, ordinal, low, high, base, unit FROM bands;

CREATE OR REPLACE VIEW tax_rates_v AS
SELECT country, name, percent, valid_from FROM tax_rates;

GRANT SELECT ON currencies_v, meters_v, prices_v, bands_v, tax_rates_v TO lineserve_app;
