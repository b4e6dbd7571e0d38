"""How rounds train: the fields of a new experiment, and of one that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from al_core.config import (
    LEARNED,
    LIBRARIES,
    OPEN_CLIP,
    WEIGHTS,
    WEIGHTS_FILES,
    ClassWeights,
    ExperimentConfig,
    Head,
    ModelConfig,
    Stem,
    TrainConfig,
)
from al_core.features.encoders.catalogue import ENCODERS, titled
from al_core.store.store import Store
from al_desk.server.settings import save_settings
from al_desk.widgets.buttons import attempt, pressed, tell

TITLES = {"none": "None", "imagenet": "ImageNet", LEARNED: "Learn features from these images"}
ABOUT = {
    "none": "A ResNet-18 learns from your labels alone, from scratch in each round.",
    "imagenet": "A ResNet-18 that learned a thousand everyday things. 45 MB. Licence: BSD.",
    LEARNED: "A ResNet-18 looks at these images alone first; for what no encoder has seen.",
}


def readable(name: str) -> str:
    return name.replace("_", " ").capitalize()


def count(label: str, value: int, limits: tuple[int, int], note: str, **how: Any) -> int:
    """A whole number from the first of ``limits`` to the second."""
    return int(st.number_input(label, *limits, value=value, help=note, **how))


def training_settings(store: Store, experiment_id: int, place: str) -> None:
    """Everything about the rounds of an experiment that can still be changed; it counts from the
    next training and the next batch on. ``place`` tells forms on one page apart."""
    config = ExperimentConfig.from_json(store.experiment(experiment_id).config)
    # Whoever changes them, in whatever tab: the fields begin from what is in force now.
    now = hash((config.model, config.train, config.per_round, config.rounds))
    key = f"{place}-{experiment_id}-{now}"
    st.caption("From the next training and the next batch on. Each round records what it used.")
    left, right = st.columns(2)
    with left:
        per_round = count("Images per round", config.per_round, (1, 10_000),
                          "How many images you are asked about in each round.",
                          key=f"{key}-per-round")  # fmt: skip
    with right:
        rounds = count("Rounds", config.rounds, (0, 10_000), "Those that are done count.",
                       key=f"{key}-rounds")  # fmt: skip
    model, train = model_and_training(config.model, config.train, key)
    name = f"settings-{place}-{experiment_id}"

    def save() -> str:
        # An encoder takes images of its own size, a network small ones.
        size = config.image_size if model.is_frozen == config.model.is_frozen else None
        wanted = replace(
            config, per_round=per_round, rounds=rounds, model=model, train=train, image_size=size
        )
        return save_settings(store, experiment_id, wanted)

    if pressed("Save settings", suffix=place):
        attempt(name, save)
    tell(name)


def model_and_training(
    model: ModelConfig, train: TrainConfig, key: str
) -> tuple[ModelConfig, TrainConfig]:
    """Fields that begin from ``model`` and ``train``; most people leave them as they are."""
    known = list(dict.fromkeys((*WEIGHTS, *ENCODERS, model.weights)))
    weights = st.selectbox(
        "Weights to start from",
        known,
        index=known.index(model.weights),
        format_func=lambda name: TITLES.get(name) or titled(name),
        accept_new_options=True,
        key=f"{key}-weights",
        help="What a network has seen before decides how far few labels go. An encoder, downloaded "
        f"once; or type {' or '.join(LIBRARIES)} and the name of any other that they have "
        "(open_clip/MODEL/TAG, where requirements-text.txt is installed), or the path of a file "
        f"({', '.join(WEIGHTS_FILES)}). Torchvision's ImageNet weights of ResNet-18 (45 MB); or "
        "weights learned from the images alone. Where a hub cannot be reached, HF_ENDPOINT names "
        "another, and HF_HOME a folder that has its files.",
    )
    weights = next((name for name in ENCODERS if titled(name) == weights), weights)  # as typed
    st.caption(ENCODERS[weights].described if weights in ENCODERS else ABOUT.get(weights, ""))
    is_file = weights not in known and weights.strip().lower().endswith(WEIGHTS_FILES)
    architecture = st.text_input(
        "Architecture",
        model.architecture,
        placeholder="as the file says, or ResNet-18",
        disabled=not is_file and weights != model.weights,
        key=f"{key}-architecture-{weights}",
        help="Timm's name for the network in a file of weights, like vit_small_patch14_dinov2.",
    ).strip()
    prompts = model.prompts
    if weights.startswith(OPEN_CLIP):
        prompts = st.text_area(
            "Prompts",
            model.prompts,
            key=f"{key}-prompts",
            help="What a class looks like in words, from which this encoder guesses before any "
            "label. A line each; {} stands for the name of a class. A line that begins with a "
            "class and a colon is for that class alone: “crane: a photo of a tall bird”.",
        )
    embeddings = st.text_input(
        "Embeddings",
        model.embeddings,
        placeholder="a file or a folder, in place of weights",
        disabled=weights != "none",
        key=f"{key}-embeddings-{weights}",
        help="What an encoder of your own made of these images: .npz, .npy, or .parquet with their "
        "keys; or a folder that “python -m al_core embed” has written. Without weights above.",
    ).strip()
    minutes = max(1, round(model.learn_minutes))
    learn_minutes = count(
        "Minutes of learning features", minutes, (1, 10_000),
        "Once for these images, in the background: you can label the first batches meanwhile; the "
        "first training waits for it.",
        disabled=weights != LEARNED,
        key=f"{key}-minutes",
    )  # fmt: skip
    if weights != model.weights:
        first: Head = "fine-tune" if weights in ("none", "imagenet") else "linear"
    else:
        first = model.head
    head = st.radio(
        "Train",
        get_args(Head),
        index=get_args(Head).index(first),
        horizontal=True,
        format_func={"fine-tune": "the whole network", "linear": "a linear head"}.__getitem__,
        disabled=weights == "none" or weights.startswith(LIBRARIES) or bool(architecture),
        help="The whole network, from scratch each round; or a linear head on the features that "
        "the weights give, which are computed once. A head takes about a second a round.",
        key=f"{key}-head-{weights}",
    )
    stem = st.selectbox(
        "Stem",
        get_args(Stem),
        index=get_args(Stem).index(model.stem),
        format_func=readable,
        key=f"{key}-stem",
        help="“Small” keeps every pixel of a small image and takes 15 times as long; “auto” is "
        "small on a GPU and torchvision's own on a CPU.",
    )
    left, right = st.columns(2)

    def number(column: Any, label: str, name: str, low: float, high: float, **how: Any) -> Any:
        """A field for one setting of the training, whole where the setting is."""
        value = getattr(train, name)
        kind = type(value)
        return kind(
            column.number_input(label, kind(low), kind(high), value, key=f"{key}-{name}", **how)
        )

    changed = TrainConfig(
        epochs=number(left, "Epochs", "epochs", 1, 10_000, help="Passes over the labelled images."),
        min_steps=number(right, "At least steps", "min_steps", 0, 1_000_000,
                         help="Optimiser steps that a training takes at least, so that ten labels "
                              "train as well as ten thousand."),
        batch_size=number(left, "Batch size", "batch_size", 2, 65_536, help="Images per step."),
        learning_rate=number(right, "Learning rate", "learning_rate", 1e-6, 1, format="%.4f",
                             help="The peak of the schedule."),
        momentum=number(left, "Momentum", "momentum", 0, 0.999,
                        help="Of stochastic gradient descent."),
        weight_decay=number(right, "Weight decay", "weight_decay", 0, 1, format="%.5f",
                            help="Keeps weights small."),
        flip=st.checkbox("Mirror images while training", train.flip, key=f"{key}-flip",
                         help="Not for text or anything else where left and right matter."),
        shift=number(left, "Shift", "shift", 0, 64,
                     help="Images are moved by up to this many pixels; if fewer than 32 are "
                          "labelled, they are turned and scaled a little, too. 0 leaves them as "
                          "they are."),
        class_weights=st.selectbox(
            "Class weights", get_args(ClassWeights), format_func=readable,
            index=get_args(ClassWeights).index(train.class_weights), key=f"{key}-class-weights",
            help="Labels of rare classes count for more: by the root of their number, or in full. "
                 "“Auto” chooses by the labels; a network then takes four times as long to train."),
    )  # fmt: skip
    if embeddings and weights == "none":
        return ModelConfig(head="linear", embeddings=embeddings, prompts=prompts), changed
    new_minutes = model.learn_minutes if learn_minutes == minutes else float(learn_minutes)
    new_head: Head = "fine-tune" if weights == "none" else head
    if weights.startswith(LIBRARIES) or architecture:
        new_head = "linear"
    new = ModelConfig(
        weights, stem, new_head, new_minutes, architecture=architecture, prompts=prompts
    )
    return new, changed
