"""pretrain(): learn features from images alone, without labels."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from al_core import seeds
from al_core.config import PretrainConfig, check_enough_to_learn_from
from al_core.errors import ConfigError, FileNotWritten, WeightsError, is_lack_of_memory
from al_core.features.augmentations import draw_views, random_views
from al_core.features.objectives import METHODS, directions
from al_core.files.atomic import refusals, whole_file
from al_core.files.locks import wait_for_lock
from al_core.images.dataset import Dataset
from al_core.models import network as networks
from al_core.models.cuda_graph import Function, captured, compiled
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
# A crop shows 77% of an image's side on average. Views of about that size cost half as much, and
# show things as large as in the whole images that the features are for. torchvision's stem, which
# shrinks them to a sixteenth, needs all pixels.
VIEW = 0.75
COMPILES = 180  # seconds; shorter runs are not worth compiling, which takes half a minute
IMAGES_A_SECOND = 20_000  # roughly, on a GPU worth compiling for


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
    with refusals(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = yield from wait_for_lock(locked)
        try:
            if out.exists():
                raise WeightsError(f"{out} is there already; name another file, or delete it.")
            run = Run(dataset, config, hardware)
            checkpoint = out.with_suffix(f".{run.digest}.checkpoint")
            if not run.goes_on_from(checkpoint):
                run = Run(dataset, config, hardware)
            report = yield from _learn(run, checkpoint)
            save_backbone(run.network, out, run.card(report))
            checkpoint.unlink(missing_ok=True)
            locked.unlink(missing_ok=True)  # those waiting for it find the weights
        finally:
            lock.release()
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
                yield run.report()
                reported = last = time.monotonic()  # the caller may have paused the work
            if now - kept > KEEP_SECONDS:
                run.keep(checkpoint)
                kept = now
    except GeneratorExit:
        run.keep(checkpoint)
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
        self.method = METHODS[config.method]
        self.images = on_device(dataset.train.images, hardware)
        self.batch_size = min(config.batch_size or self.method.batch_size, len(self.images))
        self.wanted = self.batch_size
        generator = seeds.generator(config.seed, "features", "network")
        self.network = networks.build(2, config.stem, hardware, dataset.train.images, generator)
        self.network.train()
        width = self.network.head.in_features
        self.projector = self.method.projector(width, generator).to(hardware.device)
        self.optimizer = torch.optim.SGD(
            [*self.network.backbone.parameters(), *self.projector.parameters()],
            lr=self.method.learning_rate,
            momentum=0.9,
            weight_decay=self.method.weight_decay,
            fused=True,
        )
        self.forward = compiled(self._forward) if self._is_long() else self._forward
        is_small = isinstance(self.network.backbone.maxpool, nn.Identity)
        self.view_size = round((VIEW if is_small else 1) * self.images.shape[-1])
        self._order: tuple[int, Tensor] | None = None
        self._work: tuple[int, Function] | None = None  # by batch size
        self.step, self.seen, self.seconds = 0, 0, 0.0
        self.loss, self.directions = torch.zeros(2, device=hardware.device)  # running means
        self.neighbours: float | None = None
        self.looks, self.words = 0, ""  # from the latest look

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
        x = torch.as_tensor(self.images[self._batch()]).to(self.hardware.device)
        generator = seeds.generator(self.config.seed, "features", "views", self.step)
        draws = draw_views(self.method.views * len(x), self.hardware.device, generator)
        # The rate scaled to this batch size: Goyal et al., "Accurate, large minibatch SGD" (2017).
        rate = self.method.learning_rate * len(x) / self.method.batch_size
        for group in self.optimizer.param_groups:
            group["lr"] = rate * _schedule(self.done)
        try:
            loss, spread = self._gradient(x, draws)
            self.optimizer.step()
        except (MemoryError, RuntimeError) as error:
            if self.batch_size <= FEWEST or not is_lack_of_memory(error):
                raise
            self.batch_size = max(self.batch_size // 2, FEWEST)
            return
        self.step, self.seen = self.step + 1, self.seen + len(x)
        memory = min(MEMORY, 1 - 1 / self.step)
        self.loss = self.loss.lerp(loss, 1 - memory)
        self.directions = self.directions.lerp(spread, 1 - memory)

    def _batch(self) -> Tensor:
        """The images of this step: each epoch takes all in a new order."""
        n = len(self.images)
        epoch, place = divmod(self.seen, n)
        if self._order is None or self._order[0] != epoch:
            # A batch may reach into the next epoch.
            both = [
                torch.randperm(
                    n, generator=seeds.generator(self.config.seed, "features", "order", number)
                )
                for number in (epoch, epoch + 1)
            ]
            beside = self.images.device if isinstance(self.images, Tensor) else "cpu"
            self._order = epoch, torch.cat(both).to(beside)
        return self._order[1][place : place + self.batch_size]

    def _is_long(self) -> bool:
        """Whether the run is long enough to compile the network for a GPU."""
        config = self.config
        if config.minutes is not None:
            is_long = 60 * config.minutes >= COMPILES
        else:
            is_long = (config.epochs or 0) * len(self.images) >= COMPILES * IMAGES_A_SECOND
        return is_long and self.hardware.device.type == "cuda"

    def _gradient(self, images: Tensor, draws: Tensor) -> tuple[Tensor, ...]:
        """Leave the gradient in the network; return the loss, and the directions of the images'
        mean projections."""
        if self._work is None or self._work[0] != len(images):
            buffers = [*self.network.buffers(), *self.projector.buffers()]
            forget = partial(self.optimizer.zero_grad, set_to_none=True)
            work = captured(self._add_gradient, (images, draws), buffers, forget)
            self._work = len(images), work
        return self._work[1](images, draws)

    def _add_gradient(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        views = self.method.views
        x = random_views(images.repeat(views, 1, 1, 1), self.view_size, self.config.flip, draws)
        projections = F.normalize(self.forward(x).float(), dim=1).view(views, len(images), -1)
        loss = self.method.loss(projections)
        loss.backward()  # type: ignore[no-untyped-call]
        means = F.normalize(projections.detach().mean(0), dim=1)
        return loss.detach(), directions(means)

    def _forward(self, views: Tensor) -> Tensor:
        """Projections ``[N,D]`` of views ``[N,3,H,W]``."""
        on = self.hardware
        with torch.autocast(on.device.type, on.dtype, enabled=on.dtype != torch.float32):
            projections: Tensor = self.projector(self.network.embed(views))
            return projections

    def check(self) -> None:
        """Raise ConfigError where the run is bound to fail."""
        if not math.isfinite(self.loss.item()):
            raise ConfigError("Learning features diverged; start with other weights.")
        is_alike = self.directions.item() < COLLAPSED
        if self.step >= PATIENCE and self.done > WARM_UP and is_alike:
            raise ConfigError(
                "The features have collapsed: to the network all images look alike. If they are "
                "not, start with other weights, or learn from more images."
            )

    def report(self) -> PretrainProgress:
        """Its progress; raises ConfigError as :meth:`check` does."""
        self.check()
        loss, spread = self.loss.item(), self.directions.item()
        if self.done * LOOKS >= self.looks:
            self.looks = int(self.done * LOOKS) + 1
            self.words = f"Epoch {self.epoch:.1f}, loss {loss:.3f}".replace("-", "−")
            if self.dataset.has_truth:
                self.neighbours = accuracy_of_neighbours(
                    self.network, self.images, self.dataset.train.targets, self.hardware
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

    def card(self, report: PretrainProgress) -> dict[str, str]:
        """The metadata of the file."""
        return {
            "method": self.method.title,
            "views": f"{self.method.views} of {self.view_size} pixels",
            "batch_size": str(self.wanted),
            "stem": self.config.stem,
            "flip": str(self.config.flip),
            "seed": str(self.config.seed),
            "epochs": f"{report.epoch:.2f}",
            "seconds": f"{self.seconds:.0f}",
            "device": self.hardware.name,
            "source": self.dataset.fingerprint,
            "version": str(VERSION),
        }

    @property
    def digest(self) -> str:
        """Differs between runs that cannot resume from one another; their length may differ."""
        config = self.config
        of = [self.dataset.fingerprint, config.method, self.wanted, config.stem, config.flip,
              config.seed, VERSION]  # fmt: skip
        return blake2b(repr(of).encode(), digest_size=6).hexdigest()

    def keep(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all; a full disk does not end the run."""
        self.check()
        state = {
            "at": [self.step, self.seen, self.seconds, self.loss.item(), self.directions.item()],
            "network": self.network.state_dict(),
            "projector": self.projector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        # torch has an error of its own for a full disk.
        with suppress(FileNotWritten, RuntimeError), whole_file(path) as file:
            torch.save(state, file)

    def goes_on_from(self, path: Path) -> bool:
        """Load a checkpoint, if there is one. False where it is damaged: then it is deleted, and
        this run is unusable."""
        if not path.exists():
            return True
        try:
            state = torch.load(path, map_location=self.hardware.device, weights_only=True)
            for part in ("network", "projector", "optimizer"):
                getattr(self, part).load_state_dict(state[part])
            self.step, self.seen, self.seconds, *means = state["at"]
            self.loss, self.directions = torch.tensor(means, device=self.hardware.device)
        except Exception:  # torch raises whatever the damage happens to trip over
            path.unlink()
            return False
        return True


def _schedule(done: float) -> float:
    """Share of the peak learning rate: a short rise, then half a cosine."""
    return min(done / WARM_UP, 1.0) * (1 + math.cos(math.pi * done)) / 2
