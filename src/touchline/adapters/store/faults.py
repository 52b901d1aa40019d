"""What the databases say when they cannot be used, as one error with a hint; defects of ours stay what they are."""

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from touchline.model.errors import Crossed, StoreUnavailable

BUSY = "Another process is writing. Try again, or look for one that hangs."
FULL = "The disk is full. Free space and try again: nothing of this step was kept."
READ_ONLY = "The database is read-only for this user: check the rights of the file and of its folder."
DISK = "The disk reports an error. Nothing of this step was kept."
DAMAGED = "The database is damaged: restore a backup."
CANNOT_OPEN = "Check that the file and its folder exist and may be read and written."
NO_DATABASE_FILE = "The file is no SQLite database: check DATABASE_URL."
NOT_SET_UP = "The database is not set up: touchline init."
LOGIN = "Check user and password in DATABASE_URL."
NO_DATABASE = "Create it first: createdb NAME."
NO_RIGHT = "This user lacks a right on the database: make it the owner."
CROSSED = "Two processes wanted the same rows. Try again: nothing of this step was kept."
STOOD_STILL = "This process stood still in the middle of a step. Try again: nothing of the step was kept."
AT_LIMIT = "The server is at its limits. Try again later: nothing of this step was kept."
ALL_IN_USE = "Every connection of this process is in use. Try again later: nothing of this step was kept."
AWAY = "Check that the server runs and DATABASE_URL is right: touchline doctor."

SQLITE = {
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_IOERR: DISK,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_CANTOPEN: CANNOT_OPEN,
    sqlite3.SQLITE_PROTOCOL: BUSY,
    sqlite3.SQLITE_AUTH: READ_ONLY,
    sqlite3.SQLITE_NOTADB: NO_DATABASE_FILE,
}
"""Hints by primary result code (sqlite.org/rescode.html)."""

POSTGRESQL = {
    "08": AWAY,
    "25006": READ_ONLY,
    "25P03": STOOD_STILL,
    "28": LOGIN,
    "3D000": NO_DATABASE,
    "40": CROSSED,
    "42501": NO_RIGHT,
    "42P01": NOT_SET_UP,
    "53100": FULL,
    "53": AT_LIMIT,
    "55P03": BUSY,
    "57": AWAY,
    "58": DISK,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}
"""Hints by SQLSTATE or its class, the longest match first (PostgreSQL manual, appendix A)."""

REFUSED = (("password", LOGIN), ("authentication", LOGIN), ("role", LOGIN), ("does not exist", NO_DATABASE))
"""Hints by words of a refused connection, which carries no SQLSTATE."""


def unavailable(error: Exception, place: str) -> StoreUnavailable | None:
    """The error as users should see it; None where it is a defect and not the database's state."""
    if isinstance(error, PoolTimeoutError):
        return StoreUnavailable(f"The database {place} cannot be used: no connection came free.", hint=ALL_IN_USE)
    cause = error.orig if isinstance(error, DBAPIError) else error
    hint = _sqlite_hint(cause) if isinstance(cause, sqlite3.Error) else _postgresql_hint(cause)
    if hint is None:
        return None
    said = str(cause).strip().splitlines()
    kind = Crossed if hint is CROSSED else StoreUnavailable
    return kind(f"The database {place} cannot be used: {said[0] if said else 'no answer'}.", hint=hint)


def _sqlite_hint(cause: sqlite3.Error) -> str | None:
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return NOT_SET_UP if code == sqlite3.SQLITE_ERROR and "no such table" in str(cause) else SQLITE.get(code)


def _postgresql_hint(cause: BaseException | None) -> str | None:
    if not isinstance(cause, psycopg.Error):
        return None
    if cause.sqlstate is not None:
        return POSTGRESQL.get(cause.sqlstate) or POSTGRESQL.get(cause.sqlstate[:2])
    if not isinstance(cause, psycopg.OperationalError):
        return None
    said = str(cause).lower()
    return next((hint for word, hint in REFUSED if word in said), AWAY)
