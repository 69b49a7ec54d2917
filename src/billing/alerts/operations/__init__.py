"""The verbs of alerts: keep them, measure them, evaluate them."""
