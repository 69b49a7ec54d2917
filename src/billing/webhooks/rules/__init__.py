"""Decisions about webhooks, without I/O: addresses and URLs, schedules, signatures, filters."""
