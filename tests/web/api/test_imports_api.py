"""Imports over the API: a file comes in, is looked at, tried, loaded by a run, and every row that became no lead can be read."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from app.office import Office
from touchline.app.tasks import Bench
from touchline.app.work import Work
from touchline.web import incoming
from web.api.conftest import Api

HEADER = "Email,First Name,Title,Company,Employees,Country,Shoe size\n"
GOOD = "ann@firm1.com,Ann,CTO,Firm One,120,Germany,41\n"
FILE = (
    HEADER + GOOD + "ann+tag@firm1.com,Ann,CTO,Firm One,120,Germany,41\nno address,Bo,CTO,Firm Two,50,Germany,\n"
).encode()


def upload(api: Api, content: bytes = FILE, name: str = "leads.csv", code: int = 201, **how: Any) -> Any:
    return api._told(api.ask("POST", "/imports/uploads", files={"file": (name, content)}, **how), code)


def order(api: Api, content: bytes = FILE, **changes: Any) -> dict[str, Any]:
    api.office.apply()
    return {"upload": upload(api, content)["id"], "campaign": "spring", "until": "nurture"} | changes


def worked(api: Api, run: int) -> dict[str, Any]:
    """The run once a worker has done all of it."""
    office: Office = api.office
    bench = Bench(lambda: office.outside, lambda _: [], lambda _: office.post(), {}, "one", lambda: 0.0)
    bench.uploads = api.workspace.uploads
    work = Work(bench, timedelta(hours=1))
    while work.advance(run).more:
        pass
    found: dict[str, Any] = api.get(f"/runs/{run}")
    return found


def test_an_upload_shows_its_columns_with_what_they_hold(api: Api) -> None:
    told = upload(api)
    columns = {column["header"]: column for column in told["columns"]}
    assert columns["Email"]["meaning"] == "email"
    assert columns["Email"]["samples"] == ["ann@firm1.com", "ann+tag@firm1.com", "no address"]
    assert (columns["Shoe size"]["meaning"], columns["Shoe size"]["samples"]) == ("extra", ["41", "41"])
    assert (told["problem"], told["run"], told["import"]) == (None, None, None)
    assert api.get(f"/imports/uploads/{told['id']}") == told


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\..\\boot.ini", "/etc/shadow", 'a"; filename="b', "\x01\x02", "x" * 3000, ".."]
)
def test_the_name_of_a_file_is_only_ever_shown(api: Api, name: str) -> None:
    told = upload(api, name=name)
    assert told["name"].isprintable()
    assert len(told["name"]) <= 200
    assert not set(told["name"]) & set("/\\")
    assert {path.stem for path in (api.office.home / "uploads").iterdir()} == {told["id"]}


def test_a_file_that_is_no_list_of_leads_is_kept_and_says_why(api: Api) -> None:
    told = upload(api, b"\x00\x01\x02 binary")
    assert told["problem"]
    assert told["columns"] == []


def test_a_column_that_is_not_recognised_can_be_chosen(api: Api) -> None:
    asked = order(api, b"Reach,Who\nann@firm1.com,Ann Lee\n", columns={"Reach": "email", "Who": "full_name"})
    assert api.get(f"/imports/uploads/{asked['upload']}")["problem"]
    tried = api.post("/imports?dry_run=true", asked)
    assert (tried["counts"]["new"], [column["meaning"] for column in tried["columns"]]) == (1, ["email", "full_name"])
    assert worked(api, api.post("/imports", asked, 202)["run"])["counts"]["harvest"]["new"] == 1


def test_a_rehearsal_says_what_the_import_then_does(either: Api) -> None:
    asked = order(either)
    tried = either.post("/imports?dry_run=true", asked)
    assert (tried["rows"], tried["whole"], tried["already"]) == (3, True, None)
    assert tried["counts"] == {"new": 1, "updated": 0, "duplicate": 1, "suppressed": 0, "rejected": 1}
    assert [(row["row"], row["outcome"]) for row in tried["aside"]] == [(2, "duplicate"), (3, "rejected")]
    assert either.get("/imports")["items"] == []

    run = worked(either, either.post("/imports", asked, 202)["run"])
    assert (run["job"], run["state"], run["slot"]) == ("import", "done", asked["upload"])
    [made] = either.get("/imports")["items"]
    assert (made["counts"], made["name"], made["campaign"]) == (tried["counts"], "leads.csv", "spring")
    told = either.get(f"/imports/uploads/{asked['upload']}")
    assert (told["run"], told["import"]) == (run["id"], made["id"])
    assert either.get(f"/imports/{made['id']}")["reasons"] == tried["reasons"]


def test_rows_that_were_set_aside_come_as_pages_and_as_a_file_that_no_spreadsheet_runs(api: Api) -> None:
    worked(api, api.post("/imports", order(api, FILE + b"=cmd|'/c calc'!A1,Eve,,,,,\n"), 202)["run"])
    [made] = api.get("/imports")["items"]
    rows = api.pages(f"/imports/{made['id']}/rows", limit=1)
    assert [row["row"] for row in rows] == [2, 3, 4]
    assert [row["row"] for row in api.pages(f"/imports/{made['id']}/rows?outcome=rejected")] == [3, 4]
    text = api.get(f"/imports/{made['id']}/rows.csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["row"] for line in lines] == ["2", "3", "4"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line.values())


def test_what_has_been_loaded_is_not_loaded_again(api: Api) -> None:
    asked = order(api)
    run = api.post("/imports", asked, 202)["run"]
    assert f"run {run}" in api.post("/imports", asked, 409)["detail"]
    worked(api, run)
    again = asked | {"upload": upload(api)["id"]}
    assert api.post("/imports?dry_run=true", again)["already"] == 1
    assert "import 1" in api.post("/imports", again, 409)["detail"]


def test_a_run_whose_file_is_gone_fails_and_says_so(api: Api) -> None:
    asked = order(api)
    run = api.post("/imports", asked, 202)["run"]
    for path in (api.office.home / "uploads").iterdir():
        path.unlink()
    told = worked(api, run)
    assert told["state"] == "failed"
    assert "gone" in told["error"]
    assert api.post(f"/runs/{run}/retry", None, 202)["run"] == run + 1
    assert api.get(f"/runs/{run + 1}")["slot"] == asked["upload"]


def test_a_worker_that_takes_over_goes_on_where_the_last_one_stopped(api: Api) -> None:
    lines = "".join(f"ann{i}@firm{i}.com,Ann,CTO,Firm,120,Germany,\n" for i in range(90))
    run = api.post("/imports", order(api, (HEADER + lines).encode()), 202)["run"]
    office = api.office
    object.__setattr__(api.workspace.settings, "batch_rows", 40)
    bench = Bench(lambda: office.outside, lambda _: [], lambda _: office.post(), {}, "dead", lambda: 0.0)
    bench.uploads = api.workspace.uploads
    assert Work(bench, timedelta(hours=1)).advance(run).more
    assert api.get("/imports")["items"][0]["rows"] == 40
    assert worked(api, run)["counts"]["harvest"]["new"] == 90


def test_an_upload_that_is_cut_short_leaves_nothing(api: Api) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nEmail\r\nann@firm'
    answer = api.ask(
        "POST", "/imports/uploads", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 400
    assert list((api.office.home / "uploads").iterdir()) == []


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "LARGEST", 2_000_000)


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(api: Api, small: None, declared: bool) -> None:
    content = HEADER.encode() + GOOD.encode() * 60_000
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    pieces = (body[i : i + 65536] for i in range(0, len(body), 65536))
    answer = api.ask("POST", "/imports/uploads", content=body if declared else pieces, headers=kind)
    assert answer.status_code == 413
    folder = api.office.home / "uploads"
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"garbage", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n--x--\r\n',
            422,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\na\r\n--x--\r\n',
            422,
        ),
    ],
)
def test_what_holds_no_file_is_refused(api: Api, kind: str, body: bytes, code: int) -> None:
    assert api.ask("POST", "/imports/uploads", content=body, headers={"Content-Type": kind}).status_code == code


def test_a_page_without_scripts_may_upload_by_its_form(api: Api) -> None:
    from touchline.app import access

    cookies = {"Cookie": f"touchline={api.session.token}"}
    given = {"csrf": access.csrf_of(api.session.token)}
    answer = api.client.post("/api/v1/imports/uploads", data=given, files={"file": ("a.csv", FILE)}, headers=cookies)
    assert (answer.status_code, answer.json()["name"]) == (201, "a.csv")
    refused = api.client.post("/api/v1/imports/uploads", files={"file": ("a.csv", FILE)}, headers=cookies)
    assert refused.status_code == 403


def test_an_upload_is_forgotten_on_demand_and_when_nobody_imports_it(api: Api) -> None:
    first, second = upload(api)["id"], upload(api)["id"]
    assert api.ask("DELETE", f"/imports/uploads/{first}").status_code == 204
    assert api.ask("GET", f"/imports/uploads/{first}").status_code == 404
    api.office.later(days=2)
    upload(api)
    assert api.ask("GET", f"/imports/uploads/{second}").status_code == 404


def test_an_upload_that_a_run_loads_stays(api: Api) -> None:
    asked = order(api)
    api.post("/imports", asked, 202)
    assert api.ask("DELETE", f"/imports/uploads/{asked['upload']}").status_code == 409
