"""The SQL of webhooks. Locks are taken in one order: an endpoint, then its messages."""
