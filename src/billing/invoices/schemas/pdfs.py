"""A PDF on the wire."""

from __future__ import annotations

from billing.invoices.operations.documents import Pdf
from billing.kit.web import Answer


def show_pdf(made: Pdf) -> Answer:
    """A PDF as a download named after its document's number."""
    return Answer(
        body=made.content,
        media_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{made.number}.pdf"',
            "ETag": f'"{made.sha256.hex()}"',
        },
    )
