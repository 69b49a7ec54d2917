-- The price in force for `keys` (kind, item, region, currency, contract, month_start): contract before general, this region before any, the
-- newest start. Each is read from its end of the index of prices, so that those which it replaced and contracts of others cost nothing.
SELECT coalesce(
    CASE WHEN keys.contract <> '00000000-0000-0000-0000-000000000000' THEN coalesce((
        SELECT prices_v.price_id FROM prices_v
        WHERE prices_v.kind = keys.kind AND prices_v.item = keys.item AND prices_v.currency = keys.currency
            AND prices_v.account_id = keys.contract AND prices_v.region = keys.region
            AND prices_v.valid_from <= keys.month_start AND coalesce(prices_v.valid_to, 'infinity') > keys.month_start
        ORDER BY prices_v.valid_from DESC
        LIMIT 1
    ), (
        SELECT prices_v.price_id FROM prices_v
        WHERE prices_v.kind = keys.kind AND prices_v.item = keys.item AND prices_v.currency = keys.currency
            AND prices_v.account_id = keys.contract AND prices_v.region IS NULL
            AND prices_v.valid_from <= keys.month_start AND coalesce(prices_v.valid_to, 'infinity') > keys.month_start
        ORDER BY prices_v.region DESC, prices_v.valid_from DESC  -- as the index does, for no plan knows that NULL is one value
        LIMIT 1
    )) END, (
        SELECT prices_v.price_id FROM prices_v
        WHERE prices_v.kind = keys.kind AND prices_v.item = keys.item AND prices_v.currency = keys.currency
            AND prices_v.account_id IS NULL AND prices_v.region = keys.region
            AND prices_v.valid_from <= keys.month_start AND coalesce(prices_v.valid_to, 'infinity') > keys.month_start
        ORDER BY prices_v.account_id DESC, prices_v.valid_from DESC
        LIMIT 1
    ), (
        SELECT prices_v.price_id FROM prices_v
        WHERE prices_v.kind = keys.kind AND prices_v.item = keys.item AND prices_v.currency = keys.currency
            AND prices_v.account_id IS NULL AND prices_v.region IS NULL
            AND prices_v.valid_from <= keys.month_start AND coalesce(prices_v.valid_to, 'infinity') > keys.month_start
        ORDER BY prices_v.account_id DESC, prices_v.region DESC, prices_v.valid_from DESC
        LIMIT 1
    )
)
