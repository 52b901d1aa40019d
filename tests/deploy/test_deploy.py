"""What is shipped for Prometheus and Grafana: every expression parses, and every metric and label in it is one that we expose."""

import json
import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from measured import NOW, installation
from touchline.adapters.exposition import metrics_text

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "touchline.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
OURS_BY_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds."""

QUERIES = {rule["alert"]: [rule["expr"]] for rule in RULES} | {
    f"panel {panel['title']}": [target["expr"] for target in panel["targets"]]
    for panel in PANELS
    if panel["type"] != "row"
}


def parsed(expression: str) -> Any:
    """With Grafana's variables filled in as Grafana does."""
    return promql_parser.parse(expression.replace("$__rate_interval", "1m").replace("$installation", "touchline"))


def selectors(expression: Any) -> Iterator[Any]:
    parts: list[Any] = []
    promql_parser.walk(expression, parts.append)
    for part in parts:
        if isinstance(part, promql_parser.VectorSelector):
            yield part
        elif isinstance(part, promql_parser.MatrixSelector):
            yield part.vector_selector


@pytest.fixture(scope="session")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    """Labels of every sample, by metric, of an installation in which everything has happened."""
    store = installation("sqlite:///t.db", tmp_path_factory.mktemp("measured"))
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(metrics_text(store, NOW).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    store.close()
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_an_expression_parses_and_every_metric_and_label_in_it_is_exposed(
    name: str, exposed: dict[str, list[dict[str, str]]]
) -> None:
    for query in QUERIES[name]:
        seen = list(selectors(parsed(query)))
        assert seen, query
        for selector in seen:
            matchers = [(m.name, str(m.op), m.value) for m in selector.matchers.matchers]
            assert ("job", "MatchOp.Equal", "touchline") in matchers, f"{selector.name} is of any installation"
            if selector.name == "up":
                continue
            samples = exposed[selector.name]
            for label, op, value in matchers:
                if label != "job" and op == "MatchOp.Equal":
                    assert any(sample.get(label) == value for sample in samples), (selector.name, label, value)
                elif label != "job":
                    assert all(label in sample for sample in samples), (selector.name, label)


@pytest.mark.parametrize("name", QUERIES)
def test_a_legend_and_a_message_name_only_labels_that_the_expression_leaves(
    name: str, exposed: dict[str, list[dict[str, str]]]
) -> None:
    rule = next((rule for rule in RULES if rule["alert"] == name), None)
    if rule is not None:
        texts = [(rule["expr"], "".join(rule["annotations"].values()), r"\$labels\.(\w+)")]
    else:
        panel = next(panel for panel in PANELS if f"panel {panel['title']}" == name)
        texts = [(target["expr"], target["legendFormat"], r"\{\{(\w+)\}\}") for target in panel["targets"]]
    for query, text, pattern in texts:
        metrics = [selector.name for selector in selectors(parsed(query)) if selector.name in exposed]
        dropped = set(re.findall(r"sum without \((\w+)\)", query))
        known = set.union(*({*sample} for metric in metrics for sample in exposed[metric])) if metrics else set()
        assert set(re.findall(pattern, text)) <= known - dropped, query


def test_every_number_that_we_expose_is_on_the_dashboard(exposed: dict[str, list[dict[str, str]]]) -> None:
    shown = {
        selector.name for panel in PANELS for t in panel.get("targets", ()) for selector in selectors(parsed(t["expr"]))
    }
    named = json.dumps(BOARD["templating"])
    assert {name for name in exposed if name not in shown and name not in named} == set()


def test_a_rule_says_what_is_wrong_what_to_do_and_how_urgent_it_is() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert "touchline " in rule["annotations"]["description"]
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


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
    found = [rule for rule in RULES if metric in rule["expr"]]
    assert severity in {rule["labels"]["severity"] for rule in found}


def test_a_breach_pages_at_once() -> None:
    (rule,) = (rule for rule in RULES if "suppression_breaches" in rule["expr"])
    assert "for" not in rule
    assert (rule["labels"]["severity"], rule["expr"][-3:]) == ("page", "> 0")


def test_commands_in_messages_exist() -> None:
    from typer.main import get_command

    from touchline.cli import app

    tree: Any = get_command(app)
    texts = [text for rule in RULES for text in rule["annotations"].values()]
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


def test_the_example_scrapes_where_serve_listens_by_itself_and_loads_the_rules_beside_it() -> None:
    from touchline.settings import Serve

    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (scrape,) = config["scrape_configs"]
    assert (scrape["job_name"], scrape["metrics_path"]) == ("touchline", "/metrics")
    assert scrape["static_configs"] == [{"targets": [f"{Serve().host}:{Serve().port}"]}]
    assert [(DEPLOY / "prometheus" / name).is_file() for name in config["rule_files"]] == [True]
