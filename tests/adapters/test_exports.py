"""Exports: what a spreadsheet cannot run, what comes back as it was, and files that are whole or not there."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.adapters.exports import opened, write_csv, write_suppressions
from touchline.adapters.sources.csv import CsvSource
from touchline.model.cells import RISKY, neutral, restored
from touchline.model.errors import InvalidInput

CELLS = st.text(st.sampled_from("='+-@\t\rab"), max_size=6) | st.text(max_size=8)


@given(st.lists(CELLS))
def test_no_cell_leaves_as_a_formula_and_every_cell_comes_back(cells: list[str]) -> None:
    written = [neutral(cell) for cell in cells]
    assert not [cell for cell in written if cell.startswith(RISKY)]
    series = pl.Series("cell", written, dtype=pl.String)
    assert series.to_frame().select(restored(pl.col("cell")))["cell"].to_list() == cells


def lead(**values: object) -> dict[str, object]:
    return {"id": 1, "email": "ann@firm1.com", "tech": None, "budget": None, "company": None} | values


def test_leads_without_a_row_are_a_header(tmp_path: Path) -> None:
    stream = io.StringIO()
    assert write_csv([], stream) == 0
    assert stream.getvalue().startswith("email,profile_url,source_key,")


@given(st.text(st.sampled_from("=+-@'\"\n,;ab"), min_size=1, max_size=9))
def test_a_written_text_is_read_by_the_reader_of_csv_files(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("export") / "out.csv"
    with opened(file) as stream:
        assert write_csv([[lead(company=text)], [lead(company=text)]], stream) == 2
    rows = pl.concat(batch.rows for batch in CsvSource(file).batches())
    assert rows["company"].to_list() == [text, text]


def test_tags_leave_as_a_list_and_numbers_as_numbers() -> None:
    stream = io.StringIO()
    write_csv([[lead(tech="|aws|=cmd|", budget=-5.0, state="enrolled", fit=60)]], stream)
    row = next(csv.DictReader(io.StringIO(stream.getvalue())))
    assert (row["tech"], row["budget"], row["prospect_state"], row["fit"]) == ("aws; =cmd", "-5.0", "enrolled", "60")
    assert "state" not in row


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    with pytest.raises(ZeroDivisionError), opened(file) as stream:
        stream.write(f"half {1 / 0}")
    assert file.read_text() == "before"
    with opened(file) as stream:
        stream.write("after")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert file.read_text() == "after"


def test_a_link_is_written_through_and_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "behind")
    for text in ("one", "two"):
        with opened(link) as stream:
            stream.write(text)
        assert link.is_symlink()
        assert (tmp_path / "behind").read_text() == text


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "is a directory"), (tmp_path / "nowhere" / "out.csv", "cannot be written")):
        with pytest.raises(InvalidInput, match=said), opened(path):
            pass


def test_suppressions_are_written_page_by_page() -> None:
    at = datetime(2027, 3, 9, 5, tzinfo=UTC)
    rows = [
        {"id": n, "kind": "domain", "value": f"d{n}.com", "reason": "=x", "source": "person", "at": at}
        for n in range(1, 6)
    ]
    stream = io.StringIO()
    assert write_suppressions(lambda after, limit: [r for r in rows if r["id"] > after][:limit], stream, page=2) == 5
    written = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [row["value"] for row in written] == [row["value"] for row in rows]
    assert {row["reason"] for row in written} == {"'=x"}
