"""Runs: one by hand, the whole pipeline of a campaign as far as asked; and the history of all, to see, cancel and retry."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from touchline.app import bulk
from touchline.app.claims import Post
from touchline.app.imports import import_source
from touchline.app.judging import judge_pending
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, Source, Store, StoredCampaign, Unit
from touchline.app.sending import may_send, send_due
from touchline.model.errors import InvalidInput, NotFound, Refused, SourceUnavailable, TouchlineError
from touchline.stages import STAGES, reaches

log = structlog.get_logger(__name__)

OPEN = ("queued", "running")
BY_HAND = "run"
"""The job of a run that a person's own process does."""
DAILY = "daily"
"""The job that goes through the stages of a campaign."""
LONGEST = timedelta(days=1)
"""A run by hand that is still under way after this was killed on another host, or its process's number is somebody else's now."""
ENDED = ("done", "unfinished", "failed", "cancelled")


@dataclass(slots=True)
class RunResult:
    """What a run did, stage by stage."""

    run_id: int
    campaign: str
    version: int
    until: str
    imports: list[dict[str, Any]] = field(default_factory=list)
    judged: int = 0
    sending: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run(
    outside: Outside,
    name: str,
    *,
    until: str,
    limit: int | None,
    sources: Callable[[StoredCampaign], Iterable[Source]],
    post: Callable[[StoredCampaign], Post],
    process: str | None = None,
) -> RunResult:
    """Harvest new files of the campaign's sources, judge what has work to do, and send what is due.

    Args:
        until: Last stage to run.
        limit: At most so many rows harvested, prospects judged and messages sent.
        sources: Opens the campaign's sources.
        post: Prepares sending.
        process: Who works on it, by which `bury` knows that nobody does any more.

    Raises:
        TouchlineError: The run failed; what was done is kept, and the next run goes on from there.
    """
    with outside.store.transaction() as unit:
        stored = unit.campaigns.get(name)
        now = outside.clock.now()
        begun = {"campaign_id": stored.id, "campaign_version": stored.version, "until": until}
        run_id = unit.runs.open(BY_HAND, now, **begun, state="running", started_at=now, worker=process)
        assert run_id is not None
    result = RunResult(run_id, name, stored.version, until)
    logged = log.bind(run=run_id, campaign=name)
    logged.info("run.started", until=until, version=stored.version)
    try:
        _stages(outside, stored, result, limit, sources, post)
    except BaseException as error:
        _finish(outside, result, "failed", str(error) or type(error).__name__)
        logged.error("run.failed", error=str(error))
        raise
    _finish(outside, result, "done", None)
    logged.info("run.done", judged=result.judged, sending=result.sending)
    return result


def _stages(
    outside: Outside,
    stored: StoredCampaign,
    result: RunResult,
    limit: int | None,
    sources: Callable[[StoredCampaign], Iterable[Source]],
    post: Callable[[StoredCampaign], Post],
) -> None:
    name, until, faults = result.campaign, result.until, list[TouchlineError]()
    for source in sources(stored):
        # Leads of a source run on to `nurture` in memory and are written once; sending reads the ledger.
        upto = "nurture" if reaches(until, "send") else until
        try:
            imported = import_source(outside, source, name, until=upto, limit=limit, skip_known=True)
        except (InvalidInput, SourceUnavailable) as error:
            # One bad file keeps nobody else waiting; the run has failed all the same.
            faults.append(error)
            continue
        if not imported.already:
            result.imports.append(asdict(imported))
    if reaches(until, "score"):
        result.judged = judge_pending(outside, stored, "nurture" if reaches(until, "send") else until, limit)
    if reaches(until, "send"):
        may_send(stored)
        sender = post(stored)
        result.sending = dict(sorted(send_due(sender, stored, limit).items()))
        result.notes = sorted(set(sender.notes))
    if faults:
        raise faults[0]


def _finish(outside: Outside, result: RunResult, state: str, error: str | None) -> None:
    counts = {"imports": result.imports, "judged": result.judged, "sending": result.sending}
    with outside.store.transaction() as unit:
        now = outside.clock.now()
        unit.runs.set(result.run_id, state=state, counts=counts, finished_at=now, error=error)


def bury(store: Store, has_died: Callable[[str], bool], now: datetime) -> int:
    """End runs by hand whose process was killed before it could say so; gives how many.

    Args:
        has_died: Whether a process that began one is known to be gone.
    """

    def dead(row: Row | None) -> bool:
        if row is None or (row["job"], row["state"]) != (BY_HAND, "running"):
            return False
        return (row["worker"] is not None and has_died(row["worker"])) or now - row["started_at"] >= LONGEST

    with store.reading() as unit:
        found = [row["id"] for row in unit.runs.unfinished() if dead(row)]
    for key in found:
        with store.transaction() as unit:
            if dead(unit.runs.get(key, lock=True)):
                error = "its process was killed; what it did is kept, and the next run goes on"
                unit.runs.set(key, state="failed", finished_at=now, error=error)
    return len(found)


