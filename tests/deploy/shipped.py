"""What is shipped for Prometheus and Grafana, read once."""

import json
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG, ALERTS = DEPLOY / "prometheus" / "prometheus.yml", DEPLOY / "prometheus" / "alerts.yml"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
}
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "touchline.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
