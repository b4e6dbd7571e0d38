"""How the temperature of a round was found."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("rounds", sa.Column("calibrated_by", sa.Text))
    op.execute("UPDATE rounds SET temperature = 1")  # their logits were divided by nothing
