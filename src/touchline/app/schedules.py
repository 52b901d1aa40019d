"""Schedules: which job starts by itself when, and the tick that opens a run for each time that has come, once."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from touchline.app.caps import DAY, cap_of
from touchline.app.claims import STALE, STOPPED
from touchline.app.ports import Row, Store, StoredCampaign, Unit
from touchline.model import timing
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.model.faults import meant
from touchline.model.timing import Daily, Due, Every, Slot, Timing
from touchline.stages import STAGES, reaches

log = structlog.get_logger(__name__)

NAME = re.compile(r"[a-z0-9][a-z0-9.:_-]{0,63}")
PRIORITIES = range(1, 101)
AT_ONCE = 100
"""So many windows are opened in one transaction, at the utmost."""


def _always(unit: Unit, schedule: Row, now: datetime) -> bool:
    del unit, schedule, now
    return True


def _may_send(unit: Unit, schedule: Row, now: datetime) -> bool:
    """Whether nothing is stopped and a touch is due in a mailbox that is working and below its cap.

    Also where a sender died over a touch: the run that comes settles it, and a person hears of what may have left.
    """
    if unit.touches.forsaken(schedule["campaign_id"], now - STALE):
        return True
    if unit.controls.get(STOPPED) is not None:
        return False
    mailboxes = {one.address: one for one in unit.campaigns.by_id(schedule["campaign_id"]).campaign.mailboxes}
    # Each question is asked once for all mailboxes: there may be a thousand, and every other writer waits meanwhile.
    due = unit.touches.due_in(schedule["campaign_id"], mailboxes, now)
    if not due:
        return False
    resting = {row["address"] for row in unit.gauges.failing(now)}
    used = unit.touches.used_by(due, now - DAY)
    return any(
        used.get(address, 0) < mailboxes[address].daily_cap  # asked first, since it needs no look at the store
        and used.get(address, 0) < cap_of(unit, mailboxes[address], now)
        for address in due
        if address not in resting
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What a schedule can start.

    Attributes:
        queue: Where its runs wait for a worker.
        timing: When it starts if nobody says otherwise; its kind is the only one that the job takes.
        per_campaign: Each campaign has its own schedule, in the campaign's zone; else there is one for the workspace.
        until: Last stage of its runs if nobody says otherwise; None where a run has no stages to choose from.
        has_work: Asked when its time has come: False passes this time over without a run.
        priority: Of its runs in their queue if nobody says otherwise; the lowest number goes first.
    """

    queue: str
    timing: Timing
    per_campaign: bool = False
    until: str | None = None
    has_work: Callable[[Unit, Row, datetime], bool] = _always
    priority: int = 10


JOBS: Mapping[str, Job] = {
    "daily": Job("batch", Daily(), per_campaign=True, until="nurture"),
    "send": Job("send", Every(every=60), per_campaign=True, has_work=_may_send),
    "retention": Job("batch", Daily(opens="01:00", closes="02:00")),
    "health": Job("health", Every(every=60)),
}
"""Every job that can be scheduled. A new one needs its entry here and its work where workers look it up."""


def queue_of(job: str) -> str:
    """Where runs of a job wait; what no schedule starts waits with the batches."""
    return JOBS[job].queue if job in JOBS else "batch"


def timing_of(schedule: Row) -> Timing:
    """When a schedule starts its job."""
    return timing.parse(type(JOBS[schedule["job"]].timing), schedule["timing"], schedule["name"])


def due(schedule: Row, now: datetime) -> Due | None:
    """The slot of a schedule that is to run now, or None; whether the schedule is active is another question."""
    return timing.due(timing_of(schedule), schedule["last_slot"], schedule["created_at"], now)


def upcoming(schedule: Row, now: datetime) -> Slot | None:
    """The next slot to open after now; None where the newest one is ahead."""
    return timing.upcoming(timing_of(schedule), schedule["last_slot"], now)


def is_ahead(schedule: Row, now: datetime) -> bool:
    """Whether a clock that ran ahead has left a slot to come as the newest: nothing starts before, unless it is resumed."""
    return timing.is_ahead(timing_of(schedule), schedule["last_slot"], now)


