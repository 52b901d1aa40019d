"""How Alembic runs here: on the connection it is given, in the transaction that is open."""

from alembic import context

from touchline.adapters.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
