"""Where Alembic begins: on the connection that database.py gives it, in its transaction."""

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
