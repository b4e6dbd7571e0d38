"""What needs a GPU, in stages: see :mod:`benchmarks.on_gpu.__main__`."""
