"""The SQL of alerts, their firings, and the figures that they compare."""
