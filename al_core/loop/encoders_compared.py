"""Encoders compared: a head on the embeddings of each, judged by the labels so far.

Strategies chose the images with labels, as those that are hard to tell or unlike the others. So
these figures rank encoders; how right the model is on the pool, the images that measure it say.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.config import LEARNED, ExperimentConfig, ModelConfig
from al_core.errors import ActiveLearningError, ConfigError
from al_core.experiment.experiment import Experiment
from al_core.features.embed import features_folder
from al_core.features.embedding_files import signature_in, stored_in
from al_core.features.encoders.catalogue import ENCODERS, titled
from al_core.features.encoders.find import could_be_had, encoder_of
from al_core.features.read import read_features
from al_core.files.paths import home, located
from al_core.images.dataset import Dataset, identities
from al_core.loop.features import words_of
from al_core.loop.labels_so_far import FOLDS, LabelsSoFar, labels_so_far
from al_core.models.hardware import Hardware
from al_core.models.linear_heads import fit_head, mixture
from al_core.models.metrics import Measure, estimate, evaluate, leading_on
from al_core.models.paired import holm, p_of_gap
from al_core.progress import Progress, Work
from al_core.seeds import generator

HEAD, WORDS = "a linear head, cross-validated", "by the class names alone"  # methods


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One way to tell the classes apart, judged on images whose labels it had not seen.

    ``title`` is for people; ``model`` and ``image_size`` are the settings that choose its encoder,
    ``method`` is how it answers. ``right``, bool ``[L]``, says where it was; ``metrics`` are as
    those of a round. ``p``: how often chance alone would set it so far from the best, after Holm's
    correction; None for the best.
    """

    title: str
    model: ModelConfig
    image_size: int | None
    method: str
    right: NDArray[np.bool_]
    metrics: Mapping[str, Any]
    p: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EncodersCompared:
    """The ``rows``, the best by ``measure`` first, on so many ``images`` with labels; and the
    titles of encoders that are left out, since they have seen those images only ``partly``."""

    rows: tuple[Judged, ...]
    measure: Measure
    images: int
    partly: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Embedded:
    """An encoder, by the settings that choose it, and its embeddings of images of ``size`` pixels:
    those of the training images, or a folder with embedding files."""

    model: ModelConfig
    image_size: int | None
    size: int
    where: NDArray[np.float16] | Path

    @property
    def title(self) -> str:
        if self.model.embeddings or self.model.is_file:
            return Path(self.model.embeddings or self.model.weights).name
        return titled(self.model.weights)

    @property
    def key(self) -> tuple[str, str, int]:
        return self.model.weights, self.model.architecture, self.size

    def of(self, images: NDArray[np.int64], dataset: Dataset) -> tuple[NDArray[np.float16], int]:
        """The embeddings ``[n,D]`` of those training ``images`` that have one, and their number."""
        if isinstance(self.where, np.ndarray):
            return self.where[images], len(images)
        stored = stored_in(self.where)
        there = [one for one in identities(dataset.train)[images].tolist() if one in stored.place]
        return stored.rows(there), len(there)


def compare_encoders(
    experiment: Experiment, dataset: Dataset, hardware: Hardware
) -> Work[EncodersCompared]:
    """Judge each encoder that has embedded all images of ``experiment`` with labels to train on,
    its own and whatever others have embedded them here, by five-fold cross-validation on those
    labels; ``dataset`` has the images at their positions.

    The heads are those of a round, with penalty, class weights and temperature chosen within the
    labels of each training. All encoders have the same folds. Nothing is downloaded but what the
    experiment's own rounds need, and nothing is embedded. Raises ConfigError for too few labels.
    """
    known = labels_so_far(experiment, dataset)
    if known.too_few:
        raise ConfigError(known.too_few)
    yield Progress("Looking for embeddings", 0, 0, "", 0)
    found = yield from _embedded(experiment.config, dataset)
    together = Counter(one.title for one in found)
    rows, partly = [], []
    for one in found:
        title = one.title + f", {one.size} pixels" * (together[one.title] > 1)
        embeddings, there = one.of(known.images, dataset)
        if there == len(known.images):
            x = torch.from_numpy(embeddings).to(hardware.device)
            words = yield from _by_words(one, experiment, dataset, x)
            probs = yield from _cross_validated((x, words), known, experiment.config, title)
            rows.append(judged((title, one.model, one.image_size, HEAD), probs, known.labels))
            if words is not None:
                about = (f"{title}, {WORDS}", one.model, one.image_size, WORDS)
                rows.append(judged(about, words.softmax(1).cpu(), known.labels))
        elif there:
            partly.append(title)
    measure = leading_on(np.bincount(known.labels))
    ranks = ranked(rows, known.labels, measure)
    return EncodersCompared(ranks, measure, len(known.images), tuple(partly))


