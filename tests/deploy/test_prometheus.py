"""A real Prometheus takes what is shipped: each alert fires when it should, and every panel shows an installation at work."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
import yaml
from shipped import ALERTS, BOARD, CONFIG, PANELS, RULES

from faults.crew import Crew, MovedTime, until
from touchline.sim.smtp_server import Fault
from world import CAMPAIGN, TUESDAY, WEDNESDAY, World

SLOW = 60.0
"""Seconds that a slow machine may take for anything."""


def program(name: str) -> str:
    """Where it is: on PATH, or where `make` unpacks it."""
    places = [os.environ["PATH"], str(Path(sys.prefix, "prometheus", "usr", "bin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    assert found is not None, f"{name} is not here. Type: make .prometheus"
    return found


def promtool(*argv: str | Path, given: bytes = b"") -> None:
    command = [program("promtool"), *argv]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_promtool_finds_nothing_wrong_in_the_configuration_and_the_rules() -> None:
    promtool("check", "config", CONFIG)
    promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)


# when an alert fires


@dataclass(frozen=True)
class Case:
    """What two processes of an installation tell, one sample a minute from minute 0, and what follows.

    Attributes:
        told: Samples by metric: `2x3` stands for four times 2, `_x3` for none in three minutes. Both processes tell the
            same, unless there are two texts.
        quiet: Minutes in which the alert does not fire; it is near to it.
        fires: The minute in which it does.
        summary: What it says then.
        labels: Of the alert, beside the job and those of its rule.
    """

    alert: str
    told: Mapping[str, str | tuple[str, str]]
    quiet: tuple[int, ...]
    fires: int
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.alert}-{self.fires}"

    def document(self) -> dict[str, Any]:
        """As `promtool test rules` reads it."""
        series = []
        for metric, values in self.told.items():
            name, _, own = metric.partition("{")
            for process, said in enumerate((values, values) if isinstance(values, str) else values):
                labels = f'job="touchline", instance="{process}", {own or "}"}'
                series.append({"series": f"{name}{{{labels}", "values": said})
        rule = RULES[self.alert]
        labelled = {"job": "touchline", **rule["labels"], **self.labels}
        alert = {"exp_labels": labelled, "exp_annotations": rule["annotations"] | {"summary": self.summary}}
        expected: list[tuple[int, list[Any]]] = [*((minute, []) for minute in self.quiet), (self.fires, [alert])]
        tests = [{"eval_time": f"{at}m", "alertname": self.alert, "exp_alerts": alerts} for at, alerts in expected]
        told = {"interval": "1m", "input_series": series, "alert_rule_test": tests}
        return {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [told]}


CASES = [
    Case(
        "TouchlineSuppressionBreach",
        {"touchline_suppression_breaches": "0x5 2x5"},
        quiet=(5,),
        fires=6,
        summary="2 messages left although their recipients were suppressed",
    ),
    Case(
        "TouchlineDown",
        {"up": ("1x5 0x20", "1x10 0x15")},
        quiet=(10, 15),
        fires=16,
        summary="Touchline does not answer",
    ),
    Case(
        "TouchlineDown",
        {"up": "1x5 stale"},
        quiet=(5, 10),
        fires=11,
        summary="Touchline does not answer",
    ),
    Case(
        "TouchlineWorkerAbsent",
        {
            "touchline_workers_alive": "0x10 1x5 0x20",
            'touchline_schedule_active{schedule="daily:spring", job_name="daily"}': "_x11 1x30",
            'touchline_schedule_active{schedule="health", job_name="health"}': "_x11 1x30",
        },
        # At first nothing is active, and then a worker is there.
        quiet=(10, 16, 21),
        fires=22,
        summary="No worker is there, and schedules are active",
    ),
    Case(
        "TouchlineRunMissed",
        {'touchline_schedule_waiting_seconds{schedule="daily:spring"}': "86400x10 90000x10"},
        quiet=(10, 15),
        fires=16,
        summary="daily:spring has not been started for 1d 1h 0m 0s",
        labels={"schedule": "daily:spring"},
    ),
    Case(
        "TouchlineFailed",
        {'touchline_health{scope="workers"}': "1x10 2x20", 'touchline_health{scope="all"}': "2x30"},
        quiet=(10, 15),
        fires=16,
        summary="workers has failed",
        labels={"scope": "workers"},
    ),
    Case(
        "TouchlineDegraded",
        {
            'touchline_health{scope="disk"}': "0x5 1x40",
            'touchline_health{scope="all"}': "1x45",
            'touchline_health{scope="touches"}': "2x45",
        },
        quiet=(5, 35),
        fires=36,
        summary="disk is degraded",
        labels={"scope": "disk"},
    ),
    Case(
        "TouchlineRunLate",
        {'touchline_schedule_waiting_seconds{schedule="send:spring"}': "600x10 660x10"},
        quiet=(10, 15),
        fires=16,
        summary="send:spring is late by 11m 0s",
        labels={"schedule": "send:spring"},
    ),
    Case(
        "TouchlineRunsFailing",
        {
            'touchline_runs_total{job_name="daily", state="done"}': "0 1x30",
            'touchline_runs_total{job_name="daily", state="unfinished"}': "0 1x30",
            'touchline_runs_total{job_name="daily", state="failed"}': "0 2x9 3x20",
            'touchline_runs_total{job_name="daily", state="cancelled"}': "0 9x30",
        },
        # At first just half have failed.
        quiet=(10, 20),
        fires=21,
        summary="More than half of the last day's runs of daily failed",
        labels={"job_name": "daily"},
    ),
    Case(
        "TouchlineBatchSetAside",
        {
            'touchline_batches_total{job_name="daily", state="set_aside"}': "0x10 1x100",
            'touchline_batches_total{job_name="daily", state="done"}': "0+3x110",
        },
        # An hour later it is over.
        quiet=(10, 80),
        fires=11,
        summary="Batches of daily were set aside",
        labels={"job_name": "daily", "state": "set_aside"},
    ),
    Case(
        "TouchlineQueueAgeing",
        {'touchline_queue_oldest_seconds{job_name="send"}': "600x10 720x10"},
        quiet=(10, 15),
        fires=16,
        summary="A run of send has been waiting for 12m 0s",
        labels={"job_name": "send"},
    ),
    Case(
        "TouchlineTouchesUncertain",
        {"touchline_touches_uncertain": "0x5 3x20"},
        quiet=(5, 20),
        fires=21,
        summary="3 touches of unknown fate",
    ),
    Case(
        "TouchlineMailboxResting",
        {'touchline_mailbox_resting{mailbox="mara@quillmast.example"}': "0x5 1x40"},
        quiet=(5, 35),
        fires=36,
        summary="mara@quillmast.example cannot take mail",
        labels={"mailbox": "mara@quillmast.example"},
    ),
    Case(
        "TouchlineDeliveriesFailing",
        {
            'touchline_deliveries_total{result="sent"}': "0 10x9 90x20",
            'touchline_deliveries_total{result="deferred"}': "0 2x9 6x20",
            'touchline_deliveries_total{result="failed"}': "0 5x9 10x9 30x10",
        },
        # At first they are few, and then a small part.
        quiet=(10, 20),
        fires=21,
        summary="More than a tenth of the last hours' messages were refused for good",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_fires_when_it_should_and_not_before(case: Case, tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps(case.document()), "utf-8")
    promtool("test", "rules", tmp_path / "case.json")


def test_every_alert_has_cases_in_which_it_fires_and_in_which_it_does_not() -> None:
    assert {case.alert for case in CASES if case.quiet} == set(RULES)


# an installation at work

LEADS = 20
SOURCE = """
[[sources]]
path = "leads.csv"

