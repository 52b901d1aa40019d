"""Alembic inside our own transaction: the tables move to a revision together or not at all."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

SCRIPTS = "touchline.adapters.store:migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config


def head() -> str:
    """The revision that this version of Touchline needs."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None
    return found


def revision(connection: Connection) -> str | None:
    """The revision that the database is at; None where it is not set up."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, to: str = "head") -> str | None:
    """Run the migrations up to a revision; gives the one before."""
    if connection.dialect.name == "postgresql":  # SQLite lets one writer in anyway
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('touchline migrate'))")
    before = revision(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    return before


def downgrade(connection: Connection, to: str) -> None:
    """Run the migrations back to a revision (`base` removes every table)."""
    config = _config()
    config.attributes["connection"] = connection
    command.downgrade(config, to)
