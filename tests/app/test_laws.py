"""Laws of the whole way from a file to decisions, over random leads: nothing is lost, and neither order nor repetition counts."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from office import TOO_SMALL, TUESDAY, Office

from touchline.adapters.exports import opened, write_csv, write_suppressions
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.store import tables
from touchline.app.leads import pages
from touchline.app.suppression import KINDS, entries_of, normal
from touchline.model.columns import LEAD

EXAMPLES = 12
# Shrinking would repeat the whole way hundreds of times.
BRIEFLY = settings(max_examples=EXAMPLES, phases=(Phase.explicit, Phase.reuse, Phase.generate))
THOROUGHLY = settings(BRIEFLY, max_examples=2 * EXAMPLES)
HEADER = (
    "email",
    "first_name",
    "last_name",
    "title",
    "company",
    "employees",
    "country",
    "city",
    "tech",
    "budget",
    "notes",
)

Cells = dict[str, str]


def words(*known: str) -> st.SearchStrategy[str]:
    """Mostly words that mean something, now and then anything that a cell may hold.

    A row with NUL is none. A letter that becomes two when it is made a capital is left out: it may turn a name's first
    word into one that a middle initial can follow.
    """
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0").filter(lambda c: len(c.title()) == 1)
    return st.sampled_from(["", *known, *known]) | st.text(letters, max_size=12)


PERSON = st.fixed_dictionaries(
    {
        "first_name": words("Ann", "RENÉE", "Dr. Jürgen", "=cmd()", "anna-maria"),
        "last_name": words("Lee", "van der Berg", "O'NEILL", "-x", "Smith Jr."),
        "title": words("CTO", "VP Engineering", "Intern", "@SUM(A1)", "Head of Sales & Marketing"),
        "company": words("Firm One", "Acme GmbH & Co. KG", "'quoted'", "+49", "Ärzte AG"),
        "employees": words("5", "120", "51-200", "1,000+", "NaN", "-3", "10k"),
        "country": words("Germany", "de", "USA", "Japan", "Nowhere"),
        "city": words("Berlin", "Köln", "'=x"),
        "tech": words("AWS; Kubernetes", "aws, sap", "|", "=a; -b", "C++"),
        "budget": words("1000", "$5k", "inf", "1.234,50", "0.1"),
        "notes": words("met at the fair", "=1+1", '"', "a\nb"),
    }
)


def everybody(office: Office) -> None:
    office.zone |= {"firm1.com": "nxdomain", "firm2.com": "a", "firm3.com": "null_mx", "firm4.com": "none"}


@st.composite
def list_of_people(draw: st.DrawFn) -> list[Cells]:
    """People of some firms, each once."""
    people = draw(st.lists(PERSON, min_size=1, max_size=12))
    return [{"email": f"p{n}@firm{n % 6}.com", **cells} for n, cells in enumerate(people)]


def written(home: Path, rows: list[Cells], name: str = "in.csv") -> Path:
    path = home / name
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    return path


def anew(office: Office) -> Callable[[], None]:
    """Gives what puts the office's database back to how it is now."""
    office.store.close()
    file = office.home / "touchline.db"
    empty = file.read_bytes()

    def back() -> None:
        office.store.close()
        file.write_bytes(empty)

    return back


def decided(office: Office) -> tuple[dict[str, Any], list[Any]]:
    """Decisions by person, and planned messages, without keys."""
    people = {row["id"]: row["identity"] for row in office.rows(tables.leads)}
    keys = ("id", "lead_id", "updated_at")
    found = {
        people[row["lead_id"]]: {name: value for name, value in row.items() if name not in keys}
        for row in office.rows(tables.prospects)
    }
    names = ("message_id", "due_at", "mailbox", "step", "state", "variant", "sequence")
    return found, sorted(tuple(row[name] or "" for name in names) for row in office.touches())


def known(office: Office) -> dict[str, Any]:
    """Leads by identity, as they are stored, without keys and times."""
    names = [column.name for column in LEAD]
    return {row["identity"]: {name: row[name] for name in names} for row in office.rows(tables.leads)}


@st.composite
def torn_file(draw: st.DrawFn) -> bytes:
    """A list of leads as the world has them: people twice, tags, no addresses, too few cells and too many, open quotes, any bytes."""
    address = st.sampled_from(
        ["a@firm0.com", "A+x@firm0.com", "b@firm1.com", "c@firm5.com", "d@gone.com", "no address", ""]
    )
    row = st.lists(address | words("Ann", "5", "Firm"), min_size=1, max_size=4).map(",".join)
    line = st.builds(lambda first, rest: f"{first},{rest}".encode(), address, row) | st.binary(max_size=20)
    ends = st.sampled_from([b"\n", b"\r\n", b"\n\n"])
    return b"email,first_name,employees\n" + b"".join(draw(st.lists(st.builds(bytes.__add__, line, ends), max_size=20)))


