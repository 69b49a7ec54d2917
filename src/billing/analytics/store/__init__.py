"""The SQL of analytics: the history, and what an amount is made of."""
