"""What the log is made of: its tables, and their rows as the rest of the program sees them.

Only :mod:`al_core.store` reads and writes the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    Column("round", Integer, nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("images", JSON, nullable=False),
    Column("scores", JSON),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    Column("handed_in_at", UtcDateTime),
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
    UniqueConstraint("experiment_id", "event"),
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
class Batch:
    """The images one round asks about, best first, with the scores they were chosen by.

    ``scores`` is None where the strategy gives none. ``handed_in_at`` is None while open.
    """

    round: int
    strategy: str
    images: Sequence[int]
    scores: Sequence[float] | None
    id: int = 0
    handed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What one round's training gave.

    ``metrics`` as in :class:`al_core.predict.Metrics`, None without a test set; ``history`` has
    ``[epoch, loss, accuracy]`` for each epoch; times are in seconds.
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
