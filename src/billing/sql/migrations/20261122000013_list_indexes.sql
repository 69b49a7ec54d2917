-- migrate:up
-- The order of each list whose table has no index for it yet, so that a page along a cursor is read and nothing is sorted.
CREATE INDEX ix_projects_created ON projects (account_id, created_at, project_id) WHERE deleted_at IS NULL;
CREATE INDEX ix_api_keys_created ON api_keys (account_id, created_at DESC, key_id DESC) WHERE revoked_at IS NULL;
CREATE INDEX ix_payment_methods_created ON payment_methods (account_id, created_at DESC, payment_method_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX ix_holds_created ON holds (account_id, created_at DESC, hold_id DESC);
CREATE INDEX ix_runs_created ON runs (created_at DESC, run_id DESC);
CREATE INDEX ix_quarantined_events_account ON quarantined_events (account_id, recorded_at, source, event_id) WHERE resolved_at IS NULL;

-- What the billing history reads, source by source.
CREATE INDEX ix_holds_captured ON holds (account_id, ended_at DESC, hold_id DESC) WHERE status = 'captured';
CREATE INDEX ix_promotional_credits_granted ON promotional_credits (account_id, granted_at DESC, credit_id DESC);
CREATE INDEX ix_invoices_negative ON invoices (account_id, issued_at DESC, invoice_id DESC) WHERE total_minor < 0;
CREATE INDEX ix_invoice_states_void ON invoice_states (account_id, ended_at DESC, invoice_id DESC) WHERE status = 'void';
CREATE INDEX ix_credit_notes_issued ON credit_notes (account_id, issued_at DESC, credit_note_id DESC);

-- migrate:down
-- Forward only: dbmate asks for this block; going back is a new migration.
