"""What suits the images an experiment starts on, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from al_core.config import ExperimentConfig, ModelConfig, default_train
from al_core.features.encoders.catalogue import Offered
from al_core.jobs import JobState
from al_core.sources.sources import SOURCES
from al_core.strategies.registry import titled
from al_desk.server.encoders import Machine, look_at_machine
from al_desk.server.images import MANY, look_at
from al_desk.widgets.formatting import duration
from al_desk.widgets.job_progress import redraw_at_end

INITIAL = {"digits": 20, "cifar10": 1000}
FIRST = 20  # images of the first batch of photographs
# Who chooses those, and the batches after them: of what was measured on frozen features, the best
# with 20 labels and with 400 (benchmarks/RESULTS.md).
START, THEN = "maxherding", "uherding"
UNKNOWN = 1000  # photographs, where nobody has looked yet


@dataclass(frozen=True, slots=True)
class Why:
    """Why defaults are what they are: in ``words``; ``key`` tells the fields that begin from them
    from those of others; ``known`` once all that they depend on is."""

    words: str
    key: str
    known: bool = True


def defaults_for(source: str) -> tuple[ExperimentConfig, Why]:
    """The settings that a source starts with, and why."""
    if source in SOURCES:
        few = ExperimentConfig(initial=INITIAL[source], train=default_train(source))
        words = f"{few.initial:,} images are labelled already; a network learns from nothing else."
        return few, Why(words, source)
    to_label, images = _images_in(source)
    plain = _from_scratch(to_label)
    job = look_at_machine()
    if job.active and source:
        redraw_at_end(job)
        return plain, Why("Looking which encoder suits this machine…", source, known=False)
    this: Machine | None = job.result
    encoder = this.best_for(images) if this is not None else None
    if this is None or encoder is None:
        return plain, Why(NONE * bool(source), f"{source} {to_label}")
    # Of many, the first batch is drawn from their names, before any is read.
    start = START if images < MANY else plain.start
    model = ModelConfig(encoder.name, head="linear")
    settings = replace(plain, start=start, strategy=THEN, model=model)
    words = _in_words(encoder, this, images, settings)
    return settings, Why(words, f"{source} {to_label} {encoder.name}")


NONE = (
    "No encoder that learned from other pictures can be had here (its hub does not answer, see "
    "*Weights to start from* under *More*): a network learns from your labels alone."
)


def _from_scratch(to_label: int = UNKNOWN) -> ExperimentConfig:
    """The settings of a network that learns from nothing, for as many images ``to_label``; of few
    less is asked."""
    some = ExperimentConfig(initial_labels="person", train=default_train(""))
    initial = max(min(FIRST, to_label // 4), 2)
    per_round = max(min(some.per_round, (to_label - initial) // some.rounds), 1)
    rounds = max(min(some.rounds, (to_label - initial) // per_round), 0)
    return replace(some, initial=initial, per_round=per_round, rounds=rounds)


def _in_words(encoder: Offered, this: Machine, images: int, settings: ExperimentConfig) -> str:
    seconds = this.seconds_for(encoder, images)
    first = f", once {encoder.megabytes:,} MB are downloaded" * (encoder.name not in this.kept)
    by = f"chosen by {titled(START)} among those seen"
    chosen = by if settings.start == START and not first else "drawn at random"
    return (
        f"{encoder.title} looks at the pictures: about {duration(seconds)} on this machine{first}; "
        f"meanwhile you label. The first {settings.initial} are {chosen}."
    )


def _images_in(source: str) -> tuple[int, int]:
    """How many images there are to label, and in all."""
    job = look_at(source, True) if source else None
    if job is None or job.state is not JobState.DONE:
        return UNKNOWN, UNKNOWN
    return job.result[0].train, job.result[0].images
