"""Alembic's entry point: runs on the connection and in the transaction that upgrade.py gives it."""

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
