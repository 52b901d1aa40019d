"""The error taxonomy: one root, mixed with `Transient` (try again) or `Permanent` (change something first)."""

from typing import ClassVar


class TouchlineError(Exception):
    """Something went wrong that a person can act on.

    Args:
        message: What happened and where, in one sentence.
        hint: What to do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Transient(TouchlineError):
    """The same call may succeed later: a lock, a time-out, a server that is down."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class Permanent(TouchlineError):
    """The same call fails the same way until a person changes something."""

    exit_code = 1


class InvalidInput(Permanent):
    """The user's file, rule, template or argument is not what it must be."""

    exit_code = 65  # EX_DATAERR


class NotFound(Permanent):
    """A name that the user gave is not in the store."""

    exit_code = 66  # EX_NOINPUT


class Refused(Permanent):
    """The request is understood and not allowed in the present state."""

    exit_code = 77  # EX_NOPERM


class Misconfigured(Permanent):
    """The settings or the environment lack something that this command needs."""

    exit_code = 78  # EX_CONFIG


class StoreUnavailable(Transient):
    """The database cannot be reached, is locked, full or read-only."""


class Crossed(StoreUnavailable):
    """Another transaction wrote the same rows at the same moment; begun anew, this one sees what that one did."""


class SourceUnavailable(Transient):
    """A source of leads cannot be read now."""


class MailboxUnavailable(TouchlineError):
    """A mailbox cannot take mail: connection, TLS or login failed. No recipient is at fault.

    Args:
        permanent: True when only a person can mend it (wrong password, no TLS offered).
    """

    exit_code = 75

    def __init__(self, message: str, *, permanent: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
