"""CSV files: the rows Python's own reader gives, from any place, in bounded memory, with every record accounted for."""

import codecs
import csv
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from touchline.adapters.sources.csv import Batch, CsvSource
from touchline.adapters.sources.encoding import Encoding
from touchline.adapters.sources.records import RECORD_LIMIT, Records
from touchline.model.errors import InvalidInput, SourceUnavailable

SAMPLES = Path(__file__).parents[2] / "samples" / "csv"
UTF8 = Encoding("utf-8")
HEADER = b"email,first_name,company,notes\n"

Row = tuple[str | None, ...]
"""Cells, then fault and raw."""


def rows_of(
    content: bytes,
    *,
    width: int,
    delimiter: str = ",",
    encoding: Encoding = UTF8,
    batch: int = 50_000,
    offset: int = 0,
    **sizes: int,
) -> tuple[list[Row], list[tuple[int, int]]]:
    """The records of some bytes, and the places between batches: bytes and records before each."""
    records = Records(io.BytesIO(content), encoding, delimiter, width=width, offset=offset, **sizes)
    rows: list[Row] = []
    places = [(records.offset, 0)]
    while (frame := records.read(batch)).height:
        assert frame.height <= batch
        rows += frame.rows()
        places.append((records.offset, len(rows)))
    return rows, places


def by_hand(text: str, width: int, limit: int = RECORD_LIMIT) -> Iterator[Row]:
    """What `Records` promises, character by character: for ASCII text and commas."""
    at = 0
    while True:
        while text[at : at + 1] in ("\r", "\n") and at < len(text):
            at += 1
        if at == len(text):
            return
        end = end_by_hand(text, at)
        fault = None
        if end is None or end - at > limit:
            line_end = min((i for i in (text.find("\n", at), text.find("\r", at)) if i >= 0), default=len(text))
            fault = "line_too_long" if line_end - at > limit else "unclosed_quote"
            end = line_end
        record = text[at:end]
        if fault is None and "\0" in record:
            fault = "nul_byte"
        cells = [] if fault else next(csv.reader([record]))
        if any(cells[width:]):
            fault, cells = "too_many_fields", []
        values = [cell or None for cell in cells[:width]]
        raw = record[:2000].replace("\0", "\ufffd") if fault else None
        yield (*values, *[None] * (width - len(values)), fault, raw)
        at = end


def end_by_hand(text: str, at: int) -> int | None:
    """The states of Python's `_csv.c`, to the end of one record."""
    state = "start"
    for place in range(at, len(text)):
        char = text[place]
        if state == "quoted":
            state = "quote in quoted" if char == '"' else "quoted"
        elif state == "quote in quoted" and char == '"':
            state = "quoted"
        elif char in "\r\n":
            return place
        elif char == ",":
            state = "start"
        elif state == "start" and char == '"':
            state = "quoted"
        else:
            state = "field"
    return None if state == "quoted" else len(text)


def source(folder: Path, content: bytes, **options: Any) -> CsvSource:
    path = folder / "leads.csv"
    path.write_bytes(content)
    return CsvSource(path, **options)


def leads(folder: Path, content: bytes, **options: Any) -> pl.DataFrame:
    batches: list[Batch] = list(source(folder, content, **options).batches())
    return pl.concat(batch.rows for batch in batches)


AWKWARD = st.text(alphabet='ab,"\n\r', max_size=60)
ROWS = st.integers(2, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.text('ab",;|\t\n\ré😀\u2028', max_size=6), min_size=width, max_size=width), max_size=30
    )
)


@pytest.mark.parametrize("path", sorted((SAMPLES / "csvs").glob("*.csv")), ids=lambda path: path.stem)
def test_every_csv_spectrum_file_gives_the_rows_of_its_json(path: Path) -> None:
    expected = json.loads((SAMPLES / "json" / f"{path.stem}.json").read_text())
    names = list(expected[0])
    content = path.read_bytes()
    rows, _ = rows_of(content, width=len(names), offset=content.index(b"\n") + 1)
    assert [{name: cell or "" for name, cell in zip(names, row, strict=False)} for row in rows] == expected
    assert [row[-2:] for row in rows] == [(None, None)] * len(rows)


