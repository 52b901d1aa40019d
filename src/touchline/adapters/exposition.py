"""The text that Prometheus scrapes: a reading of the store in the exposition format, made anew for each scrape."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from touchline import __version__
from touchline.app.metrics import Labelled, Reading, measure
from touchline.app.ports import Store

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""What the answer to a scrape says that it is."""

# All of them from the start: a rate needs the number before the first failure.
FINAL = {"sent": 0, "deferred": 0, "failed": 0}
Read = Callable[[Reading], Labelled]

# A label called `job` would be Prometheus's own, so ours says what it names.
COUNTERS: tuple[tuple[str, str, tuple[str, ...], Read], ...] = (
    (
        "runs",
        "Runs that have ended, by the state they ended in.",
        ("job_name", "state"),
        lambda r: r.runs,
    ),
    ("batches", "Batches of runs.", ("job_name", "state"), lambda r: r.batches),
    ("stage_seconds", "Seconds of work of runs, by stage.", ("stage",), lambda r: _by_one(r.tally.seconds)),
    (
        "deliveries",
        "Attempts to send whose result is final.",
        ("result",),
        lambda r: _by_one(FINAL | r.tally.deliveries),
    ),
)
GAUGES: tuple[tuple[str, str, tuple[str, ...], Read], ...] = (
    ("runs_open", "Runs that are queued or running.", ("job_name", "state"), lambda r: r.open_runs),
    ("queue_oldest_seconds", "How long the oldest queued run waits.", ("job_name",), lambda r: r.queue_oldest),
    ("mailbox_cap", "Messages that a mailbox may send in 24 hours.", ("mailbox",), lambda r: r.caps),
    ("mailbox_used", "Messages of the last 24 hours that count against the cap.", ("mailbox",), lambda r: r.used),
    ("mailbox_resting", "1 where a mailbox cannot take mail.", ("mailbox",), lambda r: r.resting),
    ("touches_uncertain", "Touches of unknown fate.", (), lambda r: {(): r.uncertain}),
    (
        "suppression_breaches",
        "Messages of the last 24 hours that left although their recipient was suppressed. Stays 0.",
        (),
        lambda r: {(): r.breaches},
    ),
    ("workers_alive", "Workers that were heard of within a minute.", (), lambda r: {(): r.workers}),
    ("schedule_active", "1 for each schedule that starts something.", ("schedule", "job_name"), lambda r: r.schedules),
    (
        "schedule_last_run_timestamp_seconds",
        "When the newest run of a schedule began.",
        ("schedule",),
        lambda r: r.last_run,
    ),
    (
        "schedule_waiting_seconds",
        "How long a schedule's time has come without a run; 0 where it is on time.",
        ("schedule",),
        lambda r: r.waiting,
    ),
    (
        "health",
        "0 healthy, 1 degraded, 2 failed; of each schedule, other matters, and all.",
        ("scope",),
        lambda r: r.levels,
    ),
    ("leads", "About how many leads there are: the highest key.", (), lambda r: {(): r.leads}),
)


def metrics_text(store: Store, now: datetime, free_bytes: int | None = None) -> bytes:
    """Everything that is measured, as `CONTENT_TYPE` says, from one transaction that only reads.

    Raises:
        StoreUnavailable: The database cannot be read.
    """
    return generate_latest(_Reading(measure(store, now, free_bytes)))


class _Reading(Collector):
    """One reading as metric families. No registry: nothing is kept between scrapes."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Any]:
        yield InfoMetricFamily("touchline_build", "What is running.", {"version": __version__})
        for family, metrics in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for name, meaning, labels, read in metrics:
                made = family(f"touchline_{name}", meaning, labels=labels)
                for values, number in read(self._reading).items():
                    made.add_metric(values, float(number))
                yield made


def _by_one(numbers: Mapping[str, float]) -> Labelled:
    return {(name,): number for name, number in sorted(numbers.items())}