def start(store: Store, name: str, *, first: str, until: str, now: datetime) -> Row:
    """Queue a run of a campaign's stages for the workers; gives it.

    Raises:
        NotFound: No such campaign.
        InvalidInput: These are no stages in order.
        Misconfigured: It shall send, and may not.
        Refused: One like it goes on.
    """
    for stage in (first, until):
        if stage not in STAGES:
            raise InvalidInput(f"{stage[:40]!r} is no stage.", hint=f"Stages: {', '.join(STAGES)}.")
    if not reaches(until, first):
        raise InvalidInput(
            f"A run cannot begin with {first} and end with {until}.", hint=f"In order: {', '.join(STAGES)}."
        )
    with store.transaction() as unit:
        stored = unit.campaigns.get(name)
        if until == "send":
            may_send(stored)
        unit.runs.hold(DAILY, stored.id)
        for other in unit.runs.unfinished(stored.id):
            if other["job"] == DAILY:
                raise Refused(
                    f"Run {other['id']} of this campaign is {other['state']}.", hint="Wait for it, or cancel it."
                )
        of = {"campaign_id": stored.id, "campaign_version": stored.version}
        key = unit.runs.open(DAILY, now, **of, first=None if first == STAGES[0] else first, until=until)
        assert key is not None
        return _found(unit, key)


def history(outside: Outside, limit: int, *, campaign: str | None = None, every: bool = True) -> list[Row]:
    """Runs, newest first.

    Args:
        campaign: Those of one campaign only.
        every: Those without a campaign too, such as looking after health.
    """
    with outside.store.reading() as unit:
        key = unit.campaigns.get(campaign).id if campaign is not None else None
        return unit.runs.listed(limit, campaign_id=key, of_campaigns=not every)


def took(row: Row, now: datetime | None = None) -> str:
    """How long a run took in words; of one that goes on, until now, or nothing where that is not asked."""
    end = row["finished_at"] or now
    if row["started_at"] is None or end is None:
        return ""
    seconds = (end - row["started_at"]).total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def shown(outside: Outside, key: int) -> tuple[Row, list[Row]]:
    """One run with its batches.

    Raises:
        NotFound: No run has this number.
    """
    with outside.store.reading() as unit:
        return _found(unit, key), unit.runs.batches(key)


def cancel(outside: Outside, key: int, by: str) -> Row:
    """End a run before its next batch; one that waits for a worker ends at once. Gives the run as it then is.

    Raises:
        NotFound: No run has this number.
        Refused: It has ended already, or is a command's.
    """
    with outside.store.transaction() as unit:
        row = _found(unit, key, lock=True)
        if row["state"] not in OPEN:
            raise Refused(f"Run {key} has ended: it is {row['state']}.", hint="See: touchline runs list")
        if row["job"] == BY_HAND:
            raise Refused(
                f"Run {key} is done by a command, {row['worker'] or 'somewhere'} (host:process).",
                hint="Stop it there, with Ctrl-C.",
            )
        if row["state"] == "queued":
            now = outside.clock.now()
            unit.runs.set(key, state="cancelled", cancel=by, finished_at=now, error=f"cancelled by {by}")
        else:
            unit.runs.set(key, cancel=by)
        return _found(unit, key)


def retry(outside: Outside, key: int) -> tuple[Row, int]:
    """Queue a run's work anew, batches that were set aside first; gives the new run and how many batches those are.

    Raises:
        NotFound: No run has this number.
        Refused: It goes on, or one like it does; or it is a bulk action that has come to its end.
    """
    with outside.store.transaction() as unit:
        row = _found(unit, key)
        # A run by hand was no job of a worker's; what it does is a daily run's work.
        job = DAILY if row["job"] == BY_HAND else row["job"]
        unit.runs.hold(job, row["campaign_id"])
        row = _found(unit, key, lock=True)
        if row["state"] in OPEN:
            raise Refused(f"Run {key} goes on.", hint=f"Wait for it, or: touchline runs cancel {key}")
        for other in unit.runs.unfinished(row["campaign_id"]):
            if _work(other) in (_work(row), _work(row | {"job": job})):
                raise Refused(f"Run {other['id']} does the same work now.", hint="Wait for it.")
        aside = [batch for batch in unit.runs.batches(key, states=["set_aside"]) if batch["place"] is not None]
        same = {name: row[name] for name in ("campaign_id", "campaign_version", "first", "until", "priority")}
        if row["job"] == bulk.JOB:
            same["payload"] = bulk.again(row["payload"], (batch["place"] for batch in aside))
        for batch in aside:
            # What a run of a campaign's stages left out is found by the next one; a bulk action's run knows it itself.
            unit.runs.set_batch(key, batch["number"], state="retried" if row["job"] == bulk.JOB else "released")
        if row["schedule_id"] is None:
            same["slot"] = row["slot"]
        made = unit.runs.open(job, outside.clock.now(), **same)
        assert made is not None
        return _found(unit, made), len(aside)


def dismiss(outside: Outside, key: int) -> int:
    """Let batches of a run that were set aside rest for good, as where their file is gone; gives how many.

    Their rows stay rejected, and kept in the import.

    Raises:
        NotFound: No run has this number.
        Refused: None of its batches waits, or it goes on.
    """
    with outside.store.transaction() as unit:
        row = _found(unit, key, lock=True)
        if row["state"] in OPEN:
            raise Refused(f"Run {key} goes on.", hint=f"Wait for it, or: touchline runs cancel {key}")
        aside = unit.runs.batches(key, states=["set_aside"])
        if not aside:
            raise Refused(f"No batch of run {key} waits to be tried again.", hint=f"See: touchline runs show {key}")
        for batch in aside:
            unit.runs.set_batch(key, batch["number"], state="dismissed")
        return len(aside)


def _work(row: Row) -> tuple[Any, ...]:
    """Equal for runs that would do the same."""
    payload = row["payload"] or {}
    return row["job"], row["campaign_id"], payload.get("selection"), payload.get("order")


def _found(unit: Unit, key: int, *, lock: bool = False) -> Row:
    row = unit.runs.get(key, lock=lock)
    if row is None:
        raise NotFound(f"There is no run {key}.", hint="See them with: touchline runs list")
    return row
