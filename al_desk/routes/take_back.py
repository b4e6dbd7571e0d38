"""Undo across batches and rounds: the last answer that somebody gave, wherever it was."""

from __future__ import annotations

from dataclasses import replace

from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import is_held, lapses_at
from al_core.experiment.undo import last_act, taken_back
from al_core.store.records import Annotation
from al_core.store.store import Store
from al_desk.server.resources import is_gone, trainer
from al_desk.server.rounds import round_key


def take_back(
    store: Store, experiment_id: int, event_id: str, holder: tuple[str, str]
) -> tuple[int, Annotation | None] | str:
    """Undo the last answer of an annotator, of the tab and name in ``holder``, unless its batch is
    being labelled by somebody else now: the image that it was of, with that answer (None where this
    event came before), or a sentence where there is nothing to undo.

    A batch that was handed in is opened again; if its round is training, that is stopped, and
    starts over with the next hand-in.
    """
    tab, annotator = holder
    experiment = open_experiment(store, experiment_id)
    theirs = (b for b in experiment.open_batches if b.holder != tab and is_held(b, is_gone))
    asked = {image for b in experiment.batches for image in b.images}
    asked -= {image for b in theirs for image in b.images}
    # The same event may arrive twice: then its row is there, and only the rest is done again.
    before = None
    row = next((row for row in experiment.annotations if row.event == event_id), None)
    if row is None:
        found = last_act(experiment.annotations, annotator, asked)
        if found is None:
            return "There is nothing to undo."
        before, row = found[0], taken_back(*found)
        store.append(experiment.id, [replace(row, event=event_id)])
    source = next(b for b in reversed(experiment.batches) if row.image in b.images)
    if source.handed_in_at is not None:
        store.reopen(source.id, tab, annotator, lapses_at())
        if source.round == experiment.next_round:
            trainer().withdraw(round_key(experiment.id, source.round))
    return row.image, before
