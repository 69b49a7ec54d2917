"""All SQL of invoices and of the runs that make them."""