[window]
start = 00:00:00
end = 23:59:59

[sender]"""
OURS = re.compile(r"\b(?:touchline_\w+|up)\b(?:\{[^}]*\})?")
"""A metric in an expression, with what is asked of its labels."""


class Prometheus:
    """A server that scrapes every second.

    Args:
        address: Where it answers.

    Attributes:
        since: When it began, as ISO 8601.
        at: The moment that it is asked about: it had scraped what it was to see.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.since = self.at = datetime.now(UTC).isoformat()

    def ask(self, path: str, **given: str) -> Any:
        """What its HTTP API answers.

        Raises:
            AssertionError: It refuses the question, such as one that is no PromQL.
        """
        try:
            with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{urlencode(given)}", timeout=SLOW) as said:
                return json.load(said)["data"]
        except HTTPError as error:
            with closing(error):
                raise AssertionError(f"{given}: {error.read().decode()}") from None

    def series(self, query: str) -> list[dict[str, Any]]:
        """What an expression gives."""
        found: list[dict[str, Any]] = self.ask("query", query=query, time=self.at)["result"]
        return found

    def sees(self, query: str, number: float) -> None:
        """Wait until an expression gives this number."""

        def seen() -> bool:
            self.at = datetime.now(UTC).isoformat()
            return [float(each["value"][1]) for each in self.series(query)] == [number]

        until(seen, SLOW, lambda: f"{query} is not {number} but {self.series(query)}")

    def shown(self, target: Mapping[str, Any], installation: str) -> list[dict[str, Any]]:
        """What a panel shows, asked as Grafana asks; its rate interval is long enough for a slow machine."""
        query = target["expr"].replace("$installation", installation).replace("$__rate_interval", "15s")
        if target["instant"]:
            return self.series(query)
        found = self.ask("query_range", query=query, start=self.since, end=self.at, step="1s")
        series: list[dict[str, Any]] = found["result"]
        return series

    def installations(self) -> list[str]:
        """What the dashboard offers its reader to choose from."""
        (variable,) = (each for each in BOARD["templating"]["list"] if each["name"] == "installation")
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert found is not None
        values: list[str] = self.ask(f"label/{found[2]}/values", **{"match[]": found[1]})
        return values

    def rules(self) -> list[dict[str, Any]]:
        """The rules with how they do."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def states(self) -> dict[str, tuple[str, str]]:
        """Of each rule whether it can be evaluated, and whether it waits or fires."""
        return {rule["name"]: (rule["health"], rule["state"]) for rule in self.rules()}


@contextmanager
def scraping(home: Path, target: str) -> Iterator[Prometheus]:
    """A server by the shipped files, but for the target's address and the pace."""
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    config["global"] = dict.fromkeys(config["global"], "1s")
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    home.mkdir()
    shutil.copy(ALERTS, home)
    (home / CONFIG.name).write_text(json.dumps(config), "utf-8")
    command = [program("prometheus"), f"--config.file={home / CONFIG.name}", f"--storage.tsdb.path={home / 'data'}"]
    command += ["--web.listen-address=127.0.0.1:0"]
    log = home / "log"

    def said() -> str:
        return log.read_text("utf-8")

    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            until(lambda: "ready to receive web requests" in said(), SLOW, said)
            found = re.search(r"Listening on.* address=(\S+)", said())
            assert found is not None, said()
            yield Prometheus(f"http://{found[1]}")
        finally:
            server.kill()