@given(
    ROWS,
    st.sampled_from(",;\t|"),
    # The writer quotes only the line ends that it writes itself, unless it quotes everything.
    st.sampled_from([("\n", True), ("\r\n", True), ("\r", True), ("\r\n", False)]),
    st.integers(1, 64),
)
def test_what_pythons_writer_writes_is_read_back(
    rows: list[list[str]], delimiter: str, ends: tuple[str, bool], block: int
) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if ends[1] else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=ends[0], quoting=quoting).writerows(rows)
    width = len(rows[0]) if rows else 1
    found, _ = rows_of(text.getvalue().encode(), width=width, delimiter=delimiter, block=block)
    assert found == [(*(cell or None for cell in row), None, None) for row in rows]


@given(AWKWARD, st.integers(1, 64), st.integers(1, 9))
@example('a"a,"b\na"a,"b\na,b\n', 8, 1)
@example('"a"b,"c\n"\r\n"', 1, 1)
def test_closed_quotes_give_the_records_of_pythons_reader_in_any_block_size(text: str, block: int, batch: int) -> None:
    found, _ = rows_of(text.encode(), width=99, block=block, batch=batch)
    if any(fault for *_, fault, _ in found):
        return
    expected = [record for record in csv.reader(io.StringIO(text, newline="")) if record]
    assert [[cell or "" for cell in row[: len(cells)]] for row, cells in zip(found, expected, strict=True)] == expected


@given(
    st.text(alphabet='ab,,""\n\n\r\0', max_size=80),
    st.integers(1, 4),
    st.sampled_from([1, 3, 8, 20, RECORD_LIMIT]),
    st.integers(1, 64),
    st.integers(1, 9),
)
@example('a"a,"b\n' * 9 + '"\n', 2, 20, 8, 4)
@example('a,"b\n' + "a,b\n" * 9, 2, 8, 64, 9)
def test_every_record_is_accounted_for_whatever_is_in_it(
    text: str, width: int, limit: int, block: int, batch: int
) -> None:
    found, _ = rows_of(text.encode(), width=width, limit=limit, block=block, batch=batch)
    assert found == list(by_hand(text, width, limit))


@given(
    st.binary(max_size=80) | st.text('ab,"\n\ré😀', max_size=60).map(str.encode),
    st.sampled_from([UTF8, Encoding("cp1252"), Encoding("utf-16-le"), Encoding("utf-16-be")]),
    st.sampled_from([8, RECORD_LIMIT]),
    st.integers(1, 64),
    st.integers(1, 9),
)
@example(b"a\x00\n\x00\x00\xd8b", Encoding("utf-16-le"), RECORD_LIMIT, 8, 1)
@example(b"x^\n" + b"\xef\xbb\xbfa\n" * 3, UTF8, RECORD_LIMIT, 64, 1)
def test_reading_goes_on_at_any_batch_as_if_it_had_never_stopped(
    content: bytes, encoding: Encoding, limit: int, block: int, batch: int
) -> None:
    whole, _ = rows_of(content, width=2, encoding=encoding, limit=limit)
    rows, places = rows_of(content, width=2, encoding=encoding, limit=limit, block=block, batch=batch)
    assert rows == whole
    for offset, before in places:
        rest, _ = rows_of(content, width=2, encoding=encoding, limit=limit, block=block, offset=offset)
        assert rest == whole[before:]


@given(st.text('ab,"\n\ré€😀\ufeff', max_size=60), st.sampled_from(["utf-16-le", "utf-16-be"]), st.integers(1, 64))
def test_wide_text_gives_the_records_of_the_same_text_in_utf_8(text: str, wide: str, block: int) -> None:
    expected, _ = rows_of(text.encode(), width=3)
    assert rows_of(text.encode(wide), width=3, encoding=Encoding(wide), block=block)[0] == expected