def ensure(store: Store, now: datetime) -> list[str]:
    """Add the schedules that are missing; those that are there stay as they are. Gives the names of the new ones."""
    with store.reading() as unit:
        missing = _missing(unit, unit.campaigns.names())
    if missing:
        with store.transaction() as unit:
            _add_all(unit, missing, now)
    return list(missing)


def equip(unit: Unit, campaign: str, now: datetime) -> None:
    """The same for the workspace and one campaign: without schedules nothing could tell that no worker is there."""
    _add_all(unit, _missing(unit, [campaign]), now)


def _missing(unit: Unit, campaigns: Collection[str]) -> dict[str, tuple[str, str | None]]:
    """Job and campaign of each schedule that the workspace and these campaigns should have and have not, by its name."""
    wanted = {
        f"{name}:{campaign}" if campaign else name: (name, campaign)
        for name, job in JOBS.items()
        for campaign in (campaigns if job.per_campaign else [None])
    }
    present = unit.schedules.known(list(wanted))
    return {name: of for name, of in wanted.items() if name not in present}


def _add_all(unit: Unit, missing: Mapping[str, tuple[str, str | None]], now: datetime) -> None:
    for name, (job, campaign) in missing.items():
        _add(unit, name, job, campaign, now)


def _add(unit: Unit, name: str, job: str, campaign: str | None, now: datetime) -> None:
    given, stored = JOBS[job].timing, unit.campaigns.get(campaign) if campaign else None
    if stored and isinstance(given, Daily):
        given = given.model_copy(update={"zone": stored.campaign.timezone})
    unit.schedules.add(name, job, stored.id if stored else None, timing.document_of(given), now, JOBS[job].priority)


def add(
    store: Store,
    name: str,
    job: str,
    campaign: str | None,
    document: Mapping[str, Any],
    now: datetime,
    priority: int | None = None,
) -> Row:
    """Add a schedule beside those that every campaign has: stages at times of their own; gives it as `listed` does.

    Two schedules of the same job and campaign share its work: what one of them has under way, the other waits for.

    Args:
        name: What people call it.
        job: What it starts, one of `JOBS`.
        campaign: Where the job belongs to campaigns, whose.
        document: What differs from the job's own timing.
        priority: Of its runs; the lowest number goes first. None: the job's own.

    Raises:
        NotFound: No such campaign.
        InvalidInput: The name, the job or the timing cannot be used.
        Refused: The name is taken.
    """
    if job not in JOBS:
        raise InvalidInput(f"{job!r} is no job{meant(job, JOBS) or '.'}", hint=f"Jobs: {', '.join(JOBS)}.")
    if name.partition(":")[0] in JOBS:
        raise InvalidInput(
            f"{name[:80]!r} is a name that a schedule of every campaign has, or will have.",
            hint="Choose one that begins with another word.",
        )
    if NAME.fullmatch(name) is None:
        raise InvalidInput(
            f"{name[:80]!r} is no name for a schedule.",
            hint="1 to 64 small letters, digits, dots, colons, dashes and underscores, beginning with a letter or digit.",
        )
    if JOBS[job].per_campaign and campaign is None:
        raise InvalidInput(f"{job} belongs to a campaign.", hint="Say which: --campaign NAME")
    if campaign is not None and not JOBS[job].per_campaign:
        raise InvalidInput(f"{job} belongs to no campaign.", hint="Leave --campaign out.")
    with store.transaction() as unit:
        if any(row["name"] == name for row in unit.schedules.listed()):
            raise Refused(f"There is a schedule {name!r}.", hint=f"Change it: touchline schedule set {name}")
        _add(unit, name, job, campaign, now)
        row = _found(unit, name)
        _change(unit, row, dict(document), now, priority)
        return _shown(_found(unit, name), now)


def remove(store: Store, name: str) -> None:
    """Remove a schedule that somebody added; its runs stay.

    Raises:
        NotFound: No such schedule.
        Refused: Every campaign, or every workspace, has this one.
    """
    with store.transaction() as unit:
        row = _found(unit, name)
        if name == (f"{row['job']}:{row['campaign']}" if row["campaign"] else row["job"]):
            raise Refused(f"{name} comes back by itself.", hint=f"Pause it: touchline schedule pause {name}")
        unit.schedules.remove(row["id"])


