"""pretrain(): learn features from images alone, without labels."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from al_core import seeds
from al_core.config import check_enough_to_learn_from
from al_core.errors import ConfigError, FileNotWritten, WeightsError, is_lack_of_memory
from al_core.features.augmentations import draw_views
from al_core.features.config import PretrainConfig
from al_core.features.learner import Learner
from al_core.files.atomic import refusals, whole_file
from al_core.files.locks import held, wait_for_lock
from al_core.images.dataset import Dataset
from al_core.models.hardware import Hardware, in_parts, on_device
from al_core.models.neighbours import accuracy_of_neighbours
from al_core.models.weights import save_backbone
from al_core.progress import PretrainProgress, Work

VERSION = 2  # of the recipes, written into the file; raise it when the learned weights change
WARM_UP = 0.05  # share of a run in which the learning rate rises
KEEP_SECONDS = 60  # between two checkpoints
REPORT_SECONDS = 1.0
LOOKS = 20  # at how good the features are, spread evenly over a run
COLLAPSED, PATIENCE = 1.03, 50  # directions, and steps before judging them; noise has 1.1
FEWEST = 8  # images a step, however short memory is
MEMORY = 0.95  # of running means, from step to step


def pretrain(
    dataset: Dataset, config: PretrainConfig, hardware: Hardware, out: Path
) -> Work[PretrainProgress]:
    """Learn from the training images of ``dataset`` and write ResNet-18's weights to ``out``.

    Returns the last report. A checkpoint beside ``out`` is written every minute, and when the work
    is closed; called again, it resumes there, with the same result as without the interruption.
    The truth, where known, is used for the reports only. Where memory runs out, batches are halved,
    and the reports say so.

    Raises ConfigError where there are too few images, or the features collapse, so that all images
    look alike; WeightsError where ``out`` exists already; and FileNotWritten.
    """
    check_enough_to_learn_from(len(dataset.train))
    locked = out.with_suffix(".lock")
    with refusals(out), held((yield from wait_for_lock(locked))):
        if out.exists():
            raise WeightsError(f"{out} is there already; name another file, or delete it.")
        run = Run(dataset, config, hardware)
        checkpoint = out.with_suffix(f".{run.digest}.checkpoint")
        try:
            if checkpoint.exists():
                run.load(checkpoint)
        except Exception:  # torch raises whatever the damage happens to trip over
            checkpoint.unlink()
            run = Run(dataset, config, hardware)
        report = yield from _learn(run, checkpoint)
        save_backbone(run.learner.network, out, _card(run))
        checkpoint.unlink(missing_ok=True)
        locked.unlink(missing_ok=True)  # those waiting for it find the weights
    return report


def _learn(run: Run, checkpoint: Path) -> Generator[PretrainProgress, None, PretrainProgress]:
    """Take steps until the time or the epochs are over; report every second."""
    kept = reported = last = time.monotonic()
    try:
        while run.done < 1:
            run.take_step()
            now = time.monotonic()
            run.seconds, last = run.seconds + now - last, now
            if now - reported > REPORT_SECONDS or run.done == 1:
                report = run.report()
                run.seconds += time.monotonic() - now  # a look takes a while
                yield report
                reported = last = time.monotonic()  # the caller may have paused the work
            if now - kept > KEEP_SECONDS:
                run.save(checkpoint)
                kept = now
    except GeneratorExit:
        run.save(checkpoint)
        raise
    except ConfigError:
        checkpoint.unlink(missing_ok=True)  # resuming from it is pointless
        raise
    return run.report()


class Run:
    """A run, and how far it has come.

    Each step draws from generators seeded by its number and place, so that a checkpoint need not
    keep any generator's state.
    """

    def __init__(self, dataset: Dataset, config: PretrainConfig, hardware: Hardware) -> None:
        self.dataset, self.config, self.hardware = dataset, config, hardware
        self.images = on_device(dataset.train.images, hardware)
        self.learner = Learner(dataset.train.images, config, hardware)
        wanted = config.batch_size or self.learner.method.batch_size
        self.wanted = self.batch_size = min(wanted, len(self.images))
        self.step, self.seen, self.seconds = 0, 0, 0.0
        self.means = torch.zeros(2, device=hardware.device)  # of loss and directions, running
        self.neighbours: float | None = None
        self.looks, self.words = 0, ""  # from the latest look

    @property
    def digest(self) -> str:
        """Differs between runs that cannot resume from one another; their length may differ."""
        config = self.config
        of = [self.dataset.fingerprint, config.method, self.wanted, config.stem, config.flip,
              config.seed, VERSION]  # fmt: skip
        return blake2b(repr(of).encode(), digest_size=6).hexdigest()

    @property
    def epoch(self) -> float:
        """Passes over the images."""
        return self.seen / len(self.images)

    @property
    def done(self) -> float:
        """Share of the run, by time or by epochs, whichever is further."""
        config = self.config
        by_time = self.seconds / (60 * config.minutes) if config.minutes else 0.0
        by_epochs = self.epoch / config.epochs if config.epochs else 0.0
        return min(max(by_time, by_epochs), 1.0)

    def take_step(self) -> None:
        """Learn from the next batch; where memory runs out, halve the batches instead."""
        epoch, place = divmod(self.seen, len(self.images))
        beside = self.images.device if isinstance(self.images, Tensor) else torch.device("cpu")
        order = _order(self.config.seed, epoch, len(self.images), beside)
        batch = self.images[order[place : place + self.batch_size]]
        x = torch.as_tensor(batch).to(self.hardware.device)
        views = len(x) * self.learner.method.views
        generator = seeds.generator(self.config.seed, "features", "views", self.step)
        draws = draw_views(views, self.hardware.device, generator)
        try:
            measured = self.learner.learn_from(x, draws, _schedule(self.done))
        except (MemoryError, RuntimeError) as error:
            if self.batch_size <= FEWEST or not is_lack_of_memory(error):
                raise
            self.batch_size = max(self.batch_size // 2, FEWEST)
            return
        self.step, self.seen = self.step + 1, self.seen + len(x)
        self.means = self.means.lerp(torch.stack(measured), 1 - min(MEMORY, 1 - 1 / self.step))

    def checked_means(self) -> list[float]:
        """Loss and directions; raises ConfigError where the run is bound to fail."""
        loss, spread = self.means.tolist()
        if not math.isfinite(loss):
            raise ConfigError("Learning features diverged; start with other weights.")
        if self.step >= PATIENCE and self.done > WARM_UP and spread < COLLAPSED:
            raise ConfigError(
                "The features have collapsed: to the network all images look alike. If they are "
                "not, start with other weights, or learn from more images."
            )
        return [loss, spread]

    def report(self) -> PretrainProgress:
        """Its progress; raises ConfigError as :meth:`checked_means` does."""
        loss, spread = self.checked_means()
        if self.done * LOOKS >= self.looks:
            self.looks = int(self.done * LOOKS) + 1
            self.words = f"Epoch {self.epoch:.1f}, loss {loss:.3f}".replace("-", "−")
            if self.dataset.has_truth:
                self.neighbours = accuracy_of_neighbours(
                    self.learner.network, self.images, self.dataset.train.targets, self.hardware
                )
                self.words += f", nearest neighbours {self.neighbours:.1%}"
        return PretrainProgress(
            phase=in_parts(self.words, self.batch_size, self.wanted),
            done=100 * self.done,
            total=100,
            unit="%",
            seconds=self.seconds,
            epoch=self.epoch,
            loss=loss,
            directions=spread,
            neighbours=self.neighbours,
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all; a full disk does not end the run."""
        at = [self.step, self.seen, self.seconds, *self.checked_means()]
        states = {name: part.state_dict() for name, part in self.learner.parts.items()}
        # torch has an error of its own for a full disk.
        with suppress(FileNotWritten, RuntimeError), whole_file(path) as file:
            torch.save({"at": at, **states}, file)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint. Where it is damaged, this run is unusable."""
        state = torch.load(path, map_location=self.hardware.device, weights_only=True)
        for name, part in self.learner.parts.items():
            part.load_state_dict(state[name])
        self.step, self.seen, self.seconds, *means = state["at"]
        self.means = torch.tensor(means, device=self.hardware.device)


@lru_cache(1)
def _order(seed: int, epoch: int, n: int, device: torch.device) -> Tensor:
    """All images in the order of an epoch, then of the next, into which a batch may reach."""
    generators = [seeds.generator(seed, "features", "order", i) for i in (epoch, epoch + 1)]
    return torch.cat([torch.randperm(n, generator=one) for one in generators]).to(device)


def _schedule(done: float) -> float:
    """Share of the peak learning rate: a short rise, then half a cosine."""
    return min(done / WARM_UP, 1.0) * (1 + math.cos(math.pi * done)) / 2


def _card(run: Run) -> dict[str, str]:
    """The metadata of the file."""
    config, learner = run.config, run.learner
    return {
        "method": learner.method.title,
        "views": f"{learner.method.views} of {learner.view_size} pixels",
        "batch_size": str(run.wanted),
        "stem": config.stem,
        "flip": str(config.flip),
        "seed": str(config.seed),
        "epochs": f"{run.epoch:.2f}",
        "seconds": f"{run.seconds:.0f}",
        "device": run.hardware.name,
        "source": run.dataset.fingerprint,
        "version": str(VERSION),
    }
