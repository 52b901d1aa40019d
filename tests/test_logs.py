"""Logs: nobody's data above debug, whatever an error quotes; mailboxes of ours are named."""

from collections.abc import Iterator

import pytest
import structlog

from touchline.logs import set_up
from touchline.model.errors import InvalidInput

SAID = "No column of leads.csv says who a lead is.\nIn its first line it has: 'Jane Doe-Smith', '+49 170 1234567'."

QUOTES = "duplicate key\nDETAIL: Key (name)=(Jane Doe-Smith) exists."


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "console"])
def test_of_an_error_the_log_holds_the_first_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", form)
    structlog.get_logger().info("run.ended", run=12, error=SAID)
    said = capsys.readouterr().err
    assert "No column of leads.csv" in said
    assert "Jane" not in said


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_holds_the_first_line_of_each_error_in_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", form)
    try:
        try:
            raise ValueError(QUOTES)
        except ValueError as cause:
            raise InvalidInput(SAID, hint="Name one.") from cause
    except InvalidInput as error:
        structlog.get_logger().warning("batch.failed", exc_info=error)
        structlog.get_logger().exception("batch.failed")
    said = capsys.readouterr().err
    assert said.count("duplicate key") >= 2
    assert said.count("No column of leads.csv") >= 2
    assert "test_logs.py" in said
    assert "Key (name)" not in said
    assert "170 1234567" not in said


def test_at_debug_everything_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", "json")
    structlog.get_logger().info("run.ended", error=SAID)
    assert "Jane" in capsys.readouterr().err


def test_addresses_are_masked_except_those_of_mailboxes_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    structlog.get_logger().info("alert.opened", key="mailboxes", mailbox="mara@ours.example", error="ann@firm.example")
    said = capsys.readouterr().err
    assert "mara@ours.example" in said
    assert "ann@firm.example" not in said
