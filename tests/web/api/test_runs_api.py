"""Runs, schedules, mailboxes, health and settings over the API."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.office import WEDNESDAY
from touchline.app import schedules
from touchline.app.tasks import Bench
from touchline.app.work import Work
from touchline.web import follow
from web.api.conftest import Api


@pytest.fixture
def ready(either: Api) -> Api:
    either.office.apply()
    schedules.ensure(either.office.store, either.office.now)
    return either


@pytest.fixture
def fresh(api: Api) -> Api:
    api.office.apply()
    schedules.ensure(api.office.store, api.office.now)
    return api


def start(api: Api, code: int = 202, **stages: str) -> Any:
    return api.post("/runs", {"campaign": "spring", **stages}, code)


def work(api: Api, *files: Any) -> Work:
    office = api.office
    bench = Bench(lambda: office.outside, lambda _: files, lambda _: office.post(), {}, "one", lambda: 0.0)
    return Work(bench, timedelta(hours=1))


def through(worker: Work, run: int) -> None:
    while worker.advance(run).more:
        pass


# runs


def test_any_stage_can_be_started_and_is_done_by_a_worker(ready: Api) -> None:
    run = start(ready)["run"]
    through(work(ready, ready.office.people(5)), run)
    told = ready.get(f"/runs/{run}")
    assert (told["state"], told["first"], told["until"], told["job"]) == ("done", None, "nurture", "daily")
    assert told["counts"]["harvest"]["new"] == 5
    assert [batch["stage"] for batch in told["batches"]] == ["harvest"]
    ready.office.now = WEDNESDAY
    again = start(ready, first="send", until="send")["run"]
    through(work(ready), again)
    assert ready.get(f"/runs/{again}")["counts"]["send"]["sent"] == 5


def test_a_second_run_of_a_campaign_waits_for_the_first(ready: Api) -> None:
    run = start(ready)["run"]
    assert f"Run {run}" in start(ready, 409)["detail"]


@pytest.mark.parametrize(
    ("stages", "code"),
    [({"first": "route", "until": "score"}, 422), ({"first": "dance"}, 422), ({"campaign": "no"}, 404)],
)
def test_what_cannot_be_run_is_refused(fresh: Api, stages: dict[str, str], code: int) -> None:
    start(fresh, code, **stages)
    assert fresh.get("/runs")["items"] == []


def test_a_draft_does_not_send(api: Api) -> None:
    api.office.apply(sender={"name": "Mara", "company": "", "postal_address": ""})
    told = start(api, 409, until="send")
    assert (told["code"], told["hint"] != "") == ("misconfigured", True)


def test_runs_are_listed_page_by_page_and_by_what_they_are(ready: Api) -> None:
    for _ in range(5):
        ready.post(f"/runs/{start(ready)['run']}/cancel")
    ready.post("/schedules/send:spring/run", None, 202)
    assert [run["id"] for run in ready.pages("/runs")] == [6, 5, 4, 3, 2, 1]
    assert [run["id"] for run in ready.pages("/runs?job=send&campaign=spring")] == [6]
    assert [run["id"] for run in ready.pages("/runs?state=cancelled")] == [5, 4, 3, 2, 1]
    assert ready.ask("GET", "/runs?campaign=none").status_code == 404


def test_a_run_is_cancelled_once(ready: Api) -> None:
    run = start(ready)["run"]
    told = ready.post(f"/runs/{run}/cancel")
    assert (told["state"], told["cancel"].startswith("key:")) == ("cancelled", True)
    ready.post(f"/runs/{run}/cancel", None, 409)
    assert ("run.cancel", f"run:{run}", "done") in ready.audited()
    assert ("run.cancel", f"run:{run}", "failed") in ready.audited()


def test_a_run_that_has_ended_is_tried_again_as_a_new_one(ready: Api) -> None:
    run = start(ready, until="score")["run"]
    ready.post(f"/runs/{run}/retry", None, 409)
    ready.post(f"/runs/{run}/cancel")
    told = ready.post(f"/runs/{run}/retry", None, 202)
    assert told == {"run": run + 1, "follow": f"/api/v1/runs/{run + 1}", "batches": 0}
    assert ready.get(f"/runs/{run + 1}")["until"] == "score"


def test_what_a_run_set_aside_is_dismissed_once(ready: Api) -> None:
    run = start(ready)["run"]
    ready.post(f"/runs/{run}/dismiss", None, 409)
    with ready.workspace.store.transaction() as unit:
        unit.runs.add_batch(run, "harvest", "set_aside", ready.office.now, counts={}, seconds=0.0, place={"rows": 3})
        unit.runs.set(run, state="done", finished_at=ready.office.now)
    assert ready.post(f"/runs/{run}/dismiss") == {"run": run, "dismissed": 1}
    assert [batch["state"] for batch in ready.get(f"/runs/{run}")["batches"]] == ["dismissed"]
    ready.post(f"/runs/{run}/dismiss", None, 409)
    assert ("run.dismiss", f"run:{run}", "done") in ready.audited()


@pytest.mark.parametrize("path", ["/runs/7", "/runs/7/events", f"/runs/{2**63 - 1}"])
def test_a_run_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    assert api.ask("GET", path).status_code == 404
    assert api.ask("POST", f"{path.removesuffix('/events')}/retry").status_code == 404


# progress


def stream(api: Api, run: int, seconds: int = 600) -> Iterator[tuple[str, dict[str, Any]]]:
    headers = {"Authorization": f"Bearer {api.keys['viewer']}"}
    url = f"/api/v1/runs/{run}/events?seconds={seconds}"
    with api.client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            kind = value if name == "event" else kind
            if name == "data":
                yield kind, json.loads(value)


def test_the_progress_of_a_run_is_told_until_it_ends(ready: Api) -> None:
    run = start(ready)["run"]
    worker, seen = work(ready, ready.office.people(100)), []
    for kind, told in stream(ready, run):
        seen.append((kind, told["state"], told["counts"].get("harvest", {}).get("new")))
        if told["state"] in ("queued", "running"):
            worker.advance(run)
    told = [new or 0 for _, _, new in seen]
    assert seen[0] == ("progress", "queued", None)
    assert {state for _, state, _ in seen} == {"queued", "running", "done"}
    assert told == sorted(told)
    assert seen[-1] == ("end", "done", 100)


def test_the_progress_of_a_run_that_has_ended_is_its_end(fresh: Api) -> None:
    run = start(fresh)["run"]
    fresh.post(f"/runs/{run}/cancel")
    [(kind, told)] = stream(fresh, run)
    assert (kind, told["state"]) == ("end", "cancelled")


def test_a_stream_ends_when_its_time_is_over(fresh: Api) -> None:
    assert [kind for kind, _ in stream(fresh, start(fresh)["run"], seconds=0)] == ["progress", "pause"]


def test_a_reader_who_goes_frees_the_place_and_more_than_so_many_are_refused(
    fresh: Api, monkeypatch: pytest.MonkeyPatch, until: Callable[[Callable[[], bool]], None]
) -> None:
    monkeypatch.setattr(follow, "STREAMS", 1)
    run = start(fresh)["run"]
    reading = stream(fresh, run)
    next(reading)
    second = fresh.ask("GET", f"/runs/{run}/events")
    assert (second.status_code, second.headers["retry-after"]) == (503, "10")
    reading.close()  # type: ignore[attr-defined]
    until(lambda: follow.Streams.open == 0)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something holds; a minute at most."""

    def wait(holds: Callable[[], bool]) -> None:
        tick = threading.Event()
        for _ in range(1200):
            if holds():
                return
            tick.wait(0.05)
        raise AssertionError("it never came to hold")

    return wait


