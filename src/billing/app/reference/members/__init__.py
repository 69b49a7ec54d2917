"""The words for every member of a body, query or answer: one table, by `Schema.member` or by `member` alone.

A member is looked up under the name of its own schema, then of the schemas that it derives from, then alone.
"""

from billing.app.reference.members.analysis import ANALYSIS
from billing.app.reference.members.catalogue import CATALOGUE
from billing.app.reference.members.common import COMMON
from billing.app.reference.members.messages import MESSAGES
from billing.app.reference.members.money import MONEY
from billing.app.reference.members.running import RUNNING
from billing.app.reference.members.webhooks import WEBHOOKS

MEMBERS = {**COMMON, **MONEY, **ANALYSIS, **CATALOGUE, **RUNNING, **WEBHOOKS, **MESSAGES}

__all__ = ["MEMBERS"]
