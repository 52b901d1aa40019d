"""Alerts: what is wrong is told once, again after a while, and once more when it is over; never in quiet hours unless it must be."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from threading import Lock
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from touchline.app.health import LEVELS, Finding, Level, health, worst
from touchline.app.history import advance
from touchline.app.ports import Row, Store, Unit
from touchline.model.errors import StoreUnavailable

log = structlog.get_logger(__name__)

CALM = timedelta(minutes=5)
"""So long must a trouble be gone before its alert closes, so that one which comes and goes is one alert."""

PATIENCE = timedelta(minutes=2)
"""So long may the database be away, as when its server restarts, before that is told."""


NAMED = 5
"""So many that share a trouble are named; phones show few lines, and some services refuse long messages."""

MOST = 20
"""So many troubles are told in one message; the rest is named by its number."""

INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to whoever looks after this installation."""

    title: str
    body: str
    level: Level
    """The worst of what it tells; healthy where everything in it is over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message at one channel.

    Attributes:
        number: Its place in `alerts.urls`, from 1.
        kind: Which service it is; its address is a secret.
        why: Why it was not taken, as far as that is known.
    """

    number: int
    kind: str
    taken: bool
    why: str = ""


class Notifier(Protocol):
    """Tells people."""

    def tell(self, notice: Notice) -> bool:
        """True where at least one channel took it. What a channel said against it is logged; nothing is raised."""
        ...

    def each(self, notice: Notice) -> list[Answer]:
        """Tell one channel after the other and say what each has answered."""
        ...


@dataclass(frozen=True, slots=True)
class Etiquette:
    """When people want to be told.

    Attributes:
        repeat: An alert that is still open is told again after this.
        quiet: Local times between which nothing is told; None for no such hours.
        zone: IANA zone of these times.
        urgent: What has failed is told in quiet hours too.
    """

    repeat: timedelta = timedelta(hours=24)
    quiet: tuple[time, time] | None = None
    zone: str = "UTC"
    urgent: bool = True

    @classmethod
    def of(cls, *, repeat_hours: float, quiet: str, zone: str, urgent: bool) -> "Etiquette":
        """From settings; `quiet` is empty or `HH:MM-HH:MM`."""
        start, _, end = quiet.partition("-")
        hours = (time.fromisoformat(start), time.fromisoformat(end)) if quiet else None
        return cls(timedelta(hours=repeat_hours), hours, zone, urgent)

    def allows(self, level: str, now: datetime) -> bool:
        """Whether something of this level may be told now."""
        if self.quiet is None or (self.urgent and level == "failed"):
            return True
        start, end = self.quiet
        local = now.astimezone(ZoneInfo(self.zone)).time()
        inside = start <= local < end if start <= end else local >= start or local < end
        return not inside


def settle(unit: Unit, findings: Sequence[Finding], now: datetime) -> None:
    """Open an alert for every trouble that is new, and close those whose trouble has been gone for a while."""
    present = {row["key"]: row for row in unit.alerts.listed()}
    for finding in findings:
        row = present.pop(finding.key, None)
        said = {"level": finding.level, "message": f"{finding.scope}: {finding.reason}", "hint": finding.hint}
        if row is None or row["state"] == "closed":
            unit.alerts.put(finding.key, _opened(said, now))
            log.warning("alert.opened", **_named(finding.key), level=finding.level)
            continue
        # What has become worse is told anew.
        worse = LEVELS.index(finding.level) > LEVELS.index(row["level"])
        _set(unit, row, **said, seen_at=now, told_at=None if worse else row["told_at"])
    for key, row in present.items():
        if row["state"] == "open" and now - row["seen_at"] >= CALM:
            _set(unit, row, state="closed", closed_at=now)
            log.warning("alert.closed", **_named(key))


def _named(key: str) -> dict[str, str]:
    """A key as the log may show it: addresses are masked there, except those of mailboxes of ours."""
    scope, _, mailbox = key.partition(": ")
    return {"key": scope, "mailbox": mailbox} if scope == "mailboxes" else {"key": key}


def _opened(said: Row, now: datetime) -> Row:
    fresh = {"state": "open", "opened_at": now, "seen_at": now}
    return said | fresh | {"told_at": None, "closed_at": None, "recovery_told_at": None}


def _set(unit: Unit, row: Row, **values: object) -> None:
    unit.alerts.put(row["key"], {name: value for name, value in row.items() if name != "key"} | values)


def untold(rows: Iterable[Row], etiquette: Etiquette, now: datetime) -> tuple[list[Row], list[Row]]:
    """What is to be told now: alerts that are open, and alerts that were told and are over."""
    wrong, over = [], []
    for row in rows:
        told = row["told_at"]
        if row["state"] == "open" and etiquette.allows(row["level"], now):
            wrong += [row] if told is None or now - told >= etiquette.repeat else []
        elif row["state"] == "closed" and told is not None and row["recovery_told_at"] is None:
            # Nobody is woken by good news, unless the bad news has woken them.
            over += [row] if etiquette.allows("healthy", now) or not etiquette.allows("healthy", told) else []
    return wrong, over


