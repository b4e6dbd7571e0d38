"""A network's predictions for every training image, kept on disk until the next round.

Choosing a batch and finding suspicious labels map them into memory, which needs neither time nor
torch.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.embedded import embedding_order
from al_core.experiment.experiment import Experiment
from al_core.files.arrays import read_array
from al_core.files.atomic import PART, remove, whole_file, whole_path
from al_core.store.records import LogPosition

ABANDONED_SECONDS = 3600  # after which an unfinished file counts as abandoned
BEFORE = -1  # the model before the first is trained; it has learned no label


@dataclass(frozen=True, slots=True, eq=False)
class PoolPredictions:
    """``probs`` float32 ``[N,C]`` and ``embeddings`` float16 ``[N,D]``, a row for each training
    image, by the network of round ``model``. ``log_position`` is what the network was trained from;
    ``by_pixels``: there were no features, and the embeddings come from the pixels; ``by_words``: no
    label was learned, but class names tell something. ``embedded``: how many images had embeddings,
    in the order of :mod:`al_core.experiment.embedded`, besides
    those with labels; None for all."""

    model: int
    probs: NDArray[np.float32]
    embeddings: NDArray[np.float16]
    log_position: LogPosition | None = None
    by_pixels: bool = False
    by_words: bool = False
    embedded: int | None = None

    def known_to(self, experiment: Experiment) -> NDArray[np.bool_]:
        """Whether they speak of the picture that is at each position of the pool of ``experiment``,
        which may have changed since, bool ``[pool_size]``. Images that came, or came back, after
        the network was trained wait for the next one."""
        known = np.arange(experiment.pool_size) < len(self.probs)
        if self.embedded is not None:
            then = experiment.as_of(self.log_position) if self.log_position else None
            known &= np.isin(np.arange(len(known)), [*then.pool.answers] if then else [])
            known[embedding_order(experiment)[: self.embedded]] = True
        if experiment.manifest is not None and self.log_position is not None:
            known[[*experiment.manifest.otherwise_since(self.log_position.images)]] = False
        return known

    @property
    def tells_classes(self) -> bool:
        """Whether some class is likelier than another."""
        return self.model != BEFORE or self.by_words

    def by_classes_of(self, experiment: Experiment) -> PoolPredictions:
        """The same for the classes of ``experiment``, which may have changed since."""
        probs = experiment.classes.probabilities(self.probs)
        return self if probs is self.probs else replace(self, probs=probs)


def save_predictions(experiment: Path, predictions: PoolPredictions) -> None:
    """Write them, whole or not at all; raises FileNotWritten if they cannot be."""
    # They may exist already: a round whose model was fitted ahead of time predicts again.
    with whole_path(_folder(experiment, predictions.model), instead=True) as folder:
        folder.mkdir(parents=True)
        np.save(folder / "probs.npy", predictions.probs)
        _save_embeddings(folder / "embeddings.npy", predictions.embeddings)
        position = predictions.log_position and asdict(predictions.log_position)
        (folder / "log_position.json").write_text(json.dumps(position), encoding="utf-8")


def _save_embeddings(path: Path, embeddings: NDArray[np.float16]) -> None:
    """Frozen ones are a file already; a hard link to it costs neither space nor time."""
    if isinstance(embeddings, np.memmap) and embeddings.filename:
        with suppress(OSError):  # another file system, or one without links
            path.hardlink_to(embeddings.filename)
            return
    np.save(path, embeddings)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPredictions:
    """What a round's network says of the M images that measure it: ``probs`` float ``[M,C]``, and
    the positions of those ``images`` int64 ``[M]``, in the test set or, ``on`` "random", in the
    pool; and what class names alone say of them, ``words`` float ``[M,C]``, where they do."""

    on: str
    images: NDArray[np.int64]
    probs: NDArray[np.floating]
    words: NDArray[np.floating] | None = None


def save_measured(experiment: Path, number: int, measured: MeasuredPredictions) -> None:
    """Keep them for as long as the experiment, in half precision: 280 kB for 10,000 images. Raises
    FileNotWritten."""
    of_each = {"probs": measured.probs, "words": measured.words}
    there = {name: values for name, values in of_each.items() if values is not None}
    classes = (measured.probs.shape[1],)
    rows = np.empty(
        len(measured.images), [("image", "<i8"), *((name, "<f2", classes) for name in there)]
    )
    rows["image"] = measured.images
    for name, values in there.items():
        rows[name] = values
    with whole_file(_measured_path(experiment, number, measured.on)) as file:
        np.save(file, rows)


def load_measured(experiment: Path, number: int) -> MeasuredPredictions | None:
    """What :func:`save_measured` kept of round ``number``; None if it is not on disk."""
    for on in ("test", "random"):
        with suppress(OSError, ValueError, TypeError, IndexError):
            rows = read_array(_measured_path(experiment, number, on))
            images, probs = rows["image"], rows["probs"]
            words = np.array(rows["words"]) if "words" in (rows.dtype.names or ()) else None
            if probs.ndim == 2 and probs.dtype == np.float16 and images.dtype == np.int64:
                return MeasuredPredictions(on, np.array(images), np.array(probs), words)
    return None


def drop_predictions_before(experiment: Path, model: int) -> None:
    """Remove the predictions of networks before round ``model``, and unfinished files that a
    killed program has left."""
    folder = _folder(experiment, model).parent
    for former in folder.glob("predictions-*"):
        number = former.name.removeprefix("predictions-")
        if number.isdecimal() and int(number) < model:
            shutil.rmtree(former, ignore_errors=True)
    for half in folder.glob(f"*{PART}"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > ABANDONED_SECONDS:
                remove(half)


def load_predictions(experiment: Path, model: int) -> PoolPredictions | None:
    """The predictions of round ``model``'s network, memory-mapped; None if not on disk."""
    folder = _folder(experiment, model)
    with suppress(OSError, ValueError, TypeError):
        probs = read_array(folder / "probs.npy")
        embeddings = read_array(folder / "embeddings.npy")
        fits = probs.ndim == embeddings.ndim == 2 and len(probs) == len(embeddings)
        fits &= probs.dtype == np.float32 and embeddings.dtype == np.float16
        if fits:
            kept = json.loads((folder / "log_position.json").read_text(encoding="utf-8"))
            position = kept and LogPosition(**kept)
            embedded = position.embedded if position else None
            return PoolPredictions(model, probs, embeddings, position, embedded=embedded)
    return None


def _measured_path(experiment: Path, number: int, on: str) -> Path:
    return experiment / f"{on}-{number}.npy"


def _folder(experiment: Path, model: int) -> Path:
    return experiment / f"predictions-{model}"
