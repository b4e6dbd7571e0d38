"""Where Alembic begins: on the connection that al_core.database gives it, in its transaction."""

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
