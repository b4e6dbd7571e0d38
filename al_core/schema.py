"""What the log is made of: its tables, and their rows as the rest of the program sees them.

Only :mod:`al_core.store` reads and writes the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

from al_core.pool import now


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite itself would forget the time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody had read of an experiment when they chose or trained: it can be done again.

    The first so many of its ``annotations``, ``batches`` and ``rounds``, of which there only come
    more; at which places a batch was ``open``; and the settings that may change.
    """

    annotations: int
    batches: int
    rounds: int
    open: Sequence[int]
    strategy: str
    per_round: int


class KnownAsJson(TypeDecorator[Known]):
    """A row's :class:`Known`; None in rows of before it was kept."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Known | None:
        return Known(**value) if value else None


metadata = MetaData()

experiments = Table(
    "experiments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("config", JSON, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("pool_size", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    Column("deleted_at", UtcDateTime),
    Index(
        "one_live_experiment_per_name",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False, index=True),
    Column("place", Integer),
    Column("round", Integer, nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("images", JSON, nullable=False),
    Column("scores", JSON),
    Column("at_random", JSON(none_as_null=True)),
    Column("model", Integer),
    Column("reasons", JSON(none_as_null=True)),
    Column("known", KnownAsJson),
    Column("model_known", KnownAsJson),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    Column("handed_in_at", UtcDateTime),
    Column("holder", Text),
    Column("annotator", Text),
    Column("leased_until", UtcDateTime),
    # Two servers may choose a batch at the same moment; the second to write it chooses again.
    Index("one_batch_per_place", "experiment_id", "place", unique=True),
)

annotations = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("image", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("label", Integer),
    Column("cleared", Boolean, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("event", String(64)),
    Column("milliseconds", Integer),
    Column("undoes", Boolean, nullable=False, server_default=false()),
    Column("guess_shown", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("experiment_id", "event"),
    Index("annotations_of_an_image", "experiment_id", "image"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("labeled", Integer, nullable=False),
    Column("metrics", JSON),
    Column("history", JSON, nullable=False),
    Column("train_seconds", Float, nullable=False),
    Column("evaluate_seconds", Float, nullable=False),
    Column("score_seconds", Float, nullable=False),
    Column("select_seconds", Float, nullable=False),
    Column("images_scored", Integer, nullable=False),
    Column("compared", Integer, nullable=False, server_default="0"),
    Column("disagreed", Integer, nullable=False, server_default="0"),
    Column("guesses_shown", Boolean, nullable=False, server_default=false()),
    Column("known", KnownAsJson),
    Column("temperature", Float),
    Column("computed_on", Text),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    UniqueConstraint("experiment_id", "round"),
)


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """An experiment as the log keeps it; ``config`` as plain values."""

    id: int
    name: str
    config: dict[str, Any]
    fingerprint: str
    pool_size: int
    created_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why each of the n images of a batch was chosen.

    ``pool`` images were compared; ``top`` ``[n][k]`` are the most likely classes with their
    probabilities, best first, None before there was a model; ``rank`` ``[n]`` is the place by
    score, 1 the best, None where the strategy has no score; ``nearest`` ``[n][k]`` are the labelled
    images most alike. ``by_pixels``: what is alike was told by the images themselves, since there
    were no features.
    """

    pool: int
    top: Sequence[Sequence[tuple[int, float]]] | None
    rank: Sequence[int | None] | None
    nearest: Sequence[Sequence[int]]
    by_pixels: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """The images that one person is asked about at once, best first.

    ``round`` is the first round that trains on their labels; ``model`` the round whose network
    chose them, None where they were chosen before there was one. ``scores`` is None where the
    strategy gives none. ``at_random`` are those of ``images`` that no strategy chose: they are
    drawn evenly from the whole pool to measure the model, and never trained on. ``handed_in_at`` is
    None while open. Whoever labels it holds a lease: ``holder`` names the browser tab,
    ``annotator`` the person, ``leased_until`` is when the lease lapses. ``known`` is what was read
    of the log to choose it, ``model_known`` what its model was made from.
    """

    round: int
    strategy: str
    images: Sequence[int]
    scores: Sequence[float | None] | None
    model: int | None = None
    at_random: Sequence[int] | None = None
    reasons: Reasons | None = None
    known: Known | None = None
    model_known: Known | None = None
    holder: str | None = None
    annotator: str | None = None
    leased_until: datetime | None = None
    id: int = 0
    created_at: datetime | None = None
    handed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What one round's training gave.

    ``metrics`` as in :class:`al_core.predict.Metrics`, None where nothing could be measured; their
    ``on`` is "test" for the test set, "random" for the batches' random images. ``history`` has
    ``[epoch, loss, accuracy]`` for each epoch; times are in seconds. Of this round's labels
    ``compared`` had a guess of the model, made before they were given, and ``disagreed`` differ
    from it; ``guesses_shown``: the person saw some of the guesses first. ``known`` is what it was
    made from; the logits of its model are best divided by ``temperature``. ``computed_on``: the
    device, dtype, threads and torch that another run would need to give the same to the last bit.
    """

    round: int
    labeled: int
    metrics: dict[str, Any] | None
    history: list[list[float]]
    train_seconds: float
    evaluate_seconds: float
    score_seconds: float
    select_seconds: float
    images_scored: int
    compared: int = 0
    disagreed: int = 0
    guesses_shown: bool = False
    known: Known | None = None
    temperature: float | None = None
    computed_on: str | None = None
    created_at: datetime = field(default_factory=now)
