"""Choosing an experiment's batches again from its log: are they the same?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from al_core.errors import StoreError
from al_core.experiment.accepted import LOOKS, without_audits
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.leases import draw_random_batch
from al_core.experiment.predictions import PoolPredictions
from al_core.experiment.source import images_of
from al_core.experiment.start import first_batch
from al_core.images.dataset import Dataset
from al_core.loop.advance import train
from al_core.loop.cold_start import untrained_predictions
from al_core.loop.next_batch import choose_by
from al_core.models.hardware import Hardware
from al_core.progress import Progress, Work
from al_core.store.records import Batch, LogPosition

if TYPE_CHECKING:
    from al_core.store.store import Store


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ``batch`` of the log, and the one chosen in its place now: ``again``, None where no image
    is left to label. ``computed_on``: the machine of its model's round, if the log says."""

    batch: Batch
    again: Batch | None
    computed_on: str = ""

    @property
    def images(self) -> Sequence[int]:
        """The images chosen now, best first."""
        return self.again.images if self.again is not None else []

    @property
    def same(self) -> int:
        """How many images are in both."""
        return len({*self.batch.images}.intersection(self.images))

    @property
    def in_order(self) -> bool:
        """Whether both are the same images in the same order."""
        return [*self.batch.images] == [*self.images]

    @property
    def is_exact(self) -> bool:
        """Whether the scores are the same as well, to the last bit."""
        return self.in_order and self.again is not None and self.batch.scores == self.again.scores


def replay(
    store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware
) -> Work[list[Replayed]]:
    """Choose each batch of an experiment again, in the order of its log, at its log position.

    The models behind them are trained again, on the same settings and labels. Nothing is written,
    to the log or beside it. Raises SourceError where ``dataset`` is not the one the experiment was
    started on, and StoreError for a damaged log.
    """
    experiment = open_experiment(store, experiment_id, with_reasons=True)
    images_of(experiment, dataset)
    replayed: list[Replayed] = []
    made_from, predictions = None, None
    for place, batch in enumerate(experiment.batches):
        if batch.strategy == LOOKS:  # nothing chose them but chance
            continue
        title = f"Batch {place + 1} of {len(experiment.batches)}"
        yield Progress(title, 0, 0, "", 0)
        then = experiment.as_of(_present(batch.log_position))
        if batch.reasons is None and batch.model is None:  # chosen without a model
            is_first = batch.round == 0 and not then.batches and then.config.start == "random"
            again = (
                first_batch(then.config, then.pool_size)
                if is_first
                else draw_random_batch(then, batch.round)
            )
        else:
            by_pixels = batch.reasons is not None and batch.reasons.by_pixels
            # Without a model, all images that were there were looked at when the batch was chosen.
            seen = batch.model_position or len(then.manifest.rows if then.manifest else ())
            asked = (then.config.model, then.config.image_size, then.classes)
            about = (batch.model, seen, by_pixels, then.embedded, asked)
            if predictions is None or made_from != about:
                made_from, predictions = about, None
                images = images_of(then, dataset)
                model = _model(experiment, then, batch, by_pixels, (images, hardware))
                predictions = yield from _titled(title, model)
            again = choose_by(predictions, then, batch.round, hardware)
        batch = without_audits(batch)
        replayed.append(Replayed(batch, again, _computed_on(experiment, batch)))
    return replayed


def _model(
    experiment: Experiment,
    then: Experiment,
    batch: Batch,
    by_pixels: bool,
    on: tuple[Dataset, Hardware],
) -> Work[PoolPredictions]:
    """The predictions a batch was chosen from ``then``, their model trained again; without a model,
    what is known before any label."""
    number, (dataset, hardware) = batch.model, on
    if number is None:
        if by_pixels:  # its features may have come since
            model = replace(then.config.model, weights="none", head="fine-tune")
            then = replace(then, config=replace(then.config, model=model))
        return (yield from untrained_predictions(then, dataset, hardware))
    # A network's is in its round's record, since it was fit to predictions of the round before.
    temperature = experiment.rounds[number].temperature if number < len(experiment.rounds) else None
    then = experiment.as_of(_present(batch.model_position))
    _, predictions = yield from train(then, number, dataset, hardware, temperature)
    return predictions


def _present(position: LogPosition | None) -> LogPosition:
    if position is None:
        raise StoreError("The log is damaged: a batch has lost its log position; restore a copy.")
    return position


def _computed_on(experiment: Experiment, batch: Batch) -> str:
    if batch.model is None or batch.model >= len(experiment.rounds):
        return ""
    return experiment.rounds[batch.model].computed_on


def _titled(title: str, work: Work[PoolPredictions]) -> Work[PoolPredictions]:
    """``work``, with ``title`` in front of its reports' phases."""
    while True:
        try:
            report = next(work)
        except StopIteration as end:
            predictions: PoolPredictions = end.value
            return predictions
        yield replace(report, phase=f"{title}: {report.phase}")


def in_words(one: Replayed) -> str:
    """The result for one batch, in a line."""
    batch, size = one.batch, len(one.batch.images)
    by = "no model" if batch.model is None else f"the model of round {batch.model}"
    line = f"Round {batch.round}, {batch.strategy}, {by}: {one.same} of {size} images the same"
    if one.is_exact:
        line += ", in the same order" + ", with the same scores" * (batch.scores is not None)
    elif one.in_order:
        line += ", in the same order, with other scores"
    elif one.same == size:
        line += ", in another order"
    return line


def summed_up(replayed: Sequence[Replayed], hardware: Hardware) -> str:
    """The result for all batches, and the machines that computed them."""
    exact = sum(one.is_exact for one in replayed)
    images, same = sum(len(one.batch.images) for one in replayed), sum(r.same for r in replayed)
    share = f", {same / images:.1%}" if images else ""
    machines = {one.computed_on for one in replayed if one.computed_on}
    log = f"the log, on {' and on '.join(sorted(machines - {str(hardware)})) or 'the same'}"
    return (
        f"{exact:,} of {len(replayed):,} batches to the last bit; {same:,} of {images:,} "
        f"images{share}. Computed on {hardware}; "
        f"{log if machines else 'the log does not say on what'}."
    )
