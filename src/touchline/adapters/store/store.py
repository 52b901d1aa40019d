"""The store as the application sees it: a transaction that offers every table's queries, and the database's own state."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection

from touchline.adapters.store import migrate
from touchline.adapters.store.access import Keys, People
from touchline.adapters.store.alerts import Alerts
from touchline.adapters.store.audit import Answers, Audit
from touchline.adapters.store.campaigns import Campaigns, Controls, Mailboxes
from touchline.adapters.store.desk import Desk
from touchline.adapters.store.engine import BUSY_SECONDS, CONNECTIONS, open_engine, place, transaction
from touchline.adapters.store.gauges import Gauges
from touchline.adapters.store.imports import Imports
from touchline.adapters.store.journal import Journal, Senders
from touchline.adapters.store.leads import Leads
from touchline.adapters.store.prospects import Prospects
from touchline.adapters.store.runs import Runs, Workers
from touchline.adapters.store.schedules import Schedules
from touchline.adapters.store.search import Search
from touchline.adapters.store.suppressions import MxAnswers, Suppressions
from touchline.adapters.store.touches import Touches
from touchline.adapters.store.views import Views
from touchline.model.errors import Misconfigured


class Unit:
    """One transaction's view of the store. What it does is kept together or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @cached_property
    def campaigns(self) -> Campaigns:
        """Campaigns and their versions."""
        return Campaigns(self.connection)

    @cached_property
    def controls(self) -> Controls:
        """Switches."""
        return Controls(self.connection)

    @cached_property
    def mailboxes(self) -> Mailboxes:
        """Sending identities."""
        return Mailboxes(self.connection)

    @cached_property
    def imports(self) -> Imports:
        """Imports."""
        return Imports(self.connection)

    @cached_property
    def runs(self) -> Runs:
        """Runs and their batches."""
        return Runs(self.connection)

    @cached_property
    def schedules(self) -> Schedules:
        """What starts by itself."""
        return Schedules(self.connection)

    @cached_property
    def workers(self) -> Workers:
        """Workers that are alive."""
        return Workers(self.connection)

    @cached_property
    def gauges(self) -> Gauges:
        """What health and metrics read."""
        return Gauges(self.connection)

    @cached_property
    def alerts(self) -> Alerts:
        """What is wrong."""
        return Alerts(self.connection)

    @cached_property
    def leads(self) -> Leads:
        """Leads."""
        return Leads(self.connection)

    @cached_property
    def prospects(self) -> Prospects:
        """Prospects."""
        return Prospects(self.connection)

    @cached_property
    def touches(self) -> Touches:
        """The ledger."""
        return Touches(self.connection)

    @cached_property
    def journal(self) -> Journal:
        """Events and deliveries."""
        return Journal(self.connection)

    @cached_property
    def senders(self) -> Senders:
        """Senders that are alive."""
        return Senders(self.connection)

    @cached_property
    def suppressions(self) -> Suppressions:
        """Who must get nothing."""
        return Suppressions(self.connection)

    @cached_property
    def mx(self) -> MxAnswers:
        """Kept DNS answers."""
        return MxAnswers(self.connection)

    @cached_property
    def search(self) -> Search:
        """Leads by filter."""
        return Search(self.connection)

    @cached_property
    def views(self) -> Views:
        """Searches that people keep."""
        return Views(self.connection)

    @cached_property
    def people(self) -> People:
        """Users, sessions and failed log-ins."""
        return People(self.connection)

    @cached_property
    def keys(self) -> Keys:
        """API keys."""
        return Keys(self.connection)

    @cached_property
    def audit(self) -> Audit:
        """What has been changed, and by whom."""
        return Audit(self.connection)

    @cached_property
    def answers(self) -> Answers:
        """Answers to requests that may come again."""
        return Answers(self.connection)

    @cached_property
    def desk(self) -> Desk:
        """What the pages ask at every look."""
        return Desk(self.connection)


class Store:
    """A database that holds one workspace.

    Args:
        url: `sqlite:///file` or `postgresql://...`.
        home: Folder that a relative file name starts from.
        busy_seconds: How long a transaction waits for another one, or for a connection.
        connections: How many transactions may go on at once.
    """

    def __init__(
        self, url: str, home: Path, busy_seconds: float = BUSY_SECONDS, connections: int = CONNECTIONS
    ) -> None:
        self.engine = open_engine(url, home, busy_seconds, connections)

    @property
    def place(self) -> str:
        """Where the data is, without a password."""
        return place(self.engine)

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[Unit]:
        """A transaction that writes. Commits at the end of the block, rolls back on any error.

        Args:
            lasting: A power cut cannot undo it; see `engine.transaction`.
        """
        with transaction(self.engine, lasting=lasting) as connection:
            yield Unit(connection)

    @contextmanager
    def reading(self) -> Iterator[Unit]:
        """A transaction that only reads, sees one moment throughout, and waits for no writer."""
        with transaction(self.engine, reading=True) as connection:
            yield Unit(connection)

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables to the present revision; gives the one before and the one after.

        Raises:
            Misconfigured: A newer version has been here.
        """
        with transaction(self.engine) as connection:
            self.refuse_newer(migrate.revision(connection))
            before = migrate.upgrade(connection)
            after = migrate.revision(connection)
            assert after is not None
            return before, after

    def revision(self) -> tuple[str | None, str]:
        """The database's revision (None: not set up) and the one this version of Touchline needs."""
        with transaction(self.engine, reading=True) as connection:
            return migrate.revision(connection), migrate.head()

    def refuse_newer(self, present: str | None) -> None:
        """Do nothing, unless the database is at a revision that this version does not know.

        Raises:
            Misconfigured: It is.
        """
        if present is not None and present > migrate.head():
            raise Misconfigured(
                f"The database {self.place} was set up by a newer Touchline: it is at {present}, and this one knows "
                f"{migrate.head()}.",
                hint="Install that version.",
            )

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()
