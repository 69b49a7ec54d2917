-- migrate:up
CREATE TABLE issuers (
    issuer text NOT NULL CONSTRAINT pk_issuers PRIMARY KEY,
    name text NOT NULL,
    address text NOT NULL,
    tax_id text,
    bank_details text,
    mobile_money text,
    support_email text,
    logo_sha256 bytea,
    updated_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON issuers TO lineserve_app;

-- Pictures by their digest, kept for ever: issued documents name the one that they were printed with.
CREATE TABLE issuer_logos (
    sha256 bytea NOT NULL CONSTRAINT pk_issuer_logos PRIMARY KEY,
    content bytea NOT NULL
);
GRANT SELECT, INSERT ON issuer_logos TO lineserve_app;

-- A run is one resumable execution; run_accounts is its worklist, and run_chunks the pieces of it that are claimed with SKIP LOCKED.
-- None is tenant data.
CREATE TABLE runs (
    run_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_runs_kind CHECK (kind IN ('close')),
    period date NOT NULL,
    dry_run boolean NOT NULL,
    only_accounts uuid[],
    status text NOT NULL CONSTRAINT ck_runs_status CHECK (status IN ('queued', 'running', 'completed', 'failed')),
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    errors jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT pk_runs PRIMARY KEY (run_id)
);
CREATE INDEX ix_runs_unfinished ON runs (created_at, run_id) WHERE status IN ('queued', 'running');
GRANT SELECT, INSERT, UPDATE ON runs TO lineserve_app;

CREATE TABLE run_accounts (
    run_id uuid NOT NULL,  -- no foreign key: a run's chunks, stored with them, have it, and it would be looked up for each account
    account_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT ck_run_accounts_state CHECK (state IN ('queued', 'rated', 'done', 'parked')),
    reason text,  -- of one that is parked
    invoice_id uuid,
    currency text,
    total_minor bigint,
    is_accepted boolean NOT NULL DEFAULT false,  -- an operator has looked at an unusual total
    CONSTRAINT pk_run_accounts PRIMARY KEY (run_id, account_id)
) WITH (fillfactor = 50);  -- each is updated twice, and no index names what changes
CREATE INDEX ix_run_accounts_parked ON run_accounts (run_id, account_id) WHERE reason IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON run_accounts TO lineserve_app;

-- A run's accounts between two ids; how far those of them are that are not done or parked.
CREATE TABLE run_chunks (
    run_id uuid NOT NULL CONSTRAINT fk_run_chunks_run REFERENCES runs,
    chunk integer NOT NULL,
    first_account_id uuid NOT NULL,
    last_account_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT ck_run_chunks_state CHECK (state IN ('queued', 'rated', 'numbered', 'done')),
    CONSTRAINT pk_run_chunks PRIMARY KEY (run_id, chunk)
);
CREATE INDEX ix_run_chunks_state ON run_chunks (run_id, state, chunk);
GRANT SELECT, INSERT, UPDATE ON run_chunks TO lineserve_app;

CREATE TABLE number_series (
    series text NOT NULL,  -- such as INV-2024
    last_number bigint NOT NULL,
    CONSTRAINT pk_number_series PRIMARY KEY (series)
);
GRANT SELECT, INSERT, UPDATE ON number_series TO lineserve_app;
CREATE TABLE invoice_numbers (
    series text NOT NULL,
    number bigint NOT NULL,
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    CONSTRAINT pk_invoice_numbers PRIMARY KEY (series, number),
    CONSTRAINT uq_invoice_numbers_invoice UNIQUE (invoice_id)
);
GRANT SELECT, INSERT ON invoice_numbers TO lineserve_app;

-- One row per account and closed period, made with its lines: it holds the period to one invoice for ever.
CREATE TABLE closes (
    account_id uuid NOT NULL CONSTRAINT fk_closes_account REFERENCES accounts,
    period date NOT NULL,
    invoice_id uuid,  -- null: nothing to bill
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    version bigint NOT NULL,  -- of the period, as the close saw it before it rated
    rated_at timestamptz NOT NULL,
    finalized_at timestamptz,
    CONSTRAINT pk_closes PRIMARY KEY (account_id, period)
) WITH (fillfactor = 50);  -- each is updated when it is issued
GRANT SELECT, INSERT, UPDATE ON closes TO lineserve_app;

CREATE TABLE invoice_lines (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL CONSTRAINT ck_invoice_lines_kind CHECK (kind IN ('usage', 'minimum', 'correction')),
    charge_kind text NOT NULL CONSTRAINT ck_invoice_lines_charge_kind CHECK (charge_kind IN ('usage', 'minimum')),
    price_id uuid NOT NULL,
    item_kind text NOT NULL,
    item text NOT NULL,
    charge_resource_id text NOT NULL,  -- '' when the charge pools the account's resources
    units numeric NOT NULL,
    service_period date NOT NULL,
    service text NOT NULL,
    type text NOT NULL,  -- '' when the line pools resources of several types
    project_id uuid NOT NULL,
    project_name text NOT NULL,
    resource_name text,
    region text NOT NULL,
    description text NOT NULL,
    quantity numeric NOT NULL,
    unit text NOT NULL,
    unit_price numeric,
    amount_minor bigint NOT NULL,
    unrounded numeric NOT NULL,
    CONSTRAINT pk_invoice_lines PRIMARY KEY (account_id, invoice_id, ordinal)
);
CREATE INDEX ix_invoice_lines_service ON invoice_lines (account_id, service_period, price_id);
GRANT SELECT, INSERT ON invoice_lines TO lineserve_app;

-- The earlier months that a close corrected, with the version of each that it saw; noted as rated when the document is issued.
CREATE TABLE close_corrections (
    account_id uuid NOT NULL,
    period date NOT NULL,
    corrected_period date NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT pk_close_corrections PRIMARY KEY (account_id, period, corrected_period),
    CONSTRAINT fk_close_corrections_close FOREIGN KEY (account_id, period) REFERENCES closes
);
GRANT SELECT, INSERT ON close_corrections TO lineserve_app;

-- What an invoice says is never changed: the application may only insert. Its state lives in invoice_states.
CREATE TABLE invoices (
    account_id uuid NOT NULL CONSTRAINT fk_invoices_account REFERENCES accounts,
    invoice_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_invoices_kind CHECK (kind IN ('invoice', 'credit_note')),
    number text NOT NULL,
    period date NOT NULL,
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    paid_at_issue_minor bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    parties jsonb NOT NULL,  -- issuer, account, time zone and template version as at issue
    CONSTRAINT pk_invoices PRIMARY KEY (account_id, invoice_id),
    CONSTRAINT uq_invoices_period UNIQUE (account_id, period),
    CONSTRAINT ck_invoices_total CHECK (total_minor = subtotal_minor + tax_minor),
    CONSTRAINT ck_invoices_sign CHECK ((kind = 'credit_note') = (total_minor < 0))
);
CREATE INDEX ix_invoices_issued ON invoices (account_id, issued_at DESC, invoice_id DESC);
GRANT SELECT, INSERT ON invoices TO lineserve_app;

CREATE TABLE invoice_taxes (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL,
    base_minor bigint NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT pk_invoice_taxes PRIMARY KEY (account_id, invoice_id, ordinal),
    CONSTRAINT fk_invoice_taxes_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES invoices
);
GRANT SELECT, INSERT ON invoice_taxes TO lineserve_app;

CREATE TABLE invoice_states (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    status text NOT NULL CONSTRAINT ck_invoice_states_status
        CHECK (status IN ('pending', 'processing', 'paid', 'uncollectible', 'void')),
    paid_minor bigint NOT NULL CONSTRAINT ck_invoice_states_paid CHECK (paid_minor >= 0),
    credited_minor bigint NOT NULL DEFAULT 0 CONSTRAINT ck_invoice_states_credited CHECK (credited_minor >= 0),
    paid_at timestamptz,
    ended_at timestamptz,  -- when it was voided or written off
    overdue_at timestamptz,  -- of one issued with something open: its due date, until somebody has looked whether it is overdue then
    CONSTRAINT pk_invoice_states PRIMARY KEY (account_id, invoice_id),
    CONSTRAINT fk_invoice_states_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES invoices
);
CREATE INDEX ix_invoice_states_overdue ON invoice_states (overdue_at, account_id, invoice_id) WHERE overdue_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON invoice_states TO lineserve_app;

-- What an operator takes back of an issued invoice: a numbered document of its own, never changed.
CREATE TABLE credit_notes (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_credit_notes_kind CHECK (kind IN ('credit', 'refund')),
    number text NOT NULL,
    currency text NOT NULL,
    net_minor bigint NOT NULL CONSTRAINT ck_credit_notes_net CHECK (net_minor >= 0),
    tax_minor bigint NOT NULL CONSTRAINT ck_credit_notes_tax CHECK (tax_minor >= 0),
    total_minor bigint NOT NULL,
    restored_minor bigint NOT NULL CONSTRAINT ck_credit_notes_restored CHECK (restored_minor >= 0),  -- to promotional credits
    returned_minor bigint NOT NULL CONSTRAINT ck_credit_notes_returned CHECK (returned_minor >= 0),  -- into the wallet
    refunded_minor bigint NOT NULL CONSTRAINT ck_credit_notes_refunded CHECK (refunded_minor >= 0),  -- asked of gateways
    reason text NOT NULL,
    issued_at timestamptz NOT NULL,
    parties jsonb NOT NULL,  -- as of an invoice
    CONSTRAINT pk_credit_notes PRIMARY KEY (account_id, credit_note_id),
    CONSTRAINT fk_credit_notes_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES invoices,
    CONSTRAINT ck_credit_notes_total CHECK (total_minor = net_minor + tax_minor AND total_minor > 0),
    CONSTRAINT ck_credit_notes_given_back CHECK (restored_minor + returned_minor + refunded_minor <= total_minor),
    CONSTRAINT ck_credit_notes_way CHECK (CASE kind WHEN 'credit' THEN refunded_minor ELSE returned_minor END = 0)
);
CREATE INDEX ix_credit_notes_invoice ON credit_notes (account_id, invoice_id, issued_at);
GRANT SELECT, INSERT ON credit_notes TO lineserve_app;

-- The parts of a credit note: an invoice's line (its ordinal), or the whole invoice (null), each net.
CREATE TABLE credit_note_lines (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    ordinal integer NOT NULL,
    invoice_ordinal integer,
    amount_minor bigint NOT NULL CONSTRAINT ck_credit_note_lines_amount CHECK (amount_minor > 0),
    CONSTRAINT pk_credit_note_lines PRIMARY KEY (account_id, credit_note_id, ordinal),
    CONSTRAINT fk_credit_note_lines_note FOREIGN KEY (account_id, credit_note_id) REFERENCES credit_notes
);
GRANT SELECT, INSERT ON credit_note_lines TO lineserve_app;

CREATE TABLE credit_note_taxes (
    account_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    ordinal integer NOT NULL,
    name text NOT NULL,
    percent numeric NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_credit_note_taxes_amount CHECK (amount_minor >= 0),
    CONSTRAINT pk_credit_note_taxes PRIMARY KEY (account_id, credit_note_id, ordinal),
    CONSTRAINT fk_credit_note_taxes_note FOREIGN KEY (account_id, credit_note_id) REFERENCES credit_notes
);
GRANT SELECT, INSERT ON credit_note_taxes TO lineserve_app;

-- The PDF of an invoice or credit note as it was first made: from then on it is these bytes.
CREATE TABLE document_pdfs (
    account_id uuid NOT NULL,
    document_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT pk_document_pdfs PRIMARY KEY (account_id, document_id)
);
ALTER TABLE document_pdfs ALTER COLUMN content SET STORAGE EXTERNAL;  -- compressed already
GRANT SELECT, INSERT ON document_pdfs TO lineserve_app;

-- Money set against an invoice; each row has its transfer in the ledger.
CREATE TABLE invoice_payments (
    account_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    ordinal integer NOT NULL,
    source text NOT NULL CONSTRAINT ck_invoice_payments_source CHECK (source IN ('credit', 'wallet', 'method')),
    source_id uuid,
    amount_minor bigint NOT NULL CONSTRAINT ck_invoice_payments_amount CHECK (amount_minor > 0),
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_invoice_payments PRIMARY KEY (account_id, invoice_id, ordinal),
    CONSTRAINT fk_invoice_payments_invoice FOREIGN KEY (account_id, invoice_id) REFERENCES invoices
);
GRANT SELECT, INSERT ON invoice_payments TO lineserve_app;

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
