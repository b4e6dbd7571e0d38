"""fit(): train a network on the labelled images, with one report an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from al_core.config import FEW, POWERS, TrainConfig
from al_core.errors import ConfigError, is_lack_of_memory
from al_core.models.cuda_graph import Function, captured
from al_core.models.hardware import Hardware, in_parts
from al_core.models.network import Network
from al_core.progress import TrainingProgress

AHEAD = 256  # steps whose random numbers are drawn at once
FULL = 64  # different images in a batch that takes the whole learning rate
TURN, STRETCH = 20.0, 0.2  # degrees, and the logarithm of a factor, that few images get at most
STEEPEST = 5.0  # the norm of a gradient, at most
# From images [n,3,H,W] and targets [n] to their mean loss and the number of correct predictions.
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def fit(
    network: Network,
    images: Tensor,
    targets: Tensor,
    config: TrainConfig,
    hardware: Hardware,
    generator: torch.Generator,
) -> Generator[TrainingProgress, None, None]:
    """Train ``network`` in place by SGD with momentum and the one-cycle schedule.

    ``images`` uint8 ``[N,3,H,W]``, ``targets`` int64 ``[N]``, both on the network's device;
    ``generator`` is a CPU generator. It reports once an epoch, and every second within a long one,
    so that a progress bar moves and the work can be stopped soon. Few images are repeated
    to fill a batch, and turned and scaled each time, unless images are not to be moved; the norms
    of ``network`` should be frozen for them. The learning rate shrinks with the images in a batch
    where they are fewer than 64 (Goyal et al., "Accurate, Large Minibatch SGD", 2017), and the
    gradient's norm is bounded. Where memory runs out, batches are split from then on, and the
    reports say so. The schedule: Smith & Topin, "Super-convergence" (2019). Raises ConfigError for
    fewer than two images, or where the loss is no longer finite. The class weights of ``config``
    must not be ``auto``.
    """
    n = len(images)
    if n < 2:
        raise ConfigError("Training needs at least two labelled images.")
    batch_size, steps = config.batch_of(n), config.steps_for(n)
    turns = n < FEW and config.shift > 0
    if turns:
        config = replace(config, shift=config.shift // 2)  # they are moved enough
    batches = _batches(images, batch_size, steps, config, generator)
    rate = config.learning_rate * min(1, min(batch_size, n) / FULL)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
        fused=True,
    )
    length = max(steps, 2)  # of one step, that would be the last, at almost no rate
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=length, cycle_momentum=False
    )
    gradient = _Gradient(network, _loss(network, targets, config, hardware))
    network.train()
    start = last = time.perf_counter()
    seen = 0
    losses, hits = torch.zeros(2, device=images.device)
    for step in range(1, steps + 1):
        batch, mirrored, offsets = next(batches)
        x, y = augment(images[batch], mirrored, offsets), targets[batch]
        if turns:
            x = turn(x, generator)
        loss, right = gradient.leave(x, y)
        _bound(network)
        optimizer.step()
        schedule.step()
        seen += len(y)
        losses += loss
        hits += right
        now = time.perf_counter()
        ends_epoch = step == steps or step * batch_size // n > (step - 1) * batch_size // n
        if ends_epoch or now - last > 1:
            if not math.isfinite(losses.item()):
                raise ConfigError(
                    "The training diverged; choose a lower learning rate in the settings."
                )
            yield TrainingProgress(
                in_parts("Training", -(-batch_size // gradient.parts), batch_size),
                step,
                steps,
                "steps",
                now - start,
                step * batch_size / n,
                losses.item() / seen,
                hits.item() / seen,
                ends_epoch,
            )
            last = now
        if ends_epoch:
            seen, losses, hits = 0, torch.zeros_like(losses), torch.zeros_like(hits)


def _bound(network: Network) -> None:
    """Bound the norm of the gradient of ``network`` by STEEPEST."""
    weights = list(network.parameters())
    norm = torch.nn.utils.get_total_norm(
        weight.grad for weight in weights if weight.grad is not None
    )
    # A processor knows at once whether it must, and its memory is slow; a GPU would have to wait.
    if norm.device.type != "cpu" or norm > STEEPEST:
        torch.nn.utils.clip_grads_with_norm_(weights, STEEPEST, norm)


def _loss(network: Network, targets: Tensor, config: TrainConfig, hardware: Hardware) -> Loss:
    """The cross-entropy of ``network``, with the class weights for these ``targets`` ``[N]``."""
    by_class = None
    if power := POWERS[config.class_weights]:
        classes = network.head.out_features
        by_class = targets.bincount(minlength=classes).clamp_min(1).float() ** -power

    def loss(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(
            hardware.device.type, hardware.dtype, enabled=hardware.dtype != torch.float32
        ):
            logits = network(x)
        return F.cross_entropy(logits.float(), y, by_class), (logits.detach().argmax(1) == y).sum()

    return loss


class _Gradient:
    """Leaves the gradient of a batch in ``network``; of ``parts`` of it, one after another, each
    with its own batch norm, whose number doubles whenever memory runs out.

    A batch in one part is a CUDA graph: launched kernel by kernel, a step of ResNet-18 on 64 images
    of 32 pixels took an H200 16 ms.
    """

    def __init__(self, network: Network, loss_of: Loss) -> None:
        self.network, self.loss_of, self.parts = network, loss_of, 1
        self._whole: Function | None = None

    def leave(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """The sum of the losses of a batch, and the number of correct predictions."""
        while True:
            try:
                return (
                    self._at_once(images, targets)
                    if self.parts == 1
                    else self._one_by_one(images, targets)
                )
            except (MemoryError, RuntimeError) as error:
                # Batch norm cannot take a single image.
                if 4 * self.parts > len(targets) or not is_lack_of_memory(error):
                    raise
                self.parts *= 2
                self._whole = None

    def _at_once(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        if self._whole is None:
            forget = partial(self.network.zero_grad, set_to_none=True)
            add = partial(_add_gradient, self.loss_of, share=1.0)
            self._whole = captured(add, (images, targets), self.network.buffers(), forget)
        return self._whole(images, targets)

    def _one_by_one(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        self.network.zero_grad(set_to_none=True)
        both = torch.zeros(2, device=images.device)
        for x, y in zip(
            images.tensor_split(self.parts), targets.tensor_split(self.parts), strict=True
        ):
            both += torch.stack(_add_gradient(self.loss_of, x, y, len(y) / len(targets)))
        return tuple(both)


def _add_gradient(loss_of: Loss, x: Tensor, y: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Add the gradient of a part of a batch; a function of its own, so that nothing of a part that
    did not fit into memory outlives it."""
    loss, right = loss_of(x, y)
    (loss * share).backward()  # type: ignore[no-untyped-call]
    return loss.detach() * len(y), right


