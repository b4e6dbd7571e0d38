"""Which curves to compare: those of experiments, of their random baselines, of simulations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from al_core.analysis.curves import (
    Curve,
    curve_of,
    read_curves,
    strategies_in_words,
    strategies_used,
)
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.simulation.on_disk import saved_curves
from al_core.simulation.random_baseline import baseline_curve, has_baseline
from al_core.store.store import Store

KEY = "curves"  # session state: the names that are chosen


def choose_curves(store: Store, current: int | None) -> list[Curve]:
    """The curves that the person picks; at first, that of the open experiment ``current``.

    Raises ConfigError for a file that is not such a table.
    """
    experiments = {
        record.name: record.id
        for record in store.experiments()
        if any(one.metrics for one in store.rounds(record.id))
    }
    baselines = {
        free_name(f"{name}, random labels", experiments, "random baseline"): number
        for name, number in experiments.items()
        if has_baseline(store.folder(number))
    }
    simulated: dict[str, list[Curve]] = {}
    for curve in saved_curves():
        name = free_name(curve.name, [*experiments, *baselines], "simulated")
        simulated.setdefault(name, []).append(curve)
    options = [*experiments, *baselines, *simulated]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _pick(options, experiments, current)
        with st.popover("Add tables", icon=":material/upload:"):
            files = st.file_uploader(
                "Tables written by “python -m al_core simulate”",
                type="csv",
                accept_multiple_files=True,
                key="tables",
            )
    curves = _together(store, experiments, chosen, curve_of, strategies_in_words)
    curves += _together(store, baselines, chosen, baseline_curve, lambda _: "Random labels")
    for name in chosen:
        curves += [replace(curve, name=name) for curve in simulated.get(name, ())]
    for file in files:
        taken = {curve.name for curve in curves}
        curves += [
            replace(curve, name=free_name(curve.name, taken, Path(file.name).stem))
            for curve in read_curves(file.getvalue(), file.name)
        ]
    return curves


def _pick(
    options: Sequence[str], experiments: Mapping[str, int], current: int | None
) -> Sequence[str]:
    own = [name for name, number in experiments.items() if number == current]
    # An experiment that was opened before its first round ended joins the others once it has.
    if own and st.session_state.pop("not-yet-measured", None) == current:
        st.session_state[KEY] = [*st.session_state.get(KEY, ()), *own]
    elif current is not None and not own:
        st.session_state["not-yet-measured"] = current
    return st.multiselect(
        "Experiments and simulations",
        options,
        default=own,
        placeholder="Choose what to compare" if options else "None measured yet",
        disabled=not options,
        key=KEY,
        bind="query-params",
    )


def _together(
    store: Store,
    experiments: Mapping[str, int],
    chosen: Sequence[str],
    curve: Callable[[Experiment], Curve | None],
    title: Callable[[Experiment], str],
) -> list[Curve]:
    """The ``curve`` of each of the ``experiments`` that are chosen; those that differ only in their
    seed become runs of one name, which begins with their ``title``."""
    alike: dict[object, list[Experiment]] = {}
    for name in chosen:
        if name in experiments:
            experiment = open_experiment(store, experiments[name])
            alike.setdefault(_all_but_the_seed(experiment), []).append(experiment)
    curves = []
    for group in alike.values():
        seeds = {experiment.config.seed for experiment in group}
        together = len(seeds) == len(group) > 1
        name = f"{title(group[0])}, {len(group)} experiments"
        for one in filter(None, map(curve, group)):
            curves.append(replace(one, name=name) if together else one)
    return curves


def _all_but_the_seed(experiment: Experiment) -> object:
    """What experiments that differ only in their seed share: images, settings, and strategies."""
    settings = replace(
        experiment.config,
        strategy="random",  # the next batch's; what counts is which ones chose the batches so far
        seed=0,
        rounds=0,
        show_guesses=False,
        random_baseline=False,
    )
    return experiment.fingerprint, settings, strategies_used(experiment)


def free_name(name: str, taken: Iterable[str], more: str) -> str:
    """A name that is not among those ``taken``."""
    return name if name not in taken else f"{name} ({more})"


def shorten(curves: Sequence[Curve]) -> tuple[Sequence[Curve], str]:
    """The curves, their names without the settings that all have in common; those settings."""
    names = {curve.name: curve.name.partition(", ") for curve in curves}
    tails = {tail for _, _, tail in names.values()}
    if (
        len(names) == 1
        or len(tails) > 1
        or len({head for head, _, _ in names.values()}) < len(names)
    ):
        return curves, ""
    return [replace(curve, name=names[curve.name][0]) for curve in curves], tails.pop()
