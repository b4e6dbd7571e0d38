"""Who deleted an experiment is known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("experiments", sa.Column("deleted_by", sa.Text))
