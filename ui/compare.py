"""Experiments and simulations side by side: curves, areas, and what is more than chance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from al_core.catalogue import titled
from al_core.comparison import UNITS, Verdict, in_words, judge, summary, where
from al_core.config import ExperimentConfig
from al_core.curves import Axis, Curve, bands, curve_of, read_curves
from al_core.errors import ActiveLearningError
from al_core.experiment import Experiment, open_experiment
from al_core.plot import curves_chart
from al_core.simulations import saved_curves
from al_core.store import Store
from ui.text import plain

AXIS_NAMES: dict[str, Axis] = {"Labels": "labeled", "Minutes spent": "minutes"}
TITLES: dict[Axis, str] = {"labeled": "Labelled images", "minutes": "Minutes spent labelling"}
FIRST = 5  # sentences of a kind that are seen at once
REST = {
    "trending_up": "More differences",
    "drag_handle": "More pairs that cannot be told apart",
    "help": "Pairs with too few seeds to say anything",
}
HELP = """
- **Curves** show the accuracy on test images that the model never trains on. Runs that differ in
  their seed alone are averaged, and the band is the 95% interval of that average; for two runs it
  would fill the chart and is left out. For one run it is the interval that comes from the number of
  test images.
- **Mean accuracy** is the area under a curve, divided by the range that all of them share: what is
  good early counts as much as what is good late.
- **Differences** are tested by paired t-tests, since runs of one seed start from the same images.
  The more pairs are tried, the more look real by chance; Holm's correction makes up for that.
