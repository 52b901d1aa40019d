"""Imports that store their batches at the same time: nobody is doubled, nothing is lost, and nobody waits without need."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from office import Office

from touchline.adapters.clock import Stopwatch
from touchline.adapters.store import tables
from touchline.app.imports import Imported, import_source
from touchline.app.loading import ALONE
from touchline.app.ports import Source
from touchline.model.errors import Crossed

HEADER = "Email,LinkedIn,First Name,Company,Employees"
CAMPAIGNS = ("spring", "summer", "autumn", "winter")


class Meanwhile(Stopwatch):
    """Lets something else happen whenever one part of the work begins."""

    def __init__(self, part: str, act: Callable[[], object]) -> None:
        super().__init__()
        self.part, self.act = part, act
        self.parts: Counter[str] = Counter()

    @property
    def times(self) -> int:
        return self.parts[self.part]

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        self.parts[part] += 1
        if part == self.part:
            self.act()
        with super().timing(part):
            yield


def load(office: Office, source: Source, stopwatch: Stopwatch, *, dry_run: bool = False) -> Imported:
    outside = replace(office.outside, stopwatch=stopwatch)
    return import_source(outside, source, "spring", until="nurture", dry_run=dry_run)


def applied(office: Office) -> Office:
    for name in CAMPAIGNS:
        office.apply(name=name)
    return office


def locks(office: Office) -> list[str]:
    """How those that add leads now hold their lock."""
    with office.store.reading() as unit:
        held = "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND objid = hashtext('add leads')::oid"
        return list(unit.connection.exec_driver_sql(held).scalars())


def under_way(office: Office) -> None:
    """Another import has begun and goes on."""
    with office.store.transaction() as unit:
        unit.imports.open(1, source="csv", name="other.csv", fingerprint="other", size=1, now=office.now)


def people(office: Office, *rows: str) -> Source:
    return office.csv(*rows, header=HEADER)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    "row",
    [
        "ann0@firm0.com,linkedin.com/in/ann,Ann,Firm 0,120",  # the same address
        ",linkedin.com/in/ann,Ann,Firm 0,120",  # only the profile page is the same
    ],
)
def test_a_person_who_came_by_another_import_meanwhile_is_no_second_lead(
    shared: Office, row: str, beside: bool
) -> None:
    applied(shared)
    if beside:
        under_way(shared)
    theirs = people(shared, row)

    def other() -> None:
        if not shared.rows(tables.leads):
            shared.load(theirs, "autumn", until="nurture")

    meanwhile = Meanwhile("merge", other)
    ours = ("bo@firm1.com,,Bo,Firm 1,120", "ann0@firm0.com,linkedin.com/in/ann,Ann,Firm 0,120")
    done = load(shared, people(shared, *ours), meanwhile)
    assert (meanwhile.times, done.rows) == (2, 2)
    assert (done.counts["new"], done.counts["updated"] + done.counts["duplicate"]) == (1, 1)
    ann, bo = sorted(shared.rows(tables.leads), key=lambda row: row["identity"])
    assert (ann["identity"], bo["identity"]) == ("ann0@firm0.com", "bo@firm1.com")
    assert (ann["import_id"] != done.import_id, bo["import_id"]) == (True, done.import_id)
    assert sorted(p["lead_id"] for p in shared.rows(tables.prospects)) == sorted([ann["id"], ann["id"], bo["id"]])
    # Leads are written twice a batch, new ones and known ones. Only where no other import was under way when the batch
    # began, or a profile page is all that is the same, the batch begins anew.
    assert meanwhile.parts["save leads"] == (4 if row.startswith(",") else 2 if beside else 3)


def test_somebody_else_who_came_meanwhile_disturbs_nobody(shared: Office) -> None:
    applied(shared)
    theirs = people(shared, "bo@firm1.com,linkedin.com/in/bo,Bo,Firm 1,120")

    def other() -> None:
        shared.load(theirs, "autumn", until="nurture")

    meanwhile = Meanwhile("merge", other)
    done = load(shared, people(shared, "ann0@firm0.com,linkedin.com/in/ann,Ann,Firm 0,120"), meanwhile)
    assert (meanwhile.times, done.counts["new"]) == (1, 1)
    assert sorted(row["identity"] for row in shared.rows(tables.leads)) == ["ann0@firm0.com", "bo@firm1.com"]


def test_who_is_crossed_gets_turns_alone(shared: Office) -> None:
    applied(shared)
    rows = [f"ann{i}@firm0.com,,Ann,Firm 0,120" for i in range(9)]

    def other() -> None:
        if not shared.rows(tables.leads):
            shared.load(people(shared, rows[0]), "autumn", until="nurture")
        else:
            modes.extend(locks(shared))

    modes: list[str] = []
    meanwhile = Meanwhile("merge", other)
    done = load(shared, people(shared, *rows), meanwhile)
    assert (meanwhile.times, modes) == (2, ["ExclusiveLock"])
    assert (done.counts["new"], len(shared.rows(tables.leads))) == (8, 9)


def test_who_was_crossed_takes_turns_for_a_while(shared: Office) -> None:
    applied(shared)
    shared.batch_rows = 1
    rows = [f"ann{i}@firm0.com,,Ann,Firm 0,120" for i in range(ALONE + 1)]

    def other() -> None:
        if not shared.rows(tables.leads):
            shared.load(people(shared, rows[0]), "autumn", until="nurture")
        modes.extend(locks(shared))

    modes: list[str] = []
    load(shared, people(shared, *rows), Meanwhile("merge", other))
    assert modes == ["ShareLock", *["ExclusiveLock"] * ALONE, "ShareLock"]


def test_a_rehearsal_that_is_crossed_says_so(shared: Office) -> None:
    applied(shared)
    row = "ann0@firm0.com,,Ann,Firm 0,120"
    meanwhile = Meanwhile("merge", lambda: shared.load(people(shared, row), "autumn"))
    with pytest.raises(Crossed, match="Another import has added the same people"):
        load(shared, people(shared, row), meanwhile, dry_run=True)


def test_two_imports_that_know_more_of_the_same_lead_lose_nothing(shared: Office) -> None:
    applied(shared)
    shared.load(people(shared, "ann0@firm0.com,,Ann,,"), "winter")
    with ThreadPoolExecutor(1) as threads:
        jobs = []

        def other() -> None:
            theirs = people(shared, "ann0@firm0.com,,,Firm 0,")
            jobs.append(threads.submit(shared.load, theirs, "autumn", until="nurture"))

        load(shared, people(shared, "ann0@firm0.com,linkedin.com/in/ann,,,120"), Meanwhile("merge", other))
        assert jobs[0].result().counts["updated"] == 1
    lead = shared.lead("ann0@firm0.com")
    assert (lead["company"], lead["employees"], lead["profile_url"]) == ("Firm 0", 120, "linkedin.com/in/ann")


def test_four_imports_of_the_same_people_at_once_make_each_of_them_one_lead(shared: Office) -> None:
    applied(shared)
    shared.batch_rows = 50
    sources = [shared.people(200) for _ in CAMPAIGNS]
    with ThreadPoolExecutor(4) as threads:
        done = list(
            threads.map(lambda one: shared.load(one[0], one[1], until="nurture"), zip(sources, CAMPAIGNS, strict=True))
        )
    told: Counter[str] = sum((Counter(one.counts) for one in done), Counter())
    assert (told["new"], told.total()) == (200, 800)
    assert len(shared.rows(tables.leads)) == 200
    assert len(shared.rows(tables.prospects)) == 800
    with shared.store.reading() as unit:
        assert unit.prospects.orphans() == 0
