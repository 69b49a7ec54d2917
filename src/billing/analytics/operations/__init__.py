"""What analytics puts together."""