def test_big_clean_and_troubled_stretches_mix_without_losing_count() -> None:
    """Blocks by Polars and stretches by hand alternate; each gives its share."""
    clean = b'a,"two\nlines, ""quoted""",c\r\nx,,\n1,2\n' * 20_000
    bad = b"1,2,3,4\n" + b'5" disk,b,c\n' + b"\n\n" + b"n\0l,b,c\n" + b"1,2,3,\n"
    found, _ = rows_of((clean + bad) * 3, width=3)
    assert len(found) == 3 * (60_000 + 4)
    assert found[:3] == [
        ("a", 'two\nlines, "quoted"', "c", None, None),
        ("x", None, None, None, None),
        ("1", "2", None, None, None),
    ]
    assert found[60_000:60_004] == [
        (None, None, None, "too_many_fields", "1,2,3,4"),
        ('5" disk', "b", "c", None, None),
        (None, None, None, "nul_byte", "n\ufffdl,b,c"),
        ("1", "2", "3", None, None),
    ]
    assert found[60_004:120_004] == found[:60_000]


def test_lines_that_all_open_a_quote_are_read_once_and_not_once_each() -> None:
    # Each line is open at its end, whether it was reached inside quotes or not.
    found, _ = rows_of(b'a"a,"b\n' * 160_000, width=2)
    assert len(found) == 160_000
    assert {row[-2] for row in found} == {"unclosed_quote"}


def test_a_forgotten_quote_costs_its_own_line_only() -> None:
    good = b"b,b\n" * (RECORD_LIMIT // 4)
    found, _ = rows_of(b'a,"a\n' + good, width=2)
    assert found[0] == (None, None, "unclosed_quote", 'a,"a')
    assert len(found) == 1 + len(good) // 4
    assert set(found[1:]) == {("b", "b", None, None)}


def test_a_cell_as_long_as_a_record_may_be_is_kept_and_one_byte_more_is_not() -> None:
    for quote in (b"", b'"'):
        cell = b"x" * (RECORD_LIMIT - 2 * len(quote))
        found, _ = rows_of(quote + cell + quote + b"\nb\n" + quote + cell + b"x" + quote + b"\nc\n", width=1)
        assert [(len(row[0] or ""), row[1], len(row[2] or "")) for row in found] == [
            (len(cell), None, 0),
            (1, None, 0),
            (0, "line_too_long", 2000),
            (1, None, 0),
        ]


def test_a_line_of_a_hundred_megabytes_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(HEADER + b"ada@example.com,Ada,,\n")
        for _ in range(100):
            file.write(b'"' + b"x" * 1_000_000)
        file.write(b"\nbob@example.com,Bob,,\n")
    tracemalloc.start()
    try:
        rows = pl.concat(batch.rows for batch in CsvSource(path).batches())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32_000_000
    assert rows["email"].to_list() == ["ada@example.com", None, "bob@example.com"]
    assert rows["fault"].to_list() == [None, "line_too_long", None]
    assert rows["raw"].str.len_chars().to_list() == [None, 2000, None]


def test_a_big_file_is_held_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(HEADER + b"ada@example.com,Ada,Analytical Engines,\n" * 1_000_000)
    tracemalloc.start()
    try:
        count = sum(batch.rows.height for batch in CsvSource(path).batches())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 24_000_000


def test_a_batch_names_fields_and_keeps_everything_else_as_json(tmp_path: Path) -> None:
    content = (
        b'E-Mail,First Name,Website,Favourite "Colour",Notes\r\n'.replace(b'"Colour"', b"Colour")
        + b'ada@example.com,Ada,https://www.example.com/x,"r""ed\\",\r\n'
        + b"bob@example.com,=cmd|' /C calc'!A0,,,\r\n"
    )
    (batch,) = source(tmp_path, content).batches()
    assert batch.first_row == 1
    assert batch.next_offset == len(content)
    assert batch.rows.to_dicts() == [
        {
            "email": "ada@example.com",
            "first_name": "Ada",
            "domain": "https://www.example.com/x",
            "extra": '{"favourite_colour":"r\\"ed\\\\"}',
            "row": 1,
            "fault": None,
            "raw": None,
        },
        {
            "email": "bob@example.com",
            "first_name": "=cmd|' /C calc'!A0",
            "domain": None,
            "extra": None,
            "row": 2,
            "fault": None,
            "raw": None,
        },
    ]
    assert batch.rows.schema["row"] == pl.Int64


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
def test_extra_is_json_of_exactly_the_cells_that_are_not_empty(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["email", "One", "Two"], *(["a@b.example", *pair] for pair in cells)])
    rows = leads(tmp_path_factory.mktemp("extra"), text.getvalue().encode())
    expected = [{name: cell for name, cell in zip(("one", "two"), pair, strict=True) if cell} for pair in cells]
    assert [json.loads(extra or "{}") for extra in rows["extra"]] == expected


