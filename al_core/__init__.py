"""Active learning on images: everything but the page. Each folder's own map stands in it.

From the bottom to the top; tests/test_architecture.py says which may import which.

    errors, progress     sentences for a person; long work as a generator
    seeds                streams of random numbers, by name
    names                what names may be
    jobs                 background jobs, with progress and cancel
    files                paths, whole-or-nothing writing, locks, arrays, CSV cells, download
    images               load(): digits, CIFAR-10, folders, parquet, decoded and cached
    strategies           pure functions from predictions to positions
    config               the settings of an experiment
    store                the append-only log, in a database
    models               networks and linear heads, training, prediction, metrics, weights
    features             embeddings that need no label; learned from images alone
    experiment           the log folded into a pool and a phase; leases, undo, predictions
    exchange             labels and images out and in
    analysis             curves, comparison, when to stop, label quality, the pool's map
    loop                 a round, and the batch after it; replay
    simulation           the loop without a person; the random baseline
    distributed          Ray; pools that fit no memory
    cli                  the command line, one file a command
"""
