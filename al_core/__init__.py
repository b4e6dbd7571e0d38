"""Active learning on images: everything but the page. Each folder's docstring is its own map.

From the bottom up; tests/test_architecture.py says which may import which.

    errors, progress     sentences for a person; long work as a generator
    seeds                named streams of random numbers
    names, limits        which names are allowed, and which values of settings
    jobs                 background jobs, with progress and cancel
    files                paths, all-or-nothing writing, locks, arrays, CSV cells, downloads
    sources              where images come from: digits, CIFAR-10, folders, tables, uploads
    pictures             one picture: decoded, digested, or small for a person to see
    images               load(): the images of a source as one array, cached
    strategies           pure functions from predictions to positions
    config               the settings of an experiment
    store                the append-only log, in a database
    models               networks and linear heads, training, prediction, metrics, weights
    features             embeddings that need no labels; learned from images alone
    experiment           the log folded into a pool and a phase; leases, undo, predictions
    exchange             import and export of labels and images
    storage              what lies on the disk and for whom; clean, delete for good
    analysis             curves, comparison, when to stop, label quality, the pool's map
    loop                 a round, and the batch after it; replay
    simulation           the loop without a person; the random baseline
    distributed          Ray; pools larger than memory
    cli                  the command line, one file a command
"""