# schedules


def test_a_schedule_is_added_changed_paused_resumed_run_and_removed(ready: Api) -> None:
    new = {
        "name": "evening:spring",
        "job": "daily",
        "campaign": "spring",
        "timing": {"opens": "18:00", "closes": "19:00"},
    }
    told = ready.post("/schedules", new, 201)
    assert (told["when"], told["state"]) == ("daily 18:00-19:00 Europe/Berlin", "active")
    path = "/schedules/evening:spring"
    changed = ready.ask("PATCH", path, json={"days": ["mon"], "priority": 3}).json()
    assert (changed["timing"]["days"], changed["priority"]) == (["mon"], 3)
    assert ready.post(f"{path}/pause")["state"] == "paused"
    assert ready.post(f"{path}/resume")["state"] == "active"
    run = ready.post(f"{path}/run", None, 202)["run"]
    assert ready.get(f"/runs/{run}")["schedule"] == "evening:spring"
    assert ready.ask("DELETE", path).status_code == 204
    assert ready.ask("GET", path).status_code == 404
    assert [row["name"] for row in ready.get("/schedules")["items"]] == sorted(
        ["daily:spring", "health", "retention", "send:spring"]
    )
    done = [action for action, _, result in ready.audited() if result == "done"]
    assert done == [f"schedule.{what}" for what in ("add", "set", "pause", "resume", "run", "remove")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 422),
        ({"every": 5}, 422),
        ({"opens": "25:00"}, 422),
        ({"zone": "Mars/Olympus"}, 422),
        ({"zone": "../../etc/passwd"}, 422),
        ({"days": []}, 422),
        ({"first": "send", "until": "score"}, 422),
        ({"unknown": 1}, 422),
        ({"priority": 0}, 422),
    ],
)
def test_a_timing_that_cannot_be_is_refused(fresh: Api, changes: dict[str, Any], code: int) -> None:
    before = fresh.get("/schedules/daily:spring")
    assert fresh.ask("PATCH", "/schedules/daily:spring", json=changes).status_code == code
    assert fresh.get("/schedules/daily:spring") == before


