"""History: removes old runs and keeps their totals, and counts what has ended once and for all so that nobody counts it again."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from touchline.app.caps import DAY
from touchline.app.ports import Row, Store, Unit
from touchline.app.runs import ENDED

TALLY, RETENTION = "tally", "retention"
"""Names of the controls that hold the tally and that let one process at a time remove history."""

MARGIN = timedelta(minutes=10)
"""Rows younger than this are counted anew at each look: the transaction of one with a lower key may still be open."""

GRACE = timedelta(seconds=60)
"""What began to leave so soon after a suppression may not have seen it: the suppression's own time is the beginning of its transaction."""

WAITING = timedelta(days=365)
"""So long may a batch that was set aside wait to be tried again before its run is removed with it."""

UNSETTLED = ("open", "uncertain")
"""Results of a delivery that may still change."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Everything that has ended, added up.

    Attributes:
        runs: Runs by job and state in which they ended.
        batches: Batches of runs by job and state.
        seconds: Seconds of work by stage.
        deliveries: Attempts to send by final result.
        breaches: Touch and time (ISO 8601) of what left within a day although its recipient was suppressed.
        runs_upto: Every run up to this key is counted, except `runs_open`.
        deliveries_upto: Every delivery up to this key is counted, except `deliveries_open`.
    """

    runs: dict[str, dict[str, int]] = field(default_factory=dict)
    batches: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)
    breaches: list[tuple[int, str]] = field(default_factory=list)
    runs_upto: int = 0
    runs_open: list[int] = field(default_factory=list)
    deliveries_upto: int = 0
    deliveries_open: list[int] = field(default_factory=list)


def tally(unit: Unit, now: datetime) -> Tally:
    """Everything that has ended up to now: what is kept, and the rows that are newer."""
    return _deliveries(unit, _runs(unit, _parsed(unit.controls.get(TALLY)), None), None, now)


def advance(store: Store, now: datetime, most: int = 20_000) -> dict[str, int] | None:
    """Add what has ended to the tally that is kept, in one transaction; gives what was added, None where that is nothing.

    Calling again goes on, and repeats are harmless. Without it every look at the metrics counts from the beginning.

    Args:
        most: At most so many runs and so many deliveries.
    """
    with store.reading() as unit:
        before = _parsed(unit.controls.get(TALLY))
        if _advanced(unit, before, now, most) == before:
            return None
    with store.transaction() as unit:
        before = _parsed(unit.gauges.hold(TALLY, now))
        after = _advanced(unit, before, now, most)
        unit.controls.put(TALLY, json.dumps(asdict(after), sort_keys=True), now)
    return {
        "runs": _size(after.runs) - _size(before.runs),
        "deliveries": _size(after.deliveries) - _size(before.deliveries),
    }


def _size(counts: Mapping[str, Any]) -> int:
    return sum(_size(value) if isinstance(value, Mapping) else value for value in counts.values())


def _parsed(text: str | None) -> Tally:
    if not text:
        return Tally()
    kept = json.loads(text)
    return Tally(**kept | {"breaches": [(touch, at) for touch, at in kept["breaches"]]})


def _advanced(unit: Unit, before: Tally, now: datetime, most: int) -> Tally:
    runs_upto = unit.gauges.runs_before(before.runs_upto, now - MARGIN, most)
    deliveries_upto = unit.gauges.deliveries_before(before.deliveries_upto, now - MARGIN, most)
    return _deliveries(unit, _runs(unit, before, runs_upto), deliveries_upto, now)


def _runs(unit: Unit, before: Tally, upto: int | None) -> Tally:
    """With the runs up to a key; with all of them where it is None, and then with the work of those that are not over."""
    rows = unit.gauges.runs_of(before.runs_open) + unit.gauges.runs(before.runs_upto, upto)
    over = [row for row in rows if row["state"] in ENDED]
    worked = rows if upto is None else over
    seconds: dict[str, float] = before.seconds
    for row in worked:
        seconds = summed(seconds, numbers(row["counts"].get("seconds", {})) or {})
    return replace(
        before,
        runs=summed_all(before.runs, ({row["job"]: {row["state"]: 1}} for row in over)),
        batches=summed_all(before.batches, ({row["job"]: row["counts"].get("batches", {})} for row in worked)),
        seconds=seconds,
        runs_upto=before.runs_upto if upto is None else upto,
        runs_open=[row["id"] for row in rows if row["state"] not in ENDED],
    )


