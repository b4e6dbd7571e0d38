"""The tables of 0.1.0, the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _of_experiment() -> sa.Column[int]:
    key = sa.ForeignKey("experiments.id")
    return sa.Column("experiment_id", sa.Integer, key, nullable=False, index=True)


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("pool_size", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("deleted_at", sa.DateTime),
    )
    op.create_index(
        "one_live_experiment_per_name",
        "experiments",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer, primary_key=True),
        _of_experiment(),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("strategy", sa.String(64), nullable=False),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("scores", sa.JSON),
        sa.Column("at_random", sa.JSON),
        sa.Column("model", sa.Integer),
        sa.Column("reasons", sa.JSON),
        sa.Column("log_position", sa.JSON),
        sa.Column("model_position", sa.JSON),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("handed_in_at", sa.DateTime),
        sa.Column("holder", sa.Text),
        sa.Column("annotator", sa.Text),
        sa.Column("leased_until", sa.DateTime),
    )
    op.create_index("one_batch_per_place", "batches", ["experiment_id", "place"], unique=True)
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, primary_key=True),
        _of_experiment(),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("image", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("label", sa.Integer),
        sa.Column("cleared", sa.Boolean, nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("event", sa.String(64)),
        sa.Column("milliseconds", sa.Integer),
        sa.Column("undoes", sa.Boolean, nullable=False),
        sa.Column("guess_shown", sa.Boolean, nullable=False),
        sa.UniqueConstraint("experiment_id", "event"),
    )
    op.create_index("annotations_of_an_image", "annotations", ["experiment_id", "image"])
    op.create_table(
        "rounds",
        sa.Column("id", sa.Integer, primary_key=True),
        _of_experiment(),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("labeled", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON),
        sa.Column("history", sa.JSON, nullable=False),
        sa.Column("train_seconds", sa.Float, nullable=False),
        sa.Column("evaluate_seconds", sa.Float, nullable=False),
        sa.Column("score_seconds", sa.Float, nullable=False),
        sa.Column("select_seconds", sa.Float, nullable=False),
        sa.Column("images_scored", sa.Integer, nullable=False),
        sa.Column("compared", sa.Integer, nullable=False),
        sa.Column("disagreed", sa.Integer, nullable=False),
        sa.Column("guesses_shown", sa.Boolean, nullable=False),
        sa.Column("log_position", sa.JSON),
        sa.Column("temperature", sa.Float, nullable=False),
        sa.Column("computed_on", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("experiment_id", "round"),
    )
