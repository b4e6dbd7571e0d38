"""A map of the pool: images that look alike to the network lie side by side.

t-SNE of the embeddings: van der Maaten & Hinton, "Visualizing data using t-SNE" (2008), in the
Barnes-Hut form of van der Maaten (2014), initialised with the principal components as Kobak &
Berens, "The art of using t-SNE for single-cell transcriptomics" (2019), advise.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import PoolPredictions
from al_core.files.arrays import open_arrays
from al_core.files.atomic import whole_file
from al_core.progress import Progress, Work
from al_core.seeds import numpy_generator

FILE = "map.npz"
MOST = 10_000  # images on a map
MOST_BYTES = 16 * MOST  # of a file's arrays
MOST_LABELED = 5_000  # of them
COMPONENTS = 50
PERPLEXITY = 30
FEW = 2_000  # fewer images are drawn by one thread: two wait for each other longer than they work
# Half the usual steps, a third of the time; the divergence is 4% higher, 2.25 against 2.17 nats.
EARLY, STEPS, CHUNK = 120, 370, 10


@dataclass(frozen=True, slots=True, eq=False)
class PoolMap:
    """A layout by the embeddings of round ``model``'s network: ``images`` int64 ``[n]``, positions
    in the training set, ascending; ``points`` float32 ``[n,2]``."""

    model: int
    images: NDArray[np.int64]
    points: NDArray[np.float32]

    def only(self, wanted: NDArray[np.bool_]) -> PoolMap:
        """The map without the images that are not ``wanted``, bool ``[N]``, or beyond those."""
        kept = self.images < len(wanted)
        kept[kept] = wanted[self.images[kept]]
        return PoolMap(self.model, self.images[kept], self.points[kept])


def map_pool(experiment: Experiment, predictions: PoolPredictions) -> Work[PoolMap]:
    """Draw the pool as it is now, as far as it has predictions, and keep the map on disk.

    Images that were on the previous map start where they were, so that the map stays familiar.
    """
    seed, size = experiment.config.seed, len(predictions.probs)
    chosen, labeled = sorted(experiment.open_images), experiment.pool.labeled
    chosen = [image for image in chosen if image < size]
    images = sample_images(size, chosen, labeled[labeled < size], seed)
    images = images[predictions.known_to(experiment)[images]]
    drawn = yield from draw_map(predictions, images, seed, load_map(experiment.folder))
    save_map(experiment.folder, drawn)
    return drawn


def sample_images(
    size: int, chosen: list[int], labeled: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """At most ``MOST`` of ``size`` images, ascending, int64 ``[n]``: the chosen ones, a sample of
    the labelled ones, and a sample of the rest.

    The samples follow one order per seed, so they change little as labels are added.
    """
    order = numpy_generator(seed, "map", "images").permutation(size)
    is_chosen, is_labeled = np.zeros((2, size), dtype=bool)
    is_chosen[chosen] = True
    is_labeled[labeled] = True
    is_labeled &= ~is_chosen
    masks = (is_chosen, is_labeled, ~is_chosen & ~is_labeled)
    first, second, rest = (order[mask[order]] for mask in masks)
    return np.sort(np.concatenate([first, second[:MOST_LABELED], rest])[:MOST])


def draw_map(
    pool: PoolPredictions, images: NDArray[np.int64], seed: int, former: PoolMap | None = None
) -> Work[PoolMap]:
    """Lay out ``images``, at least two; the same arguments and machine give the same map."""
    yield Progress("Comparing the images", 0, 0, "", 0)
    # Imported here, in the worker's thread: with scikit-learn this takes a second.
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    x = _principal_components(pool.embeddings[images])
    threads = 1 if len(x) < FEW else -1
    alike = PerplexityBasedNN(
        x, perplexity=min(PERPLEXITY, (len(x) - 1) / 3), method="exact", n_jobs=threads
    )
    begin = _begin(x, images, former)
    begin *= 1e-4 / (begin.std() or 1)
    begin += numpy_generator(seed, "map", "start").normal(scale=1e-6, size=begin.shape)
    points = TSNEEmbedding(begin, alike, negative_gradient_method="bh", n_jobs=threads)
    started = time.perf_counter()
    for step in range(0, STEPS, CHUNK):
        exaggeration = 12 if step < EARLY else 1
        points = points.optimize(CHUNK, inplace=True, exaggeration=exaggeration, momentum=0.8)
        seconds = time.perf_counter() - started
        yield Progress("Drawing the map", step + CHUNK, STEPS, "steps", seconds)
    return PoolMap(pool.model, images, np.asarray(points, dtype=np.float32))


def save_map(experiment: Path, drawn: PoolMap) -> None:
    """Keep a map, replacing the previous one; raises FileNotWritten."""
    with whole_file(experiment / FILE) as file:
        np.savez(file, model=drawn.model, images=drawn.images, points=drawn.points)


def load_map(experiment: Path) -> PoolMap | None:
    """The last map drawn; None if there is none."""
    names = ("model", "images", "points")
    with (
        suppress(OSError, ValueError),
        open_arrays(experiment / FILE, names, MOST_BYTES) as kept,
    ):
        model, images, points = (kept[name] for name in names)
        if images.dtype == np.int64 and points.shape == (len(images), 2):
            return PoolMap(int(model), images, points)
    return None


def _principal_components(embeddings: NDArray[np.float16]) -> NDArray[np.float64]:
    """The projections on the directions of largest variance, at most float64 ``[n,50]``."""
    x = embeddings.astype(np.float64)
    x -= x.mean(0)
    _, directions = np.linalg.eigh(x.T @ x)  # ascending
    components: NDArray[np.float64] = x @ directions[:, : -COMPONENTS - 1 : -1]
    return components


def _begin(
    x: NDArray[np.float64], images: NDArray[np.int64], former: PoolMap | None
) -> NDArray[np.float64]:
    """Where the images were on the ``former`` map, new ones where the most similar old one was;
    without a map, their first two principal components; float64 ``[n,2]``."""
    if former is not None:
        _, here, there = np.intersect1d(images, former.images, return_indices=True)
        if len(here):
            from sklearn.neighbors import NearestNeighbors

            nearest = NearestNeighbors(n_neighbors=1).fit(x[here]).kneighbors(x)[1][:, 0]
            return np.array(former.points[there][nearest], dtype=np.float64)
    return np.array(x[:, :2])
