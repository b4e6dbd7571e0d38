"""Which encoders this server can have, and how fast it would embed with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from al_core.config import ModelConfig
from al_core.experiment.experiment import Experiment
from al_core.features.encoders.catalogue import ENCODERS, Offered, best_for, seconds_for
from al_core.jobs import Job
from al_core.progress import Progress, Work
from al_desk.server.resources import loaded, loader

KEY = "what this machine can embed"
AGAIN_S = 60.0  # after which a hub that did not answer is asked again


@dataclass(frozen=True, slots=True)
class Machine:
    """A server: the ``rate`` of its matrix products, in billion operations a second, and which of
    the encoders that are offered are ``there``, in the cache of the hub, where they are ``kept``,
    or on it, if it was ``reached``; ``at`` a time, in seconds of a monotonic clock."""

    rate: float
    there: frozenset[str]
    kept: frozenset[str]
    reached: bool
    at: float

    def best_for(self, images: int) -> Offered | None:
        """The encoder that suits so many photographs; None where none can be had."""
        return best_for(images, self.rate, self.there)

    def seconds_for(self, encoder: Offered, images: int) -> float:
        """How long it takes to embed ``images``."""
        return seconds_for(encoder, images, self.rate)


def look_at_machine() -> Job:
    """The job that looks what this server can embed; its result is a Machine."""
    return loaded(KEY, _look, wait=False)


def look_for_hub_again() -> None:
    """Forget that the hub did not answer a while ago: the network may be back."""
    job = loader().job(KEY)
    this: Machine | None = job.result if job is not None else None
    if this is not None and not this.reached and time.monotonic() - this.at > AGAIN_S:
        loader().forget(KEY)


def waits_for_download(experiment: Experiment) -> bool:
    """Whether the first training of an experiment waits for the weights of its encoder."""
    model = experiment.config.model
    if experiment.rounds or not experiment.batches or not model.is_of_library:
        return False
    from al_core.features.encoders.find import could_be_had

    return not could_be_had(model.weights, reached=False)


def get_ready(model: ModelConfig, class_names: Sequence[str]) -> None:
    """Begin what a start with an encoder would wait for, while somebody fills in the form: to
    import what it needs and, where its weights are here, to read them and the names of classes.
    Nothing is downloaded."""
    if model.is_of_library:
        key = f"getting {model.weights} ready for {', '.join(class_names)}: {model.prompts}"
        loaded(key, lambda: _get_ready(model, class_names), wait=False)


def _get_ready(model: ModelConfig, class_names: Sequence[str]) -> Work[None]:
    import timm  # noqa: F401

    import al_core.loop.advance  # noqa: F401
    from al_core.features.encoders.find import could_be_had, encoder_of
    from al_core.features.words import words_for

    yield Progress("Getting ready", 0, 0, "", 0)
    if could_be_had(model.weights, reached=False):
        encoder = yield from encoder_of(model, "")
        words_for(
            encoder, [(name,) for name in class_names], range(len(class_names)), model.prompts
        )


def _look() -> Work[Machine]:
    from al_core.features.encoders.find import could_be_had
    from al_core.files.hub import is_reached
    from al_core.models.hardware import find_hardware
    from al_core.models.speed import rate_of_products

    yield Progress("Looking which encoder suits this machine", 0, 0, "", 0)
    reached = is_reached()
    there, kept = (
        frozenset(name for name in ENCODERS if could_be_had(name, by_hub))
        for by_hub in (reached, False)
    )
    return Machine(rate_of_products(find_hardware()), there, kept, reached, time.monotonic())
