"""Measurements, each a command; what they gave stands in RESULTS.md."""
