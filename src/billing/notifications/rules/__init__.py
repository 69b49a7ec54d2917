"""Decisions about what is told, by which channels, and when."""
