"""The field's words: held-out images, the random baseline."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SETTINGS = {"random_share": "held_out_share", "reference": "random_baseline"}


def upgrade() -> None:
    op.alter_column("batches", "at_random", new_column_name="held_out")
    rows = sa.table("experiments", sa.column("id", sa.Integer), sa.column("config", sa.JSON))
    connection = op.get_bind()
    for number, config in connection.execute(sa.select(rows)).all():
        renamed = {SETTINGS.get(name, name): value for name, value in config.items()}
        connection.execute(sa.update(rows).where(rows.c.id == number).values(config=renamed))
