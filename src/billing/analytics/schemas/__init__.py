"""Wire shapes of analytics: the history and usage, explanations."""