class Gate:
    """A mail server's fault that strikes nobody: whoever comes waits until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, recipient: str) -> bool:
        assert self.opened.wait(SLOW)
        return False


def test_every_panel_shows_an_installation_at_work_and_no_alert_waits_until_it_dies(sqlite_world: World) -> None:
    world = sqlite_world
    world.extra["TOUCHLINE_SMTP__TIMEOUT"] = str(SLOW)
    # Prometheus gives samples its own time; the installation's runs on from another instant at the same pace.
    time = MovedTime(world.home / "ahead", WEDNESDAY)
    world.leads(LEADS)
    world.set_up(CAMPAIGN.replace("\n[sender]", SOURCE))
    world.run("run", "-c", "spring", "--until", "nurture", now=TUESDAY)
    # The night between is nobody's: what runs is what the test starts.
    nights = [f"schedule {act} {name}" for act in ("pause", "resume") for name in ("daily:spring", "retention")]
    for command in (*nights, "schedule set send:spring --every 1", "stop --all"):
        world.run(*command.split(), now=time.now)
    with closing(Crew(world, time)) as crew:
        pid = crew.start("serve", "--port", "0")
        until(lambda: "listening on " in crew.said(), SLOW, crew.logs)
        address = crew.said().partition("listening on http://")[2].split()[0]
        with scraping(world.home / "prometheus", address) as prometheus:
            works(world, time, prometheus)
            tells(address)
            shows(prometheus)
            watches(prometheus)
            crew.kill(pid)
            alone = dict.fromkeys(RULES, ("ok", "inactive")) | {"TouchlineDown": ("ok", "pending")}
            until(lambda: prometheus.states() == alone, SLOW, lambda: f"{prometheus.states()}")


def works(world: World, time: MovedTime, prometheus: Prometheus) -> None:
    """Twice a daily run brings leads, and what is due is sent; Prometheus sees it before, meanwhile and after."""
    gate = Gate()
    world.smtp.script(Fault("rcpt", "drop", matches=gate, times=None))
    for runs in (1, 2):
        prometheus.sees('touchline_runs_total{job_name="daily", state="done"}', runs - 1)
        world.leads((runs + 1) * LEADS)
        world.run("schedule", "run-now", "daily:spring", now=time.now)
    world.run("start", now=time.now)
    prometheus.sees('touchline_runs_open{job_name="send", state="running"}', 1)
    gate.opened.set()
    prometheus.sees('touchline_deliveries_total{result="sent"}', LEADS)
    prometheus.sees('touchline_runs_total{job_name="daily", state="done"}', 2)
    prometheus.sees("touchline_leads", 3 * LEADS)
    assert len(world.delivered()) == LEADS


def tells(address: str) -> None:
    """Metrics are named and described as Prometheus advises."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=SLOW) as said:
        promtool("check", "metrics", given=said.read())


