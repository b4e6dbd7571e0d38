"""The desk under load: ``python -m benchmarks.load tabs | servers | log | folder | hours``."""
