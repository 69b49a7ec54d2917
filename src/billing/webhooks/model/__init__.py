"""Endpoints, messages, attempts, and the events that there are."""
