"""Metrics: one look at the store as numbers, cheap enough to be taken every few seconds from a store of millions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from touchline.app.caps import DAY, cap_of
from touchline.app.health import LEVELS, SILENT, Health, Signs, judge, signs, waiting
from touchline.app.history import Tally, tally
from touchline.app.ports import Store
from touchline.app.runs import ENDED

Labelled = Mapping[tuple[str, ...], float]
"""Numbers by the values of their labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers of one moment.

    Attributes:
        runs: Runs that have ended since this installation began, by job and state.
        batches: Batches of runs, by job and state.
        tally: What else has ended.
        queue_oldest: Seconds that the oldest queued run waits, by job.
        open_runs: Runs by job and state: queued or running.
        caps: Messages that a mailbox may send in 24 hours.
        used: Messages that count against it now.
        resting: 1 for mailboxes that cannot take mail.
        schedules: 1 for active schedules that start something.
        last_run: When the newest run of a schedule began, in seconds since 1970.
        waiting: Seconds that a schedule's time has come without anybody looking.
        leads: Highest key of a lead: about how many there are.
    """

    runs: Labelled
    batches: Labelled
    tally: Tally
    health: Health
    queue_oldest: Labelled
    open_runs: Labelled
    caps: Labelled
    used: Labelled
    resting: Labelled
    schedules: Labelled
    last_run: Labelled
    waiting: Labelled
    uncertain: int
    breaches: int
    workers: int
    leads: int

    @property
    def levels(self) -> Labelled:
        """0 healthy, 1 degraded, 2 failed, by what it is about."""
        all_ = {"all": self.health.level} | self.health.scopes
        return {(scope,): LEVELS.index(level) for scope, level in all_.items()}


def measure(store: Store, now: datetime, free_bytes: int | None = None) -> Reading:
    """Read everything in one transaction.

    Every question goes to an index, to a table that stays small, or to the rows that `history.advance` has not counted
    yet; no statement's work grows with the number of leads, touches or old runs.
    """
    with store.reading() as unit:
        whole = tally(unit, now)
        seen = signs(unit, now, whole.breaches, free_bytes)
        used, leads = unit.gauges.used(now - DAY), unit.gauges.newest_lead()
        caps = dict[str, int]()
        for mailbox in unit.gauges.mailboxes():
            caps[mailbox.address] = max(cap_of(unit, mailbox, now), caps.get(mailbox.address, 0))
    jobs = sorted({row["job"] for row in (*seen.schedules, *seen.unfinished)} | {*whole.runs})
    return Reading(
        # All states from the start: a rate needs the number before the first failure.
        runs={(job, state): 0 for job in jobs for state in ENDED} | _by_two(whole.runs),
        batches={(job, state): 0 for job in jobs for state in ("done", "set_aside")} | _by_two(whole.batches),
        tally=whole,
        health=judge(seen, now),
        queue_oldest={(job,): _oldest(seen, job, now).total_seconds() for job in jobs},
        open_runs={(job, state): _open(seen, job, state) for job in jobs for state in ("queued", "running")},
        caps={(address,): cap for address, cap in sorted(caps.items())},
        used={(address,): used.get(address, 0) for address in sorted({*caps, *used})},
        resting={(address,): address in _failing(seen) for address in sorted({*caps, *_failing(seen)})},
        schedules={(row["name"], row["job"]): 1 for row in seen.schedules},
        last_run=_last_runs(seen),
        waiting={(row["name"],): waiting(row, now).total_seconds() for row in seen.schedules},
        uncertain=seen.uncertain,
        breaches=len(whole.breaches),
        workers=sum(now - worker["beat_at"] <= SILENT for worker in seen.workers),
        leads=leads,
    )


def _by_two(numbers: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, ...], float]:
    """Numbers under two names."""
    return {(one, two): number for one, inner in sorted(numbers.items()) for two, number in sorted(inner.items())}


def _oldest(seen: Signs, job: str, now: datetime) -> timedelta:
    queued = [run["queued_at"] for run in seen.unfinished if run["job"] == job and run["state"] == "queued"]
    return max(now - min(queued, default=now), timedelta(0))


def _open(seen: Signs, job: str, state: str) -> int:
    return sum(run["job"] == job and run["state"] == state for run in seen.unfinished)


def _failing(seen: Signs) -> set[str]:
    return {row["address"] for row in seen.failing}


def _last_runs(seen: Signs) -> Labelled:
    found: dict[tuple[str, ...], float] = {}
    for row in seen.schedules:
        runs = [run for run in seen.unfinished if run["schedule_id"] == row["id"]] + seen.ended[row["id"]][:1]
        began = [run["started_at"].timestamp() for run in runs if run["started_at"] is not None]
        if began:
            found[row["name"],] = max(began)
    return found
