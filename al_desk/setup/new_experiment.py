"""The form for a new experiment: defaults that suit the images."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count as numbers
from typing import get_args

import streamlit as st

from al_core.config import ExperimentConfig, InitialLabels
from al_core.errors import ConfigError
from al_core.files.paths import located
from al_core.names import HIDDEN, LENGTH
from al_core.sources.sources import SOURCES
from al_core.store.store import Store
from al_core.strategies.registry import (
    FEW_PER_CLASS,
    FOR_FEW,
    MEASURED,
    STRATEGIES,
    suits_few_labels,
    titled,
)
from al_desk.server.encoders import get_ready, look_for_hub_again
from al_desk.server.images import folders, look_again
from al_desk.setup.before_start import show_cost
from al_desk.setup.defaults import defaults_for
from al_desk.setup.found import ask_about, class_names_of, classes_of, has_labels
from al_desk.setup.training_settings import count, model_and_training, readable
from al_desk.setup.upload import offer_upload
from al_desk.widgets.buttons import pressed

PATH = "a folder or a parquet file"


def new_experiment(
    store: Store, preselected: str | None, ask: Callable[[], object] | None = None
) -> tuple[str, ExperimentConfig] | None:
    """The form; returns name and settings once the person presses start.

    ``preselected``: the source named on the command line. ``ask`` draws the question who labels,
    unless it stands above. Raises ConfigError for settings that cannot work.
    """
    source = _source(preselected)
    are_classes, missing = ask_about(source)
    # Always one element: if another appeared, whatever is typed below it would be lost.
    typed = f"classes-{source}"
    if source not in SOURCES:
        st.text_area(
            "Classes",
            placeholder="cat\ndog",
            height=80,
            key=typed,
            help="One per line; only for images that come without classes. More can be added at "
            "any time.",
        )
    if ask is not None:
        ask()
    names = _names(st.session_state.get(typed, ""))
    defaults, why = defaults_for(source)
    st.caption(why.words)
    if not why.known:  # what is typed now would go with the defaults that it changes
        return None
    free = _free_name(store, source)
    with st.expander("More", icon=":material/tune:", key="more"):
        name, config = _more(source, are_classes, free, (defaults, why.key, names))
    if source not in SOURCES:
        get_ready(config.model, names or class_names_of(source))
    show_cost(config)
    started = pressed(
        "Start experiment",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not source,
    )
    if started and missing:
        raise ConfigError(missing)
    return (name.strip() or free, config) if started else None


def _more(
    source: str,
    are_classes: bool,
    free: str,
    begun_from: tuple[ExperimentConfig, str, tuple[str, ...]],
) -> tuple[str, ExperimentConfig]:
    """Everything that has a default, each with its reason."""
    defaults, key, names = begun_from
    name = st.text_input(
        "Name",
        key="new-name",
        placeholder=free,
        max_chars=LENGTH,
        help="What it is called in the list above and in exports.",
    )
    strategy = st.selectbox(
        "Strategy",
        list(STRATEGIES),
        index=list(STRATEGIES).index(defaults.strategy),
        key=f"strategy-{key}",
        format_func=titled,
        help=f"Which images to ask about next. {MEASURED}",
    )
    many = FEW_PER_CLASS * (len(names) or classes_of(source))
    few = st.session_state.get(f"initial-{key}", defaults.initial) < many
    hint = few and not suits_few_labels(strategy)
    st.caption(STRATEGIES[strategy].help + f" While there are few labels, try {FOR_FEW}." * hint)
    initial = count(
        "Initial images", defaults.initial, (2, 10_000_000),
        "Labelled before the first training: few, where an encoder knows much already; more, where "
        "a network learns from nothing.",
        key=f"initial-{key}",
    )  # fmt: skip
    knows = has_labels(source, are_classes)
    who = get_args(InitialLabels) if knows else ("person",)
    initial_labels = st.radio(
        "Labelled by",
        who,
        index=who.index(defaults.initial_labels) if defaults.initial_labels in who else 0,
        key=f"by-{key}-{knows}",
        horizontal=True,
        format_func={"truth": "the truth", "person": "me"}.__getitem__,
        help="Who labels the initial images: you, or the classes that came with them.",
    )
    start = _start(defaults.start, by_truth=initial_labels == "truth", key=key)
    per_round = count(
        "Images per round", defaults.per_round, (1, 10_000),
        "How many images you are asked about in each round: after each, the model is fit anew.",
        key=f"per-round-{key}",
    )  # fmt: skip
    rounds = count(
        "Rounds", defaults.rounds, (0, 10_000),
        "Rounds of labelling; a last training follows. More can be added later.",
        key=f"rounds-{key}",
    )  # fmt: skip
    model, train = model_and_training(defaults.model, defaults.train, f"new-{key}")
    left, right = st.columns(2)
    with right:
        image_size = st.number_input(
            "Image size", 8, 512, value=None, placeholder="what suits", key=f"size-{key}",
            help="Pixels a side that images are brought to: 32 for a network that is trained, an "
            "encoder's own for an encoder, unless you say another.",
        )  # fmt: skip
    with left:
        seed = count("Seed", 0, (0, 2**53 - 1), "The same seed gives the same curve.")
    held_out_share = count(
        "Random share, %", 10, (0, 90),
        "Only for images without a test set with known classes: this share of each batch is "
        "drawn at random and held out, to measure the model.",
    )  # fmt: skip
    return name, ExperimentConfig(
        data=source,
        strategy=strategy,
        initial=initial,
        initial_labels=initial_labels,
        start=start,
        per_round=per_round,
        rounds=rounds,
        model=model,
        train=train,
        seed=seed,
        image_size=image_size,
        class_names=names,
        folders_are_classes=are_classes,
        held_out_share=held_out_share / 100,
    )


def _names(text: str) -> tuple[str, ...]:
    lines = text.splitlines()
    if len(lines) == 1:
        lines = text.split(",")
    return tuple(line.strip() for line in lines if line.strip())


def _start(first: str, by_truth: bool, key: str) -> str:
    """The strategy that chooses the initial images, if a person labels them."""
    others = (name for name in STRATEGIES if STRATEGIES[name].starts and name != "random")
    starts = ["random", *others]
    chosen = st.selectbox(
        "Chosen by",
        starts,
        index=starts.index(first),
        key=f"start-{key}",
        format_func=titled,
        disabled=by_truth,  # and not left out: a button that moves is hard to press
        help="No labels are needed: the strategy looks at the images alone (their principal "
        "components, or the features that the weights give).",
    )
    return "random" if by_truth else chosen


def _source(preselected: str | None) -> str:
    named = [*SOURCES, PATH]
    first = 0 if preselected is None else named.index(preselected) if preselected in SOURCES else 2
    source: str = st.selectbox(
        "Images",
        named,
        index=first,
        format_func=lambda s: readable(s) if s in SOURCES else "My own folder or parquet file",
        help="Where the images come from.",
    )
    if source in SOURCES:
        st.caption(SOURCES[source])
        return source
    named_before = "" if preselected is None or preselected in SOURCES else preselected
    offered = [str(folder) for folder in folders()]
    first_path = named_before or (offered[0] if offered else "")
    st.session_state.setdefault("path", first_path)
    about = (
        "On the machine that runs the desk: train/<class>/…, or <class>/…, or just images, or "
        "a .zip of them; or parquet in Hugging Face's format for image datasets; or a copy of the "
        "CIFAR-10 archive."
    )
    if offered:
        path = st.selectbox(
            "Path",
            offered,
            key="path",
            accept_new_options=True,
            on_change=_look_again,
            help=f"{about} Only these folders and what is in them may be named, by the whole path.",
        )
    else:
        path = st.text_input(
            "Path", key="path", placeholder="/home/me/pictures", on_change=_look_again, help=about
        )
    offer_upload("path")
    return (path or "").strip()


def _look_again() -> None:
    look_again()
    look_for_hub_again()


def _free_name(store: Store, source: str) -> str:
    """A name that no experiment has yet."""
    last = located(source).name if source else ""
    base = HIDDEN.sub("", last)[: LENGTH - 10].strip() or "experiment"  # room for a number
    taken = {record.name for record in store.experiments()}
    return next(name for i in numbers(1) if (name := f"{base} {i}") not in taken)