def test_rows_in_are_the_sum_of_the_outcomes_and_each_that_was_set_aside_is_kept_once(office: Office) -> None:
    office.suppress("c@firm5.com")
    office.suppress("gone.com")
    office.apply()
    everybody(office)
    back = anew(office)

    @THOROUGHLY
    @given(torn_file(), st.integers(1, 25))
    def law(content: bytes, batch_rows: int) -> None:
        back()
        path = office.home / "in.csv"
        path.write_bytes(content)
        source = CsvSource(path, batch_rows=batch_rows)
        rows = sum(batch.rows.height for batch in source.batches())
        done = office.load(source, until="nurture")
        assert done.rows == rows == sum(done.counts.values())
        assert len(office.rows(tables.leads)) == len(office.rows(tables.prospects)) == done.counts["new"]
        aside = [row["row"] for row in office.rows(tables.import_rows)]
        assert len(set(aside)) == len(aside) == rows - done.counts["new"] - done.counts["updated"]
        assert set(aside) <= set(range(1, rows + 1))
        assert sum(reason["rows"] for reason in done.reasons) == len(aside)

    law()


def test_neither_the_order_of_a_list_nor_its_batches_change_a_decision(office: Office) -> None:
    office.apply(rules=[TOO_SMALL, {"name": "far", "when": "country = 'jp'", "then": "held"}])
    everybody(office)
    back = anew(office)

    @BRIEFLY
    @given(list_of_people().flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))), st.integers(1, 13))
    def law(lists: tuple[list[Cells], list[Cells]], batch_rows: int) -> None:
        rows, turned = lists
        back()
        office.load(CsvSource(written(office.home, rows), batch_rows=100), until="nurture")
        once = decided(office)
        back()
        office.load(CsvSource(written(office.home, turned), batch_rows=batch_rows), until="nurture")
        assert decided(office) == once
        back()
        office.load(CsvSource(written(office.home, turned)))
        office.batch_rows = batch_rows
        office.judge()
        assert decided(office) == once

    law()


def test_judging_again_changes_nothing(office: Office) -> None:
    office.apply(rules=[TOO_SMALL])
    everybody(office)
    back = anew(office)

    @BRIEFLY
    @given(
        list_of_people(), st.lists(st.sampled_from(["score", "qualify", "route", "nurture"]), min_size=1, max_size=3)
    )
    def law(rows: list[Cells], again: list[str]) -> None:
        back()
        office.now = TUESDAY
        office.load(CsvSource(written(office.home, rows)), until="nurture")
        before = decided(office)
        for until in (*again, "nurture"):
            with office.store.transaction() as unit:
                unit.connection.execute(tables.prospects.update().values(pending=1))
            office.later(minutes=10)
            assert office.judge(until) == len(rows)
        assert decided(office) == before

    law()


def test_what_was_exported_and_is_imported_again_is_what_it_was(office: Office) -> None:
    office.apply()
    back = anew(office)

    @THOROUGHLY
    @given(list_of_people())
    def law(rows: list[Cells]) -> None:
        back()
        office.load(CsvSource(written(office.home, rows)))
        before = known(office)
        file = office.home / "out.csv"
        with opened(file) as stream:
            write_csv(pages(office.store, campaign=None, where=None, limit=None), stream)
        done = office.load(CsvSource(file))
        assert (done.counts["duplicate"], known(office)) == (len(rows), before)
        back()
        office.load(CsvSource(file))
        assert known(office) == before

    law()


TEXTS = st.text(st.sampled_from("=+-@'\"\t\n,;|ab.ß"), max_size=8)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.builds(str.__add__, TEXTS, st.sampled_from(["", "@x.com", ".com"])), TEXTS)
    )
)
def test_suppressions_that_were_exported_and_are_imported_again_are_what_they_were(
    given_: list[tuple[Any, str, str]],
) -> None:
    at = datetime(2027, 3, 9, tzinfo=UTC)
    kept = [
        {
            "id": n,
            "kind": kind,
            "value": value,
            "reason": " ".join(reason.split()) or "asked",
            "source": "person",
            "at": at,
        }
        for n, (kind, text, reason) in enumerate(given_, 1)
        if (value := normal(kind, text)) is not None
    ]
    stream = io.StringIO()
    write_suppressions(lambda after, limit: [row for row in kept if row["id"] > after][:limit], stream)
    assert [(r["kind"], normal(str(r["kind"]), str(r["value"])), r["reason"]) for r in kept] == [
        (kind, normal(str(kind), value), reason) for kind, value, reason in entries_of(stream.getvalue(), "here")
    ]
