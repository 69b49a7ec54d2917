"""The verbs of webhooks: keep endpoints, fan events out, send, send again."""
