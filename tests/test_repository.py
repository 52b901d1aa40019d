"""The repository itself: what it declares is locked, and what the README promises as commands is there."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def name(requirement: str) -> str:
    """The normalised name of a requirement (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=! ;]", requirement, maxsplit=1)[0]).lower()


def test_every_declared_dependency_is_locked_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = {name(r) for r in (*project["project"]["dependencies"], *project["dependency-groups"]["dev"])}
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", lock, re.MULTILINE))
    assert declared <= locked, "run: make lock"
    assert len(re.findall(r"--hash=sha256:", lock)) >= len(locked)


def test_every_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert all(">=" in r for r in (*project["project"]["dependencies"], *project["dependency-groups"]["dev"]))


def test_ci_runs_make_test_and_nothing_hidden() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    commands = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]
