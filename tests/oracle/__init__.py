"""The exact-fraction rating oracle: written from the specification alone, it decides who is right.

`world` describes what is rated, `models` prices a quantity, `quantities` measures a month, `rating` yields charges,
lines and shares; `generate` and `strategies` make random worlds, `load` puts one into the tables.
"""