def _batches(
    images: Tensor, batch_size: int, steps: int, config: TrainConfig, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor | None, Tensor | None]]:
    """The positions of each step's images, and what :func:`augment` takes, on the images' device.

    Drawn for many steps at a time: each copy to a GPU waits for all the work there.
    """
    order = _endless_shuffle(len(images), batch_size, generator)
    for start in range(0, steps, AHEAD):
        drawn = [
            (next(order), *draw_augmentation(batch_size, config.flip, config.shift, generator))
            for _ in range(min(AHEAD, steps - start))
        ]
        columns = [
            [None] * len(drawn) if column[0] is None else torch.stack(column).to(images.device)
            for column in zip(*drawn, strict=True)
        ]
        yield from zip(*columns, strict=True)


def _endless_shuffle(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of positions of all ``n`` images, reshuffled each epoch.

    A batch may reach into the next epoch. So all are of one size, nothing is compiled or kept for
    another, and none is a single image, which batch norm cannot take.
    """
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[:batch_size]
        left = left[batch_size:]


def draw_augmentation(
    n: int, flip: bool, shift: int, generator: torch.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """Which of ``n`` images are mirrored, bool ``[n]``, and how far each is moved down and to the
    right, int64 ``[2,n,1]`` from ``-shift`` to ``shift``; None for what is not done."""
    mirrored = torch.rand(n, generator=generator) < 0.5 if flip else None
    offsets = torch.randint(0, 2 * shift + 1, (2, n, 1), generator=generator) if shift else None
    return mirrored, None if offsets is None else offsets - shift


def augment(images: Tensor, mirrored: Tensor | None, offsets: Tensor | None) -> Tensor:
    """Mirror and move images as drawn by :func:`draw_augmentation`, reflecting the edges.

    uint8 ``[N,C,H,W]`` in and out; all three arguments on one device.
    """
    n, _, height, width = images.shape
    if mirrored is not None:
        images = torch.where(mirrored.view(n, 1, 1, 1), images.flip(3), images)
    if offsets is not None:
        rows = _reflect(offsets[0] + torch.arange(height, device=images.device), height)
        columns = _reflect(offsets[1] + torch.arange(width, device=images.device), width)
        index = torch.arange(n, device=images.device).view(n, 1, 1)
        # Advanced indices around a slice put the channels last, which is the layout needed next.
        images = images[index, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return images


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn each image by up to 20 degrees about its middle and scale it by up to e^0.2, reflecting
    the edges: ``[N,C,S,S]``, of which float32 comes back."""
    angle, scale = torch.rand(2, len(images), generator=generator) * 2 - 1
    angle, scale = angle * math.radians(TURN), (scale * STRETCH).exp()
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    none = torch.zeros_like(sine)
    matrix = torch.stack([cosine, -sine, none, sine, cosine, none], 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    turned = F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return turned.contiguous(memory_format=torch.channels_last)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Positions outside of ``0..size-1`` mirrored back inside, however far away they are."""
    there_and_back = positions.remainder(max(2 * (size - 1), 1))
    return (size - 1) - ((size - 1) - there_and_back).abs()
