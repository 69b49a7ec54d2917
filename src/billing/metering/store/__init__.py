"""All SQL of metering."""
