"""The SQL of notifications. Other slices read `deliveries_v`."""