def begin(store: Store, now: datetime) -> None:
    """Let every schedule begin now where none has started anything: before there was a first worker no night was missed."""
    with store.transaction() as unit:
        rows = unit.schedules.listed()
        if all(row["last_slot"] is None for row in rows):
            for row in rows:
                _begin_anew(unit, row, timing_of(row), now, since=now)


def start_due(store: Store, now: datetime, *, worker: str | None = None) -> list[Row]:
    """Open a queued run for every slot that has come due; gives those runs. Any number of workers may do so at once.

    Slots of an interval pass by while a run of the same job is open; a window's slot waits until that run has ended.
    What comes due while its campaign is not active is passed over, once its window has closed.
    """
    with store.reading() as unit:
        rows = [row for row in unit.schedules.listed() if row["state"] == "active"]
        ahead = [row for row in rows if isinstance(timing_of(row), Every) and is_ahead(row, now)]
        candidates, idle = _looked_at(unit, rows, now)
    if ahead:
        _go_on(store, ahead, now)
        return start_due(store, now, worker=worker)
    if idle:
        with store.transaction() as unit:
            for passed, keys in idle.items():
                unit.schedules.pass_by(keys, passed, now)
    opened = []
    for some in _together(candidates):
        with store.transaction() as unit:
            runs = [run for row, slot in some if (run := _start(unit, row, slot, now)) is not None]
        for run in runs:
            late = bool(run["late"])
            log.info("schedule.opened", run=run["id"], schedule=run["schedule"], slot=run["slot"], late=late, by=worker)
        opened += runs
    return opened


def _together(candidates: list[tuple[Row, Due]]) -> Iterator[list[tuple[Row, Due]]]:
    """What is started in one transaction: windows, of which thousands may open at the same minute, a hundred at a time."""
    # All who start several take their locks in this order, so no two wait for each other. Intervals go one by one: a
    # worker that lets them pass by writes many of their rows in an order of its own.
    windows = [one for one in candidates if one[1].stop_at is not None]
    windows.sort(key=lambda one: (one[0]["job"], one[0]["campaign_id"] or 0, one[0]["name"]))
    yield from (windows[first : first + AT_ONCE] for first in range(0, len(windows), AT_ONCE))
    yield from ([one] for one in candidates if one[1].stop_at is None)


def _looked_at(unit: Unit, rows: list[Row], now: datetime) -> tuple[list[tuple[Row, Due]], dict[str, list[int]]]:
    """Schedules with the slot that they may start now, and those whose interval passes by without a run, by slot.

    Most looks find nothing to start: they shall cost a transaction for all schedules, not one for each, or none at all.
    """
    due_now = [(row, slot) for row in rows if (slot := due(row, now)) is not None]
    open_ = {_kind(run) for run in unit.runs.unfinished()} if due_now else set()
    candidates, idle = list[tuple[Row, Due]](), dict[str, list[int]]()
    for row, slot in due_now:
        busy = _kind(row) in open_
        if _waits(row, slot, busy=busy):
            continue
        # Unlike a night, an interval that is passed by although its campaign has just become ready soon comes again.
        if slot.stop_at is None and (busy or not _is_on(row) or not JOBS[row["job"]].has_work(unit, row, now)):
            idle.setdefault(slot.slot, []).append(row["id"])
        else:
            candidates.append((row, slot))
    return candidates, idle


def _go_on(store: Store, ahead: list[Row], now: datetime) -> None:
    """Let intervals go on that a clock which ran ahead has left waiting: unlike a night's run they repeat nothing."""
    for row in ahead:
        with store.transaction() as unit:
            _begin_anew(unit, row, timing_of(row), now, since=now)
        log.warning("schedule.anew", schedule=row["name"], last_slot=row["last_slot"])


def _kind(row: Row) -> tuple[str, int | None]:
    """What must not run twice at once, of a schedule or a run."""
    return row["job"], row["campaign_id"]


