"""The tables of the log; only :mod:`al_core.store` reads and writes them."""

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
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from al_core.store.records import LogPosition, now


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite alone would lose the time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class LogPositionAsJson(TypeDecorator[LogPosition]):
    """A :class:`LogPosition`, stored as JSON."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> LogPosition | None:
        return LogPosition(**value) if value else None


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
    Column("deleted_by", Text),
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
    Column("place", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("images", JSON, nullable=False),
    Column("scores", JSON),
    Column("held_out", JSON(none_as_null=True)),
    Column("model", Integer),
    Column("reasons", JSON(none_as_null=True)),
    Column("log_position", LogPositionAsJson),
    Column("model_position", LogPositionAsJson),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    Column("handed_in_at", UtcDateTime),
    Column("holder", Text),
    Column("annotator", Text),
    Column("leased_until", UtcDateTime),
    Column("audits", JSON(none_as_null=True)),
    Column("drawn_at", JSON(none_as_null=True)),
    # Two servers may choose a batch at the same moment; the second to write chooses again.
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
    Column("undoes", Boolean, nullable=False),
    Column("guess_shown", Boolean, nullable=False),
    Column("reason", Text),
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
    Column("compared", Integer, nullable=False),
    Column("disagreed", Integer, nullable=False),
    Column("guesses_shown", Boolean, nullable=False),
    Column("log_position", LogPositionAsJson),
    Column("temperature", Float, nullable=False),
    Column("computed_on", Text, nullable=False),
    Column("calibrated_by", Text),
    Column("created_at", UtcDateTime, nullable=False, default=now),
    UniqueConstraint("experiment_id", "round"),
)

# Rows of manifests, some at a time; the last row of a position says what is known of it. ``place``
# is the number of rows before, ``length`` of these. ``body`` is an Arrow stream, ``digest`` of it.
images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("experiment_id", "place"),
)

# Changes of the classes of an experiment; see ClassChange. ``place`` counts those before.
class_changes = Table(
    "class_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("classes", JSON, nullable=False),
    Column("names", JSON, nullable=False),
    Column("undoes", Integer, nullable=False),
    Column("image", Integer, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("experiment_id", "place"),
)

# Classes given to many images at once; see Acceptance. ``place`` counts those before.
acceptances = Table(
    "acceptances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("images", JSON, nullable=False),
    Column("label", Integer, nullable=False),
    Column("model", Integer, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("undoes", Integer, nullable=False),
    Column("event", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("keys", JSON, nullable=False),
    UniqueConstraint("experiment_id", "place"),
    UniqueConstraint("experiment_id", "event"),
)

# What servers sign with, the same for all of a database.
keys = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(64), nullable=False),
)
