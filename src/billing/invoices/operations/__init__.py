"""The verbs of invoices: closing a month, collecting, previewing, the PDF."""
