"""The features of a pool on a Ray cluster: an encoder on each GPU or core embeds shard by shard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from al_core.config import LEARNED, ModelConfig
from al_core.distributed.image_shards import ImageShard, keys_of, shards_of, with_images
from al_core.distributed.ray_cluster import RETRIES, cluster, cores, sentences
from al_core.errors import ConfigError
from al_core.features.embed import embedded
from al_core.features.embedding_files import (
    claim,
    file_named,
    files_in,
    remove_files,
    rows_in,
    write_file,
)
from al_core.features.encoders.encoder import Encoder, Make
from al_core.features.encoders.find import encoder_of
from al_core.files.locks import held, wait_for_lock
from al_core.models.hardware import find_hardware
from al_core.models.prediction import BATCH_SIZE
from al_core.progress import Progress, Work


def embed_on_ray(
    source: str, model: ModelConfig, out: Path, size: int | None, address: str | None = None
) -> Work[tuple[int, int]]:
    """Write the features of all images of ``source`` by the encoder of a ``model``, of ``size``
    pixels or its own, into the folder ``out``, as
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
    if model.weights == LEARNED:
        raise ConfigError(
            "With the engine ray, learned weights are named by their file: pretrain --out."
        )
    encoder = yield from encoder_of(model, "", size)
    shards, _ = yield from shards_of(source, encoder.square)
    files = [file_named(out, shard["name"]) for shard in shards]
    claim(out, encoder.digest, encoder.square.size, ours=any(file.exists() for file in files))
    lock = yield from wait_for_lock(out / "lock")
    with held(lock):
        todo = [s for s, file in zip(shards, files, strict=True) if rows_in(file) is None]
        if todo:
            yield from _embed(todo, len(shards), encoder, out, address)
        remove_files(set(files_in(out)).difference(files))
        count = sum(rows_in(file) or 0 for file in files)
    return count, sum(len(keys_of(shard)) for shard in shards) - count


def _embed(
    todo: Sequence[ImageShard], of: int, encoder: Encoder, out: Path, address: str | None
) -> Work[None]:
    began, done = time.perf_counter(), of - len(todo)
    with cluster(address) as ray, sentences("The features cannot be computed"):
        from ray.util import ActorPool

        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = min(gpus or cores(ray), len(todo))
        start = ray.remote(
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )(_Holder).remote
        about = (encoder.make, encoder.width, encoder.dtype)
        weights = ray.put(encoder.read())  # once for each machine of the cluster
        holders = [start(weights, *about, out.absolute()) for _ in range(count)]
        read = ray.remote(num_cpus=1, max_retries=RETRIES)(with_images).remote

        def embed(holder: Any, shard: ImageShard) -> Any:
            return holder.embed.remote(read(shard) if gpus else shard)  # all cores read for GPUs

        # Each has some shards waiting, and need not wait for them.
        ahead = 1 + cores(ray) // count
        for _ in ActorPool(holders * ahead).map_unordered(embed, todo):
            done += 1
            seconds = (time.perf_counter() - began) * done / (done - of + len(todo))
            yield Progress("Computing features", done, of, "files", seconds)


class _Holder:
    """An encoder, in an actor of its own: reads a shard, embeds it, writes its file."""

    def __init__(self, weights: Any, make: Make, width: int, dtype: Any, out: Path) -> None:
        self._hardware, self._out, self._width = find_hardware(), out, width
        self._network = make(weights, replace(self._hardware, dtype=dtype))

    def embed(self, shard: ImageShard) -> None:
        whole = with_images(shard)
        images = whole["images"]
        embeddings = np.empty((len(images), self._width), np.float16)
        for start in range(0, len(images), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            embeddings[rows], _ = embedded(self._network, images[rows], self._width, self._hardware)
        file = file_named(self._out, shard["name"])
        write_file(file, whole["keys"], whole["digests"], embeddings)
