"""Experiments and simulations side by side: curves, areas, and which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import streamlit as st

from al_core.analysis.chart_files import curves_chart
from al_core.analysis.comparison import UNITS, Verdict, in_words, judge, scale, summary, where
from al_core.analysis.curves import (
    Axis,
    Curve,
    MeasuredOn,
    accuracy_title,
    bands,
)
from al_core.models.metrics import within
from al_core.store.store import Store
from al_desk.results.curve_choice import choose_curves
from al_desk.widgets.formatting import errors_shown, number_column, plain, show_info

AXIS_NAMES: dict[str, Axis] = {"Labels": "labeled", "Minutes spent": "minutes"}
TITLES = {"labels": "Labelled images", "minutes": "Minutes spent labelling",
          "seconds": "Seconds spent labelling"}  # fmt: skip
FIRST = 5  # sentences of a kind that are visible at once
REST = {
    "trending_up": "More differences",
    "drag_handle": "More pairs that cannot be told apart",
    "help": "Pairs with too few seeds to say anything",
}
HELP = """
- **Curves** show the accuracy on images that the model never trains on: test images or, where
  there are none, held-out images drawn at random; or their balanced accuracy or macro F1, means
  over classes, of which the first leads where classes are unequal. Runs that differ only in their
  seed are averaged, and the band is the 95% interval of that average; for two runs it would fill
  the chart and is left out. For a single run it is the interval that follows from those images.
- **Mean accuracy** is the area under a curve, divided by the range that all curves share: accuracy
  early on counts as much as accuracy later.
- **Classes** that were merged, split or added since are those of now, in all rounds.
- **Differences** are tested by paired t-tests, since runs with the same seed start from the same
  images. Curves measured on different images are never tested against each other. The more pairs
  are tested, the more differences appear by chance; Holm's correction makes up for that.
- **Minutes** are the time between an image's turn and its answer, at most one minute per image.
"""


@st.fragment
@errors_shown()
def compare(store: Store, current: int | None) -> None:
    """Choose curves and compare them; ``current`` is the open experiment."""
    chosen, measure = choose_curves(store, current)
    if not chosen:
        st.info(
            "Choose experiments or simulations above, or add a table written by “python -m al_core "
            "simulate”.",
            icon=":material/compare_arrows:",
        )
        return
    curves, common = shorten(chosen)
    axis = AXIS_NAMES[_axis_name(curves)]
    shown = [curve for curve in curves if getattr(curve, axis)]
    table = bands(shown, axis)
    unit, size = scale(axis, table["x"].max())
    table["x"] *= size
    title = accuracy_title(shown, measure)
    st.altair_chart(curves_chart(table, TITLES[unit], title), key="compared-curves")
    if common:
        st.caption(plain(f"All of them: {common}."))
    if axis == "minutes":
        st.caption("Labels that came with the images, or were imported, cost no time here.")
    _warn_of_different_images(shown)
    _name_left_out(curves, shown, set(table["name"]))
    judged = [curve for curve in shown if len(curve.points(axis)[0]) > 1]
    verdict = judge(judged, axis, _against(judged))
    if not judged:
        show_info("A curve begins with its second round.")
    elif verdict is None:
        show_info(
            f"There is no range of {UNITS[axis]} in which all of these curves were measured, "
            "so they cannot be compared. Leave one out, or run it for more rounds."
        )
    else:
        _show_areas(verdict, judged, within(measure))
        _show_comparisons(verdict)
    with st.expander("How to read this", icon=":material/help:", key="how-to-read"):
        st.markdown(HELP)


def _axis_name(curves: Sequence[Curve]) -> str:
    if not any(curve.minutes for curve in curves):
        return "Labels"
    return st.segmented_control(
        "Along", list(AXIS_NAMES), default="Labels", required=True, key="axis", bind="query-params"
    )


def _against(curves: Sequence[Curve]) -> str | None:
    """The curve that all others are compared with; None for each with each."""
    names = sorted({curve.name for curve in curves})
    if len(names) < 3:
        return None
    return st.selectbox(
        "Compare with",
        names,
        None,
        placeholder="Each other",
        width=320,
        help="Compared with a single curve there are fewer tests, and each needs less evidence.",
    )


def _name_left_out(curves: Sequence[Curve], shown: Sequence[Curve], drawn: set[str]) -> None:
    """Say which curves are not drawn, and why."""
    timed = {curve.name for curve in shown}
    untimed = {curve.name for curve in curves} - timed
    left_out = {"nobody's time was measured": untimed, "their runs share no range": timed - drawn}
    for reason, names in left_out.items():
        if names:
            st.caption(plain(f"Left out, since {reason}: {', '.join(sorted(names))}."))


def _warn_of_different_images(curves: Sequence[Curve]) -> None:
    """Say where accuracies are not comparable, and where that is unknown."""
    names: dict[MeasuredOn, set[str]] = {}
    for curve in curves:
        names.setdefault(curve.on, set()).add(curve.name)
    if any(not one.compares_with(other) for one, other in combinations(names, 2)):
        groups = "; ".join(f"{', '.join(sorted(group))}: {on}" for on, group in names.items())
        st.warning(
            plain(
                "Not all of these curves were measured on the same images, so their accuracies are "
                f"not comparable, and no test is made between them ({groups})."
            ),
            icon=":material/warning:",
        )
    elif len(names) > 1 and MeasuredOn() in names:
        st.caption(
            "A table does not say which images it was measured on; they are taken to be the same."
        )


def _show_areas(verdict: Verdict, curves: Sequence[Curve], what: str) -> None:
    table = summary(verdict, curves)
    table[["area", "sd", "final"]] *= 100
    if table["images"].nunique() == 1:
        table = table.drop(columns="images")
    area = f"The area under the curve {where(verdict)}, divided by that range."
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={
            "name": "Curve",
            "images": "Measured on",
            "area": number_column(f"Mean {what}", "%.1f%%", area),
            "sd": number_column("± SD", "%.1f", "Standard deviation over seeds, in points."),
            "seeds": number_column("Seeds", "%d"),
            "final": number_column(f"Final {what}", "%.1f%%", "Of the last rounds, averaged."),
        },
    )
    if len(table) > 1:
        st.caption(f"Mean {what} {where(verdict)}, the range that all of these curves cover.")


def _show_comparisons(verdict: Verdict) -> None:
    """Each pair in words: real differences first, then those that may be chance."""
    groups: dict[str, list[str]] = {"trending_up": [], "drag_handle": [], "help": []}
    for found in verdict.comparisons:
        icon = "help" if found.p is None else "trending_up" if found.is_real else "drag_handle"
        groups[icon].append(f":material/{icon}: {plain(in_words(found, verdict))}")
    for icon, title in REST.items():
        sentences = groups[icon]
        shown = 0 if icon == "help" and len(sentences) > FIRST else FIRST
        for sentence in sentences[:shown]:
            st.markdown(sentence)
        if rest := sentences[shown:]:
            with st.expander(f"{title}: {len(rest)}"):
                st.markdown("\n\n".join(rest))


def shorten(curves: Sequence[Curve]) -> tuple[Sequence[Curve], str]:
    """The curves, their names without the settings that all have in common; those settings."""
    names = {curve.name: curve.name.partition(", ") for curve in curves}
    heads, _, tails = map(set, zip(*names.values(), strict=True))
    if len(names) == 1 or len(tails) > 1 or len(heads) < len(names):
        return curves, ""
    return [replace(curve, name=names[curve.name][0]) for curve in curves], tails.pop()
