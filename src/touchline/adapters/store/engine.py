"""Opens the database: URL to engine, and a transaction that writes at once or not at all."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from touchline.adapters.store.faults import unavailable
from touchline.model.errors import Misconfigured

BUSY_SECONDS = 30.0
"""How long a writer waits for another before it gives up with a clear error."""

IDLE_SECONDS = 30
"""How long a PostgreSQL server lets a transaction that writes stand still before it ends it."""

CONNECTIONS = 15
"""How many transactions of one process may go on at once where nobody says otherwise."""

KEPT = 5
"""So many connections stay open when nobody uses them; a server has few to give, and one of SQLite may hold many pages."""

CONNECT_SECONDS = "10"
"""How long to wait for a PostgreSQL server that does not answer."""

SILENT = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3", "tcp_user_timeout": "60000"}
"""A host that vanishes without a word is noticed within a minute (libpq, 34.1.2), not when the system's hours are over."""

COMMITS = {True: ("FULL", 4_000), False: ("NORMAL", 100_000)}
"""Lasting or not -> `synchronous`, and pages of the write-ahead log before they go into the database.

FULL: a commit is on the disk when it returns; the ledger of touches rests on it. A short log is overwritten rather than
made longer, which the disk does sooner (a message takes a tenth less). With a long one, the pages of the indexes, which every batch of a large import
touches, are written into the database once in several batches.
"""

CACHE_KIB = 262_144
"""Pages that one connection holds at most: the indexes of a million leads."""

READING = "touchline_reading"
LASTING = "touchline_lasting"


def open_engine(url: str, home: Path, busy_seconds: float = BUSY_SECONDS, connections: int = CONNECTIONS) -> Engine:
    """An engine for `sqlite:///file` (relative to `home`) or `postgresql://...`.

    Args:
        busy_seconds: How long a transaction waits for another one, or for a connection.
        connections: How many transactions may go on at once.

    Raises:
        Misconfigured: The URL is neither.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL is not shown: it may hold a password.
        raise Misconfigured(
            "The database URL cannot be read.", hint="Write sqlite:///touchline.db or postgresql://user@host/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return _postgresql(parsed, busy_seconds, _pool(busy_seconds, connections))
    if backend == "sqlite":
        return _sqlite(parsed, home, busy_seconds, _pool(busy_seconds, connections))
    raise Misconfigured(
        f"Touchline keeps its data in SQLite or PostgreSQL, not {backend}.", hint="Set DATABASE_URL accordingly."
    )


def _pool(busy_seconds: float, connections: int) -> dict[str, Any]:
    kept = min(KEPT, connections)
    return {"pool_size": kept, "max_overflow": connections - kept, "pool_timeout": busy_seconds}


def _postgresql(url: URL, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    # Our COPY writes UTF-8, whatever the server would choose for this database.
    query = {"connect_timeout": CONNECT_SECONDS, **SILENT, **url.query, "client_encoding": "utf8"}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg", query=query),
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        **pool,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(busy_seconds * 1000)}")
        # A process that stands still (a frozen machine, a suspended laptop) must not hold its locks against all others.
        connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}")
        # The server's own guess is for disks with heads: it makes a batch read every lead rather than use an index.
        connection.execute("SET random_page_cost = 1.1")
        connection.commit()

    return engine


def _sqlite(url: URL, home: Path, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    if not url.database or url.database == ":memory:":
        raise Misconfigured("An in-memory database forgets everything.", hint="Give a file: sqlite:///touchline.db.")
    path = (home / url.database).resolve()
    if not path.parent.is_dir():
        raise Misconfigured(
            f"The folder of the database does not exist: {path.parent}.", hint="Create it, or run `touchline init`."
        )
    engine = create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": busy_seconds},
        # Parameters are people's addresses, and an error that quotes its statement may be logged.
        hide_parameters=True,
        # The connection that wrote last has the pages at hand; to any other what it holds is of yesterday.
        pool_use_lifo=True,
        **pool,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    _turns[engine] = threading.Lock(), busy_seconds
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is deferred; ours comes from `_begin`.
    connection.isolation_level = None
    cursor = connection.cursor()
    _write_ahead(cursor)
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """WAL, which stays in the file. Of two processes that meet a new file one is refused at once, whatever the time-out."""
    for wait in (0.05, 0.1, 0.2, 0.5, 1.0):
        if cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            return
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(wait)
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    reads = is_reading(connection)
    if connection.info.get(READING) is not reads:
        connection.exec_driver_sql(f"PRAGMA query_only = {int(reads)}")
        connection.info[READING] = reads
    lasting = connection.get_execution_options().get(LASTING, True)
    if connection.info.get(LASTING) is not lasting:
        synchronous, pages = COMMITS[lasting]
        connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.info[LASTING] = lasting
    # IMMEDIATE takes the write lock now: a transaction that reads first and writes later can otherwise fail half way.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def is_reading(connection: Connection) -> bool:
    """Whether the transaction on this connection may only read."""
    return bool(connection.get_execution_options().get(READING))


def hold(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Take a lock of this name until the transaction ends, alone or with others that share it. A SQLite writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        take = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        connection.execute(select(take(func.hashtext(name))))


def place(engine: Engine) -> str:
    """Where the data is, without a password."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host", "localhost")
    return f"{url.database} on {host}"


_turns: WeakKeyDictionary[Engine, tuple[threading.Lock, float]] = WeakKeyDictionary()
"""Whose turn it is to write in this process, and how long one waits for it."""


def _locked() -> sqlite3.OperationalError:
    """What the driver says where the writer is another process."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@contextmanager
def _turn(engine: Engine, *, reading: bool) -> Iterator[None]:
    """One writing thread at a time on SQLite. Threads that wait for each other in the file sleep for up to a tenth of a second."""
    if reading or engine.dialect.name != "sqlite":
        yield
        return
    lock, seconds = _turns[engine]
    if not lock.acquire(timeout=seconds):
        raise _locked()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def transaction(engine: Engine, *, reading: bool = False, lasting: bool = True) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error.

    Args:
        reading: It only reads, sees the database as it is at its first look, and waits for no writer.
        lasting: It is on the disk when the block ends. Else a power cut may undo it, and what came after it, as if it
            had never been, until the next lasting one; the death of this process alone cannot. For SQLite, where
            waiting for the disk is a tenth of a large import; PostgreSQL's transactions all last.

    Raises:
        StoreUnavailable: The database is locked, full, read-only or away, or every connection of this process is in
            use; nothing of the transaction is kept.
    """
    options: dict[str, Any] = {READING: reading, LASTING: lasting}
    if reading and engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with (
            _turn(engine, reading=reading),
            engine.connect() as connection,
            connection.execution_options(**options).begin(),
        ):
            if reading and engine.dialect.name == "postgresql":
                # It keeps nobody from anything, and whoever pages through an export may take their time.
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection
    except (DBAPIError, PoolTimeoutError, sqlite3.Error, psycopg.Error) as error:
        # The bulk writer speaks to the driver itself, so errors come with SQLAlchemy's wrapper and without.
        known = unavailable(error, place(engine))
        if known is None:
            raise
        raise known from error
