"""Active learning on images: everything but the page.

From the bottom to the top; a module imports only what stands above it in this list.

    errors, progress     sentences for a person; long work as a generator
    names, cells, arrays what names may be; rows for spreadsheets; NumPy's files, perhaps damaged
    partitions           embeddings in many files
    images               ImageSet and load(): digits, CIFAR-10, folders, parquet, cached
      sources              (cifar10, parquet) what each source holds, (pictures) how it is decoded,
                           (download) mirrors, (locking) one process at a time
    catalogue            the strategies by name, without torch
    config               the settings of an experiment
    pool                 Annotation; Pool: who is labelled, a fold over the annotations
    schema, store        the append-only log: experiments, batches, annotations, rounds
      database           opening one, its errors as sentences; (migrations) its changes
      log                its annotations, each read once
      rows               how rows are written, once, and read back
    experiment           one experiment: the log folded into a pool and a phase
    leases               who labels what: batches handed out, handed in, rounds closed
    undo                 taking back what was said, as a later row
    review, since        suspicious labels, agreement; what happened while somebody was away
    curves, comparison, plot
                         learning curves, which is better and whether that is chance, as a chart
    learning_curve       what the last labels gained, and how many more a target takes
    mistakes, pool_map   what the model gets wrong; the pool in two dimensions
    strategies           pure functions from predictions to positions; STRATEGIES
    heads                linear heads on embeddings: one, a committee, a temperature
    network              ResNet-18 and the hardware it runs on
    inference            a trained one, fast
    train, predict       fit(), predict(), evaluate()
    scoring              the pool, as exactly as a strategy needs it
    weights, predictions networks, and what they said of every image, on disk
    self_supervised, views, pretrain
                         a network learns from images alone; (learned) where its weights lie
    features             embeddings that need no label, computed once and kept
    query                choosing a batch, and the reasons why
    round                one round: train, evaluate, score
    loop                 a round into the log, and the batch after it
    replay               each batch again from the log, as it was chosen
    speed                what a round takes on this machine
    reference            the same with as many random labels, the yardstick
    worker               one background job per device; progress, cancel
    annotators, simulate the loop without a person
    simulations          many of them, side by side, going on where they stopped
    round_in_parts       a round over embeddings that fit no memory, (pool_in_parts) file by file
    batch_images         the pictures of its batch, as a file that the desk opens
    cluster              Ray's, where heavy work can be done: such rounds, and
      embed_on_ray       features
      simulate_on_ray    simulations
    export, export_images, import_labels
                         labels as CSV, images by class or as parquet; labels from a CSV
    __main__, simulate_command, choose_command, (engine, terminal)
                         the command line; where it computes, what it says
"""