def _is_on(schedule: Row) -> bool:
    return schedule["campaign_id"] is None or schedule["campaign_state"] == "active"


def _waits(schedule: Row, slot: Due, *, busy: bool) -> bool:
    """Whether the slot stays for a later look."""
    return busy and slot.stop_at is not None if _is_on(schedule) else not slot.late


def _start(unit: Unit, schedule: Row, slot: Due, now: datetime) -> Row | None:
    busy = _busy(unit, schedule) is not None
    if _waits(schedule, slot, busy=busy) or not unit.schedules.take(schedule["id"], slot.slot, now):
        return None
    if busy or not _is_on(schedule) or not JOBS[schedule["job"]].has_work(unit, schedule, now):
        return None
    return _open(unit, schedule, now, slot=slot.slot, stop_at=slot.stop_at, late=int(slot.late))


def _busy(unit: Unit, schedule: Row) -> Row | None:
    """The open run of the same job, if there is one; no other process opens one before this transaction ends."""
    # A lock of the schedule's own row would not do: another schedule, or a person, may start the same job.
    unit.runs.hold(*_kind(schedule))
    runs = unit.runs.unfinished(schedule["campaign_id"])
    return next((run for run in runs if _kind(run) == _kind(schedule)), None)


def _open(unit: Unit, schedule: Row, now: datetime, **values: Any) -> Row | None:
    key = schedule["campaign_id"]
    version = unit.campaigns.by_id(key).version if key is not None else None
    until = timing_of(schedule).until or JOBS[schedule["job"]].until
    values |= {"campaign_id": key, "campaign_version": version, "schedule_id": schedule["id"], "until": until}
    values |= {"first": timing_of(schedule).first, "priority": schedule["priority"]}
    run = unit.runs.open(schedule["job"], now, **values)
    return unit.runs.get(run) if run is not None else None


def listed(store: Store, now: datetime) -> list[Row]:
    """Every schedule by name, with `when` in words, `due` (a slot that waits to be started), `next_at` (UTC) and `ahead`."""
    with store.reading() as unit:
        return shown(unit, now)


def shown(unit: Unit, now: datetime) -> list[Row]:
    """The same inside a transaction."""
    return [_shown(row, now) for row in unit.schedules.listed()]


def _shown(schedule: Row, now: datetime) -> Row:
    runs = schedule["state"] == "active" and _is_on(schedule)
    waiting, following = (due(schedule, now), upcoming(schedule, now)) if runs else (None, None)
    return schedule | {
        "when": str(timing_of(schedule)),
        "zone": timing_of(schedule).zone,
        "queue": JOBS[schedule["job"]].queue,
        "due": waiting.slot if waiting else None,
        "next_at": following.opens_at if following else None,
        "ahead": is_ahead(schedule, now),
    }


def move_zone(unit: Unit, campaign: StoredCampaign, zone: str, now: datetime) -> None:
    """Let schedules that follow the campaign's present zone follow its next one; a zone that somebody set stays."""
    for row in unit.schedules.listed():
        present = timing_of(row)
        if row["campaign_id"] != campaign.id or not isinstance(present, Daily):
            continue
        if present.zone == campaign.campaign.timezone:
            wanted = present.model_copy(update={"zone": zone})
            # A night that still waits for its run is made up for as it would have been; where none does, the night
            # that has just passed in the new zone must not run beside the one that ran in the old.
            _begin_anew(unit, row, wanted, now, since=present.since if due(row, now) else now)


def set_timing(store: Store, name: str, changes: Mapping[str, Any], now: datetime, priority: int | None = None) -> Row:
    """Change when a schedule starts its job, what is not named stays; gives the schedule as `listed` does.

    A window that is open now, or else the next one, is the first of the new timing; a date that has run stays run.

    Raises:
        NotFound: No such schedule.
        InvalidInput: The changes are none, or do not fit the job.
    """
    if not changes and priority is None:
        raise InvalidInput("Say what shall change.", hint="Such as: --opens 22:00 --closes 04:00")
    with store.transaction() as unit:
        _change(unit, _found(unit, name), changes, now, priority)
        return _shown(_found(unit, name), now)


