"""What has changed in the folder of an experiment, and what else there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

import streamlit as st

from al_core.experiment.changes import (
    KINDS,
    Change,
    in_words,
    of_other_classes,
    on_copies,
    rows_trained_on,
    untrained_changes,
)
from al_core.experiment.experiment import Experiment
from al_core.experiment.later import came_later, draw_from_new, spoken_of, to_draw
from al_core.experiment.manifest import Manifest
from al_core.images.dataset import Dataset, has_files
from al_core.names import counted
from al_core.store.records import MISSING
from al_core.store.store import Store
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.matters import Matter

MOST = 1000  # changes of a kind that are listed
# By experiment, how many rows of its manifest somebody has been shown since this server began.
_shown: dict[tuple[Store, int], int] = {}


def source_changes(store: Store, experiment: Experiment, dataset: Dataset) -> Iterator[Matter]:
    """What has changed since the last round was trained, or since somebody has looked at that, what
    is missing, of which images accuracy does not speak, what was left out, and notes."""
    manifest = experiment.manifest
    if manifest is not None and has_files(dataset):
        kinds = set()
        shown = _shown.setdefault((store, experiment.id), rows_trained_on(experiment))
        for kind, group in groupby(untrained_changes(experiment, shown), lambda one: one.kind):
            # A damaged file is left out, and not missing too.
            damaged = set(dataset.unreadable) if kind == "missing" else set()
            changes = [change for change in group if change.key not in damaged]
            if changes and kind != "changed":  # that is asked about
                kinds.add(kind)
                yield Matter(in_words(changes), partial(_list, kind, changes))
        if others := of_other_classes(experiment):
            words = f"{sum(others.values()):,} of other classes"
            yield Matter("" if "new" in kinds else words, partial(_on_other_classes, others))
        if gone := manifest.gone.difference(dataset.unreadable):
            draw = partial(_on_missing, experiment, manifest, gone)
            yield Matter("" if "missing" in kinds else f"{len(gone):,} missing", draw)
        if new := len(came_later(experiment)):
            draw = partial(_offer_to_draw, store, experiment, dataset, new)
            yield Matter("" if "new" in kinds else f"{new:,} unmeasured", draw)
    if files := dataset.unreadable:
        yield Matter(f"{len(files):,} left out", partial(_list_left_out, files))
    notes = [*(on_copies(manifest, dataset) if manifest else ()), *dataset.notes]
    if dataset.refused:
        notes.append(
            f"No new experiment could start here: {dataset.refused} This one goes on with those "
            "it knows, and the classes they had."
        )
    if notes:
        yield Matter(counted(len(notes), "note"), partial(_tell, notes))


def changes_were_shown(store: Store, experiment: Experiment, rows: int) -> None:
    """Somebody has looked at what had changed when the manifest had so many rows."""
    _shown[store, experiment.id] = rows


def _list(kind: str, changes: Sequence[Change]) -> None:
    """A list of the images to which one thing happened, and what that means."""
    lines = [f"**{kind.capitalize()}** ({KINDS[kind]})\n"]
    for change in changes[:MOST]:
        was = f", before: {plain(change.before)}" if change.before not in ("", change.key) else ""
        lines.append(f"- {plain(change.key)}{was}")
    if len(changes) > MOST:
        lines.append(f"\nAnd {len(changes) - MOST:,} more.")
    st.markdown("\n".join(lines))


def _on_other_classes(others: Mapping[str, int]) -> None:
    counts = (f"“{plain(name)}” ({count:,})" for name, count in sorted(others.items()))
    st.markdown(
        f"Images of what is no class of this experiment: {', '.join(counts)}. They are asked "
        "about like those without a class."
    )


def _on_missing(experiment: Experiment, manifest: Manifest, gone: frozenset[str]) -> None:
    labels = {i for i, answer in experiment.pool.answers.items() if answer.label is not None}
    lost = (row for row in manifest.pool.those("state", MISSING) if row.key in gone)
    kept = "Their labels are kept and still learned from. "
    has_labels = any(row.position in labels for row in lost)
    st.markdown(
        f"**Not in the folder any more: {len(gone):,}.** {kept * has_labels}No batch asks about "
        "them until they are back."
    )


def _offer_to_draw(store: Store, experiment: Experiment, dataset: Dataset, new: int) -> None:
    """Say of which images the accuracy speaks, where others have come since."""
    assert experiment.manifest is not None
    before = spoken_of(experiment.manifest)
    there = "that was" if before == 1 else "that were"
    st.markdown(
        f"Accuracy speaks of the {counted(before, 'image')} {there} there when those to measure "
        f"with were drawn, and not of the {new:,} that came later."
    )
    if drawn := len(to_draw(experiment, dataset)):
        button(
            f"Draw {drawn:,} of those too",
            lambda: draw_from_new(store, experiment.id, dataset),
            f"draw-{experiment.id}",
            icon=":material/casino:",
            help="They are never trained on.",
        )
    else:
        st.caption(
            "None of those can be drawn: they were asked about, have no class that is known, or "
            "are copies of what may be trained on."
        )


def _list_left_out(files: Sequence[str]) -> None:
    st.markdown(f"**Left out: {len(files):,}**")
    st.dataframe({"file": files}, hide_index=True)


def _tell(notes: Sequence[str]) -> None:
    st.markdown("\n\n".join(map(plain, notes)))
