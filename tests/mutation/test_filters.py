"""X2: each filter and join by account that the program's SQL has is missed when it alone is gone.

`tests/tidy/test_sql_accounts.py` reads from each statement that all it touches is bound to an account. Here each binding is taken
away in turn, and that reader must notice. What it cannot see has a test in KILLERS, which at night runs on a copy without the
binding, or a reason in SPARE: another one holds the same rows.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutant import Mutant
from tests.mutation.test_sources import NOTICED, copy_with, run_killer
from tests.support.sql_texts import Text
from tests.support.tenancy import unbound, unjoined
from tests.tidy.sources import PACKAGE
from tests.tidy.test_proofs import exists
from tests.tidy.test_sql_accounts import REVIEWED, relations, texts

_NESTED = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_BINDING = re.compile(
    rf"(?:\w+\.)?account_id\s*=\s*(?:ANY ?{_NESTED}|\$\d+(?:::\w+)?|\w+\.\w+|\w+)|USING ?\(account_id(?:, )?"
)
KEYS = "tests/http/test_api_keys.py"
COSTS = "tests/store/test_costs.py"
TOGETHER = "tests/store/test_same_names.py"
RUNS = "tests/store/test_runs.py"
APART = "tests/store/test_accounts_apart.py"
# Whose bindings the reader cannot all see: keys, prices and the trail are no accounts' tables, and rows that a statement found
# before are not read again. The test that notices.
KILLERS = {
    "analytics/store/explaining.py is_known": "tests/http/test_explain.py",
    "api_keys/store.py count_keys": KEYS,
    "api_keys/store.py get_key": KEYS,
    "api_keys/store.py find_key_for_share": KEYS,
    "api_keys/store.py list_keys": KEYS,
    "api_keys/store.py mark_revoked": KEYS,
    "catalog/store/rate_cards.py list_rate_cards": "tests/http/test_catalog.py",
    "invoices/store/document_pdfs.py list_service_costs": "tests/store/test_close.py",
    "invoices/store/worklist.py mark_accounts": RUNS,
    "kit/audit.py list_records": "tests/http/test_audit.py",
    "metering/store/states.py is_plan_priced": TOGETHER,
    "webhooks/store/queue.py insert_messages": "tests/store/test_webhooks.py",
    "analytics/sql/billed_totals.sql ": "tests/store/test_usage_totals.py",
    "analytics/sql/day_quantities.sql ": COSTS,
    "analytics/sql/explained_charges.sql ": "tests/store/test_explain_worlds.py",
    "analytics/sql/rated_totals.sql ": "tests/store/test_usage_totals.py",
    "invoices/sql/correct_month.sql ": f"{APART} {TOGETHER}",
    "invoices/sql/differences.sql ": TOGETHER,
    "invoices/sql/rate_chunk.sql ": f"{APART} tests/store/test_parking.py {TOGETHER} {RUNS}",
    "rating/sql/charges.sql ": TOGETHER,
    "rating/sql/find_prices.sql ": APART,
    "rating/sql/gauge_quantities.sql ": TOGETHER,
    "rating/sql/monthly_costs.sql ": TOGETHER,
    "rating/sql/plan_quantities.sql ": TOGETHER,
    "rating/sql/price_in_force.sql ": APART,
    "rating/sql/priced.sql ": f"{APART} {TOGETHER}",
    "rating/sql/scope.sql ": APART,
    "sql/functions/ledger.sql post_transfers": "tests/store/test_ledger.py",
    "sql/functions/metering.sql refold_gauges": f"{APART} tests/store/test_metering.py",
    "sql/functions/metering.sql ingest_usage": "tests/store/test_metering.py",
    "sql/functions/metering.sql recount_days": f"{APART} tests/store/test_metering.py",
}
_JOINED = "the relation is joined by account too; this one is for the planner"
_ONE = "the statement is asked for one account alone, whose both sides are"
# Bindings that nothing can miss, each with its reason.
SPARE = {
    "webhooks/store/queue.py insert_messages: held.account_id = given.account_id 0": "fk_webhook_messages_endpoint refuses it",
    "analytics/sql/billed_totals.sql : lines.account_id = ANY ($1) 0": _JOINED,
    "analytics/sql/billed_totals.sql : accounts_v.account_id = ANY ($1) 0": _JOINED,
    "analytics/sql/day_quantities.sql : gauge_days.account_id = used.account_id 0": _ONE,
    "analytics/sql/day_quantities.sql : USING (account_id,  0": _ONE,
    "analytics/sql/explained_charges.sql : usage.account_id = charges.account_id 0": _ONE,
    "analytics/sql/explained_charges.sql : parts.account_id = charges.account_id 0": _ONE,
    "invoices/sql/rate_chunk.sql : accounts_v.account_id = ANY ($1) 0": _JOINED,
    "invoices/sql/rate_chunk.sql : projects_v.account_id = ANY ($1) 0": _JOINED,
    "rating/sql/charges.sql : day_rows_v.account_id = ANY ($1) 0": _JOINED,
    "rating/sql/gauge_quantities.sql : gauges.account_id = ANY ($1) 0": _JOINED,
    "rating/sql/gauge_quantities.sql : resources.account_id = ANY ($1) 0": _JOINED,
    "rating/sql/monthly_costs.sql : resources.account_id = ANY ($1) 0": _ONE,
    "rating/sql/monthly_costs.sql : resources.account_id = shares.account_id 0": _ONE,
    "rating/sql/priced.sql : resources.account_id = ANY ($1) 0": _JOINED,
}


@dataclass(frozen=True)
class Binding:
    """A binding of a statement, and the how-manieth with these words it is there."""

    text: Text
    words: str
    number: int
    start: int

    def __str__(self) -> str:
        return f"{self.text}: {self.words} {self.number}"

    @property
    def is_seen(self) -> bool:
        """Whether the reader notices that it is gone."""
        read = unjoined if self.text.is_view else unbound
        return bool(read(without(self.text.sql, self.start, self.words), relations=relations()))

    def mutant(self) -> Mutant:
        """The whole source, which holds it, without it."""
        path = PACKAGE / self.text.file
        source = path.read_text(encoding="utf-8")
        since = re.search(rf"\b(?:def|VIEW|FUNCTION) {self.text.holder}\b", source) if self.text.holder else None
        places = [found.start() for found in _BINDING.finditer(source, since.start() if since else 0)]
        starts = [at for at in places if source.startswith(self.words, at)]
        return Mutant(self.text.file, source, without(source, starts[self.number], self.words), KILLERS[str(self.text)])


def without(sql: str, start: int, words: str) -> str:
    """A text without a binding."""
    rest = sql[start + len(words) :]
    if not words.startswith("USING"):
        return f"{sql[:start]}true{rest}"
    return f"{sql[:start]}ON true{rest[1:]}" if rest.startswith(")") else f"{sql[:start]}USING ({rest}"


def bindings() -> Iterator[Binding]:
    """Each of the program's but of what goes over all accounts on purpose; in a file that another includes, once."""
    for text in texts():
        if str(text) in REVIEWED:
            continue
        is_file = not text.holder and text.file.endswith(".sql")
        own = (PACKAGE / text.file).read_text(encoding="utf-8").splitlines() if is_file else None
        seen = Counter[str]()
        for found in _BINDING.finditer(text.sql):
            line = text.sql[text.sql.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
            if own is None or line in own:
                yield Binding(text, found[0], seen[found[0]], found.start())
                seen[found[0]] += 1


def unseen() -> list[Binding]:
    """What the reader cannot notice."""
    return [binding for binding in bindings() if not binding.is_seen]


def test_are_noticed_by_the_reader_or_have_a_test_or_a_reason() -> None:
    every = list(bindings())
    left = [binding for binding in every if not binding.is_seen]
    sys.stdout.write(f"{len(every) - len(left)} of {len(every)} bindings are noticed by the reader\n")
    assert len(every) > 350
    assert len(left) < len(every) / 6
    assert {str(binding.text) for binding in left} <= set(KILLERS)
    assert not [killer for killers in KILLERS.values() for killer in killers.split() if not exists(killer, [])]


@pytest.mark.nightly
class TestUnseen:
    def test_are_noticed(self, tmp_path: Path) -> None:
        passed: list[str] = []
        for number, binding in enumerate(unseen()):
            if str(binding) in SPARE:
                continue
            mutant = binding.mutant()
            ended = run_killer(mutant, copy_with(mutant, tmp_path / str(number)))
            if ended.returncode != NOTICED:
                passed.append(str(binding))
            last = ended.stdout.strip().rpartition("\n")[2]
            sys.stdout.write(f"{'noticed' if ended.returncode == NOTICED else 'NOT noticed'}: {binding}: {last}\n")
            sys.stdout.flush()
        assert passed == []
