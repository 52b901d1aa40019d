"""What is shipped for Prometheus and Grafana: a rule says what to do, the commands exist, and the dashboard is laid out whole."""

import json
import re
from itertools import combinations, pairwise
from typing import Any

import pytest
import yaml
from shipped import BOARD, CONFIG, PANELS, RULES


def test_a_rule_says_what_is_wrong_what_to_do_and_how_urgent_it_is() -> None:
    for rule in RULES.values():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert "touchline " in rule["annotations"]["description"]


@pytest.mark.parametrize(
    ("metric", "severity"),
    [
        ("touchline_suppression_breaches", "page"),
        ("touchline_schedule_waiting_seconds", "page"),
        ("touchline_workers_alive", "page"),
        ("touchline_runs_total", "ticket"),
        ("touchline_queue_oldest_seconds", "ticket"),
        ("touchline_touches_uncertain", "ticket"),
        ("touchline_mailbox_resting", "ticket"),
    ],
)
def test_there_is_a_rule_for_everything_that_can_go_wrong(metric: str, severity: str) -> None:
    found = [rule for rule in RULES.values() if metric in rule["expr"]]
    assert severity in {rule["labels"]["severity"] for rule in found}


def test_commands_in_messages_exist() -> None:
    from typer.main import get_command

    from touchline.cli import app

    tree: Any = get_command(app)
    texts = [text for rule in RULES.values() for text in rule["annotations"].values()]
    texts += [panel.get("description", "") for panel in PANELS]
    for said in re.findall(r"touchline ([a-z-]+(?: [a-z-]+)?)", " ".join(texts)):
        first, _, second = said.partition(" ")
        assert first in tree.commands, said
        inner = getattr(tree.commands[first], "commands", None)
        assert inner is None or second in inner, said


def test_the_dashboard_asks_one_data_source_that_its_reader_chooses() -> None:
    assert [variable["type"] for variable in BOARD["templating"]["list"]] == ["datasource", "query"]
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(PANELS))
    assert set(sources) == {"${datasource}"}
    assert BOARD["uid"] == "touchline"


def test_panels_have_ids_of_their_own_and_a_meaning() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({(panel["type"], panel["title"]) for panel in PANELS}) == len(PANELS)
    assert all(panel.get("description") for panel in PANELS if panel["type"] != "row")
    assert all(len({t["refId"] for t in panel.get("targets", ())}) == len(panel.get("targets", ())) for panel in PANELS)


def test_no_two_panels_overlap_none_leaves_the_grid_and_none_leaves_a_gap() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    for one, two in combinations(PANELS, 2):
        assert not cells(one) & cells(two), (one["title"], two["title"])
    taken = set().union(*map(cells, PANELS))
    bottom = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(24) for y in range(bottom)}
    ordered = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in PANELS]
    assert all(a < b for a, b in pairwise(ordered))


def test_the_example_scrapes_where_serve_listens_by_itself() -> None:
    from touchline.settings import Serve

    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    (scrape,) = config["scrape_configs"]
    assert (scrape["job_name"], scrape["metrics_path"]) == ("touchline", "/metrics")
    assert scrape["static_configs"] == [{"targets": [f"{Serve().host}:{Serve().port}"]}]
