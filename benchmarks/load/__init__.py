"""The desk under load: ``python -m benchmarks.load tabs | log | folder | hours``."""
