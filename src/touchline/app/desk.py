"""Today: how the outreach stands at one look, what went wrong, what waits for a person, and what is still to set up."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import polars as pl

from touchline.app import schedules
from touchline.app.claims import STOPPED
from touchline.app.mailboxes import MailboxUse, uses
from touchline.app.ports import Row, Store, Unit
from touchline.model.calendar import instant_of

MOST = 10_000
"""Counting for a page stops here: nobody reads further, and a store may hold a million."""

DAYS = 7
FAILURES = 50
"""Failed runs looked at."""

CHECKED = "checked:"
"""How the name of the control begins that says that a mailbox was tried by hand."""


class Desk(Protocol):
    """What the pages ask at every look."""

    def has_owner(self) -> bool:
        """Whether somebody owns this installation."""
        ...

    def outlines(self) -> list[Row]:
        """Every campaign with its body as plain values."""
        ...

    def versions(self, campaign_id: int) -> list[Row]:
        """Every version, the newest first."""
        ...

    def mailboxes(self) -> list[Row]:
        """Every mailbox that was ever known."""
        ...

    def last_sent(self, mailbox: str) -> datetime | None:
        """When a message left last."""
        ...

    def gone_at(self, mailbox: str, since: datetime, place: int) -> datetime | None:
        """When one of the messages left that count against the cap."""
        ...

    def happened(self, kinds: Collection[str], bounds: Sequence[datetime]) -> dict[tuple[str, int], int]:
        """Events by kind and span, counted from 0."""
        ...

    def failed_runs(self, since: datetime, most: int) -> list[Row]:
        """Failed runs, the newest first."""
        ...

    def is_mended(self, jobs: Collection[str], campaign_id: int | None, since: datetime) -> bool:
        """Whether a later run has succeeded."""
        ...

    def drafts(self, campaign_id: int | None, most: int) -> int:
        """How many touches wait for a yes."""
        ...

    def oldest_draft(self) -> datetime | None:
        """Since when the oldest one waits."""
        ...

    def drafts_due(self, campaign_id: int, most: int) -> datetime | None:
        """When the first of the oldest drafts is to leave."""
        ...

    def uncertain(self, most: int) -> int:
        """How many touches are of unknown fate."""
        ...

    def next_due(self, campaign_id: int, mailbox: str) -> datetime | None:
        """When a mailbox has something to send."""
        ...

    def coming(self, campaign_id: int, mailbox: str, bounds: Sequence[datetime], most: int) -> list[int]:
        """Planned touches by span."""
        ...

    def newest_touch(self) -> int:
        """The highest key of a touch."""
        ...

    def by_step(self, campaign_id: int, after: int, upto: int) -> list[Row]:
        """Touches by sequence, step and state, in a range of keys."""
        ...

    def replies(self, campaign_id: int) -> list[Row]:
        """Answers by the step before them."""
        ...

    def bounces(self, campaign_id: int) -> list[Row]:
        """What came back, by step."""
        ...

    def newest_prospect(self) -> int:
        """The highest key of a prospect."""
        ...

    def leads_of(self, campaign_id: int, names: Collection[str], after: int, upto: int, most: int) -> pl.DataFrame:
        """Columns of a campaign's leads, in a range of keys of prospects."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """A count that stopped at a bound where there are `more`."""

    value: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.value:,}+" if self.more else f"{self.value:,}"

    def __bool__(self) -> bool:
        return self.value > 0

    @classmethod
    def upto(cls, found: int, most: int = MOST) -> "Count":
        """Of a count that went one further than it is to tell."""
        return cls(min(found, most), found > most)


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that has failed, and not succeeded since."""

    run: Row
    """The newest of its runs that failed: `id`, `job`, `campaign`, `schedule`, `stage`, `error`, `queued_at`, `finished_at`."""
    times: int
    error: str
    hint: str
    href: str


@dataclass(frozen=True, slots=True)
class Approvals:
    """What waits for a yes."""

    waiting: Count
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day of the viewer's zone."""

    day: date
    sent: int
    replied: int
    bounced: int
    """Refused for good, or come back."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to set up."""

    key: str
    text: str
    done: bool
    href: str
    action: str


@dataclass(frozen=True, slots=True)
class Today:
    """Everything that the first page shows.

    Attributes:
        schedules: As `schedules.listed` gives them, with `last` (the newest run that ended) and `open` (one under way).
        mailboxes: Only those that something keeps from sending.
        alerts: What is wrong now: `key`, `level`, `message`, `hint`, `opened_at`, `seen_at`.
        days: A week, today last.
        stopped: Why everything is stopped, or None.
    """

    schedules: list[Row]
    failures: list[Failure]
    approvals: Approvals
    uncertain: Count
    mailboxes: list[MailboxUse]
    alerts: list[Row]
    days: list[Day]
    checklist: list[Item]
    stopped: str | None

    @property
    def is_set_up(self) -> bool:
        """Whether the checklist is done."""
        return all(item.done for item in self.checklist)


