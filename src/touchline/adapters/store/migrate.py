"""Alembic inside our own transaction: the tables move to a revision together or not at all."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect

from touchline.adapters.store.migrations import HEAD

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = "touchline.adapters.store:migrations"


def _config() -> "Config":
    # Every command asks for the revision and only `init` migrates: Alembic's import would double their start.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config


def head() -> str:
    """The revision that this version of Touchline needs."""
    return HEAD


def revision(connection: Connection) -> str | None:
    """The revision that the database is at; None where it is not set up."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def upgrade(connection: Connection, to: str = "head") -> str | None:
    """Run the migrations up to a revision; gives the one before."""
    if connection.dialect.name == "postgresql":  # SQLite lets one writer in anyway
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('touchline migrate'))")
    from alembic import command

    before = revision(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    return before


def downgrade(connection: Connection, to: str) -> None:
    """Run the migrations back to a revision (`base` removes every table)."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.downgrade(config, to)
