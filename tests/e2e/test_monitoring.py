"""`touchline health` as people, monitors and cron use it: words, JSON, exit codes, and messages that arrive."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from touchline.model.errors import Misconfigured
from touchline.settings import load
from touchline.sim.smtp_server import Fault
from webhook import SECRET, Hook, listening
from world import TUESDAY, WEDNESDAY, World

LATER = "2027-03-09T05:06:00Z"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as made:
        yield made


def test_a_fresh_installation_is_healthy_in_words_and_in_json(sqlite_world: World) -> None:
    sqlite_world.run("init", "--yes")
    said = sqlite_world.run("health").out
    assert said.startswith("healthy   overall\n")
    found = sqlite_world.run("health", "--json").json
    assert (found["health"], found["findings"]) == ("healthy", [])
    assert set(found["scopes"].values()) == {"healthy"}


def test_schedules_without_a_worker_have_failed_with_exit_code_2_and_the_command_that_helps(
    sqlite_world: World,
) -> None:
    sqlite_world.set_up()
    done = sqlite_world.run("health", code=2)
    assert "failed    workers\n" in done.out
    assert "-> touchline serve" in done.out
    found = sqlite_world.run("health", "--json", code=2).json
    assert [(one["key"], one["level"]) for one in found["findings"]] == [("workers: alive", "failed")]


def test_what_is_degraded_has_exit_code_1(sqlite_world: World) -> None:
    sqlite_world.set_up()
    for row in sqlite_world.run("schedule", "list", "--json").json:
        sqlite_world.run("schedule", "pause", row["name"])  # all is done by hand here
    sqlite_world.leads(2)
    sqlite_world.run("import", "leads.csv", "-c", "spring")
    sqlite_world.run("run", "-c", "spring", "--until", "nurture")
    sqlite_world.smtp.script(Fault("ehlo", "5xx", times=None))
    sqlite_world.run("run", "-c", "spring", now=WEDNESDAY)
    done = sqlite_world.run("health", now=WEDNESDAY, code=1)
    assert "degraded  mailboxes\n" in done.out
    assert "-> touchline doctor" in done.out


def test_cron_may_tell_what_is_new_and_tells_it_once(sqlite_world: World, hook: Hook) -> None:
    sqlite_world.set_up()
    told = {"TOUCHLINE_ALERTS__URLS": json.dumps([hook.url])}
    for _ in range(2):
        sqlite_world.run("health", "--notify", code=2, **told)
    assert hook.titles == ["Touchline failed: workers: alive"]
    for row in sqlite_world.run("schedule", "list", "--json").json:
        sqlite_world.run("schedule", "pause", row["name"])
    sqlite_world.run("health", "--notify", now=LATER, **told)
    assert hook.titles[1:] == ["Touchline over: workers: alive"]


def test_a_watchdog_is_asked_while_nothing_has_failed(sqlite_world: World, hook: Hook) -> None:
    sqlite_world.run("init", "--yes")
    (sqlite_world.home / "touchline.toml").write_text(
        f'[alerts]\nheartbeat = "http://127.0.0.1:{hook.port}/{SECRET}"\n', "utf-8"
    )
    sqlite_world.run("health")
    assert hook.asked == []
    done = sqlite_world.run("health", "--notify")
    assert hook.asked == [f"/{SECRET}"]
    sqlite_world.set_up()
    sqlite_world.run("schedule", "list")
    failed = sqlite_world.run("health", "--notify", code=2)
    assert hook.asked == [f"/{SECRET}"]
    assert SECRET not in done.out + done.err + failed.out + failed.err


def test_a_test_message_reaches_the_addresses_and_tells_nobody_what_they_are(sqlite_world: World, hook: Hook) -> None:
    world = sqlite_world
    world.run("init", "--yes")
    (world.home / "touchline.toml").write_text(f'[alerts]\nurls = ["{hook.url}"]\n', "utf-8")
    done = world.run("health", "--notify-test")
    assert hook.titles == ["Touchline test"]
    assert done.out == "1  JSON: taken\n"
    told = {"channels": [{"number": 1, "kind": "JSON", "taken": True}]}
    assert world.run("health", "--notify-test", "--json").json == told
    refused = world.run("health", "--notify-test", code=75, TOUCHLINE_ALERTS__URLS=f'["json://127.0.0.1:1/{SECRET}"]')
    unknown = world.run("health", "--notify-test", code=78, TOUCHLINE_ALERTS__URLS=f'["nonsense://{SECRET}"]')
    assert all(SECRET not in each.out + each.err for each in (done, refused, unknown))
    assert refused.out == "1  JSON: not taken, no connection to its server\n"


def test_of_several_addresses_each_is_told_whether_it_took_the_test_message(sqlite_world: World, hook: Hook) -> None:
    sqlite_world.run("init", "--yes")
    urls = {"TOUCHLINE_ALERTS__URLS": json.dumps([hook.url, f"json://127.0.0.1:1/{SECRET}"])}
    done = sqlite_world.run("health", "--notify-test", code=75, **urls)
    assert done.out == "1  JSON: taken\n2  JSON: not taken, no connection to its server\n"
    assert "1 of 2 did not take the test message" in done.err
    found = sqlite_world.run("health", "--notify-test", "--json", code=75, **urls)
    why = "no connection to its server"
    assert json.loads(found.out)["channels"] == [
        {"number": 1, "kind": "JSON", "taken": True},
        {"number": 2, "kind": "JSON", "taken": False, "why": why},
    ]
    assert len(hook.titles) == 2
    assert all(SECRET not in each.out + each.err for each in (done, found))


def test_without_addresses_a_test_message_says_where_they_belong(sqlite_world: World) -> None:
    sqlite_world.run("init", "--yes")
    done = sqlite_world.run("health", "--notify-test", code=78)
    assert "[alerts] urls" in done.err


def test_what_works_by_itself_does_not_start_with_an_address_that_cannot_be_used(sqlite_world: World) -> None:
    sqlite_world.run("init", "--yes")
    wrong = {"TOUCHLINE_ALERTS__URLS": f'["nonsense://{SECRET}"]'}
    for command in (("worker",), ("serve", "--port", "0")):
        done = sqlite_world.run(*command, code=78, **wrong)
        assert "alerts.urls: address 1 of 1" in done.err
        assert SECRET not in done.out + done.err


def test_a_fault_among_the_addresses_is_told_without_showing_them(sqlite_world: World) -> None:
    sqlite_world.run("init", "--yes")
    broken = f'[alerts]\nurls = "{SECRET}"\n'
    (sqlite_world.home / "touchline.toml").write_text(broken, "utf-8")
    done = sqlite_world.run("health", code=78)
    assert "alerts.urls" in done.err
    assert SECRET not in done.err


def test_a_database_that_is_not_there_is_no_health(sqlite_world: World) -> None:
    assert sqlite_world.run("health", now=TUESDAY, code=None).code in (75, 78)


def test_cron_tells_at_once_that_the_database_is_away(sqlite_world: World, hook: Hook) -> None:
    told = {"TOUCHLINE_ALERTS__URLS": json.dumps([hook.url])}
    gone = {"DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing"}
    done = sqlite_world.run("health", "--notify", code=75, **told, **gone)
    assert hook.titles == ["Touchline failed: database"]
    assert "secret" not in json.dumps(hook.heard) + done.out + done.err


def test_the_settings_in_the_page_on_monitoring_are_read_as_they_stand(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    first, second = re.findall(r"^    \[alerts\]\n(?:    .+\n)+", page, re.MULTILINE)
    (tmp_path / "touchline.toml").write_text(dedent(first) + dedent(second).removeprefix("[alerts]\n"), "utf-8")
    found = load(tmp_path).alerts
    assert len(found.urls) == 2
    assert (found.quiet, found.zone) == ("22:00-07:00", "Europe/Berlin")
    assert found.heartbeat.get_secret_value() == "https://hc-ping.com/your-check"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[alerts]\nquiet = '22-7'", "'22-7' is not a time of day such as 22:00-07:00"),
        ("[alerts]\nzone = 'Europe/Nowhere'", "'Europe/Nowhere' is not an IANA zone"),
        ("[alerts]\nzone = '../etc/passwd'", "is not an IANA zone"),
        ("[worker]\nbeat_seconds = 20\ntake_over_seconds = 30", "take_over_seconds must be twice beat_seconds"),
        ("[worker]\nbatch_concurrency = 0", "worker.batch_concurrency"),
        ("[serve]\nport = 65536", "serve.port"),
        ("history_days = 29", "history_days"),
        ("[alerts]\nheartbeat = 'file:///etc/passwd'", "alerts.heartbeat: Value error, it is not an address such as"),
    ],
)
def test_a_fault_in_the_settings_of_daily_work_names_it(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "touchline.toml").write_text(text, "utf-8")
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path)
    assert said in str(refused.value)
