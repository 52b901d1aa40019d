"""What is shipped for systemd: it starts a command that exists, gives a batch its time, and comes back unless a person is needed."""

from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from touchline.model.errors import Misconfigured, TouchlineError
from touchline.settings import Worker
from world import World

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "touchline.service"


@pytest.fixture
def service() -> dict[str, str]:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment] - systemd tells capitals apart
    unit.read_string(UNIT.read_text("utf-8"))
    return dict(unit["Service"])


def test_it_starts_a_command_that_exists(service: dict[str, str]) -> None:
    from typer.main import get_command

    from touchline.cli import app

    tree: Any = get_command(app)
    program, command = service["ExecStart"].split()
    assert Path(program).name == "touchline"
    assert command in tree.commands


def test_a_batch_has_its_time_to_end_before_it_is_killed(service: dict[str, str]) -> None:
    assert int(service["TimeoutStopSec"]) > Worker().stop_seconds


def test_it_comes_back_whatever_ended_it_but_for_what_a_person_has_to_set_right(service: dict[str, str]) -> None:
    assert service["Restart"] == "always"
    stays_down = [int(code) for code in service["RestartPreventExitStatus"].split()]
    assert stays_down == [Misconfigured.exit_code]
    codes = [kind.exit_code for kind in TouchlineError.__subclasses__()]
    assert len(codes) >= 2
    assert not set(stays_down) & set(codes)


def test_what_is_not_set_up_ends_with_the_code_that_keeps_it_down(sqlite_world: World, service: dict[str, str]) -> None:
    done = sqlite_world.run("serve", "--port", "0", code=int(service["RestartPreventExitStatus"]))
    assert "touchline init" in done.err
