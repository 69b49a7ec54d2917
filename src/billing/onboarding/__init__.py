"""Verbs over several slices. See README.md."""

from billing.onboarding.operations import OpenedAccount, open_account

__all__ = ["OpenedAccount", "open_account"]
