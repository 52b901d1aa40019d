"""At the door: the first owner, log-ins and sessions, API keys, and what of them is forgotten in time."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from touchline.app.ports import Row, Store, Unit
from touchline.model.access import (
    PASSWORD_CHARS,
    ROLES,
    Caller,
    email_of,
    name_of,
    password_for,
)
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.model.faults import meant

CLAIM = "claim"
"""Name of the control that holds the digest of the first-run claim."""

SESSION = timedelta(days=14)
TRIES = 5
TRIED = timedelta(minutes=15)
"""After so many failures within this time nothing more is tried, by address and by where it comes from."""

USED = timedelta(minutes=1)
"""How exactly it is known when a key was used last."""

ANSWERS = timedelta(hours=24)
AUDITED = timedelta(days=365)
DAYS = range(1, 3651)
"""Days that a key may live."""

AGENT_CHARS = 200
KEY = re.compile(r"tl_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
CLAIM_HINT = "The link is printed by `touchline serve` while there is no user; each start prints a new one."


class Hasher(Protocol):
    """Makes and checks hashes of passwords; each takes tens of milliseconds, so none is asked inside a transaction."""

    def hash(self, password: str) -> str:
        """The hash to keep."""
        ...

    def verify(self, kept: str, password: str) -> bool:
        """Whether the hash is of this password."""
        ...

    def stale(self, kept: str) -> bool:
        """Whether a new hash would be stronger."""
        ...

    def dummy(self) -> None:
        """Take as long as `verify`."""
        ...


class WrongLogin(Refused):
    """Address or password is wrong; which one is not told."""


class TooManyTries(Refused):
    """Too many log-ins have failed.

    Args:
        wait: How long until the next try.
    """

    def __init__(self, wait: timedelta) -> None:
        minutes = max(1, -(-int(wait.total_seconds()) // 60))
        said = "a minute" if minutes == 1 else f"{minutes} minutes"
        super().__init__("Too many log-ins have failed.", hint=f"Try again in {said}.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session as it is told once.

    Attributes:
        token: 256 bits, for the cookie; the store keeps only its digest.
    """

    token: str
    user_id: int
    email: str
    expires_at: datetime


# the first owner


def claim_token(store: Store, now: datetime) -> str | None:
    """A new token that makes one person the first owner, in place of any earlier one; None once there is a user."""
    token = secrets.token_urlsafe(32)
    with store.transaction() as unit:
        if unit.people.any():
            return None
        unit.controls.put(CLAIM, _digest(token), now)
    return token


def claim(
    store: Store, hasher: Hasher, token: str, email: str, name: str, password: str, agent: str, now: datetime
) -> NewSession:
    """Make the bearer of the token the first owner, and log them in.

    Raises:
        Refused: The token is not the newest one, or there is a user already.
        InvalidInput: Address, name or password cannot be used.
    """
    with store.reading() as unit:
        _check_claim(unit, token)
    email, name = email_of(email), name_of(name)
    hashed = hasher.hash(password_for(email, name, password))
    with store.transaction() as unit:
        _check_claim(unit, token)
        # Of two at once, one removes the row: the other has waited for that and finds none.
        key = unit.people.add(email, name, "owner", hashed, now) if unit.controls.drop(CLAIM) else None
        if key is None:
            raise _no_claim()
        return _session(unit, key, email, agent, now)


def _check_claim(unit: Unit, token: str) -> None:
    kept = unit.controls.get(CLAIM)
    if unit.people.any() or kept is None or not hmac.compare_digest(kept, _digest(token)):
        raise _no_claim()


def _no_claim() -> Refused:
    return Refused("This workspace cannot be claimed with this link.", hint=CLAIM_HINT)


# sessions


