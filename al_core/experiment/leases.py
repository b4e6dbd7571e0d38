"""Who labels what: batches are handed out as leases that lapse, so that no image is asked twice.

A holder is one browser tab of one server. Its lease ends when it hands in, after ten minutes of
silence, or as soon as the tab or its server is known to be gone; then the next person continues the
batch. A round trains once nobody holds a batch of it any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from al_core.errors import ConfigError
from al_core.experiment.accepted import looks_alone, with_audits, without_own
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.start import mixed_batch
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.seeds import numpy_generator
from al_core.store.records import Batch, now

if TYPE_CHECKING:
    from al_core.store.store import Store

LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Holder:
    """A browser tab of a server, by a name of its own, and the annotator in it.

    ``is_early``: before there is a model it may have a batch of round 1, drawn at random, since the
    first training waits for a download.
    """

    tab: str
    annotator: str
    is_early: bool = False


IsGone = Callable[[str], bool]  # whether a tab or its server is known to be gone
Choose = Callable[[Experiment, int], Work[Batch | None]]  # chooses a batch for a round


def lapses_at() -> datetime:
    """When a lease given or renewed now lapses."""
    return now() + LEASE


def is_held(batch: Batch, is_gone: IsGone) -> bool:
    """Whether somebody is labelling an open batch."""
    if batch.handed_in_at or batch.holder is None or batch.leased_until is None:
        return False
    return batch.leased_until > now() and not is_gone(batch.holder)


def held_by_others(experiment: Experiment, number: int, tab: str, is_gone: IsGone) -> list[Batch]:
    """The batches of a round that people in other tabs than ``tab`` are labelling."""
    return [
        batch
        for batch in experiment.open_batches
        if batch.round == number and batch.holder != tab and is_held(batch, is_gone)
    ]


def nobody_is_gone(tab: str) -> bool:
    """For a holder without others beside it."""
    return False


def take_open_batch(
    store: Store, experiment: Experiment, holder: Holder, is_gone: IsGone = nobody_is_gone
) -> Batch | None:
    """The open batch that ``holder`` continues: its own, else one that nobody holds.

    Of the latter the annotator's own come first: after a server restart, all get theirs back.
    """
    candidates = [b for b in experiment.open_batches if b.round <= experiment.config.rounds]
    mine = [batch for batch in candidates if batch.holder == holder.tab]
    free = [batch for batch in candidates if not is_held(batch, is_gone)]
    for batch in mine + sorted(free, key=lambda batch: batch.annotator != holder.annotator):
        leased = _leased(batch, holder, lapses_at())
        if batch.holder is None:
            leased = with_audits(leased, experiment, holder.annotator)
        elif batch.annotator != holder.annotator:
            leased = without_own(leased, experiment, holder.annotator)
        if store.lease(batch, leased):
            return leased
    return None


def take_new_batch(
    store: Store,
    experiment_id: int,
    holder: Holder,
    choose: Choose,
    is_gone: IsGone = nobody_is_gone,
) -> Work[Batch | None]:
    """A batch for ``holder``, chosen now if none is open; None while there is nothing to label.

    It belongs to the round being labelled or, if the experiment allows labelling while a round
    trains, to the next one the holder has not labelled yet. Somebody faster than the machine gets
    all the configured rounds, chosen by the latest model.
    """
    while True:
        experiment = open_experiment(store, experiment_id)
        if batch := take_open_batch(store, experiment, holder, is_gone):
            return batch
        number = round_to_label(experiment, holder)
        if number is None:
            return None
        by_chance = experiment.config.start == "random" or (number and holder.is_early)
        if experiment.next_round == 0 and by_chance:
            chosen = draw_random_batch(experiment, number)
        else:
            chosen = yield from choose(experiment, number)
        chosen = chosen or looks_alone(experiment, number)
        if chosen is None:
            return None
        if len(store.acceptances(experiment_id)) > len(experiment.acceptances):
            continue  # some of these may have been accepted meanwhile
        held = with_audits(_leased(chosen, holder, lapses_at()), experiment, holder.annotator)
        batch_id = store.add_batch(experiment_id, held, len(experiment.batches))
        if batch_id is not None:
            return replace(held, id=batch_id)
        # Another tab was faster and has that place: choose again.


def _leased(batch: Batch, holder: Holder, until: datetime) -> Batch:
    return replace(batch, holder=holder.tab, annotator=holder.annotator, leased_until=until)


def round_to_label(experiment: Experiment, holder: Holder) -> int | None:
    """The round that a further batch for ``holder`` would belong to, or None for no batch."""
    if experiment.phase is Phase.FINISHED:
        return None
    given = {batch.round for batch in experiment.batches if batch.holder == holder.tab}
    for number in range(experiment.next_round, experiment.config.rounds + 1):
        if number in given or experiment.is_closed(number):
            continue
        now_or_ahead = number == experiment.next_round or experiment.config.label_while_training
        has_model = number == 0 or experiment.next_round > 0
        # Learning features may take half an hour, and so may a download: one batch is chosen
        # without a model. With more, all rounds would be over before anything was learned.
        waits = holder.is_early or waits_for_features(experiment.config, experiment.fingerprint)
        return number if now_or_ahead and (has_model or (number == 1 and waits)) else None
    return None


def draw_random_batch(experiment: Experiment, number: int) -> Batch | None:
    """A batch of round ``number`` that needs no model; None if no images are left."""
    count = experiment.batch_size(number)
    measuring = experiment.held_out_due(count)
    chance = numpy_generator(experiment.config.seed, "random batch", len(experiment.batches))
    drawn = chance.permutation(experiment.free_images)[: count - len(measuring)].tolist()
    return mixed_batch(number, "random", drawn, measuring, experiment.log_position)


def hand_in(
    store: Store,
    experiment_id: int,
    batch: Batch,
    is_gone: IsGone = nobody_is_gone,
) -> None:
    """Close a batch, and its round too unless somebody else is labelling a batch of it. Does
    nothing if the batch is closed already.

    While fewer than two classes have labels there is nothing to train on (perhaps everything was
    skipped), and a further batch is drawn at random first. Raises ConfigError while an image of the
    batch is neither labelled nor skipped, or when no images are left.
    """
    experiment = open_experiment(store, experiment_id)
    answers = experiment.pool.answers
    still_open = sum(image not in answers for image in batch.images)
    if still_open:
        raise ConfigError(f"Neither labelled nor skipped in this batch: {still_open:,}.")
    further = None
    if not experiment.can_train:
        further = draw_random_batch(experiment, batch.round)
        if further is None:
            raise ConfigError(
                "Training needs labels of at least two classes, and no images are left: "
                "change some of the answers."
            )
    place = len(experiment.batches)
    if further is not None:
        store.hand_in(batch.id, (experiment_id, further, place))
    elif store.hand_in(batch.id):
        close_round(store, experiment_id, batch.round, is_gone)


def close_round(store: Store, experiment_id: int, number: int, is_gone: IsGone) -> None:
    """Close a round of which something was handed in, unless a batch of it is still being labelled.

    Of the batches that nobody holds, one without answers is withdrawn at once, and its images
    return to the pool. One with answers is closed as it is, but only once its lease has lapsed, so
    that it is still there after a page reload.
    """
    experiment = open_experiment(store, experiment_id)
    of_round = [batch for batch in experiment.batches if batch.round == number]
    left = [batch for batch in of_round if batch.handed_in_at is None]
    if len(left) == len(of_round) or not experiment.can_train:
        return
    for batch in left:
        touched = any(image in experiment.pool.answers for image in batch.images)
        lapsed = batch.leased_until is None or batch.leased_until <= now()
        if not is_held(batch, is_gone) and (lapsed or not touched):
            store.hand_in(batch.id)