def test_a_schedule_that_every_campaign_has_stays(fresh: Api) -> None:
    assert fresh.ask("DELETE", "/schedules/daily:spring").status_code == 409


def test_who_changes_a_schedule_has_seen_it(fresh: Api) -> None:
    first = fresh.ask("GET", "/schedules/daily:spring")
    tag = first.headers["etag"]
    assert fresh.ask("GET", "/schedules/daily:spring", headers={"If-None-Match": tag}).status_code == 304
    changed = {"json": {"opens": "03:00"}, "headers": {"If-Match": tag}}
    assert fresh.ask("PATCH", "/schedules/daily:spring", **changed).status_code == 200  # type: ignore[arg-type]
    late = fresh.ask("PATCH", "/schedules/daily:spring", json={"opens": "04:00"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert fresh.get("/schedules/daily:spring")["timing"]["opens"] == "03:00"


# mailboxes, health, settings


def test_a_mailbox_shows_its_use_and_can_be_checked(ready: Api) -> None:
    [told] = ready.get("/mailboxes")["items"]
    assert (told["cap"], told["used"], told["free"], told["state"]) == (1000, 0, 1000, "ready")
    assert ready.get(f"/mailboxes/{told['address']}") == told
    checked = ready.post(f"/mailboxes/{told['address']}/check")
    assert checked["ok"], checked
    assert [check["status"] for check in checked["checks"]] == ["ok"] * 3
    assert ready.ask("POST", "/mailboxes/nobody@here.example/check").status_code == 404


def test_a_mailbox_that_does_not_work_says_so(api: Api) -> None:
    api.office.apply(mailboxes=[api.office.mailbox(port=1)])
    [told] = api.get("/mailboxes")["items"]
    checked = api.post(f"/mailboxes/{told['address']}/check")
    assert not checked["ok"]
    assert checked["checks"][-1]["hint"]


def test_health_says_what_to_do(fresh: Api) -> None:
    told = fresh.get("/health")
    assert (told["level"], told["scopes"]["workers"]) == ("failed", "failed")
    assert all(finding["hint"] for finding in told["findings"])


def test_no_setting_shows_a_secret(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchline.settings import Settings, shown

    given = Settings(
        database_url="postgresql://touch:hunter2@db/line?password=hunter3",
        secret="hunter4",
        alerts={"urls": ["mailto://me:hunter5@example.com"]},  # type: ignore[arg-type]
    )
    assert "hunter" not in json.dumps(shown(given))
    told = {one["key"]: one for one in api.get("/settings")["items"]}
    assert told["batch_rows"]["value"] == told["batch_rows"]["default"]
    assert told["worker.tick_seconds"]["variable"] == "TOUCHLINE_WORKER__TICK_SECONDS"
