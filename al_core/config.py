"""The settings of an experiment: what they are, their limits, how they are stored.

Does not import torch, so a page can offer the settings before anything heavy is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from al_core.errors import ConfigError
from al_core.files.paths import located
from al_core.images.dataset import LARGEST, SMALLEST
from al_core.limits import number, one_of, text, whole_number, yes_or_no
from al_core.names import check_class_names, check_prompts, counted
from al_core.strategies.registry import STRATEGIES

LEARNED = "learned"  # from the pool's own images
WEIGHTS = ("none", "imagenet", LEARNED)  # by name; else an encoder of a library, or a file
TIMM, OPEN_CLIP = LIBRARIES = ("timm/", "open_clip/")  # begin the names of their encoders
PROMPTS = "a photo of a {}.\na close-up photo of a {}.\na photo of the {}.\n{}"
WEIGHTS_FILES = (".safetensors", ".pth", ".pt", ".bin")
LEAST_IN_A_BATCH = 16  # images, repeated where there are fewer
ENOUGH = 64  # pixels of a side to compare images by
SMALL = 32  # the same of images that a network is trained on, unless another is asked for
SMALL_ALREADY = ("cifar10", "digits")  # sources of so small images
FEW = 32  # images; fewer tell batch norm too little
LEAST_TO_LEARN = 16  # images to learn features from; fewer are not a pool
Head = Literal["fine-tune", "linear"]
Stem = Literal["auto", "torchvision", "small"]
InitialLabels = Literal["truth", "person"]
# The settings of an experiment that may change while it runs. Those that a batch or a round depends
# on are recorded with it.
RECORDED = ("strategy", "per_round", "model", "image_size", "train", "copies_measure")
CHANGEABLE = {
    *RECORDED, "rounds", "label_while_training", "show_guesses", "random_baseline", "target",
    "confidence", "look_share",
}  # fmt: skip
ClassWeights = Literal["off", "on", "full", "auto"]
POWERS: dict[ClassWeights, float] = {"off": 0.0, "on": 0.5, "full": 1.0}  # auto: one of them


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which network: the weights it starts from, and what is trained.

    ``weights`` is ``none``, ``imagenet`` or ``learned`` (from the images themselves, for
    ``learn_minutes`` unless that was done before), all of ResNet-18; ``timm/NAME``, an encoder of
    timm; ``open_clip/MODEL/TAG``, one of open_clip, which knows words; or the path of a file:
    ``.safetensors``, or ``.pth``, ``.pt`` and ``.bin`` as torch saves them. A file's
    ``architecture`` is timm's name for its network; where none is given, a ``config.json`` beside
    it says it, or its own name, or else it is ResNet-18. Instead of weights, ``embeddings`` may
    name what they would compute: a file, or a folder written by embed.

    ``head``: ``linear`` freezes the weights and trains a linear head on their features;
    ``fine-tune`` trains all of a ResNet-18 afresh each round. Its stem: ``auto`` is the one that
    the weights of a file have; otherwise the one for small images on a GPU, and torchvision's on a
    CPU. Frozen features always use the stem of their weights.

    ``prompts``, a line each, are what an encoder that knows words is told of each class, see
    :func:`al_core.names.texts_for`.
    """

    weights: str = "none"
    stem: Stem = "auto"
    head: Head = "fine-tune"
    learn_minutes: float = 30.0
    embeddings: str = ""
    architecture: str = ""
    prompts: str = PROMPTS

    def __post_init__(self) -> None:
        text("weights", self.weights)
        text("prompts", self.prompts)
        text("architecture", self.architecture)
        if self.weights not in WEIGHTS and not self.is_of_library and not self.is_file:
            raise ConfigError(
                f"There are no weights “{self.weights}”; choose one of {', '.join(WEIGHTS)}, "
                f"{' or '.join(LIBRARIES)} and the name of an encoder, or a file "
                f"({', '.join(WEIGHTS_FILES)})."
            )
        if self.head == "fine-tune" and (self.is_of_library or self.architecture):
            raise ConfigError(
                "The whole network is trained of ResNet-18 alone; on an encoder train a linear "
                "head."
            )
        one_of("stem", self.stem, get_args(Stem))
        one_of("head", self.head, get_args(Head))
        text("embeddings", self.embeddings)
        if self.embeddings and (self.head != "linear" or self.weights != "none"):
            raise ConfigError("On embeddings only a linear head can be trained, without weights.")
        if self.head == "linear" and self.weights == "none" and not self.embeddings:
            raise ConfigError(
                "A linear head is trained on embeddings, or on the features of weights that were "
                "learned before; choose imagenet, learned or a file of weights for them."
            )
        number("minutes", self.learn_minutes, 0.01, 100_000)

    @property
    def is_of_library(self) -> bool:
        """Whether its weights are those of an encoder of timm or open_clip, by its name."""
        return self.weights.startswith(LIBRARIES) and self.weights not in LIBRARIES

    @property
    def knows_words(self) -> bool:
        """Whether its encoder embeds texts, too."""
        return self.is_of_library and self.weights.startswith(OPEN_CLIP)

    @property
    def is_file(self) -> bool:
        """Whether its weights are in a file."""
        return not self.is_of_library and self.weights.strip().lower().endswith(WEIGHTS_FILES)

    @property
    def is_frozen(self) -> bool:
        """Whether an encoder sees the pictures, decoded for it at a size of its own."""
        return self.head == "linear" and self.weights not in ("none", LEARNED)

    def located(self) -> ModelConfig:
        """The same with absolute paths, for a process in another folder."""
        weights = str(located(self.weights)) if self.is_file else self.weights
        return replace(
            self, weights=weights, embeddings=self.embeddings and str(located(self.embeddings))
        )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long to train, with which optimiser settings and which augmentation.

    ``epochs`` passes over the labelled images, but at least ``min_steps`` optimiser steps: ten
    labels make only one step per epoch, far too few to learn from. ``flip`` mirrors half of the
    images, ``shift`` moves each by up to that many pixels; fewer than 32 by half of it, and they
    are turned and scaled a little. ``class_weights``: an image's loss is
    weighted by the number of labels of its class to the power of minus ``POWERS``; ``auto`` chooses
    the power by the labels (:mod:`al_core.models.class_weights`).
    """

    epochs: int = 20
    min_steps: int = 100
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    flip: bool = True
    shift: int = 4
    class_weights: ClassWeights = "off"

    def __post_init__(self) -> None:
        whole_number("epochs", self.epochs, 1, 10_000)
        whole_number("optimiser steps", self.min_steps, 0, 1_000_000)
        whole_number("batch size", self.batch_size, 2, 65_536)
        whole_number("shift", self.shift, 0, 64)
        number("learning rate", self.learning_rate, 1e-6, 1)
        number("momentum", self.momentum, 0, 0.999)
        number("weight decay", self.weight_decay, 0, 1)
        yes_or_no("flip", self.flip)
        one_of("class weights", self.class_weights, get_args(ClassWeights))

    def batch_of(self, n: int) -> int:
        """How many of ``n`` labelled images a step takes; few are repeated, moved otherwise each
        time."""
        return max(min(self.batch_size, n), LEAST_IN_A_BATCH)

    def few_in_a_batch(self, n: int) -> bool:
        """Whether a step on ``n`` labelled images sees too few for batch norm."""
        return min(self.batch_size, n) < FEW

    def steps_for(self, n: int) -> int:
        """How many steps a training on ``n`` labelled images takes."""
        return max(math.ceil(self.epochs * n / self.batch_of(n)), self.min_steps)


def size_in_memory(data: str, image_size: int | None, model: ModelConfig) -> int:
    """The side of the images of ``data`` that are kept as one array, in pixels. An encoder sees
    pictures that are decoded for it; the array is there to compare images by."""
    if model.is_frozen and data not in SMALL_ALREADY:
        return min(image_size or ENOUGH, ENOUGH)
    return SMALL if model.is_frozen else image_size or SMALL


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """One experiment's settings; raises ConfigError, in a sentence, for those that cannot work.

    ``data``: a source of images, by name or path, scaled to ``image_size`` pixels for the network;
    None is 32 for one that is trained or learned, and an encoder's own.
    ``initial``: number of images labelled before the first training, by the truth or by the person;
    chosen by the strategy ``start``, which is random or one that needs no labels. ``per_round``:
    images the person is asked about in each of ``rounds`` rounds. ``class_names``: from the source,
    or from the person. ``label_while_training`` hands out the next batch while a round trains,
    chosen by the latest model; ``show_guesses`` shows the model's prediction before an image has a
    label. ``held_out_share``: where no test image has a known truth, this share of each batch are
    held-out
    images, drawn at random and never trained on, that measure the model. ``random_baseline``: where
    the truth is known, a model is trained beside each round on as many random labels.
    ``folders_are_classes``: whether the folders of the images say what is on them.
    Of labels that were accepted without a look a share ``target`` has to be right, with this
    ``confidence``; for each image of a batch ``look_share`` accepted ones are looked at.
    ``copies_measure``: whether images measure that show, or nearly show, what an image to train on
    shows, as they do in figures that others have published.
    """

    data: str = "digits"
    strategy: str = "least_confidence"
    initial: int = 100
    initial_labels: InitialLabels = "truth"
    start: str = "random"
    per_round: int = 20
    rounds: int = 5
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0
    image_size: int | None = None
    class_names: tuple[str, ...] = ()
    label_while_training: bool = True
    show_guesses: bool = False
    held_out_share: float = 0.1
    random_baseline: bool = True
    folders_are_classes: bool = True
    copies_measure: bool = False
    target: float = 0.97
    confidence: float = 0.95
    look_share: float = 0.2

    def __post_init__(self) -> None:
        text("images", self.data)
        if not isinstance(self.class_names, tuple):
            raise ConfigError("The class names must be given one by one.")
        for name in self.class_names:
            text("class names", name)
        for choice in (one.name for one in fields(self) if one.type == "bool"):
            yes_or_no(choice.replace("_", " "), getattr(self, choice))
        one_of("strategy", self.strategy, STRATEGIES)
        starts = [name for name, entry in STRATEGIES.items() if entry.starts]
        one_of("strategy to start with", self.start, starts)
        one_of("initial labels", self.initial_labels, get_args(InitialLabels))
        whole_number("number of initial images", self.initial, 2, 10_000_000)
        whole_number("number of images per round", self.per_round, 1, 10_000)
        whole_number("number of rounds", self.rounds, 0, 10_000)
        if self.image_size is None and not self.model.is_frozen:
            object.__setattr__(self, "image_size", SMALL)
        if self.image_size is not None:
            whole_number("image size", self.image_size, SMALLEST, LARGEST)
        whole_number("seed", self.seed, 0, 2**63 - 1)
        number("share of random images", self.held_out_share, 0, 0.9)
        number("share that has to be right", self.target, 0.5, 0.999)
        number("confidence", self.confidence, 0.5, 0.999)
        number("looks for each image", self.look_share, 0, 10)

    def check_against(self, pool_size: int, truth_known: bool, because: str = "") -> None:
        """Raise ConfigError where these settings ask for more than a pool has; ``because`` says why
        that may be less than was said before."""
        check_class_names(self.class_names)
        check_prompts([(name,) for name in self.class_names], self.model.prompts)
        if self.initial_labels == "truth" and not truth_known:
            raise ConfigError(
                "No truth is known for these images, so the initial ones must be labelled by you."
            )
        if self.model.weights == LEARNED:
            check_enough_to_learn_from(pool_size)
        asked = self.initial + self.rounds * self.per_round
        if asked > pool_size:
            raise ConfigError(
                f"The settings ask for {counted(asked, 'image')} ({self.initial:,} initial and "
                f"{counted(self.rounds, 'round')} of {self.per_round:,}), but there are only "
                f"{pool_size:,} to label{because}: lower one of the three."
            )

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the log."""
        return asdict(self)

    @property
    def size_in_memory(self) -> int:
        """The side of the images that are kept as one array, in pixels."""
        return size_in_memory(self.data, self.image_size, self.model)

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings that a batch or a round depends on and that may change, as plain values."""
        values = self.to_json()
        return {name: values[name] for name in RECORDED}

    def as_recorded(self, settings: Mapping[str, Any]) -> ExperimentConfig:
        """These settings, but for those that were recorded."""
        return self.from_json({**self.to_json(), **settings})

    @classmethod
    def from_json(cls, values: Any) -> ExperimentConfig:
        """The inverse of :meth:`to_json`; raises ConfigError for what this version cannot read."""
        try:
            nested = {
                "model": ModelConfig(**values["model"]),
                "train": TrainConfig(**values["train"]),
                "class_names": tuple(values["class_names"]),
            }
            # Before anybody was asked, copies measured.
            return cls(**{"copies_measure": True, **values, **nested})
        except (ConfigError, KeyError, TypeError) as error:
            cause = " ".join(str(error).split())[:200].rstrip(".")
            raise ConfigError(
                f"The settings of this experiment are damaged, or of a newer version ({cause})."
            ) from error


def check_enough_to_learn_from(images: int) -> None:
    """Raise ConfigError where there are too few images to learn features from."""
    if images < LEAST_TO_LEARN:
        raise ConfigError(
            f"To learn features from, there must be {LEAST_TO_LEARN} images, not only {images}; "
            "choose other weights."
        )


def default_train(source: str) -> TrainConfig:
    """Training settings that suit a source: handwritten digits must not be mirrored."""
    return TrainConfig(flip=source != "digits")
