"""Health: healthy, degraded or failed, for each schedule and as a whole, with the reason and what to do."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from touchline.app.doctor import LOW_DISK, NO_DISK
from touchline.app.history import tally
from touchline.app.ports import Row, Store, Unit
from touchline.app.schedules import due, is_ahead, queue_of, timing_of, upcoming
from touchline.model.timing import Daily

Level = Literal["healthy", "degraded", "failed"]
LEVELS: tuple[Level, ...] = ("healthy", "degraded", "failed")
"""From good to bad; the number of a level in metrics is its place."""

LAST_RUNS = 10
"""Of so many runs of a schedule, half at least have to succeed."""
IN_A_ROW = 3
"""So many failures one after the other are a failure of the whole."""
LATE = timedelta(minutes=10)
"""So long may a run wait for its worker, and an opening for its run."""
MISSED = timedelta(days=1)
"""An opening that nobody has looked at for so long is missed: the dead man's switch."""
SILENT = timedelta(seconds=60)
"""A worker that has not been heard of for so long is taken for dead."""
ASIDE = 1000
"""So many batches that were set aside are looked at, the newest first."""
LONGEST = 200
"""So many characters of an error are told."""
FOREIGN = re.compile(r"\b[A-Z]\w*(Error|Exception)\b: ")
"""An error that is none of our own sentences; it may quote whatever it met."""
QUOTED = re.compile(r"(?<!\w)(['\"`]).+?\1(?!\w)")
RETRIED = timedelta(hours=1)
"""A mailbox in error that nobody has tried again for so long after its time has nothing to send."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        key: Stays the same as long as it is the same trouble.
        scope: The schedule, or what else it is about.
        hint: What to do next.
    """

    key: str
    scope: str
    level: Level
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Health:
    """What was found.

    Attributes:
        scopes: Level of each schedule that is active, and of everything else that was looked at.
    """

    scopes: dict[str, Level]
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst of all."""
        return worst(self.scopes.values())


@dataclass(frozen=True, slots=True)
class Signs:
    """What health is judged by.

    Attributes:
        schedules: Schedules that start something, with `since`: what opened before has been looked at.
        ended: The newest runs of each schedule that have come to an end of their own, by its key, the newest first.
        unfinished: Runs that are queued or running.
        aside: Batches that were set aside and wait to be tried again, of runs that have ended.
        workers: Workers with their last sign of life.
        failing: Mailboxes in error.
        uncertain: Touches of unknown fate.
        breaches: Touch and time of what left although its recipient was suppressed.
        free_bytes: What is left of the disk, if it was looked at.
    """

    schedules: list[Row] = field(default_factory=list)
    ended: dict[int, list[Row]] = field(default_factory=dict)
    unfinished: list[Row] = field(default_factory=list)
    aside: list[Row] = field(default_factory=list)
    workers: list[Row] = field(default_factory=list)
    failing: list[Row] = field(default_factory=list)
    uncertain: int = 0
    breaches: list[tuple[int, str]] = field(default_factory=list)
    free_bytes: int | None = None


def worst(levels: Iterable[Level]) -> Level:
    """The worst of levels; healthy where there are none."""
    return max(levels, key=LEVELS.index, default="healthy")


def health(store: Store, now: datetime, free_bytes: int | None = None) -> Health:
    """How things stand, by one look at the store."""
    with store.reading() as unit:
        seen = signs(unit, now, tally(unit, now).breaches, free_bytes)
    return judge(seen, now)


def signs(unit: Unit, now: datetime, breaches: list[tuple[int, str]], free_bytes: int | None = None) -> Signs:
    """Read what health is judged by."""
    changed = unit.gauges.campaign_changes()
    schedules = [
        # Whoever takes a slot touches its schedule; a campaign that begins to run again starts with the next slot.
        row | {"since": max(row["updated_at"], changed.get(row["campaign_id"], row["updated_at"]))}
        for row in unit.schedules.listed()
        if row["state"] == "active" and row["campaign_state"] in (None, "active")
    ]
    return Signs(
        schedules=schedules,
        # Runs of a clock that was ahead would stay the newest until that time comes.
        ended={
            row["id"]: [run for run in unit.gauges.ended(row["id"], LAST_RUNS) if run["queued_at"] <= now]
            for row in schedules
        },
        unfinished=unit.runs.unfinished(),
        aside=unit.gauges.aside(ASIDE),
        workers=unit.workers.listed(),
        failing=unit.gauges.failing(now - RETRIED),
        uncertain=unit.gauges.uncertain(),
        breaches=breaches,
        free_bytes=free_bytes,
    )


def judge(seen: Signs, now: datetime) -> Health:
    """Judge what was read."""
    found = [finding for row in seen.schedules for finding in (*_runs(seen, row), *_time(seen, row, now))]
    found += [
        *_aside(seen),
        *_queue(seen, now),
        *_workers(seen, now),
        *_mailboxes(seen),
        *_touches(seen),
        *_suppression(seen),
    ]
    found += [*_disk(seen)]
    scopes = [row["name"] for row in seen.schedules] + ["workers", "mailboxes", "touches", "suppression", "disk"]
    scopes += sorted({finding.scope for finding in found} - set(scopes))
    levels = {scope: worst(finding.level for finding in found if finding.scope == scope) for scope in scopes}
    return Health(levels, tuple(sorted(found, key=lambda one: (-LEVELS.index(one.level), one.key))))


def _runs(seen: Signs, row: Row) -> Iterator[Finding]:
    """Whether what the schedule started has succeeded."""
    runs = seen.ended.get(row["id"], [])
    failed = [run for run in runs if run["state"] == "failed"]
    if not failed:
        return
    said, look = _said(failed[0]["error"]), f"touchline runs show {failed[0]['id']}"
    if [run["state"] for run in runs[:IN_A_ROW]] == ["failed"] * IN_A_ROW:
        yield _finding(row["name"], "runs", "failed", f"the last {IN_A_ROW} runs failed: {said}", look)
    elif 2 * len(failed) > len(runs) > 1:
        reason = f"{len(runs) - len(failed)} of the last {len(runs)} runs succeeded; the last failure: {said}"
        yield _finding(row["name"], "runs", "degraded", reason, look)
    elif runs[0]["state"] == "failed" and (len(runs) == 1 or isinstance(timing_of(row), Daily)):
        # The next run of an interval comes within minutes, that of a window within a day: people may mend it before.
        reason = f"its last run failed: {said}"
        yield _finding(row["name"], "runs", "degraded", reason, look)


def _time(seen: Signs, row: Row, now: datetime) -> Iterator[Finding]:
    """Whether the schedule is on time."""
    if is_ahead(row, now):
        reason = (
            f"stands still until {_resumes(row):%Y-%m-%d %H:%M} UTC because its last slot lies in the future; "
            "the clock was ahead"
        )
        yield _finding(row["name"], "time", "failed", reason, f"touchline schedule resume {row['name']}")
        return
    mine = [run for run in seen.unfinished if run["schedule_id"] == row["id"]]
    waited = waiting(row, now)
    if waited > LATE:
        level: Level = "failed" if waited > MISSED else "degraded"
        reason = f"nothing has been started since it opened at {now - waited:%Y-%m-%d %H:%M} UTC"
        if mine:
            reason += f"; run {mine[0]['id']} from before is still {mine[0]['state']}"
        yield _finding(row["name"], "time", level, reason, "touchline serve")
        return
    newest = max((*mine, *seen.ended.get(row["id"], [])[:1]), key=lambda run: run["queued_at"], default=None)
    if newest is not None and newest["late"]:
        look = f"touchline runs show {newest['id']}"
        yield _finding(row["name"], "time", "degraded", "its last run began after its window", look)


def _resumes(schedule: Row) -> datetime:
    """The first opening behind the newest slot, which lies in the future."""
    timing, slot = timing_of(schedule), schedule["last_slot"]
    if isinstance(timing, Daily):
        # Days on which the window does not open have no slot to ask for.
        newest = datetime.combine(datetime.fromisoformat(slot), time.max, ZoneInfo(timing.zone))
    else:
        newest = datetime.fromisoformat(slot)
    return timing.following(newest).opens_at


def waiting(schedule: Row, now: datetime) -> timedelta:
    """How long a schedule has been waiting for somebody to look at a time that has come."""
    slot = due(schedule, now)
    if slot is None:
        return timedelta(0)
    since: datetime = schedule["since"]
    opening, first = max(slot.opens_at, since), upcoming(schedule, since)
    # The newest slot is the one to start, but the wait began with the first that nobody looked at.
    return now - (min(opening, first.opens_at) if first is not None else opening)


def _aside(seen: Signs) -> Iterator[Finding]:
    """Whether something that was left out waits for a person."""
    newest = {runs[0]["id"] for runs in seen.ended.values() if runs}
    waiting: dict[int, list[Row]] = {}
    for batch in seen.aside:
        # The next run judges whom this one passed over; nobody but a person brings rows of a file back.
        if batch["stage"] != "judge" or batch["run_id"] in newest:
            waiting.setdefault(batch["run_id"], []).append(batch)
    for run, batches in waiting.items():
        rows = sum(_rows(batch) for batch in batches)
        one = len(batches) == 1
        reason = (
            f"{_many(len(batches), 'batch', 'batches')} of run {run} ({_many(rows, 'row')}) "
            f"{'was' if one else 'were'} set aside and {'waits' if one else 'wait'}: {_said(batches[0]['error'])}"
        )
        scope = batches[0]["schedule"] or batches[0]["job"]
        yield _finding(scope, f"run {run}", "degraded", reason, f"touchline runs retry {run}, or runs dismiss {run}")


def _rows(batch: Row) -> int:
    place, counts = batch["place"], batch["counts"]
    return int(place.get("rows") or place.get("prospects") or counts.get("set_aside", 0))


def _queue(seen: Signs, now: datetime) -> Iterator[Finding]:
    oldest: dict[str, Row] = {}
    for run in seen.unfinished:
        if run["state"] == "queued" and now - run["queued_at"] > LATE:
            oldest.setdefault(run["schedule"] or run["job"], run)
    for scope, run in oldest.items():
        queue = queue_of(run["job"])
        reason = f"run {run['id']} waits for a worker of the queue {queue} since {run['queued_at']:%Y-%m-%d %H:%M} UTC"
        look = f"touchline runs list; more workers: touchline worker --queues {queue}"
        yield _finding(scope, "queue", "degraded", reason, look)


def _workers(seen: Signs, now: datetime) -> Iterator[Finding]:
    if not seen.schedules:
        return
    alive = [worker for worker in seen.workers if now - worker["beat_at"] <= SILENT]
    if alive:
        heard = {queue for worker in alive for queue in worker["queues"].split(",")}
        for queue in sorted({queue_of(row["job"]) for row in seen.schedules} - heard):
            reason = f"no worker listens to the queue {queue}, in which runs of active schedules wait"
            yield _finding("workers", queue, "failed", reason, f"touchline worker --queues {queue}")
        return
    last = max((worker["beat_at"] for worker in seen.workers), default=None)
    said = f"; the last one was heard of at {last:%Y-%m-%d %H:%M} UTC" if last else ""
    active = f"{_many(len(seen.schedules), 'schedule')} {'is' if len(seen.schedules) == 1 else 'are'} active"
    reason = f"{active} and no worker is there{said}"
    yield _finding("workers", "alive", "failed", reason, "touchline serve")


def _mailboxes(seen: Signs) -> Iterator[Finding]:
    for row in seen.failing:
        reason = f"{row['address']}: {_said(row['error'])}; it rests until {row['retry_at']:%Y-%m-%d %H:%M} UTC"
        yield _finding("mailboxes", row["address"], "degraded", reason, "touchline doctor")


def _touches(seen: Signs) -> Iterator[Finding]:
    if seen.uncertain:
        reason = f"{seen.uncertain} of unknown fate: the connection or the machine died while they were leaving"
        yield _finding("touches", "uncertain", "degraded", reason, "touchline outbox list --state uncertain")


def _suppression(seen: Signs) -> Iterator[Finding]:
    if seen.breaches:
        which = ", ".join(str(touch) for touch, _ in seen.breaches[:5])
        many = _many(len(seen.breaches), "message")
        reason = f"{many} left within a day to recipients who were suppressed: {which}"
        yield _finding("suppression", "breach", "failed", reason, "touchline stop --all; then look at these touches")


def _disk(seen: Signs) -> Iterator[Finding]:
    if seen.free_bytes is not None and seen.free_bytes < LOW_DISK:
        level: Level = "failed" if seen.free_bytes < NO_DISK else "degraded"
        yield _finding("disk", "space", level, f"{seen.free_bytes / 1e9:.1f} GB free", "Free some space.")


def _finding(scope: str, matter: str, level: Level, reason: str, hint: str) -> Finding:
    return Finding(f"{scope}: {matter}", scope, level, reason, hint)


def _many(number: int, one: str, several: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _said(error: str | None) -> str:
    """An error as an alert may carry it: one line, not long, and nobody's data, since it leaves this machine."""
    line = (error or "no error was written down").split("\n", 1)[0]
    if FOREIGN.search(line):
        line = QUOTED.sub("(value)", line)
    return _cut(re.sub(r"\S+@\S+", "(address)", line))


def _cut(line: str) -> str:
    """A line of `LONGEST` characters at most, cut behind a word."""
    if len(line) <= LONGEST:
        return line
    begun = line[: LONGEST - 1]
    whole = begun.rpartition(" ")[0]
    return (whole if 2 * len(whole) > LONGEST else begun).rstrip(" ,;:.") + "…"
