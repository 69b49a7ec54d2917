"""Worlds for Hypothesis: the same generator, its choices made by Hypothesis so that a failing world shrinks."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.oracle.generate import Scenario, scenario


def scenarios(*, accounts: int = 1, meters: int = 2, plans: int = 2) -> st.SearchStrategy[Scenario]:
    """Small random worlds."""
    return st.randoms(use_true_random=False).map(
        lambda rng: scenario(rng, prefix="", accounts=accounts, meters=meters, plans=plans)
    )
