"""Which settings were in force, and how the temperature of a round was found."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

POSITIONS = {"batches": ("log_position", "model_position"), "rounds": ("log_position",)}
SETTINGS = ("strategy", "per_round")


def upgrade() -> None:
    op.add_column("rounds", sa.Column("calibrated_by", sa.Text))
    op.execute("UPDATE rounds SET temperature = 1")  # their logits were divided by nothing
    connection = op.get_bind()
    for name, columns in POSITIONS.items():
        table = sa.table(
            name, sa.column("id", sa.Integer), *(sa.column(c, sa.JSON) for c in columns)
        )
        for number, *positions in connection.execute(sa.select(table)).all():
            changed = {c: _nested(p) for c, p in zip(columns, positions, strict=True) if p}
            if changed:
                row = sa.update(table).where(table.c.id == number)
                connection.execute(row.values(changed))


def _nested(position: dict[str, object]) -> dict[str, object]:
    settings = {name: position[name] for name in SETTINGS}
    return {k: v for k, v in position.items() if k not in SETTINGS} | {"settings": settings}