def log_in(
    store: Store, hasher: Hasher, email: str, password: str, source: str, agent: str, now: datetime
) -> NewSession:
    """A new session of the user who has this address and password.

    Args:
        source: Where the request comes from, such as an IP address.

    Raises:
        WrongLogin: Somebody unknown, a wrong password, or a user who is disabled: all alike, after the same time.
        TooManyTries: Too many have failed for this address or from this source.
    """
    email = email.strip().lower()
    subjects = [_subject("address", email), _subject("source", source)]
    _count_try(store, subjects, now)
    try:
        known = email_of(email)
    except InvalidInput:
        known = ""
    with store.reading() as unit:
        user = unit.people.find(known) if known else None
    if not _is_right(hasher, user, password) or user is None:
        raise _wrong()
    stronger = hasher.hash(password) if hasher.stale(user["password"]) else None
    with store.transaction() as unit:
        present = unit.people.find(user["id"], lock=True)
        # A password that was changed meanwhile has ended every session, and must not get a new one.
        if present is None or present["state"] != "active" or present["password"] != user["password"]:
            raise _wrong()
        if stronger is not None:
            unit.people.set(user["id"], now, password=stronger)
        unit.people.seen(user["id"], now)
        unit.people.forgive(subjects)
        return _session(unit, user["id"], user["email"], agent, now)


def _is_right(hasher: Hasher, user: Row | None, password: str) -> bool:
    if user is None or len(password) > PASSWORD_CHARS[1]:
        hasher.dummy()
        return False
    return hasher.verify(user["password"], password) and bool(user["state"] == "active")


def _wrong() -> WrongLogin:
    return WrongLogin("Address or password is wrong.", hint="Forgotten? An owner sets it with: touchline user password")


def _count_try(store: Store, subjects: Iterable[str], now: datetime) -> None:
    """Count a failure before it is known: a hundred at once are five tries too. Success takes it back."""
    with store.transaction(lasting=False) as unit:
        for subject in subjects:
            count, since = unit.people.failed(subject, now - TRIED, now)
            if count > TRIES:
                raise TooManyTries(since + TRIED - now)


def _subject(kind: str, text: str) -> str:
    # People type passwords into the field for the address: what was tried is not kept readable.
    return f"{kind}:{_digest(text)}"


def _session(unit: Unit, user_id: int, email: str, agent: str, now: datetime) -> NewSession:
    made = NewSession(secrets.token_urlsafe(32), user_id, email, now + SESSION)
    said = "".join(char if char.isprintable() else " " for char in agent)[:AGENT_CHARS]
    unit.people.add_session(_digest(made.token), user_id, now, made.expires_at, said)
    return made


def caller_of_session(store: Store, token: str, now: datetime) -> Caller | None:
    """The active user whose live session this is, or None."""
    with store.reading() as unit:
        row = unit.people.of_session(_digest(token), now)
    if row is None:
        return None
    return Caller(f"user:{row['email']}", ROLES[row["role"]], row["id"], row["timezone"], row["role"])


def log_out(store: Store, token: str) -> None:
    """End this session."""
    with store.transaction() as unit:
        unit.people.end_session(_digest(token))


def log_out_everywhere(store: Store, user_id: int) -> int:
    """End every session of a user; says how many."""
    with store.transaction() as unit:
        return unit.people.end_sessions(user_id)


def csrf_of(token: str) -> str:
    """What every form of a session carries: made of its token, and no way back to it."""
    return hmac.new(_bytes(token), b"touchline csrf", hashlib.sha256).hexdigest()


def csrf_holds(token: str, given: str) -> bool:
    """Whether a form is of this session."""
    return hmac.compare_digest(_bytes(csrf_of(token)), _bytes(given))


