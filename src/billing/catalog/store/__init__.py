"""The SQL of the catalogue, by what it is about. Other slices read `prices_v`, `bands_v` and `meters_v`."""