def judged(
    about: tuple[str, ModelConfig, int | None, str], probs: Tensor, targets: NDArray[np.int64]
) -> Judged:
    """What is judged, ``about`` the first four fields of :class:`Judged`, by the ``probs``
    ``[L,C]`` that it gave images without having seen their labels, int64 ``[L]``."""
    truth = torch.from_numpy(targets)
    right = (probs.argmax(1) == truth).numpy()
    return Judged(*about, right, asdict(evaluate(probs, truth)))


def ranked(
    rows: Sequence[Judged], targets: NDArray[np.int64], measure: Measure
) -> tuple[Judged, ...]:
    """The best first, each other with its p; all judged on the same images, with these
    ``targets`` int64 ``[L]``."""
    if not rows:
        return ()
    best, *others = sorted(rows, key=lambda row: -estimate(row.metrics, measure).value)
    # Any could have come first, so all pairs count.
    pairs = len(rows) * len(others) // 2
    tested = holm([p_of_gap(best.right, one.right, targets, measure) for one in others], pairs)
    return best, *(replace(one, p=p) for one, p in zip(others, tested, strict=True))


def _by_words(
    one: _Embedded, experiment: Experiment, dataset: Dataset, embeddings: Tensor
) -> Work[Tensor | None]:
    """The logits of class names ``[L,C]``, by the experiment's prompts, for an encoder that knows
    words and whose weights are still here."""
    model = replace(experiment.config.model, weights=one.model.weights)
    config = replace(experiment.config, model=model, image_size=one.image_size)
    with suppress(ActiveLearningError):  # its tokenizer may be missing
        if one.model.knows_words and could_be_had(one.model.weights, reached=False):
            words = yield from words_of(replace(experiment, config=config), dataset)
            return None if words is None else words.to(embeddings.device).logits(embeddings)
    return None


def _cross_validated(
    seen: tuple[Tensor, Tensor | None], known: LabelsSoFar, config: ExperimentConfig, title: str
) -> Work[Tensor]:
    """What heads on embeddings ``[L,D]``, beside the logits of words ``[L,C]`` if there are some,
    say of each image, ``[L,C]``: each is asked once, by a head that has learned the labels of the
    other folds."""
    embeddings, words = seen
    began, fold_of = time.monotonic(), torch.from_numpy(known.folds(config.seed))
    labels = torch.from_numpy(known.labels).to(embeddings.device)
    classes, weighting = len(config.class_names), config.train.class_weights
    probs = torch.empty(len(labels), classes)
    for fold in range(FOLDS):
        yield Progress(title, fold, FOLDS, "trainings", time.monotonic() - began)
        out = fold_of == fold
        learned = (~out).nonzero()[:, 0].to(embeddings.device)
        chance = generator(config.seed, "comparing encoders", fold)
        y = labels[learned]
        head, by = fit_head(embeddings[learned], y, classes, chance, weighting)
        asked = out.nonzero()[:, 0].to(embeddings.device)
        logits = head.logits(embeddings[asked])[0]
        if words is not None:
            of_head, of_words = mixture(by.left_out, words[learned], y)
            logits = of_head * logits + of_words * words[asked]
        probs[out] = logits.softmax(1).cpu()
    return probs


def _embedded(config: ExperimentConfig, dataset: Dataset) -> Work[list[_Embedded]]:
    """The encoders with embeddings here: that of an experiment first, unless its weights cannot be
    had, then those that have signed a folder of the cache."""
    found: list[_Embedded] = []
    with suppress(ActiveLearningError):  # its rounds say what is wrong
        found.append((yield from _own(config, dataset)))
    own = found[0].where if found else None
    for folder in sorted((home() / "cache" / "features").glob("*/")):
        one = None if folder == own else (yield from _signed(folder, dataset))
        # On another device, the same encoder has others: one of them is enough.
        if one is not None and one.key not in {other.key for other in found}:
            found.append(one)
    return found


def _own(config: ExperimentConfig, dataset: Dataset) -> Work[_Embedded]:
    if config.model.embeddings:
        features = read_features(located(config.model.embeddings), dataset)
        return _Embedded(config.model, config.image_size, 0, features.train)
    encoder = yield from encoder_of(config.model, dataset.learned_for, config.image_size)
    folder, size = features_folder(encoder), encoder.square.size
    return _Embedded(config.model, config.image_size, size, folder)


def _signed(folder: Path, dataset: Dataset) -> Work[_Embedded | None]:
    """The encoder that has signed a folder; None where it cannot be chosen."""
    of = signature_in(folder)
    try:
        model = ModelConfig(of["encoder"], head="linear", architecture=of["architecture"])
        size = int(of["image_size"])
        if model.weights == LEARNED:  # from these images, or from others?
            encoder = yield from encoder_of(model, dataset.learned_for, size)
            if encoder.digest != of["weights"]:
                return None
    except (ActiveLearningError, LookupError, TypeError, ValueError):
        return None
    offered = ENCODERS.get(model.weights)
    is_its_own = offered is not None and offered.size == size
    return _Embedded(model, None if is_its_own else size, size, folder)
