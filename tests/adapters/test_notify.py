"""Notices reach real servers; what cannot be reached is logged and raises nothing; addresses with secrets appear nowhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from apprise import NotifyFormat
from pydantic import SecretStr
from structlog.testing import capture_logs

from touchline.adapters.notify import AppriseNotifier, Heartbeat
from touchline.app.alerts import Notice
from touchline.model.errors import Misconfigured
from touchline.sim.smtp_server import Fault, SmtpServer
from webhook import SECRET, Hook, listening

# One of apprise's plugins imports what Python 3.13 has dropped.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOTICE = Notice("Touchline failed: disk", "FAILED  disk: 0.1 GB free\n    -> Free some <space> & breathe.", "failed")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as made:
        yield made


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nobody listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    yield port


def notifier(*urls: str) -> AppriseNotifier:
    return AppriseNotifier([SecretStr(url) for url in urls])


def test_a_webhook_hears_title_body_and_kind(hook: Hook) -> None:
    assert notifier(hook.url).tell(NOTICE)
    (heard,) = hook.heard
    assert (heard["title"], heard["message"], heard["type"]) == (NOTICE.title, NOTICE.body, "failure")
    assert hook.paths == [f"/{SECRET}"]


@pytest.mark.parametrize(("level", "kind"), [("healthy", "success"), ("degraded", "warning")])
def test_the_kind_follows_the_level(hook: Hook, level: str, kind: str) -> None:
    assert notifier(hook.url).tell(Notice("t", "b", level))  # type: ignore[arg-type]
    assert hook.heard[0]["type"] == kind


def test_a_letter_comes_through_smtp_as_plain_text_or_readable_html() -> None:
    with SmtpServer() as server:
        url = f"mailto://127.0.0.1:{server.port}?from=touchline@ours.example&to=mara@ours.example&mode=insecure"
        assert notifier(url).tell(NOTICE)
        (received,) = server.messages
    assert received.rcpt_to == ("mara@ours.example",)
    letter = message_from_bytes(received.data, policy=policy.default)
    assert letter["Subject"] == NOTICE.title
    body = letter.get_body(("plain", "html"))
    assert body is not None
    assert "disk: 0.1 GB free" in body.get_content()


def test_one_channel_that_takes_it_is_enough_and_the_other_is_logged_without_its_address(
    hook: Hook, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with closed_port() as port, caplog.at_level(logging.DEBUG), capture_logs() as logs:
        assert notifier(f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}", hook.url).tell(NOTICE)
    assert len(hook.heard) == 1
    (entry,) = logs
    assert (entry["event"], entry["channel"], entry["kind"]) == ("alert.not_taken", 1, "JSON")
    written = "".join([*capfd.readouterr(), caplog.text, str(logs)])
    assert SECRET not in written.replace(f"/{SECRET} HTTP/1.1", "")


def test_a_channel_that_refuses_is_a_no_and_no_error(hook: Hook) -> None:
    hook.status = 500
    told = notifier(hook.url)
    with capture_logs() as logs:
        assert not told.tell(NOTICE)
    assert [entry["event"] for entry in logs] == ["alert.not_taken"]
    hook.status = 204
    assert told.tell(NOTICE)


def test_each_channel_says_whether_it_took_a_message_and_why_not(
    hook: Hook, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with closed_port() as port, listening() as other, SmtpServer() as server:
        other.status = 503
        server.script(Fault("mail", "5xx", times=None))
        mail = f"mailto://127.0.0.1:{server.port}?from={SECRET}@ours.example&to=mara@ours.example&mode=insecure"
        told = notifier(hook.url, f"json://127.0.0.1:{port}/{SECRET}", other.url, mail)
        with caplog.at_level(logging.DEBUG):
            answers = told.each(NOTICE)
    assert [(one.number, one.kind, one.taken, one.why) for one in answers] == [
        (1, "JSON", True, ""),
        (2, "JSON", False, "no connection to its server"),
        (3, "JSON", False, "its server answered 503"),
        (4, "E-Mail", False, "it was refused"),
    ]
    assert len(hook.heard) == 1
    written = "".join([*capfd.readouterr(), caplog.text, str(answers)])
    assert SECRET not in written.replace(f"/{SECRET} HTTP/1.1", "")


def test_a_message_too_long_for_a_service_is_split_at_its_limit(hook: Hook) -> None:
    line = "FAILED  daily:spring: the last 3 runs failed\n    -> touchline runs show 12\n"
    long = Notice("Touchline failed: daily:spring", line * 2_000, "failed")
    assert notifier(hook.url).tell(long)
    assert len(hook.heard) > 1
    assert sum(each["message"].count("FAILED") for each in hook.heard) == 2_000


@pytest.mark.parametrize(
    ("url", "most"),
    [
        (f"tgram://123456789:{'a' * 35}/12345", 4096),
        (f"discord://{'1' * 10}/{'a' * 20}", 2000),
        (f"pover://{'u' * 30}@{'t' * 30}", 1024),
    ],
)
def test_what_a_service_is_given_is_never_longer_than_it_takes(url: str, most: int) -> None:
    body = "DEGRADED  mailboxes: a.long.name@with.a.long.host.example: 421 no route to it\n" * 130
    (channel,) = notifier(url)._channels
    parts = channel._apply_overflow(body, "Touchline degraded: mailboxes", body_format=NotifyFormat.TEXT)
    assert len(parts) > 1
    assert max(len(part["body"]) for part in parts) <= most
    (chosen,) = notifier(url + "?overflow=truncate")._channels
    assert len(chosen._apply_overflow(body, "t", body_format=NotifyFormat.TEXT)) == 1


def test_without_channels_nobody_is_told() -> None:
    assert not notifier().tell(NOTICE)


@pytest.mark.parametrize("url", [f"nonsense://{SECRET}", SECRET, f"slack://{SECRET}", ""])
def test_an_address_that_apprise_does_not_know_is_named_by_its_place_only(
    hook: Hook, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Misconfigured, match="address 2 of 2") as refused:
        notifier(hook.url, url)
    assert SECRET not in str(refused.value)
    assert SECRET not in "".join(capfd.readouterr())


def test_a_watchdog_is_asked_at_its_address(hook: Hook) -> None:
    Heartbeat(SecretStr(f"http://127.0.0.1:{hook.port}/{SECRET}"))()
    assert hook.asked == [f"/{SECRET}"]


def test_without_a_watchdog_nobody_is_asked_and_nothing_is_said() -> None:
    with capture_logs() as logs:
        Heartbeat(SecretStr(""))()
    assert logs == []


def test_a_watchdog_that_does_not_answer_or_refuses_is_logged_without_its_address(hook: Hook) -> None:
    hook.status = 404
    with closed_port() as port, capture_logs() as logs:
        Heartbeat(SecretStr(f"http://127.0.0.1:{hook.port}/{SECRET}"))()
        Heartbeat(SecretStr(f"http://{SECRET}@127.0.0.1:{port}/{SECRET}"))()
        Heartbeat(SecretStr(f"http://127.0.0.1:nonsense/{SECRET}"))()
    assert [(each["event"], each["status"]) for each in logs] == [
        ("heartbeat.not_taken", 404),
        ("heartbeat.not_taken", None),
        ("heartbeat.not_taken", None),
    ]
    assert SECRET not in str(logs)
