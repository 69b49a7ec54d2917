"""The edge of HTTP: strict reading, one shape of errors, exact numbers, commands that happen once."""

from billing.kit.web.answers import ANSWERED, Answer, encode
from billing.kit.web.app import build_app, unguarded_routes
from billing.kit.web.bodies import BatchItem, RawBody
from billing.kit.web.commands import Command, Keeping
from billing.kit.web.openapi import DESCRIBED, Batch, Described, Media
from billing.kit.web.paging import Meta, PageQuery, meta
from billing.kit.web.queries import RawQuery
from billing.kit.web.rate_limits import LIMITS_SIGNATURES
from billing.kit.web.schemas import Check
from billing.kit.web.values import DateFilter, window_faults, window_of

__all__ = [
    "ANSWERED",
    "DESCRIBED",
    "LIMITS_SIGNATURES",
    "Answer",
    "Batch",
    "BatchItem",
    "Check",
    "Command",
    "DateFilter",
    "Described",
    "Keeping",
    "Media",
    "Meta",
    "PageQuery",
    "RawBody",
    "RawQuery",
    "build_app",
    "encode",
    "meta",
    "unguarded_routes",
    "window_faults",
    "window_of",
]