def today(store: Store, now: datetime, *, zone: str = "UTC", public_url: str = "", alerts: bool = False) -> Today:
    """How things stand.

    Args:
        zone: IANA zone whose days are counted.
        public_url: Of the settings: where opt-out links lead.
        alerts: Whether anybody is told of alerts.
    """
    with store.reading() as unit:
        used = uses(unit, now)
        return Today(
            schedules=_schedules(unit, now),
            failures=_failures(unit, now),
            approvals=Approvals(Count.upto(unit.desk.drafts(None, MOST + 1)), unit.desk.oldest_draft()),
            uncertain=Count.upto(unit.desk.uncertain(MOST + 1)),
            mailboxes=[mailbox for mailbox in used if mailbox.needs_a_look],
            alerts=unit.alerts.listed(state="open"),
            days=_days(unit, now, zone),
            checklist=_checklist(unit, used, public_url=public_url, alerts=alerts),
            stopped=unit.controls.get(STOPPED),
        )


def mailbox_checked(store: Store, address: str, now: datetime) -> None:
    """A person has seen that a mailbox takes mail."""
    with store.transaction() as unit:
        unit.controls.put(f"{CHECKED}{address}", now.isoformat(), now)


def _schedules(unit: Unit, now: datetime) -> list[Row]:
    unfinished: dict[int, Row] = {}
    for run in unit.runs.unfinished():
        unfinished.setdefault(run["schedule_id"], run)
    return [
        row | {"last": next(iter(unit.gauges.ended(row["id"], 1)), None), "open": unfinished.get(row["id"])}
        for row in schedules.shown(unit, now)
    ]


def _failures(unit: Unit, now: datetime) -> list[Failure]:
    """The newest failure of each job and campaign, where nothing has mended it."""
    found: dict[tuple[str, int | None], list[Row]] = {}
    for run in unit.desk.failed_runs(now - timedelta(days=DAYS), FAILURES):
        found.setdefault((_job(run), run["campaign_id"]), []).append(run)
    return [
        Failure(
            run=runs[0],
            times=len(runs),
            error=runs[0]["error"] or "no error was written down",
            hint="See what its batches say, correct that, and retry it. What it had done is kept.",
            href=f"/runs/{runs[0]['id']}",
        )
        for (job, campaign_id), runs in found.items()
        if not unit.desk.is_mended(_same(job), campaign_id, runs[0]["queued_at"])
    ]


def _job(run: Row) -> str:
    """A run by hand does a daily run's work."""
    return "daily" if run["job"] == "run" else str(run["job"])


def _same(job: str) -> tuple[str, ...]:
    return ("daily", "run") if job == "daily" else (job,)


def day_bounds(zone: str, first: date, days: int) -> list[datetime]:
    """The midnights of some days of a zone and the one after them, as UTC instants."""
    local = ZoneInfo(zone)
    return [instant_of(datetime.combine(first + timedelta(days=place), time(), local)) for place in range(days + 1)]


def _days(unit: Unit, now: datetime, zone: str) -> list[Day]:
    first = now.astimezone(ZoneInfo(zone)).date() - timedelta(days=DAYS - 1)
    found = unit.desk.happened(("sent", "replied", "failed", "bounced"), day_bounds(zone, first, DAYS))
    return [
        Day(
            first + timedelta(days=place),
            sent=found.get(("sent", place), 0),
            replied=found.get(("replied", place), 0),
            bounced=found.get(("failed", place), 0) + found.get(("bounced", place), 0),
        )
        for place in range(DAYS)
    ]


def _checklist(unit: Unit, used: list[MailboxUse], *, public_url: str, alerts: bool) -> list[Item]:
    outlines = unit.desk.outlines()
    works = [
        one for one in used if one.state == "ready" and (one.last_sent or unit.controls.get(CHECKED + one.address))
    ]
    return [
        Item("database", "The database is set up", True, "/settings", "See where it is"),
        Item("owner", "Somebody owns this installation", unit.desk.has_owner(), "/settings/users", "Add an owner"),
        Item("campaign", "There is a campaign", bool(outlines), "/campaigns", "Add a campaign"),
        Item("leads", "Leads are here", unit.gauges.newest_lead() > 0, "/import", "Import leads"),
        Item("mailbox", "A mailbox takes mail", bool(works), "/mailboxes", "Check a mailbox"),
        Item(
            "message",
            "A first message may leave",
            _has_said_yes(unit, outlines, used),
            "/approvals",
            "Read and approve",
        ),
        Item("opt_out", "Mails carry an opt-out link", bool(public_url), "/settings", "Set public_url"),
        Item("alerts", "Somebody is told when something breaks", alerts, "/settings", "Set an alert channel"),
    ]


def _has_said_yes(unit: Unit, outlines: list[dict[str, Any]], used: list[MailboxUse]) -> bool:
    """Whether some campaign needs no yes, or a person has given one: only that plans a touch in review mode."""
    if any(outline["body"].get("mode") == "automatic" for outline in outlines):
        return True
    planned = any(unit.touches.next_due(outline["id"]) is not None for outline in outlines)
    return planned or any(one.last_sent for one in used)
