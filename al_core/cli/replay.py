"""``replay``: choose each batch of a log again, and compare."""

from __future__ import annotations

import click

from al_core.cli import options
from al_core.cli.labels import images_of
from al_core.cli.terminal import run_shown
from al_core.experiment.experiment import open_experiment
from al_core.store.store import Store


@click.command()
@options.experiment
@click.option("--threads", type=click.IntRange(min=1), help="To compute with  [default: torch's]")
def replay(name: str, threads: int | None) -> None:
    """Choose each batch of an experiment again from its log, and say how many images are the same.

    On the machine, with the threads and the versions it was labelled with, all are.
    """
    store = Store()
    experiment = open_experiment(store, name)
    dataset = images_of(experiment)
    import torch  # takes two seconds

    from al_core.loop.replay import in_words, summed_up
    from al_core.loop.replay import replay as choose_again
    from al_core.models.hardware import find_hardware

    if threads is not None:
        torch.set_num_threads(threads)
    hardware = find_hardware()
    work = choose_again(store, experiment.id, dataset, hardware)
    replayed = run_shown(work, "Stopped; nothing was changed.")
    for one in replayed:
        click.echo(in_words(one))
    click.echo(summed_up(replayed, hardware))