- **Minutes** are the time between an image's turn and its answer; more than a minute counts as one.
"""


@st.fragment
def compare(store: Store, current: int | None) -> None:
    """Choose curves, and see what they say side by side; ``current`` is the open experiment."""
    try:
        curves = _choose(store, current)
    except ActiveLearningError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if not curves:
        st.info(
            "Choose experiments or simulations above, or add a table that “python -m al_core "
            "simulate” has written.",
            icon=":material/compare_arrows:",
        )
        return
    curves, common = shorten(curves)
    axis = AXIS_NAMES[_axis_name(curves)]
    shown = [curve for curve in curves if getattr(curve, axis)]
    table = bands(shown, axis)
    st.altair_chart(curves_chart(table, TITLES[axis]), key="compared-curves")
    if common:
        st.caption(plain(f"All of them: {common}."))
    _name_left_out(curves, shown, set(table["name"]))
    judged = [curve for curve in shown if len(curve.points(axis)[0]) > 1]
    verdict = judge(judged, axis, _against(judged))
    if verdict is None:
        st.info(
            f"There is no range of {UNITS[axis]} in which all of these curves were measured, "
            "so they cannot be compared. Leave one out, or run it for more rounds.",
            icon=":material/info:",
        )
    else:
        _show_areas(verdict, judged)
        _show_comparisons(verdict)
    with st.expander("How to read this", icon=":material/help:"):
        st.markdown(HELP)


def _choose(store: Store, current: int | None) -> list[Curve]:
    experiments = {
        record.name: record.id
        for record in store.experiments()
        if any(one.metrics for one in store.rounds(record.id))
    }
    simulated: dict[str, list[Curve]] = {}
    for curve in saved_curves():
        simulated.setdefault(free_name(curve.name, experiments, "simulated"), []).append(curve)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    chosen = row.multiselect(
        "Experiments and simulations",
        [*experiments, *simulated],
        default=[name for name, number in experiments.items() if number == current],
        placeholder="Choose what to compare" if experiments or simulated else "None measured yet",
        disabled=not (experiments or simulated),
        key="curves",
        bind="query-params",
    )
    with row.popover("Add tables", icon=":material/upload:"):
        files = st.file_uploader(
            "Tables that “python -m al_core simulate” has written",
            type="csv",
            accept_multiple_files=True,
            key="tables",
        )
    opened = [open_experiment(store, experiments[name]) for name in chosen if name in experiments]
    curves = _of_experiments(opened)
    for name in chosen:
        if name not in experiments:
            curves += [replace(curve, name=name) for curve in simulated[name]]
    for file in files:
        taken = {curve.name for curve in curves}
        curves += [
            replace(curve, name=free_name(curve.name, taken, Path(file.name).stem))
            for curve in read_curves(file.getvalue(), file.name)
        ]
    return curves


def _of_experiments(experiments: Sequence[Experiment]) -> list[Curve]:
    """A curve each; those that differ in their seed alone are runs of one name."""
    alike: dict[ExperimentConfig, list[Experiment]] = {}
    for experiment in experiments:
        asked = replace(experiment.config, seed=0, rounds=0, show_guesses=False, reference=False)
        alike.setdefault(asked, []).append(experiment)
    curves = []
    for config, group in alike.items():
        seeds = {experiment.config.seed for experiment in group}
        together = len(seeds) == len(group) > 1
        name = f"{titled(config.strategy)}, {len(group)} experiments"
        for experiment in group:
            if curve := curve_of(experiment):
                curves.append(replace(curve, name=name) if together else curve)
    return curves


def free_name(name: str, taken: Iterable[str], more: str) -> str:
    """A name that is not among those ``taken``."""
    return name if name not in taken else f"{name} ({more})"


def shorten(curves: Sequence[Curve]) -> tuple[Sequence[Curve], str]:
    """The curves without the settings in their names that all have in common, and those."""
    names = {curve.name: curve.name.partition(", ") for curve in curves}
    tails = {tail for _, _, tail in names.values()}
    if (
        len(names) == 1
        or len(tails) > 1
        or len({head for head, _, _ in names.values()}) < len(names)
    ):
        return curves, ""
    return [replace(curve, name=names[curve.name][0]) for curve in curves], tails.pop()


def _axis_name(curves: Sequence[Curve]) -> str:
    timed = any(curve.minutes for curve in curves)
    if not timed:
        return "Labels"
    return st.segmented_control(
        "Along", list(AXIS_NAMES), default="Labels", required=True, key="axis", bind="query-params"
    )


def _against(curves: Sequence[Curve]) -> str | None:
    """With which curve all others are compared, None for each with each."""
    names = sorted({curve.name for curve in curves})
    if len(names) < 3:
        return None
    return st.selectbox(
        "Compare with",
        names,
        None,
        placeholder="Each other",
        width=320,
        help="Against one alone there are fewer questions, and each needs less to be answered.",
    )


def _name_left_out(curves: Sequence[Curve], shown: Sequence[Curve], drawn: set[str]) -> None:
    """Say which curves are not drawn, and why."""
    untimed = sorted({c.name for c in curves} - {c.name for c in shown})
    if untimed:
        st.caption(plain(f"Left out, since nobody's time was measured: {', '.join(untimed)}."))
    apart = sorted({c.name for c in shown} - drawn)
    if apart:
        st.caption(plain(f"Left out, since their runs share no range: {', '.join(apart)}."))


def _show_areas(verdict: Verdict, curves: Sequence[Curve]) -> None:
    table = summary(verdict, curves)
    table[["area", "sd", "final"]] *= 100
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={
            "name": "Curve",
            "area": number(
                "Mean accuracy",
                format="%.1f%%",
                help=f"The area under the curve {where(verdict)}, divided by that range.",
            ),
            "sd": number("± SD", format="%.1f", help="Standard deviation over seeds, in points."),
            "seeds": number("Seeds", format="%d"),
            "final": number(
                "Final accuracy", format="%.1f%%", help="Of each run's last round, averaged."
            ),
        },
    )
    if len(table) > 1:
        st.caption(f"Mean accuracy {where(verdict)}, which all of these curves cover.")


def _show_comparisons(verdict: Verdict) -> None:
    """Each pair in words: real differences first, then those that chance may have made."""
    groups: dict[str, list[str]] = {"trending_up": [], "drag_handle": [], "help": []}
    for found in verdict.comparisons:
        icon = "help" if found.p is None else "trending_up" if found.is_real else "drag_handle"
        groups[icon].append(f":material/{icon}: {plain(in_words(found, verdict))}")
    for icon, title in REST.items():
        shown = min(len(groups[icon]), FIRST)
        if icon == "help" and len(groups[icon]) > FIRST:
            shown = 0
        for sentence in groups[icon][:shown]:
            st.markdown(sentence)
        if rest := groups[icon][shown:]:
            with st.expander(f"{title}: {len(rest)}"):
                st.markdown("\n\n".join(rest))
