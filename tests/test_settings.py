"""Settings: the environment wins over the file, and a fault names the key."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from touchline import settings
from touchline.model.errors import Misconfigured
from touchline.settings import Settings, load
from touchline.web import lanes
from touchline.wiring import Quiet, Workspace


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("TOUCHLINE_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)


def write(home: Path, text: str) -> Path:
    (home / "touchline.toml").write_text(text, "utf-8")
    return home


def test_no_file_and_no_variable_gives_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings().model_copy(update={"home": tmp_path})
    assert load(tmp_path).file == tmp_path / "touchline.toml"


def test_a_variable_wins_over_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "batch_rows = 7\n[log]\nlevel = 'info'\nformat = 'json'")
    monkeypatch.setenv("TOUCHLINE_LOG__LEVEL", "debug")
    monkeypatch.setenv("TOUCHLINE_DNS__NAMESERVERS", '["127.0.0.1:53"]')
    found = load(tmp_path)
    assert (found.batch_rows, found.log.level, found.log.format) == (7, "debug", "json")
    assert found.dns.nameservers == ("127.0.0.1:53",)


def test_the_database_of_the_environment_wins_over_every_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "database_url = 'sqlite:///file.db'")
    assert load(tmp_path).database_url == "sqlite:///file.db"
    monkeypatch.setenv("DATABASE_URL", "sqlite:///variable.db")
    assert load(tmp_path).database_url == "sqlite:///variable.db"


def test_a_folder_given_wins_over_the_variable_and_that_over_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().home == tmp_path
    monkeypatch.setenv("TOUCHLINE_HOME", str(tmp_path / "variable"))
    assert load().home == tmp_path / "variable"
    assert load(tmp_path / "given").home == tmp_path / "given"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch_rws = 5", r"unknown key 'batch_rws', did you mean 'batch_rows'\?"),
        ("[log]\nlevle = 'info'", r"unknown key 'log.levle', did you mean 'log.level'\?"),
        ("zzz = 1", r"unknown key 'zzz'\."),
        ("batch_rows = 0", "batch_rows: Input should be greater"),
        ("[dns]\ntimeout = 0", "dns.timeout"),
        ("history_days = 29", "history_days: Input should be greater than or equal to 30"),
        ("[alerts]\nquiet = '22:00-22:00'", "alerts.quiet: .*'22:00-22:00' ends when it begins"),
        ("[worker]\nbatch_concurrency = 4\nbatch_total = 3", "worker: .*batch_total is 3, which is less than the 4"),
        ("[worker]\nsend_concurrency = 2\nsend_total = 1", "worker: .*send_total is 1, which is less than the 2"),
        ("[log", "not valid TOML"),
        ("home = '/'", "'home' cannot stand"),
    ],
)
def test_a_fault_in_the_file_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        load(write(tmp_path, text))


def test_a_limit_for_all_workers_may_be_that_of_one_worker_or_none_at_all(tmp_path: Path) -> None:
    worker = load(write(tmp_path, "[worker]\nbatch_concurrency = 4\nbatch_total = 4\nsend_concurrency = 4")).worker
    assert (worker.batch_total, worker.send_total) == (4, 0)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "touchline.toml").mkdir()
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "touchline.toml").rmdir()
    (tmp_path / "touchline.toml").write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path)


def test_a_list_in_a_variable_that_is_no_json_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHLINE_DNS__NAMESERVERS", "127.0.0.1")
    monkeypatch.setenv("TOUCHLINE_DNS", "x")
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path)
    assert "JSON" in refused.value.hint


def test_the_reference_names_every_key_with_a_meaning() -> None:
    lines = settings.reference().splitlines()[2:]
    assert len(lines) == len(settings.keys()) == 34
    assert all(len(line.split(" | ")) == 4 and "None" not in line for line in lines)


def test_there_is_a_connection_for_every_request_and_every_run_at_once(tmp_path: Path) -> None:
    found = load(write(tmp_path, "[worker]\nbatch_concurrency = 64\nsend_concurrency = 64"))
    with closing(Workspace(found, Quiet()).database) as store, ExitStack() as stack:
        for _ in range(lanes.MOST + 64 + 64 + 1):
            stack.enter_context(store.reading()).connection.exec_driver_sql("SELECT 1")
