"""What schemathesis is told beside its configuration: formats of ours, and which calls that fit their schema may be refused.

It is loaded by the runs that tests/http/test_schemathesis.py starts.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import schemathesis
from hypothesis import strategies

# What a schema cannot say: rules over several members, calendars, the decimals of a currency, what the clock says.
RULES = (
    r"must not be given together with \w+",
    r"reaches beyond item \d+ of the list.*",
    r"does not go together with \w+",
    r"(does not belong|belongs) to .+",
    r"is required.*",
    r"cannot be given beside \w+",
    r"has more (than \d+ )?decimals.*",
    r"must have at most \d+ decimals",
    r"must be greater than 0",
    r"is too large",
    r"is out of range",
    r"must be in the future",
    r"must not be in the future",
    r"must be at most 5 minutes ahead",
    r"must not be after to_date",
    r"is a (date|time) that does not exist",
    r".* cursor.*",
    r"must be a known (service|meter).*",
    r"must be a type of events",
    r"must name either a plan or a meter",
    r"is not a model for a (plan|meter)",
    r"must be above 0 and at most \d+",  # decimals come as texts too
    r"must be a month.*",
    r"is not another line of this invoice",
    # What a price's model asks of its members.
    r"must not be (less than the minimum|negative)",
    r"is for the same (plan|meter|country).*",
    r"must be \S+, as before for this meter",
    r"must be (a number|null): .*last tier is without end",
    r"must be greater than \S+: tiers rise",
    r"must be a whole number",  # 5.0 is one to a schema, and none to us
    r"must be resource for the model \w+",
    r"must be (at most|from) .*",
    r"must name each state once, and at least one",
    r"must be 1 to 100 of a-z.*",
    r"must be an (E\.164 number|e-mail address).*",  # a trial goes to what its channel takes
    r"must be the account's \(\w+\) unless .*",
    r"must not lie ahead",
    r"must be after valid_from",
    r"must be an ISO 3166-1 country code.*",
    r"must not contain control characters",
    r"is out of range",  # a time before the first that is told
    r"is named twice",
    r"is not an account's id",
    r"must be a key's id or one of .*",
    r"has \d+ more faults",  # after a hundred
    r"is no PNG or JPEG in base64",
    r"has more than [\d,]+ bytes",
)
_CHAINED = count(1)


schemathesis.openapi.format("iana-time-zone", strategies.sampled_from(["UTC", "Africa/Nairobi", "Europe/Paris"]))
schemathesis.openapi.format("ip-range", strategies.sampled_from(["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"]))

# Nothing listens there, and no name is looked up; the server is told that it may.
schemathesis.openapi.format("webhook-url", strategies.just("https://127.0.0.1:65000/hooks"))


@schemathesis.hook
def before_call(_ctx: Any, case: Any, _kwargs: Any) -> None:
    """A chain of calls makes things anew: with the key of an earlier chain it would hear of what that one made, and removed."""
    key = (case.headers or {}).get("Idempotency-Key")
    is_in_chain = case.meta is not None and case.meta.phase.name == "stateful"
    if is_in_chain and isinstance(key, str) and re.fullmatch(r"[!-~]{1,255}", key):
        case.headers["Idempotency-Key"] = f"chain-{next(_CHAINED)}"


@schemathesis.check
def refused_for_what_no_schema_says(_ctx: Any, response: Any, case: Any) -> None:
    """A call that fits its schema is refused with 400 only for a rule that the schema cannot hold."""
    generated = case.meta.generation.mode.is_positive if case.meta is not None else False
    if not generated or response.status_code != 400:
        return
    error = response.json()["error"]
    reasons = [fault["reason"] for fault in error["details"]["faults"]]
    other = [reason for reason in reasons if not any(re.fullmatch(rule, reason) for rule in RULES)]
    assert not other, f"{case.method} {case.path} fits its schema and is refused: {error['details']['faults']}"
