"""The features of a pool on a Ray cluster: an encoder on each GPU or core embeds shard by shard."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_core.distributed.image_shards import Part, keys_of, parts_of, read_part
from al_core.distributed.ray_cluster import cluster, cores, sentences
from al_core.errors import ConfigError
from al_core.features.embed import embedded, frozen, needed
from al_core.features.embedding_files import (
    claim,
    file_named,
    files_in,
    remove_files,
    rows_in,
    write_file,
)
from al_core.files.locks import wait_for_lock
from al_core.images.dataset import pixel_digests
from al_core.models.hardware import find_hardware
from al_core.models.network import Pretrained
from al_core.models.prediction import BATCH_SIZE
from al_core.progress import Progress, Work


def embed_on_ray(
    source: str, weights: str, out: Path, image_size: int, address: str | None = None
) -> Work[tuple[int, int]]:
    """Write the features of all images of ``source`` by ``weights`` into the folder ``out``, as
    :mod:`al_core.features.embedding_files`; return the number of images, and the number of
    unreadable ones left out.

    ``source`` is as for :func:`al_core.images.dataset_cache.load`, or the address of a folder of
    images or parquet in an object store (s3://, gs://, ...). One actor per GPU or core holds the
    weights; ``out`` must be a folder that all of them share. Stopped anywhere, it resumes with the
    files that are missing, damaged, or whose images have changed; files of images that the source
    no longer holds are removed. A lost worker costs only the work it had in hand. Raises
    SourceError, ConfigError and WeightsError.
    """
    yield Progress("Listing", 0, 0, "files", 0)
    parts, fingerprint = yield from parts_of(source, image_size)
    if weights == "learned" and not fingerprint:
        raise ConfigError(
            "With the engine ray, learned weights are named by their file: pretrain --out."
        )
    pretrained = yield from needed(weights, fingerprint)
    files = [file_named(out, part["name"]) for part in parts]
    claim(out, pretrained.digest, image_size, ours=any(file.exists() for file in files))
    lock = yield from wait_for_lock(out / "lock")
    try:
        todo = [p for p, file in zip(parts, files, strict=True) if rows_in(file) is None]
        if todo:
            yield from _embed(todo, len(parts), pretrained, out, image_size, address)
        remove_files(set(files_in(out)).difference(files))
        count = sum(rows_in(file) or 0 for file in files)
    finally:
        lock.release()
    return count, sum(len(keys_of(part)) for part in parts) - count


def _embed(
    todo: Sequence[Part],
    of: int,
    pretrained: Pretrained,
    out: Path,
    image_size: int,
    address: str | None,
) -> Work[None]:
    began, done = time.perf_counter(), of - len(todo)
    with cluster(address) as ray:
        from ray import data

        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it logs every step
        data.DataContext.get_current().enable_progress_bars = False
        gpus = int(ray.cluster_resources().get("GPU", 0))
        actors = gpus or cores(ray)
        parts = data.from_items(list(todo), override_num_blocks=len(todo))
        if gpus:  # all cores read for them
            parts = parts.map(_read, fn_args=(image_size,), num_cpus=1)
        embedded = parts.map(
            _Encoder,
            fn_constructor_args=(ray.put(pretrained), str(out.absolute()), image_size),
            compute=data.ActorPoolStrategy(size=min(actors, len(todo))),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
        )
        with sentences("The features cannot be computed"):
            # No prefetching: if stopped halfway, its thread goes on asking Ray, which starts a new
            # cluster to answer it.
            for answer in embedded.iter_batches(batch_size=1, prefetch_batches=0):
                if problem := str(answer["problem"][0]):
                    raise ConfigError(f"The features cannot be computed ({problem}).")
                done += 1
                seconds = (time.perf_counter() - began) * done / (done - of + len(todo))
                yield Progress("Computing features", done, of, "files", seconds)


def _read(part: Part, image_size: int) -> Part:
    """In a task: read the images of a shard into one that holds them itself."""
    try:
        keys, images = read_part(part, image_size)
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}
    return {"name": part["name"], "keys": keys, "images": images}


class _Encoder:
    """The weights, in an actor of their own: reads a shard, embeds it, writes its file."""

    def __init__(self, pretrained: Any, out: str, image_size: int) -> None:
        import ray

        hardware = find_hardware()
        if hardware.device.type == "cpu":
            torch.set_num_threads(1)  # there is an actor for each core
        self._hardware = hardware
        weights: Pretrained = ray.get(pretrained)  # once for each machine of the cluster
        self._network = frozen(weights, hardware.exact)
        self._out, self._size = Path(out), image_size

    def __call__(self, part: Part) -> dict[str, Any]:
        """Errors are returned, not raised: Ray would wrap them in words of its own."""
        problem = part.get("problem") or ""
        try:
            if not problem:
                self._embed(part)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        return {"problem": problem}

    def _embed(self, part: Part) -> None:
        keys, images = read_part(part, self._size)
        embeddings = np.empty((len(keys), self._network.head.in_features), np.float16)
        for start in range(0, len(keys), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(keys)))
            embeddings[rows], _ = embedded(self._network, images, rows, self._hardware)
        write_file(
            file_named(self._out, part["name"]), keys, pixel_digests(images).tolist(), embeddings
        )
