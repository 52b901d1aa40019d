"""Who may do what: areas, scopes and roles, and what addresses, names and passwords of people must be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from touchline.model.errors import InvalidInput
from touchline.model.faults import meant

AREAS = (
    "campaigns",
    "leads",
    "imports",
    "prospects",
    "sequences",
    "touches",
    "suppressions",
    "mailboxes",
    "events",
    "runs",
    "schedules",
    "rules",
    "health",
    "settings",
    "users",
    "keys",
    "audit",
    "views",
)
"""What the API and the pages are divided into; a scope is an area to read or to write."""

READ = frozenset(f"{area}:read" for area in AREAS)
WRITE = frozenset(f"{area}:write" for area in AREAS)
SCOPES = READ | WRITE

_VIEWER = READ - {"users:read", "keys:read", "audit:read", "settings:read"}
_REVIEWER = _VIEWER | {"touches:write", "prospects:write"}
_RUN_BY_OPERATORS = (
    "campaigns",
    "leads",
    "imports",
    "sequences",
    "suppressions",
    "mailboxes",
    "runs",
    "schedules",
    "events",
    "views",
)
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _VIEWER,
    "reviewer": _REVIEWER,
    "operator": _REVIEWER | {f"{area}:write" for area in _RUN_BY_OPERATORS} | {"audit:read", "settings:read"},
    "owner": SCOPES,
}
"""Scopes by role, from the least to all."""

EMAIL_CHARS = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""
NAME_CHARS = 200
PASSWORD_CHARS = (12, 256)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: `user:EMAIL`, `key:PREFIX` or `shell:NAME`.
        user_id: The user's key, where it is one.
        timezone: IANA zone in which they read times; None: the browser's.
        role: The user's role; None for a key.
    """

    name: str
    scopes: frozenset[str]
    user_id: int | None = None
    timezone: str | None = None
    role: str | None = None

    def may(self, scope: str) -> bool:
        """Whether this scope is among theirs."""
        return scope in self.scopes


def at_the_shell(name: str) -> Caller:
    """Whoever runs commands in the workspace's folder: they have the database anyway, so they may do everything."""
    return Caller(name=f"shell:{name}", scopes=SCOPES)


def scopes_of(words: Iterable[str]) -> frozenset[str]:
    """Scopes of what a person wrote: `leads:read`, `leads:write`, `*:read`, `*:write`.

    Raises:
        InvalidInput: A word is none of these, or there is no word.
    """
    groups = {"*:read": READ, "*:write": WRITE}
    found: set[str] = set()
    for word in words:
        if word not in SCOPES and word not in groups:
            raise InvalidInput(
                f"{word[:60]!r} is no scope{meant(word, sorted(SCOPES)) or '.'}",
                hint=f"Write AREA:read or AREA:write, or * for every area. Areas: {', '.join(AREAS)}.",
            )
        found |= groups.get(word, {word})
    if not found:
        raise InvalidInput("No scope is given.", hint="Name what the key may do, such as leads:read, or *:read.")
    return frozenset(found)


def role_of(word: str) -> str:
    """The role that a person named.

    Raises:
        InvalidInput: There is none of this name.
    """
    if word not in ROLES:
        raise InvalidInput(f"{word[:60]!r} is no role{meant(word, ROLES) or '.'}", hint=f"Roles: {', '.join(ROLES)}.")
    return word


def email_of(text: str) -> str:
    """The address that somebody logs in with, in lower case.

    Raises:
        InvalidInput: It cannot be one.
    """
    email = text.strip().lower()
    before, at, after = email.partition("@")
    spaced = any(char.isspace() or not char.isprintable() for char in email)
    if not (before and at and after) or "@" in after or spaced or len(email) > EMAIL_CHARS:
        raise InvalidInput(f"{text[:60]!r} is no e-mail address.", hint="Write it as ada@example.com.")
    return email


def name_of(text: str, what: str = "name") -> str:
    """The name of a person or a key.

    Raises:
        InvalidInput: It is empty, too long, or cannot be printed.
    """
    name = text.strip()
    if not name or len(name) > NAME_CHARS or not name.isprintable():
        raise InvalidInput(
            f"The {what} {name[:40]!r} cannot be used.", hint=f"Use 1 to {NAME_CHARS} characters that can be printed."
        )
    return name


def password_for(email: str, name: str, password: str) -> str:
    """A password that this person may have. What makes it strong is its length (NIST SP 800-63B, 3.1.1).

    Raises:
        InvalidInput: It is too short or long, or is the person's own address or name.
    """
    least, most = PASSWORD_CHARS
    if not least <= len(password) <= most:
        raise InvalidInput(
            f"The password has {len(password)} characters.",
            hint=f"Use {least} to {most}; a sentence that you can remember is best.",
        )
    if password.casefold().strip() in (email.casefold(), name.casefold()):
        raise InvalidInput(
            "The password is the address or the name of its user.", hint="Choose one that nobody can guess."
        )
    return password


def zone_of(text: str) -> str:
    """An IANA time zone.

    Raises:
        InvalidInput: There is none of this name.
    """
    if text not in _zones():
        raise InvalidInput(
            f"{text[:60]!r} is no time zone{meant(text, _zones()) or '.'}", hint="Write it as Europe/Berlin."
        )
    return text


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
