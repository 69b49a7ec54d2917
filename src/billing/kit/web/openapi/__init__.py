"""The description of the API (OpenAPI 3.1), made from the code that serves it."""

from billing.kit.web.openapi.described import DESCRIBED, Batch, Described, Media

__all__ = ["DESCRIBED", "Batch", "Described", "Media"]
