"""Classes given to many images at once, and looks at some of these."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "acceptances",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("experiment_id", sa.Integer, sa.ForeignKey("experiments.id"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("label", sa.Integer, nullable=False),
        sa.Column("model", sa.Integer, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("undoes", sa.Integer, nullable=False),
        sa.Column("event", sa.String(64)),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        sa.UniqueConstraint("experiment_id", "place"),
        sa.UniqueConstraint("experiment_id", "event"),
    )
    op.add_column("batches", sa.Column("audits", sa.JSON))
    op.add_column("batches", sa.Column("drawn_at", sa.JSON))
