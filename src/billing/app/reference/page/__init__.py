"""The reference as a page: the document of a plane, made into HTML that needs nothing but its own style and script."""

from billing.app.reference.page.layout import render

__all__ = ["render"]