def test_a_column_called_extra_gives_back_the_object_it_was_exported_from(tmp_path: Path) -> None:
    cells = ['{"note":"é","n":1}', "", "{}", "plain", '["a"]', '{"x": NaN}', '{"x":"\\ud800"}', "[" * 5000]
    text = io.StringIO()
    csv.writer(text).writerows([["email", "extra", "Note"], *(["a@b.example", cell, "new"] for cell in cells)])
    extra = [json.loads(row) for row in leads(tmp_path, text.getvalue().encode())["extra"]]
    assert extra[0] == {"note": "new", "n": 1}
    assert extra[1] == extra[2] == {"note": "new"}
    assert extra[3:] == [{"extra": cell, "note": "new"} for cell in cells[3:]]


def test_batches_go_on_from_the_place_and_number_of_an_earlier_one(tmp_path: Path) -> None:
    lines = b"".join(b'p%d@example.com,"P\n%d",,x\n' % (n, n) for n in range(100))
    csv_source = source(tmp_path, HEADER + lines, batch_rows=7)
    batches = list(csv_source.batches())
    whole = pl.concat(batch.rows for batch in batches)
    assert whole["row"].to_list() == list(range(1, 101))
    assert all(0 < batch.rows.height <= 7 for batch in batches)
    for batch in batches:
        read = batch.first_row - 1 + batch.rows.height
        rest = [later.rows for later in csv_source.batches(batch.next_offset, read)]
        assert pl.concat([whole.clear(), *rest]).equals(whole[read:])