def _deliveries(unit: Unit, before: Tally, upto: int | None, now: datetime) -> Tally:
    gauges, after = unit.gauges, before.deliveries_upto
    found = gauges.results_of(before.deliveries_open)
    settled = [result for result in found.values() if result not in UNSETTLED]
    fresh = {result: count for result, count in gauges.results(after, upto).items() if result not in UNSETTLED}
    known = [one for one in before.breaches if datetime.fromisoformat(one[1]) > now - DAY]
    new = [
        (row["touch_id"], row["at"].isoformat())
        for row in gauges.breaches(after, upto, now - DAY)
        if row["at"] > row["suppressed_at"] + GRACE
    ]
    if upto is None:
        still_open = before.deliveries_open
    else:
        still_open = [key for key in before.deliveries_open if found.get(key) in UNSETTLED]
        still_open += gauges.unsettled(after, upto)
    return replace(
        before,
        deliveries=summed_all(before.deliveries, (fresh, *({result: 1} for result in settled))),
        breaches=known + new,
        deliveries_upto=after if upto is None else upto,
        deliveries_open=still_open,
    )


def forget(store: Store, now: datetime, keep: timedelta, most: int = 500) -> dict[str, int] | None:
    """Remove one batch of runs and closed alerts that are too old, and add the runs to the totals, in one transaction.

    Returns:
        How many were removed; None where nothing is left to remove. After a kill, or in two processes at once, the
        runs that are there and the totals are still all runs that have ever been.

    Args:
        keep: Runs that were queued longer ago go, unless they are under way or a batch of theirs waits to be tried again.
    """
    while advance(store, now) is not None:
        pass  # what goes has been counted
    with store.transaction() as unit:
        unit.gauges.hold(RETENTION, now)
        counted = _parsed(unit.controls.get(TALLY))
        old = [
            row
            for row in unit.gauges.old(now - keep, now - max(keep, WAITING), most)
            if row["state"] in ENDED and row["id"] <= counted.runs_upto and row["id"] not in counted.runs_open
        ]
        _add_totals(unit, old)
        unit.runs.remove([row["id"] for row in old])
        alerts = unit.alerts.remove_closed(now - keep)
    return {"runs": len(old), "alerts": alerts} if old or alerts else None


def _add_totals(unit: Unit, rows: Iterable[Row]) -> None:
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        day = row["queued_at"].astimezone(UTC).date().isoformat()
        groups.setdefault((day, row["job"], row["campaign_id"] or 0, row["state"]), []).append(row)
    for key, group in sorted(groups.items()):
        total = unit.runs.total(*key) or {"runs": 0, "seconds": 0.0, "counts": {}}
        seconds = [
            (row["finished_at"] - row["started_at"]).total_seconds() for row in group if row["started_at"] is not None
        ]
        unit.runs.put_total(
            *key,
            count=total["runs"] + len(group),
            seconds=total["seconds"] + sum(seconds),
            counts=summed_all(total["counts"], (numbers(row["counts"]) or {} for row in group)),
        )


def numbers(value: Any) -> Any:
    """What can be added up of a run's counts: numbers, however deep; a list counts as the sum of what is in it. Keys are no counts."""
    if isinstance(value, Mapping):
        found = {name: numbers(inner) for name, inner in value.items() if name != "id" and not name.endswith("_id")}
        return {name: inner for name, inner in found.items() if inner is not None}
    if isinstance(value, list):
        inner = [one for one in map(numbers, value) if isinstance(one, Mapping)]
        return summed_all({}, inner) if inner else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def summed_all(one: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of several pieces of work together."""
    whole = dict(one)
    for other in others:
        whole = summed(whole, other)
    return whole


def summed(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of two pieces of work together, however deep; where one has parts and the other a bare number, the parts stay."""
    whole = dict(one)
    for name, value in two.items():
        present = whole.get(name)
        if isinstance(value, Mapping):
            whole[name] = summed(present if isinstance(present, Mapping) else {}, value)
        elif not isinstance(present, Mapping):
            whole[name] = round((present or 0) + value, 6)
    return whole
