"""Billing and projects system of a cloud provider."""