def _change(unit: Unit, row: Row, changes: Mapping[str, Any], now: datetime, priority: int | None) -> None:
    name, present, job = row["name"], timing_of(row), JOBS[row["job"]]
    if priority is not None:
        if priority not in PRIORITIES:
            raise InvalidInput(f"{priority} is no priority.", hint="1 (goes first) to 100.")
        unit.schedules.set(row["id"], now, priority=priority)
    known = set(timing.document_of(job.timing)) | ({"first", "until"} if job.until else set())
    if foreign := sorted(set(changes) - known):
        raise InvalidInput(
            f"{name} has no {', '.join(foreign)}: it starts {present}.", hint=f"It has: {', '.join(sorted(known))}."
        )
    wanted = timing.parse(type(present), {**timing.document_of(present), **changes}, name)
    for stage in (wanted.first, wanted.until):
        if stage is not None and stage not in STAGES:
            raise InvalidInput(
                f"{stage!r} is no stage{meant(stage, STAGES) or '.'}", hint=f"Stages: {', '.join(STAGES)}."
            )
    last = wanted.until or job.until
    if wanted.first is not None and last is not None and not reaches(last, wanted.first):
        raise InvalidInput(
            f"{name} cannot begin with {wanted.first} and end with {last}.", hint=f"Stages: {', '.join(STAGES)}."
        )
    if wanted != present:
        _begin_anew(unit, row, wanted, now, since=now)


def pause(store: Store, name: str, now: datetime) -> str:
    """Let a schedule start nothing until it is resumed; gives the state it had.

    Raises:
        NotFound: No such schedule.
    """
    with store.transaction() as unit:
        row = _found(unit, name)
        unit.schedules.set(row["id"], now, state="paused")
        return str(row["state"])


def resume(store: Store, name: str, now: datetime) -> str:
    """Let a paused schedule start again; gives the state it had. What it would have started meanwhile is not made up for.

    A schedule that a clock which ran ahead has left behind a time to come starts by the present clock again.

    Raises:
        NotFound: No such schedule.
    """
    with store.transaction() as unit:
        row = _found(unit, name)
        if row["state"] == "paused" or is_ahead(row, now):
            _begin_anew(unit, row, timing_of(row), now, since=now, state="active")
        return str(row["state"])


def _begin_anew(
    unit: Unit, schedule: Row, wanted: Timing, now: datetime, *, since: datetime | None, **values: Any
) -> None:
    """Make this the timing from now on; windows that closed before `since` are not made up for."""
    if isinstance(wanted, Daily):
        wanted = wanted.model_copy(update={"since": since})
    if timing.is_ahead(wanted, schedule["last_slot"], now):
        # Runs keep the slots they were for, so none runs twice although this forgets the newest.
        values["last_slot"] = None
    unit.schedules.set(schedule["id"], now, timing=timing.document_of(wanted), **values)


def run_now(store: Store, name: str, now: datetime) -> Row:
    """Open a queued run at once, beside the schedule's own times; a window's next opening ends it. Gives the run.

    Raises:
        NotFound: No such schedule.
        Refused: A run of the job is open, or its campaign is not active.
    """
    with store.transaction() as unit:
        row = _found(unit, name)
        if not _is_on(row):
            raise Refused(
                f"{name} cannot run: campaign {row['campaign']!r} is not active but {row['campaign_state']}.",
                hint=f"touchline campaign start {row['campaign']}",
            )
        if (other := _busy(unit, row)) is not None:
            raise Refused(
                f"{name} is {other['state']} already, as run {other['id']}.",
                hint=f"See it with: touchline runs show {other['id']}",
            )
        stop_at = timing_of(row).following(now).opens_at if isinstance(timing_of(row), Daily) else None
        run = _open(unit, row, now, stop_at=stop_at)
        assert run is not None
        return run


def _found(unit: Unit, name: str) -> Row:
    rows = {row["name"]: row for row in unit.schedules.listed()}
    if name not in rows:
        raise NotFound(
            f"There is no schedule {name!r}{meant(name, rows) or '.'}", hint="See them with: touchline schedule list"
        )
    return rows[name]
