"""Analytics: the billing history, single transactions and usage, read over other slices and written nowhere. See README.md."""
