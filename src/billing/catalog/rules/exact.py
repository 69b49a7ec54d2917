"""Exact decimals: a result that would be rounded is a bug and raises."""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext

# 41 digits of a quantity times 35 of a price times 25 of a discount, summed over the tiers, fit many times over.
EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])

ZERO = Decimal(0)


def decimals_in(value: Decimal) -> int:
    """Decimals that a value needs; zeros at its end do not count."""
    with localcontext(EXACT):
        exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
