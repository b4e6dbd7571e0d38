"""Finding images: by words, where the encoder knows some, or by a picture like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from al_core.errors import SourceError, WeightsError
from al_core.experiment.experiment import Experiment
from al_core.experiment.pool import without
from al_core.experiment.source import images_of
from al_core.features.embed import embedded, features_folder
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.features.growing import features_there
from al_core.images.dataset import Dataset
from al_core.models.hardware import Hardware
from al_core.pictures.decoding import decode
from al_core.progress import Progress, Work

MOST = 600  # images that are found at once
BLOCK = 8192  # images compared at a time


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Images of a pool, the most alike first: their positions int64 ``[n]``; how many were looked
    at, as some may not be embedded yet, and of how ``many``."""

    images: NDArray[np.int64]
    looked_at: int
    many: int


def find_images(
    experiment: Experiment,
    dataset: Dataset,
    hardware: Hardware,
    query: str | bytes,
    labelled: bool = False,
) -> Work[Found]:
    """The images of the pool most like a text, or like an encoded picture, among those that are
    embedded and have no label, or ``labelled`` ones too, by the cosine of their embeddings.

    Images that measure the model are left out until a batch asks about them: labelled because they
    were searched for, they would be no fair sample. Raises WeightsError where the encoder cannot do
    this or be had, and SourceError for what is no picture.
    """
    model, dataset = experiment.config.model, images_of(experiment, dataset)
    encoder = yield from encoder_of(model, dataset.learned_for, experiment.config.image_size)
    yield Progress("Looking for images like that", 0, 0, "", 0)
    if isinstance(query, bytes):
        direction = _of_picture(encoder, hardware, query)
    elif encoder.texts is not None:
        direction = encoder.texts().embed([query])[0]
    else:
        raise WeightsError(f"{model.weights} knows no words.")
    features = features_there(features_folder(encoder), dataset, encoder)
    pool = np.arange(experiment.pool_size) if labelled else experiment.pool.unlabeled
    asked = experiment.pool.answers.keys()
    waiting = [image for image in experiment.reserved if image not in asked]
    pool = without(pool, [*experiment.away, *dataset.blank, *waiting])
    seen = pool if features.there is None else pool[features.there[0][pool]]
    order = _like(direction, torch.from_numpy(features.train), seen)
    return Found(seen[order], len(seen), len(pool))


def _of_picture(encoder: Encoder, hardware: Hardware, picture: bytes) -> Tensor:
    from PIL import Image

    try:
        pixels = decode(picture, encoder.square)
    except Exception as error:  # damaged files raise nearly anything
        many = isinstance(error, Image.DecompressionBombError) or "too many pixels" in str(error)
        what = "has too many pixels" if many else "is none that can be read"
        raise SourceError(f"The picture to look for {what}; drop another one.") from error
    network = encoder.build(encoder.on(hardware))
    rows, _ = embedded(network, pixels[None], encoder.width, hardware)
    return F.normalize(torch.from_numpy(rows[0]).float(), dim=0)


def _like(direction: Tensor, rows: Tensor, seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in ``seen`` of the MOST like it, of equal ones the first in front."""
    if not len(seen):
        return seen
    cosines = [
        F.normalize(rows[torch.from_numpy(block)].float(), dim=1) @ direction
        for block in np.split(seen, range(BLOCK, len(seen), BLOCK))
    ]
    return np.argsort(-torch.cat(cosines).numpy(), kind="stable")[:MOST]