def test_a_file_that_became_shorter_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="shorter than when it was read before"):
        list(source(tmp_path, HEADER).batches(offset=1_000, row=3))


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("cp1252", "cp1252"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
@pytest.mark.parametrize("marked", [True, False])
def test_encodings_are_found_and_told(tmp_path: Path, name: str, encoded: str, *, marked: bool) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(name, b"") if marked else b""
    text = "email;Vorname;Straße\r\njörg@example.com;Jörg;Käsgasse\r\n"
    csv_source = source(tmp_path, mark + text.encode(encoded))
    (batch,) = csv_source.batches()
    assert batch.rows.row(0)[:3] == ("jörg@example.com", "Jörg", '{"straße":"Käsgasse"}')
    found = csv_source.describe()
    assert (found.encoding, found.delimiter) == (name, ";")
    assert found.columns == {"email": "email", "Vorname": "first_name", "Straße": "extra"}


def test_a_stray_byte_in_utf_8_is_read_as_cp1252_and_loses_no_row(tmp_path: Path) -> None:
    clean = "é@example.com,Zoë,,\n".encode() * 100_000
    rows = leads(tmp_path, HEADER + clean + b"x@example.com,J\xf6rg \x81,,\n" + clean)
    assert rows.height == 200_001
    assert rows["first_name"].value_counts(sort=True).rows() == [("Zoë", 200_000), ("Jörg \ufffd", 1)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_even_where_others_are_more_frequent(tmp_path: Path, delimiter: str) -> None:
    others = ",;|".replace(delimiter, "")
    rows = [["email", "Name", "Notes, and; more|"], *([f"a{n}@b.example", "A", f"x{others * 3}y"] for n in range(5))]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    csv_source = source(tmp_path, text.getvalue().encode())
    assert csv_source.describe().delimiter == delimiter
    assert next(csv_source.batches()).rows["full_name"].to_list() == ["A"] * 5


def test_excels_first_line_that_names_the_delimiter_is_heeded(tmp_path: Path) -> None:
    csv_source = source(tmp_path, b"sep=;\r\nemail;company\r\na@b.example;B\r\n")
    assert csv_source.describe().delimiter == ";"
    assert [batch.rows["email"].to_list() for batch in csv_source.batches()] == [["a@b.example"]]


def test_notes_above_the_header_of_linkedins_export_are_passed(tmp_path: Path) -> None:
    content = (
        b'Notes:\n"When exporting your connection data, you may notice that some addresses are missing."\n\n'
        b"First Name,Last Name,URL,Email Address,Company,Position,Connected On\n"
        b"Ada,Lovelace,https://www.linkedin.com/in/ada,,Analytical Engines,Countess,10 Dec 2015\n"
    )
    (batch,) = source(tmp_path, content).batches()
    assert batch.rows.select("first_name", "profile_url", "title", "row", "fault").rows() == [
        ("Ada", "https://www.linkedin.com/in/ada", "Countess", 1, None)
    ]


def test_a_header_alone_is_a_list_of_no_leads(tmp_path: Path) -> None:
    for content in (HEADER, HEADER.rstrip(), HEADER + b"\r\n\n\n"):
        assert list(source(tmp_path, content).batches()) == []


def test_a_second_copy_has_the_same_fingerprint_and_a_changed_one_has_not(tmp_path: Path) -> None:
    one = source(tmp_path, HEADER).describe()
    assert one == source(tmp_path, HEADER).describe()
    assert (one.name, one.bytes) == ("leads.csv", len(HEADER))
    assert source(tmp_path, HEADER + b"\n").describe().fingerprint != one.fingerprint


@pytest.mark.parametrize("content", [b"Jane Doe-Smith,+49 170 1234567\n", b"Jane Doe-Smith,jane@firm.example\n"])
def test_cells_of_a_file_without_a_header_stay_out_of_the_first_line_of_its_error(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "leads.csv").write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        CsvSource(tmp_path / "leads.csv", batch_rows=10).describe()
    first, rest = str(refused.value).split("\n", 1)
    assert first.startswith(("No column of leads.csv", "leads.csv has no header row"))
    assert not {"Jane", "170", "jane"} & set(first.replace("@", " ").split())
    assert "Doe-Smith" in rest or "jane@" in rest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "leads.csv is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "leads.csv is empty"),
        (b"PK\x03\x04....xl/workbook.xml", "Excel workbook.*save it as CSV"),
        (b"PK\x03\x04....leads.csv", "zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook"),
        (b"\x1f\x8b\x08\x00", "gzip archive"),
        (b"\n<!doctype html><title>Log in</title>", "web page"),
        (b"\xff\xfe\x00\x00e\x00\x00\x00", "UTF-32"),
        (b"\x00\x01\x00\x00\x07\x00\x00" * 99, "NUL bytes"),
        (b"ada@example.com,Ada\nbob@example.com,Bob\n", "(?s)no header row.*ada@example.com.*column names first"),
        (b"Ada,https://example.com/ada\n", "no header row"),
        (b"Export of today\nada@example.com,Ada,x\nemail,first name,company\n", "No column"),
        (b"colour,shape\nred,round\n", "(?s)No column of leads.csv says who a lead is.*'colour', 'shape'.*--map"),
        (b"first_name,city\nAda,London\n", "No column of leads.csv says who a lead is"),
        (b'email,"name\na@b.example,A\n', "first line of leads.csv opens a quote"),
        (b"email,na\0me\na@b.example,A\n", "first line of leads.csv holds a NUL byte"),
        (b"email," + b"x" * 2_000_000 + b"\na@b.example,A\n", "first line of leads.csv is longer than 1,048,576 bytes"),
        (b"email" + b"," * 2_000 + b"\n", "2,001 columns"),
        (b"email,E-Mail\na@b.example,\n", "two columns for email: 'email' and 'E-Mail'.*--map email=\"email\""),
    ],
)
def test_what_is_no_list_of_leads_is_refused_with_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    csv_source = source(tmp_path, content)
    with pytest.raises(InvalidInput, match=message) as told:
        csv_source.describe()
    assert told.value.hint
    with pytest.raises(InvalidInput):
        list(csv_source.batches())


def test_paths_that_are_no_readable_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "missing.csv", "There is no file"),
        (tmp_path / "file" / "below.csv", "There is no file"),
        (tmp_path / "pipe", "not a regular file"),
    ):
        with pytest.raises(InvalidInput, match=message):
            CsvSource(path).describe()


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_bytes(HEADER)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InvalidInput, match="may not be read by this user"):
            CsvSource(path).describe()
    finally:
        os.seteuid(user)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read at its start")
def test_an_input_error_of_the_system_may_be_tried_again() -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        CsvSource(Path("/proc/self/mem")).describe()
