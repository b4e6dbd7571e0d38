"""Killed at random moments: ``python -m benchmarks.faults``."""