def shows(prometheus: Prometheus) -> None:
    """Every panel has data, of the chosen installation alone, with the labels that its legend names; nothing told is left out."""
    (installation,) = prometheus.installations()
    named = set(re.findall(r"touchline_\w+", json.dumps(BOARD["templating"])))
    for panel in PANELS:
        for target in panel.get("targets", ()):
            asked = panel["title"], target["expr"]
            found = prometheus.shown(target, installation)
            assert found, asked
            assert not prometheus.shown(target, "another"), asked
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert all(legend <= {*series["metric"]} for series in found), asked
            named |= set(re.findall(r"touchline_\w+", target["expr"]))
    assert named == {name for name in prometheus.ask("label/__name__/values") if name.startswith("touchline_")}
    (table,) = (panel for panel in PANELS if panel["title"] == "Schedules")
    began = [float(series["value"][1]) / 1000 for series in prometheus.shown(table["targets"][0], installation)]
    assert {f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" for at in began} == {WEDNESDAY[:10]}


def watches(prometheus: Prometheus) -> None:
    """Every rule is evaluated, looks at what is told of this installation alone, and finds nothing wrong."""
    quiet = dict.fromkeys(RULES, ("ok", "inactive"))
    until(lambda: prometheus.states() == quiet, SLOW, lambda: f"{prometheus.states()}")
    assert not prometheus.series('max_over_time(ALERTS{alertstate="firing"}[1h])')
    for asked in {asked for rule in prometheus.rules() for asked in OURS.findall(rule["query"])}:
        assert prometheus.series(asked), asked
        assert not prometheus.series(asked.replace('job="touchline"', 'job="another"')), asked
