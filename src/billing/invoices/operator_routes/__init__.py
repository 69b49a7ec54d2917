"""The operator's routes of invoices, below /operator/v1: runs, previews, invoices, credit notes, the issuer."""

from billing.invoices.operator_routes import credit_notes, invoices, runs

HANDLERS = [*runs.HANDLERS, *invoices.HANDLERS, *credit_notes.HANDLERS]
