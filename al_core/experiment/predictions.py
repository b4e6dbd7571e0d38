"""What a round's network said of every training image, kept on disk until the next round.

Whoever needs it, to choose a batch or to look for suspicious labels, maps it into memory: that
takes no time and no torch.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.errors import WeightsError
from al_core.files.arrays import read_array
from al_core.files.atomic import whole_file
from al_core.store.records import Known

ABANDONED_SECONDS = 3600  # after which nobody writes on what is half written
BEFORE = -1  # the model before the first one is trained, which has embeddings only


@dataclass(frozen=True, slots=True, eq=False)
class PoolPredictions:
    """``probs`` float32 ``[N,C]`` and ``embeddings`` float16 ``[N,D]``, a row for each training
    image, by the network of round ``model``; their logits are best divided by ``temperature``.
    ``known`` is what that was made from; ``by_pixels``: there were no features, and the embeddings
    are of the images themselves."""

    model: int
    probs: NDArray[np.float32]
    embeddings: NDArray[np.float16]
    temperature: float = 1.0
    known: Known | None = None
    by_pixels: bool = False


def save_predictions(experiment: Path, said: PoolPredictions) -> None:
    """Write them, whole or not at all.

    Raises WeightsError if they cannot be written.
    """
    folder = _folder(experiment, said.model)
    half = folder.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        half.mkdir(parents=True, exist_ok=True)
        np.save(half / "probs.npy", said.probs)
        _save_embeddings(half / "embeddings.npy", said.embeddings)
        np.save(half / "temperature.npy", said.temperature)
        known = said.known and asdict(said.known)
        (half / "known.json").write_text(json.dumps(known), encoding="utf-8")
        _put_in_place(half, folder)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise WeightsError(
            f"The predictions cannot be saved to {folder} ({error}); make room on the disk, or "
            "allow writing there, and start the round again."
        ) from error


def _put_in_place(half: Path, folder: Path) -> None:
    """Let ``half`` be ``folder``, also where another server does the same at this moment."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            half.replace(folder)
            return
    half.replace(folder)


def _save_embeddings(path: Path, embeddings: NDArray[np.float16]) -> None:
    """Frozen ones are a file already: a second name for it costs no room and no time."""
    if isinstance(embeddings, np.memmap) and embeddings.filename:
        with suppress(OSError):  # another file system, or one without links
            path.hardlink_to(embeddings.filename)
            return
    np.save(path, embeddings)


def save_test_predictions(experiment: Path, number: int, probs: NDArray[np.float32]) -> None:
    """Keep what the network of round ``number`` said of the test images, ``[M,C]``, in half
    precision, a row for each image whose truth is known: 200 kB for 10,000 images.

    Raises WeightsError if it cannot be written.
    """
    with whole_file(_test_path(experiment, number)) as file:
        np.save(file, probs.astype(np.float16))


def load_test_predictions(experiment: Path, number: int) -> NDArray[np.float16] | None:
    """What :func:`save_test_predictions` kept, ``[M,C]``; None if it is not on disk."""
    with suppress(OSError, ValueError, TypeError):
        probs = read_array(_test_path(experiment, number))
        if probs.dtype == np.float16 and probs.ndim == 2:
            return probs
    return None


def drop_predictions_before(experiment: Path, model: int) -> None:
    """Remove what networks before round ``model`` said, and what a program that was killed has
    left unfinished."""
    folder = _folder(experiment, model).parent
    for former in folder.glob("predictions-*"):
        number = former.name.removeprefix("predictions-")
        if number.isdecimal() and int(number) < model:
            shutil.rmtree(former, ignore_errors=True)
    for half in folder.glob("*.part"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(half) if half.is_dir() else half.unlink()


def load_predictions(experiment: Path, model: int) -> PoolPredictions | None:
    """What the network of round ``model`` said, memory-mapped; None if it is not on disk."""
    folder = _folder(experiment, model)
    with suppress(OSError, ValueError, TypeError):
        probs = read_array(folder / "probs.npy")
        embeddings = read_array(folder / "embeddings.npy")
        temperature = read_array(folder / "temperature.npy")
        fits = probs.ndim == embeddings.ndim == 2 and len(probs) == len(embeddings)
        fits &= probs.dtype == np.float32 and embeddings.dtype == np.float16
        if fits and temperature.dtype == np.float64 and temperature.size == 1:
            known = _known_in(folder)
            return PoolPredictions(model, probs, embeddings, float(temperature.item()), known)
    return None


def _known_in(folder: Path) -> Known | None:
    path = folder / "known.json"  # of predictions of an earlier version there is none
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return kept and Known(**kept)


def _test_path(experiment: Path, number: int) -> Path:
    return experiment / f"test-{number}.npy"


def _folder(experiment: Path, model: int) -> Path:
    return experiment / f"predictions-{model}"
