"""An experiment's batches, chosen again from its log: are they the same?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from al_core.errors import StoreError
from al_core.experiment.experiment import Experiment, check_images, open_experiment
from al_core.experiment.leases import draw_at_random
from al_core.experiment.predictions import PoolPredictions
from al_core.experiment.start import first_batch
from al_core.images.dataset import Dataset
from al_core.loop.advance import choose_by, train
from al_core.loop.cold_start import untrained_predictions
from al_core.models.hardware import Hardware
from al_core.progress import Progress, Work
from al_core.store.records import Batch, LogPosition

if TYPE_CHECKING:
    from al_core.store.store import Store


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ``batch`` of the log, and what is chosen in its place now: ``again``, None where no image
    is left to ask about. ``computed_on``: where the round of its model was computed, as far as the
    log says."""

    batch: Batch
    again: Batch | None
    computed_on: str = ""

    @property
    def images(self) -> Sequence[int]:
        """The images that are chosen now, best first."""
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

    The models that chose them are trained again, from the settings and the labels that they were
    trained on. Nothing is written, neither to the log nor beside it. Raises SourceError where
    ``dataset`` is not what the experiment was started on, and StoreError for a damaged log.
    """
    experiment = open_experiment(store, experiment_id, with_reasons=True)
    check_images(experiment, dataset)
    replayed: list[Replayed] = []
    made_from, said = None, None
    for place, batch in enumerate(experiment.batches):
        title = f"Batch {place + 1} of {len(experiment.batches)}"
        yield Progress(title, 0, 0, "", 0)
        then = experiment.as_of(_told(batch.log_position))
        if batch.reasons is None and batch.model is None:  # no model was asked
            is_first = batch.round == 0 and not then.batches
            again = (
                first_batch(then.config, then.pool_size)
                if is_first
                else draw_at_random(then, batch.round)
            )
        else:
            by_pixels = batch.reasons is not None and batch.reasons.by_pixels
            if said is None or made_from != (batch.model, batch.model_position, by_pixels):
                made_from, said = (batch.model, batch.model_position, by_pixels), None
                model = _model(experiment, batch, by_pixels, dataset, hardware)
                said = yield from _titled(title, model)
            again = choose_by(said, then, batch.round, hardware)
        replayed.append(Replayed(batch, again, _computed_on(experiment, batch)))
    return replayed


def _model(
    experiment: Experiment, batch: Batch, by_pixels: bool, dataset: Dataset, hardware: Hardware
) -> Work[PoolPredictions]:
    """The predictions that a batch was chosen from, their model trained again; without a model,
    what there is to go by before any label."""
    number = batch.model
    if number is None:
        config = experiment.config
        if by_pixels:  # its features may have come since
            config = replace(config, model=replace(config.model, weights="none", head="fine-tune"))
        return (yield from untrained_predictions(config, dataset, hardware))
    # A network's is in its round's record: it was found with the predictions of the one before.
    kept = experiment.rounds[number].temperature if number < len(experiment.rounds) else 1.0
    then = experiment.as_of(_told(batch.model_position))
    _, said = yield from train(then, number, dataset, hardware, kept)
    return said


def _told(position: LogPosition | None) -> LogPosition:
    if position is None:
        raise StoreError("The log is damaged: a batch has lost its log position; restore a copy.")
    return position


def _computed_on(experiment: Experiment, batch: Batch) -> str:
    if batch.model is None or batch.model >= len(experiment.rounds):
        return ""
    return experiment.rounds[batch.model].computed_on


def _titled(title: str, work: Work[PoolPredictions]) -> Work[PoolPredictions]:
    """``work`` whose reports say of what they are."""
    while True:
        try:
            report = next(work)
        except StopIteration as end:
            said: PoolPredictions = end.value
            return said
        yield replace(report, phase=f"{title}: {report.phase}")


def in_words(one: Replayed) -> str:
    """What became of a batch, in a line."""
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
    """All of them in a line, and what they were chosen on."""
    exact = sum(one.is_exact for one in replayed)
    images, same = sum(len(one.batch.images) for one in replayed), sum(r.same for r in replayed)
    share = f", {same / images:.1%}" if images else ""
    told = {one.computed_on for one in replayed if one.computed_on}
    log = f"the log, on {' and on '.join(sorted(told - {str(hardware)})) or 'the same'}"
    return (
        f"{exact:,} of {len(replayed):,} batches to the last bit; {same:,} of {images:,} "
        f"images{share}. Computed on {hardware}; {log if told else 'the log does not say on what'}."
    )