def notice(wrong: Sequence[Row], over: Sequence[Row]) -> Notice:
    """Everything in one message, the worst first; what is the same for several is said once."""
    ordered = sorted(wrong, key=lambda row: (-LEVELS.index(row["level"]), row["key"]))
    lines, groups = [], list(_alike(ordered))
    for whose, reason, rows in groups[:MOST]:
        lines += [
            f"{rows[0]['level'].upper()}  {whose}: {reason}",
            f"    since {_at(min(row['opened_at'] for row in rows))}",
            f"    -> {rows[0]['hint']}",
        ]
    if len(groups) > MOST:
        lines.append(f"and {len(groups) - MOST} more\n    -> touchline health")
    for whose, reason, rows in list(_alike(over))[:MOST]:
        began, ended = min(row["opened_at"] for row in rows), max(row["closed_at"] for row in rows)
        lines += [f"OVER  {whose}", f"    it was: {reason}", f"    from {_at(began)} to {_at(ended)}"]
    first = (ordered or list(over))[0]
    others = len(wrong) + len(over) - 1
    what = f"{first['level']}: {first['key']}" if wrong else f"over: {first['key']}"
    title = f"Touchline {what}" + (f" and {others} more" if others else "")
    return Notice(title, "\n".join(lines), worst(row["level"] for row in wrong))


def _alike(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Who shares a trouble, its reason with the latest time in it, and the alerts, in the order of the first of each."""
    groups: dict[tuple[str, ...], list[tuple[str, str, Row]]] = {}
    for row in rows:
        scope, _, matter = row["key"].partition(": ")
        kind, reason = matter, row["message"].removeprefix(f"{scope}: ")
        who = scope
        if reason.startswith(f"{matter}: "):  # a mailbox: what it is about is not the scope
            kind, who, reason = scope, matter, reason.removeprefix(f"{matter}: ")
        same = (row["level"], kind, INSTANT.sub("", reason), row["hint"])
        groups.setdefault(same, []).append((who, reason, row))
    for (_, kind, _, _), members in groups.items():
        names = [who for who, _, _ in members]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        of = f"{kind}: " if members[0][2]["key"].startswith(f"{kind}: ") else ""
        yield (
            of + ", ".join(names[:NAMED]) + more,
            max(reason for _, reason, _ in members),
            [row for *_, row in members],
        )


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def tell(store: Store, notifier: Notifier, etiquette: Etiquette, now: datetime) -> int:
    """Tell what is to be told, as one message; gives of how many alerts. What no channel took is tried again at the next call.

    The message leaves before the store knows: after a kill in between it is told twice rather than never.
    """
    with store.reading() as unit:
        wrong, over = untold(unit.alerts.listed(), etiquette, now)
    if not (wrong or over) or not notifier.tell(notice(wrong, over)):
        return 0
    with store.transaction() as unit:
        present = {row["key"]: row for row in unit.alerts.listed()}
        for column, rows in (("told_at", wrong), ("recovery_told_at", over)):
            for row in rows:
                # What has opened anew meanwhile has not been told.
                found = present.get(row["key"])
                if found is not None and found["opened_at"] == row["opened_at"]:
                    _set(unit, found, **{column: now})
    return len(wrong) + len(over)


@dataclass(slots=True)
class Watch:
    """Looks at health again and again, and tells what has changed.

    Attributes:
        heartbeat: Called after each look by which nothing has failed, so that somebody elsewhere misses us when we are gone.
        away_since: When the database was first missed; kept here, because nothing can be written down then.
    """

    store: Store
    notifier: Notifier
    etiquette: Etiquette
    heartbeat: Callable[[], None] = lambda: None
    away_since: datetime | None = None
    away_told: datetime | None = None
    _telling: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)
    """A look and the heart of a worker may both find the database gone; people are told once."""

    def look(self, now: datetime, free_bytes: int | None = None, patience: timedelta = PATIENCE) -> dict[str, int]:
        """One look; gives how many findings there are and of how many alerts people were told.

        One process at a time is enough; several would tell the same more than once.

        Args:
            patience: How long the database may be away before that is told; none for a look that no other follows.
        """
        try:
            advance(self.store, now)
            found = health(self.store, now, free_bytes)
            with self.store.transaction() as unit:
                settle(unit, found.findings, now)
            told = tell(self.store, self.notifier, self.etiquette, now)
        except StoreUnavailable as error:
            return {"findings": 1, "told": self.away(error, now, patience)}
        told += self.back(now)
        if found.level != "failed":
            self.heartbeat()
        return {"findings": len(found.findings), "told": told}

    def away(self, error: StoreUnavailable, now: datetime, patience: timedelta = PATIENCE) -> int:
        """The database cannot be used: the one trouble that it cannot keep. Gives 1 if people were told."""
        with self._telling:
            self.away_since = self.away_since or now
            log.warning("health.store_unavailable", error=error.message, since=self.away_since.isoformat())
            recent = self.away_told is not None and now - self.away_told < self.etiquette.repeat
            if now - self.away_since < patience or recent or not self.etiquette.allows("failed", now):
                return 0
            body = (
                f"FAILED  {error.message}\n    since {_at(self.away_since)}\n    -> {error.hint or 'touchline doctor'}"
            )
            if not self.notifier.tell(Notice("Touchline failed: database", body, "failed")):
                return 0
            self.away_told = now
            return 1

    def back(self, now: datetime) -> int:
        """The database can be used: whoever was told that it is away is told so. Gives 1 if people were."""
        with self._telling:
            if self.away_since is None:
                return 0
            body = f"OVER  The database can be used again.\n    from {_at(self.away_since)} to {_at(now)}"
            over = Notice("Touchline over: database", body, "healthy")
            told = self.away_told is not None and self.notifier.tell(over)
            self.away_since = self.away_told = None
            return int(told)
