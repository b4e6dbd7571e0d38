"""Which curves are compared: experiments, their random baselines, simulations and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from al_core.analysis.curves import (
    Curve,
    curve_of,
    measured_on,
    read_curves,
    strategies_in_words,
    strategies_used,
)
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.loop.measured_anew import measured_anew
from al_core.models.metrics import Measure
from al_core.simulation.on_disk import saved_curves
from al_core.simulation.random_baseline import baseline_curve, has_baseline
from al_core.store.store import Store
from al_desk.results.measures import choose_measure
from al_desk.server.images import images_at_hand
from al_desk.widgets.formatting import plain

KEY = "curves"  # session state: the names that are chosen


def choose_curves(store: Store, current: int | None) -> tuple[list[Curve], Measure]:
    """The curves that the person picks, at first that of the open experiment ``current``, and what
    they measure, at first what leads.

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
    simulated = {
        curve.name: free_name(curve.name, [*experiments, *baselines], "simulated")
        for curve in saved_curves()
    }
    options = [*experiments, *baselines, *dict.fromkeys(simulated.values())]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _pick(options, experiments, current)
        with st.popover("Add tables", icon=":material/upload:"):
            files = st.file_uploader(
                "Tables written by “python -m al_core simulate”",
                type="csv",
                accept_multiple_files=True,
                key="tables",
            )

    own, random = (
        [_by_classes_of_now(open_experiment(store, numbers[name])) for name in chosen
         if name in numbers]
        for numbers in (experiments, baselines)
    )  # fmt: skip
    if unread := sorted({one.name for one, is_anew in own + random if not is_anew}):
        st.caption(
            plain(
                f"Measured by the classes that each round had: {', '.join(unread)}. Once an "
                "experiment was opened and its images are read, all its rounds are measured by "
                "the classes of now."
            )
        )

    def of(measure: Measure) -> list[Curve]:
        one, other = partial(curve_of, measure=measure), partial(baseline_curve, measure=measure)
        curves = _together([each for each, _ in own], one, strategies_in_words)
        curves += _together([each for each, _ in random], other, lambda _: "Random labels")
        for curve in saved_curves(measure) if simulated else ():
            if (name := simulated[curve.name]) in chosen:
                curves.append(replace(curve, name=name))
        for file in files:
            taken = {curve.name for curve in curves}
            curves += [
                replace(curve, name=free_name(curve.name, taken, Path(file.name).stem))
                for curve in read_curves(file.getvalue(), file.name, measure)
            ]
        return curves

    curves = of("accuracy")
    if not curves:
        return [], "accuracy"
    measure = choose_measure("balanced" if any(c.unequal for c in curves) else "accuracy")
    found = curves if measure == "accuracy" else of(measure)
    if missing := {curve.name for curve in curves} - {curve.name for curve in found}:
        st.caption(plain(f"Left out, since nobody measured it: {', '.join(sorted(missing))}."))
    return found, measure


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


def _by_classes_of_now(experiment: Experiment) -> tuple[Experiment, bool]:
    """An experiment as its own page measures it, where its classes have changed; as it is, and
    False, where that needs images which nobody has read since the server was started."""
    anew = measured_anew(experiment, None)
    if anew.rounds == experiment.rounds or measured_on(experiment).kind == "random":
        return anew, True
    images = images_at_hand(experiment)
    return (experiment, False) if images is None else (measured_anew(experiment, images), True)


def _together(
    experiments: Sequence[Experiment],
    curve: Callable[[Experiment], Curve | None],
    title: Callable[[Experiment], str],
) -> list[Curve]:
    """The ``curve`` of each of the ``experiments``; those that differ only in their seed become
    runs of one name, which begins with their ``title``."""
    alike: dict[object, list[Experiment]] = {}
    for experiment in experiments:
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