def change_password(store: Store, hasher: Hasher, user_id: int, old: str, new: str, now: datetime) -> None:
    """Change one's own password, which ends every session of the user.

    Raises:
        WrongLogin: The old one is wrong.
        TooManyTries: It has been wrong too often.
        InvalidInput: The new one cannot be used.
    """
    with store.reading() as unit:
        user = unit.people.find(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.", hint="See them with: touchline user list")
    password_for(user["email"], user["name"], new)
    _count_try(store, [_subject("address", user["email"])], now)
    if not _is_right(hasher, user, old):
        raise WrongLogin("The old password is wrong.", hint="Nothing is changed.")
    put_password(store, hasher, user, new, now)


def put_password(store: Store, hasher: Hasher, user: Row, password: str, now: datetime) -> None:
    """Give a user this password, end every session of theirs, and let them try anew.

    Raises:
        InvalidInput: It cannot be used.
    """
    hashed = hasher.hash(password_for(user["email"], user["name"], password))
    with store.transaction() as unit:
        unit.people.set(user["id"], now, password=hashed)
        unit.people.end_sessions(user["id"])
        unit.people.forgive([_subject("address", user["email"])])


# keys


def make_key(
    store: Store, name: str, scopes: Collection[str], caller: Caller, now: datetime, days: int | None = None
) -> tuple[Row, str]:
    """A new API key: its row, and its text, which is told once.

    Args:
        scopes: As `model.access.scopes_of` gives them.
        days: How long it lives; None: until it is revoked.

    Raises:
        Refused: It could do what the caller may not.
    """
    name = name_of(name, "key's name")
    if lacking := sorted(set(scopes) - caller.scopes):
        raise Refused(f"{caller.name} may not give away {', '.join(lacking)}.", hint="Leave that out, or ask an owner.")
    if days is not None and days not in DAYS:
        raise InvalidInput(f"A key cannot live {days} days.", hint=f"Choose {DAYS[0]} to {DAYS[-1]} days.")
    prefix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    expires_at = None if days is None else now + timedelta(days=days)
    with store.transaction() as unit:
        row = unit.keys.add(
            name, prefix, _digest(secret), scopes, created_by=caller.name, created_at=now, expires_at=expires_at
        )
    return row, f"tl_{prefix}_{secret}"


def caller_of_key(store: Store, text: str, now: datetime) -> Caller | None:
    """The program whose live key this is, or None."""
    parts = KEY.fullmatch(text)
    if parts is None:
        return None
    with store.reading() as unit:
        row = unit.keys.of_prefix(parts[1], now)
    if row is None or not hmac.compare_digest(row["digest"], _digest(parts[2])):
        return None
    if row["used_at"] is None or now - row["used_at"] >= USED:
        with store.transaction(lasting=False) as unit:
            unit.keys.used(row["id"], now)
    return Caller(f"key:{row['prefix']}", frozenset(row["scopes"]))


def keys(store: Store) -> list[Row]:
    """Every key, the newest first: `id`, `name`, `prefix`, `scopes`, `created_by`, `created_at`, `expires_at`, `revoked_at`, `used_at`."""
    with store.reading() as unit:
        return unit.keys.listed()


def key(store: Store, prefix: str) -> Row:
    """One key, as in `keys`.

    Raises:
        NotFound: There is none of this prefix.
    """
    rows = {row["prefix"]: row for row in keys(store)}
    if prefix not in rows:
        raise NotFound(f"There is no key {prefix[:60]!r}{meant(prefix, rows) or '.'}", hint="See: touchline key list")
    return rows[prefix]


def revoke_key(store: Store, prefix: str, now: datetime) -> Row:
    """End a key at once and for good.

    Raises:
        NotFound: There is none of this prefix.
        Refused: It is revoked already.
    """
    key(store, prefix)
    with store.transaction() as unit:
        if not unit.keys.revoke(prefix, now):
            raise Refused(f"The key {prefix} is revoked already.", hint="Nothing is left to do.")
    return key(store, prefix)


# retention


def forget(store: Store, now: datetime, most: int = 10_000) -> dict[str, int] | None:
    """Remove what has had its time: sessions, failures, kept answers, and one batch of the audit. None: nothing is left."""
    with store.transaction() as unit:
        gone = {
            "sessions": unit.people.end_expired(now),
            "login_failures": unit.people.forgive_before(now - TRIED),
            "answers": unit.answers.forget(now - ANSWERS),
            "audit": unit.audit.forget(now - AUDITED, most),
        }
    return gone if any(gone.values()) else None


def _digest(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
