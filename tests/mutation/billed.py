"""Changes that the model of an account's invoices notices."""

from __future__ import annotations

from tests.mutation.mutant import Mutant

NOTICED_BY = "tests/sim/test_bills.py"

CHANGES = [
    ("invoices/operations/credits.py", "int(gross_minor[invoice_id] * net_inside / net)", "int(net_inside)"),
    (
        "invoices/operations/closing.py",
        "    await expire_credits(tx, account_ids=account_ids, period=run.period)\n",
        "",
    ),
    (
        "invoices/operations/crediting.py",
        "max(net_minor + tax_minor - invoice.due_minor, 0)",
        "max(min(net_minor + tax_minor, invoice.paid_minor), 0)",
    ),
    (
        "invoices/sql/issue.sql",
        "ORDER BY credits.priority, credits.expires_at NULLS LAST, credits.granted_at, credits.credit_id",
        "ORDER BY credits.expires_at NULLS LAST, credits.granted_at, credits.credit_id",
    ),
    ("invoices/sql/issue.sql", "accounts_v.terms_days)", "accounts_v.terms_days + 1)"),
]
MUTANTS = [Mutant(*change, NOTICED_BY) for change in CHANGES]
