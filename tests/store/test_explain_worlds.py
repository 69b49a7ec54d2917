"""Explanations of random worlds: every figure recomputes, and days are those of the oracle."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from billing.analytics.model import AskedUsage, ChargeKey
from billing.analytics.operations import explaining
from billing.analytics.schemas.explaining import show_explanation
from billing.analytics.store import explaining as store
from billing.core.period import Period
from billing.kit.db import APP_ROLE, Tx
from billing.kit.web import encode
from tests.oracle import rating as oracle_rating
from tests.oracle.generate import scenario
from tests.oracle.load import load_world
from tests.support.recompute import recompute

if TYPE_CHECKING:
    from billing.kit.db import Connection


class TestRandomWorlds:
    """What the oracle's worlds come to, charge by charge; `day_weights` says what a day adds."""

    @pytest.mark.parametrize("seed", range(1, 5))
    async def test_recomputes_and_spreads_over_days_as_the_oracle_does(self, owner_connection: Connection, seed: int):
        made = scenario(Random(f"explain {seed}"), prefix=f"explain-{seed}-", accounts=40, number=seed)
        await load_world(owner_connection, made.world, recorded_at=made.as_of)
        await owner_connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
        charges = oracle_rating.rate(made.world, year=made.year, month=made.month, as_of=made.as_of, with_minimums=True)
        assert charges
        period = Period(made.year, made.month)
        for account_id in made.world.accounts:
            wanted = [one for one in charges if one.account.account_id == account_id and one.kind == "usage"]
            month = store.RatedMonth(
                account_id=account_id, period=period, counted_until=min(made.as_of, period.end), is_billed=False
            )
            keys = [
                ChargeKey(
                    "usage",
                    one.price.price_id,
                    one.resource_id or "",
                    Decimal(one.units.numerator) / one.units.denominator,
                )
                for one in wanted
            ]
            resource_ids = [piece.resource.resource_id for one in wanted for piece in one.pieces]
            days = await store.list_days(owner_connection, month=month, keys=keys, resource_ids=resource_ids)
            for key, one in zip(keys, wanted, strict=True):
                self._compare(key, one, days, period.seconds)
        tx = Tx(owner_connection, max(made.as_of, period.start))
        await self._recompute(tx, charges, period)

    def _compare(self, key: ChargeKey, charge: oracle_rating.Charge, days: Any, month_s: int) -> None:
        found = {
            (name, day.day): Fraction(day.quantity) for (of, name), rows in days.items() if of == key for day in rows
        }
        is_gauge = charge.price.definition.get("meter") is not None and bool(charge.pieces[0].segments)
        counted = month_s if is_gauge or charge.price.definition["model"] == "flat" else 1
        for piece in charge.pieces:
            weights = piece.day_weights()
            whole = sum(weights.values(), Fraction(0))
            for day, weight in weights.items():
                exact = piece.quantity * counted * weight / whole if whole else Fraction(0)
                assert abs(found.get((piece.resource.resource_id, day), Fraction(0)) - exact) < Fraction(1, 10**12)
        whole = sum((one for (name, _), one in found.items() if name is None), Fraction(0))
        parts = sum((one for (name, _), one in found.items() if name is not None), Fraction(0))
        assert whole == parts == charge.quantity * counted

    async def _recompute(self, tx: Tx, charges: list[oracle_rating.Charge], period: Period) -> None:
        """Every charge of every plan and meter, as it would be answered."""
        asked = {
            (one.account.account_id, "plan" if "plan" in one.price.definition else "meter", item_of(one))
            for one in charges
        }
        explained = 0
        for account_id, kind, item in sorted(asked):
            explanation = await explaining.explain(
                tx,
                account_id=account_id,
                asked=AskedUsage(
                    kind="plan" if kind == "plan" else "meter", item=item, resource_id=None, period=period
                ),
            )
            shown = json.loads(encode(show_explanation(explanation)), parse_float=Decimal)["explanation"]
            recompute(shown)
            explained += explanation.charges_total
        assert explained == len(charges)


def item_of(charge: oracle_rating.Charge) -> str:
    """Its plan or meter."""
    return charge.price.definition.get("plan") or charge.price.definition.get("meter", "")
