"""Which files a source names: those that are there, in order; what should be there and is not is told with the host."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from touchline.adapters.sources.files import Absent, matching
from touchline.model.campaign import FileSource
from touchline.model.errors import SourceUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("leads.csv", "in/b.csv", "in/a.csv", "in/notes.txt", "in/old/c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Email\n", "utf-8")
    (tmp_path / "in" / "folder.csv").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("leads.csv", ["leads.csv"]),
        ("in/*.csv", ["in/a.csv", "in/b.csv"]),
        ("in/**/*.csv", ["in/a.csv", "in/b.csv", "in/old/c.csv"]),
        ("in/[b-z].csv", ["in/b.csv"]),
        ("*.txt", []),
    ],
)
def test_a_pattern_names_files_in_order_and_no_folders(folder: Path, pattern: str, names: list[str]) -> None:
    assert [str(path.relative_to(folder)) for path in matching(folder, pattern)] == names


@pytest.mark.parametrize("pattern", ["gone.csv", "away/*.csv", "in", "leads.csv/*.csv"])
def test_what_should_be_there_and_is_not_is_told(folder: Path, pattern: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"source '{pattern}' cannot be read on ".replace("*", r"\*")) as told:
        matching(folder, pattern)
    source = Absent(told.value)
    for ask in (source.describe, source.batches):
        with pytest.raises(SourceUnavailable):
            ask()


def test_a_folder_that_may_not_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: (Path(path) != folder / "in", mode)[0])
    with pytest.raises(SourceUnavailable, match="no folder that this user may read"):
        matching(folder, "in/*.csv")


OUTSIDE = ("/etc/passwd", "~/leads.csv", "../leads.csv", "in/../../leads.csv", "C:\\leads.csv", "\\leads.csv")
NO_PATTERN = ("in/", ".", "in/.", "a**b.csv", "in/**", "a\0b.csv", "a\nb.csv", "")


@pytest.mark.parametrize("path", OUTSIDE + NO_PATTERN)
def test_a_path_that_leads_out_of_the_folder_or_is_no_pattern_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        FileSource(path=path)


@given(st.text(max_size=12))
def test_whatever_is_accepted_names_only_what_is_inside(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    try:
        source = FileSource(path=path)
    except ValidationError:
        return
    folder = tmp_path_factory.getbasetemp()
    try:
        found = matching(folder, source.path)
    except SourceUnavailable:
        return
    assert all(each.resolve().is_relative_to(folder.resolve()) for each in found)
