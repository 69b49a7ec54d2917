-- What other slices may read of invoices: what each one charged, by line (part_kind 1) and by tax (2), as the history shows it. A part
-- of 0 is not there; one below 0 is an adjustment. A credit note, whose total is below 0, is one adjustment (5), and so is the voiding
-- of an invoice (6), and an operator's credit note (7, by its own id). An invoice is a row of `invoices` from its finalisation on; the
-- lines of a draft are not seen. Each kind is a view of its own, so that a list can read each in its order; the invoice of one is looked up,
-- by OFFSET 0, for no account has as few invoices as the plan for any account foresees.
CREATE OR REPLACE VIEW issued_invoices_v AS
SELECT account_id, invoice_id, issued_at FROM invoices;

CREATE OR REPLACE VIEW invoice_line_transactions_v AS
SELECT
    invoices.account_id, invoices.invoice_id, 1 AS part_kind, lines.ordinal,
    CASE WHEN lines.amount_minor < 0 THEN 'adjustment' ELSE 'charge' END AS type, abs(lines.amount_minor) AS amount_minor,
    invoices.currency, lines.description || to_char(lines.service_period, '" - "FMMonth YYYY') AS description,
    invoices.issued_at AS created_at, lines.service, nullif(lines.charge_resource_id, '') AS resource_id
FROM invoices
JOIN invoice_lines AS lines ON lines.account_id = invoices.account_id AND lines.invoice_id = invoices.invoice_id
WHERE lines.amount_minor <> 0 AND invoices.total_minor >= 0;

CREATE OR REPLACE VIEW invoice_tax_transactions_v AS
SELECT
    invoices.account_id, invoices.invoice_id, 2 AS part_kind, taxes.ordinal,
    CASE WHEN taxes.amount_minor < 0 THEN 'adjustment' ELSE 'charge' END AS type, abs(taxes.amount_minor) AS amount_minor,
    invoices.currency,
    taxes.name || ' ' || trim_scale(taxes.percent) || '%' || to_char(invoices.period, '" - "FMMonth YYYY') AS description,
    invoices.issued_at AS created_at, NULL::text AS service, NULL::text AS resource_id
FROM invoices
JOIN invoice_taxes AS taxes ON taxes.account_id = invoices.account_id AND taxes.invoice_id = invoices.invoice_id
WHERE taxes.amount_minor <> 0 AND invoices.total_minor >= 0;

CREATE OR REPLACE VIEW negative_invoice_transactions_v AS
SELECT
    account_id, invoice_id, 5 AS part_kind, 0 AS ordinal, 'adjustment'::text AS type, -total_minor AS amount_minor, currency,
    'Credit note ' || number || to_char(period, '" - "FMMonth YYYY') AS description, issued_at AS created_at,
    NULL::text AS service, NULL::text AS resource_id
FROM invoices
WHERE total_minor < 0;

CREATE OR REPLACE VIEW voiding_transactions_v AS
SELECT
    states.account_id, states.invoice_id, 6 AS part_kind, 0 AS ordinal, 'adjustment'::text AS type,
    invoices.total_minor AS amount_minor, invoices.currency, 'Invoice ' || invoices.number || ' voided' AS description,
    states.ended_at AS created_at, NULL::text AS service, NULL::text AS resource_id
FROM invoice_states AS states
CROSS JOIN LATERAL (
    SELECT total_minor, currency, number FROM invoices
    WHERE invoices.account_id = states.account_id AND invoices.invoice_id = states.invoice_id
    OFFSET 0
) AS invoices
WHERE states.status = 'void' AND invoices.total_minor > 0;

CREATE OR REPLACE VIEW credit_note_transactions_v AS
SELECT
    notes.account_id, notes.credit_note_id AS invoice_id, 7 AS part_kind, 0 AS ordinal, 'adjustment'::text AS type,
    notes.total_minor AS amount_minor, notes.currency,
    'Credit note ' || notes.number || ' for invoice ' || invoices.number AS description, notes.issued_at AS created_at,
    NULL::text AS service, NULL::text AS resource_id
FROM credit_notes AS notes
CROSS JOIN LATERAL (
    SELECT number FROM invoices
    WHERE invoices.account_id = notes.account_id AND invoices.invoice_id = notes.invoice_id
    OFFSET 0
) AS invoices;

-- Of which invoice an operator's credit note is.
CREATE OR REPLACE VIEW credited_invoices_v AS
SELECT account_id, credit_note_id, invoice_id FROM credit_notes;
GRANT SELECT ON credited_invoices_v TO lineserve_app;

CREATE OR REPLACE VIEW invoice_transactions_v AS
SELECT * FROM invoice_line_transactions_v
UNION ALL
SELECT * FROM invoice_tax_transactions_v
UNION ALL
SELECT * FROM negative_invoice_transactions_v
UNION ALL
SELECT * FROM voiding_transactions_v
UNION ALL
SELECT * FROM credit_note_transactions_v;
GRANT SELECT ON issued_invoices_v, invoice_line_transactions_v, invoice_tax_transactions_v, negative_invoice_transactions_v,
    voiding_transactions_v, credit_note_transactions_v TO lineserve_app;
GRANT SELECT ON invoice_transactions_v TO lineserve_app;

-- What was billed of each service month, corrections in the month that they correct: lines of finalised documents that stand. A voided
-- invoice's no longer count; what an operator credited of an invoice is no line.
CREATE OR REPLACE VIEW billed_lines_v AS
SELECT lines.account_id, lines.service_period, lines.charge_kind, lines.item_kind, lines.item, lines.price_id,
    lines.charge_resource_id, lines.units, lines.service, lines.type, lines.project_id, lines.region, lines.amount_minor
FROM invoice_lines AS lines
JOIN invoice_states AS states ON states.account_id = lines.account_id AND states.invoice_id = lines.invoice_id
WHERE states.status <> 'void';

-- Which plans and meters each finalised document bills: their prices stay, even of one that is voided.
CREATE OR REPLACE VIEW finalized_items_v AS
SELECT invoices.account_id, invoices.period, invoices.currency, lines.item_kind, lines.item
FROM invoices
JOIN invoice_lines AS lines ON lines.account_id = invoices.account_id AND lines.invoice_id = invoices.invoice_id;
GRANT SELECT ON finalized_items_v TO lineserve_app;

-- When a month's lines were made.
CREATE OR REPLACE VIEW closes_v AS
SELECT account_id, period, rated_at FROM closes;
GRANT SELECT ON billed_lines_v, closes_v TO lineserve_app;

-- Runs that closed a month, and whom they billed: what is made of closed months afterwards goes by them.
CREATE OR REPLACE VIEW completed_runs_v AS
SELECT run_id, period, finished_at FROM runs WHERE status = 'completed' AND NOT dry_run;
CREATE OR REPLACE VIEW billed_accounts_v AS
SELECT run_id, account_id FROM run_accounts WHERE state = 'done';
GRANT SELECT ON completed_runs_v, billed_accounts_v TO lineserve_app;
