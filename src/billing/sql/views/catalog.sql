-- What other slices may read of the catalogue.
CREATE OR REPLACE VIEW currencies_v AS
SELECT currency, decimals, ('1e' || decimals)::numeric AS minor_per_major FROM currencies;

CREATE OR REPLACE VIEW meters_v AS
SELECT meter, service, name, unit, aggregation, shows_as FROM meters;

CREATE OR REPLACE VIEW prices_v AS
SELECT price_id, rate_card_id, kind, item, service, region, currency, account_id, valid_from, valid_to, model, scope, definition, billable,
    step, minimum_quantity, per, cap, maximum, minimum,
    -- the price of one unit after discount, where quantity times it is the cost
    CASE
        WHEN model = 'per_unit' AND coalesce((definition ->> 'included')::numeric, 0) = 0 THEN (definition ->> 'unit_price')::numeric
        WHEN model = 'flat' THEN (definition ->> 'amount')::numeric
        WHEN model = 'hourly' THEN (definition ->> 'hourly_price')::numeric
    END * (1 - coalesce((definition ->> 'discount_percent')::numeric, 0) * 0.01) AS unit_price
FROM prices;

CREATE OR REPLACE VIEW bands_v AS
SELECT price_id, ordinal, low, high, base, unit FROM bands;

CREATE OR REPLACE VIEW tax_rates_v AS
SELECT country, name, percent, valid_from FROM tax_rates;

GRANT SELECT ON currencies_v, meters_v, prices_v, bands_v, tax_rates_v TO lineserve_app;
