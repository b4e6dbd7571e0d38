"""All that came before there were migrations: a database may have some of it already."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ADDED = {
    "batches": (
        sa.Column("place", sa.Integer),
        sa.Column("at_random", sa.JSON),
        sa.Column("model", sa.Integer),
        sa.Column("reasons", sa.JSON),
        sa.Column("known", sa.JSON),
        sa.Column("model_known", sa.JSON),
        sa.Column("holder", sa.Text),
        sa.Column("annotator", sa.Text),
        sa.Column("leased_until", sa.DateTime),
    ),
    "annotations": (
        sa.Column("undoes", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("guess_shown", sa.Boolean, nullable=False, server_default=sa.false()),
    ),
    "rounds": (
        sa.Column("compared", sa.Integer, nullable=False, server_default="0"),
        sa.Column("disagreed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("guesses_shown", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("known", sa.JSON),
        sa.Column("temperature", sa.Float),
        sa.Column("computed_on", sa.Text),
    ),
}


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    for table, columns in ADDED.items():
        there = {column["name"] for column in inspector.get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
    # A round had one batch then; now each person who labels has one.
    for constraint in inspector.get_unique_constraints("batches"):
        if constraint["column_names"] == ["experiment_id", "round"]:
            # SQLite drops a constraint by writing the table anew, and keeps no name of it.
            name = constraint["name"] or "one_batch_per_round"
            convention = {"uq": "one_batch_per_round"}
            with op.batch_alter_table("batches", naming_convention=convention) as batches:
                batches.drop_constraint(name, type_="unique")
    op.create_index(
        "one_batch_per_place", "batches", ["experiment_id", "place"], unique=True,
        if_not_exists=True,
    )  # fmt: skip
    op.create_index(
        "annotations_of_an_image", "annotations", ["experiment_id", "image"], if_not_exists=True
    )
