"""Active learning on images: everything but the page.

From the bottom to the top; a module imports only what stands above it in this list.

    errors, progress     sentences for a person; long work as a generator
    images               ImageSet and load(): digits, CIFAR-10, folders, parquet, cached
      sources              (cifar10, parquet) what each source holds, (pictures) how it is decoded,
                           (download) mirrors, (locking) one process at a time
    strategies           pure functions from predictions to positions; STRATEGIES
    config               the settings of an experiment
    pool                 Annotation; Pool: who is labelled, a fold over the annotations
    schema, store        the append-only log: experiments, batches, annotations, rounds
    experiment           one experiment: the log folded into a pool and a phase
    network              ResNet-18 and the hardware it runs on
    train, predict       fit(), predict(), evaluate()
    weights              networks on disk
    round                one round: train, evaluate, score, choose
    worker               one background job per device; progress, cancel
    annotators, simulate the loop without a person
    export               labels as CSV
    __main__             the command line
"""
