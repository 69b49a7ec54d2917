-- What ours is compared with: plain, honest, as durable.
CREATE SCHEMA yardstick;

-- Y1: one prepared SELECT by primary key.
CREATE TABLE yardstick.things (id bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO yardstick.things SELECT number, 'thing ' || number FROM generate_series(1, 1000) AS number;

-- Y3: a one-row INSERT.
CREATE TABLE yardstick.rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount bigint NOT NULL, at timestamptz NOT NULL);

-- Y4: a plain two-account transfer.
CREATE TABLE yardstick.accounts (id uuid PRIMARY KEY, balance_minor bigint NOT NULL);
CREATE TABLE yardstick.transfers (
    id uuid PRIMARY KEY, source uuid NOT NULL, destination uuid NOT NULL, amount_minor bigint NOT NULL, at timestamptz NOT NULL
);
CREATE TABLE yardstick.sides (
    account uuid NOT NULL, transfer uuid NOT NULL, amount_minor bigint NOT NULL, balance_minor bigint NOT NULL,
    PRIMARY KEY (account, transfer)
);
CREATE FUNCTION yardstick.transfer(p_id uuid, p_source uuid, p_destination uuid, p_amount bigint, p_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_source bigint;
    v_destination bigint;
BEGIN
    PERFORM FROM yardstick.accounts WHERE id IN (p_source, p_destination) ORDER BY id FOR UPDATE;
    UPDATE yardstick.accounts SET balance_minor = balance_minor - p_amount WHERE id = p_source RETURNING balance_minor INTO v_source;
    UPDATE yardstick.accounts SET balance_minor = balance_minor + p_amount WHERE id = p_destination
    RETURNING balance_minor INTO v_destination;
    INSERT INTO yardstick.transfers VALUES (p_id, p_source, p_destination, p_amount, p_at);
    INSERT INTO yardstick.sides VALUES (p_source, p_id, -p_amount, v_source), (p_destination, p_id, p_amount, v_destination);
END
$$;

-- Y5: COPY into a table of events with the indexes of ours.
CREATE TABLE yardstick.events (LIKE public.usage_events INCLUDING ALL);
