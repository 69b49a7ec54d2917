-- migrate:up
CREATE TABLE currencies (
    currency text NOT NULL,
    decimals integer NOT NULL CONSTRAINT ck_currencies_decimals CHECK (decimals BETWEEN 0 AND 4),
    CONSTRAINT pk_currencies PRIMARY KEY (currency)
);
GRANT SELECT ON currencies TO lineserve_app;
INSERT INTO currencies (currency, decimals)
SELECT code, 2 FROM unnest(string_to_array(
    'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK '
    'DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD '
    'KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP '
    'PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH '
    'USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG', ' ')) AS code
UNION ALL SELECT code, 0 FROM unnest(string_to_array(
    'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF', ' ')) AS code
UNION ALL SELECT code, 3 FROM unnest(string_to_array('BHD IQD JOD KWD LYD OMR TND', ' ')) AS code
UNION ALL SELECT code, 4 FROM unnest(string_to_array('CLF UYW', ' ')) AS code;

CREATE TABLE meters (
    meter text NOT NULL,
    service text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    aggregation text NOT NULL CONSTRAINT ck_meters_aggregation CHECK (aggregation IN ('sum', 'max', 'last', 'time_weighted')),
    shows_as text CONSTRAINT ck_meters_shows_as CHECK (shows_as IN ('hours', 'storage_gb', 'bandwidth_gb', 'messages_sent')),
    CONSTRAINT pk_meters PRIMARY KEY (meter)
);
GRANT SELECT, INSERT, UPDATE ON meters TO lineserve_app;

CREATE TABLE rate_cards (
    rate_card_id uuid NOT NULL,
    name text NOT NULL,
    currency text NOT NULL CONSTRAINT fk_rate_cards_currency REFERENCES currencies,
    account_id uuid,  -- that account's contract; null for everyone
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_rate_cards PRIMARY KEY (rate_card_id),
    CONSTRAINT ck_rate_cards_validity CHECK (valid_to > valid_from)
);
GRANT SELECT, INSERT, UPDATE ON rate_cards TO lineserve_app;

-- A price holds what its model compiles to. With x = the quantity above a band's low bound, rounded up to `step` and at least
-- `minimum_quantity`: cost = least(least(base + unit * x / per, cap) * units, maximum). Amounts are in major units, the discount is compiled in.
CREATE TABLE prices (
    price_id uuid NOT NULL,
    rate_card_id uuid NOT NULL CONSTRAINT fk_prices_rate_card REFERENCES rate_cards,
    kind text NOT NULL CONSTRAINT ck_prices_kind CHECK (kind IN ('plan', 'meter')),
    item text NOT NULL,
    service text NOT NULL,
    region text,
    currency text NOT NULL,
    account_id uuid,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    model text NOT NULL CONSTRAINT ck_prices_model
        CHECK (model IN ('per_unit', 'graduated', 'volume', 'package', 'flat', 'hourly')),
    scope text NOT NULL CONSTRAINT ck_prices_scope CHECK (scope IN ('resource', 'account')),
    definition jsonb NOT NULL,  -- the price as it was given
    billable text[] NOT NULL,
    step numeric,
    minimum_quantity numeric NOT NULL,
    per numeric NOT NULL CONSTRAINT ck_prices_per CHECK (per > 0),
    cap numeric,
    maximum numeric,
    minimum numeric,
    CONSTRAINT pk_prices PRIMARY KEY (price_id),
    CONSTRAINT uq_prices_start UNIQUE NULLS NOT DISTINCT (kind, item, currency, account_id, region, valid_from)
);
GRANT SELECT, INSERT ON prices TO lineserve_app;
GRANT UPDATE (valid_to) ON prices TO lineserve_app;
CREATE INDEX ix_prices_rate_card ON prices (rate_card_id);
CREATE INDEX ix_prices_contract ON prices (account_id, (coalesce(valid_to, 'infinity'))) WHERE account_id IS NOT NULL;
CREATE INDEX ix_prices_service ON prices (service);

-- low exclusive, high inclusive (null: without end).
CREATE TABLE bands (
    price_id uuid NOT NULL CONSTRAINT fk_bands_price REFERENCES prices,
    ordinal integer NOT NULL,
    low numeric NOT NULL,
    high numeric,
    base numeric NOT NULL,
    unit numeric NOT NULL,
    CONSTRAINT pk_bands PRIMARY KEY (price_id, ordinal),
    CONSTRAINT ck_bands_bounds CHECK (high > low)
);
GRANT SELECT, INSERT ON bands TO lineserve_app;

CREATE TABLE tax_rates (
    country text NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL CONSTRAINT ck_tax_rates_percent CHECK (percent BETWEEN 0 AND 100),
    valid_from date NOT NULL,
    CONSTRAINT pk_tax_rates PRIMARY KEY (country, name, valid_from)
);
GRANT SELECT, INSERT, UPDATE ON tax_rates TO lineserve_app;

-- The last finalised month of each item, whoever was billed: a general price that would change it is refused. Written by the close.
CREATE TABLE billed_items (
    kind text NOT NULL,
    item text NOT NULL,
    currency text NOT NULL,
    last_period date NOT NULL,
    CONSTRAINT pk_billed_items PRIMARY KEY (kind, item, currency)
);
GRANT SELECT, INSERT, UPDATE ON billed_items TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
