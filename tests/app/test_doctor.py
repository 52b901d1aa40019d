"""The doctor on real parts that fail: what it finds, what it advises, and that it comes to an end."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from certificate import self_signed
from touchline.adapters.campaign_file import read
from touchline.adapters.store.store import Store
from touchline.app import campaigns
from touchline.app.doctor import Finding, examine
from touchline.settings import load
from touchline.sim.dns_server import KINDS, DnsServer
from touchline.sim.smtp_server import Fault, SmtpServer
from touchline.wiring import Quiet, Workspace
from world import CAMPAIGN, World

NOW = datetime(2027, 3, 10, 15, tzinfo=UTC)
HEALTHY = CAMPAIGN.replace("mara@quillmast.example", "mara@firm1.com")
LOGIN = 'security = "starttls"\nusername = "mara"\npassword_env = "MARA_PASSWORD"'
USERS = {"mara": "s3cret"}
Examined = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("doctor"))


@pytest.fixture
def examined(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> Examined:
    """Examines the installation: findings by the name of their check."""

    def examine_it(**changes: Any) -> dict[str, Finding]:
        for name, value in sqlite_world.environment.items():
            monkeypatch.setenv(name, value)
        exam = replace(Workspace(load(sqlite_world.home), Quiet()).examination(), **changes)
        try:
            found = list(examine(exam))
        finally:
            exam.store.close()  # type: ignore[attr-defined]  # the real store
        assert all(f.hint for f in found if f.status != "ok"), "a finding says what to do"
        assert len({f.check for f in found}) == len(found)
        return {f.check: f for f in found}

    return examine_it


@contextmanager
def opened(world: World) -> Iterator[Store]:
    store = Store(world.database_url, world.home)
    try:
        yield store
    finally:
        store.close()


def applied(world: World, *changes: tuple[str, str], port: int | None = None) -> World:
    """A database with the healthy campaign, in which some text is replaced."""
    text = HEALTHY.replace("$name", "spring").replace("$mode", "automatic").replace("$cap", "10")
    for old, new in (*changes, ("$smtp_port", str(port or world.smtp.port))):
        assert old in text
        text = text.replace(old, new)
    (world.home / "test.toml").write_text(text, "utf-8")
    with opened(world) as store:
        store.migrate()
        campaigns.apply(store, read(world.home / "test.toml"), NOW)
    return world


def wrong(found: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.status for check, finding in found.items() if finding.status != "ok"}


def test_a_healthy_installation_has_nothing_to_mend(sqlite_world, examined):
    found = examined() if applied(sqlite_world) else {}
    assert wrong(found) == {}
    assert list(found) == [
        "configuration",
        "disk",
        "database",
        "migrations",
        "opt-out link",
        "campaign spring",
        "dns firm1.com",
        "mailbox mara@firm1.com: connect",
        "mailbox mara@firm1.com: tls",
        "mailbox mara@firm1.com: auth",
    ]
    assert sqlite_world.smtp.messages == []


def test_the_command_prints_the_findings_and_leaves_with_1_on_an_error_only(sqlite_world):
    applied(sqlite_world)
    shown = sqlite_world.run("doctor", "--json", code=0).json
    assert all(set(finding) == {"check", "status", "detail", "hint"} for finding in shown)
    assert {finding["status"] for finding in shown} == {"ok"}
    assert "ok       database" in sqlite_world.run("doctor", code=0).out
    sqlite_world.run("stop", "--all", "--reason", "fire drill")
    assert "warning  stop switch" in sqlite_world.run("doctor", code=0).out
    sqlite_world.smtp.script(Fault("banner", "5xx", times=None))
    told = sqlite_world.run("doctor", code=1).out
    assert "error    mailbox mara@firm1.com: connect" in told
    assert "-> Compare host" in told
    broken = sqlite_world.run("doctor", "--json", code=1).json
    assert [finding["status"] for finding in broken].count("error") == 1


def test_a_database_that_is_not_set_up_ends_the_examination(examined, sqlite_world):
    found = examined()
    assert wrong(found) == {"migrations": "error"}
    assert "touchline init" in found["migrations"].hint
    sqlite_world.run("doctor", code=1)


def test_a_database_of_another_version_is_an_error_that_names_both(examined, sqlite_world):
    applied(sqlite_world)
    with opened(sqlite_world) as store, store.transaction() as unit:
        unit.connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_tomorrow'")
    assert "at from_tomorrow, needs " in examined()["migrations"].detail
    assert "newer" in examined()["migrations"].hint


def test_a_file_that_is_no_database_is_an_error(examined, sqlite_world):
    (sqlite_world.home / "touchline.db").write_text("no database " * 1000)
    found = examined()
    assert wrong(found) == {"database": "error"}
    assert "not a database" in found["database"].detail
    shown = sqlite_world.run("doctor", "--json", code=1).json
    assert shown[-1]["check"] == "database"


def test_a_database_server_that_is_down_is_an_error_without_its_password(examined, sqlite_world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sqlite_world.database_url = f"postgresql://u:hidden@127.0.0.1:{port}/none"
    found = examined()
    assert wrong(found) == {"database": "error"}
    assert "hidden" not in str(found)


def test_no_campaign_yet_is_a_warning_and_dns_is_asked_all_the_same(examined, sqlite_world):
    with opened(sqlite_world) as store:
        store.migrate()
    found = examined()
    assert wrong(found) == {"campaigns": "warning"}
    assert found["dns example.com"].detail == "mail exchange: nxdomain"
    assert sqlite_world.dns.asked["example.com"] > 0


@pytest.mark.parametrize("word", ["none", "null_mx", "nxdomain"])
def test_a_mailbox_whose_domain_takes_no_mail_is_a_warning(examined, sqlite_world, word):
    applied(sqlite_world)
    with DnsServer({"firm1.com": KINDS[word]}) as dns:
        sqlite_world.extra["TOUCHLINE_DNS__NAMESERVERS"] = json.dumps([f"127.0.0.1:{dns.port}"])
        found = examined()
    assert wrong(found) == {"dns firm1.com": "warning"}
    assert found["dns firm1.com"].detail == f"mail exchange: {word}"


@pytest.mark.parametrize("word", ["timeout", "servfail"])
def test_dns_that_says_nothing_is_an_error_in_bounded_time(examined, sqlite_world, word):
    applied(sqlite_world)
    sqlite_world.extra["TOUCHLINE_DNS__TIMEOUT"] = "0.25"
    with DnsServer(lambda _: KINDS[word]) as dns:
        sqlite_world.extra["TOUCHLINE_DNS__NAMESERVERS"] = json.dumps([f"127.0.0.1:{dns.port}"])
        began = time.monotonic()
        found = examined()
    assert time.monotonic() - began < 10
    assert wrong(found) == {"dns firm1.com": "error"}


def test_a_name_server_that_is_no_address_is_a_finding_and_the_rest_is_examined(examined, sqlite_world):
    applied(sqlite_world)
    sqlite_world.extra["TOUCHLINE_DNS__NAMESERVERS"] = '["nonsense"]'
    found = examined()
    assert wrong(found) == {"dns": "error"}
    assert "mailbox mara@firm1.com: auth" in found


def test_a_campaign_that_may_not_send_yet_says_why(examined, sqlite_world):
    applied(sqlite_world, ("1 Example Row, Dublin", " "))
    found = examined()
    assert wrong(found) == {"campaign spring": "warning"}
    assert "No postal address" in found["campaign spring"].detail


def test_the_stop_switch_is_a_warning_that_says_why_and_how_to_lift_it(examined, sqlite_world):
    applied(sqlite_world)
    with opened(sqlite_world) as store:
        campaigns.stop_all(store, "fire drill", NOW)
    found = examined()
    assert wrong(found) == {"stop switch": "warning"}
    assert "fire drill" in found["stop switch"].detail
    assert "touchline start" in found["stop switch"].hint


def test_messages_of_unknown_fate_are_a_warning_that_counts_them(examined, sqlite_world):
    applied(sqlite_world)
    touch = {
        "campaign_id": 1,
        "step": 1,
        "sequence": "short",
        "variant": "a",
        "state": "uncertain",
        "due_at": NOW,
        "mailbox": "mara@firm1.com",
    }
    rows = [touch | {"prospect_id": key, "message_id": f"<{key}@firm1.com>"} for key in (1, 2)]
    with opened(sqlite_world) as store, store.transaction() as unit:
        unit.touches.insert(pl.DataFrame(rows), NOW)
    assert examined()["touches"].detail == "2 of unknown fate"


@pytest.mark.parametrize(
    ("free", "status"), [(0, "error"), (99_999_999, "error"), (100_000_000, "warning"), (10**9, "ok")]
)
def test_a_disk_that_fills_is_a_warning_and_then_an_error(examined, sqlite_world, free, status):
    applied(sqlite_world)
    assert examined(free_bytes=lambda: free)["disk"].status == status


def test_a_folder_that_is_not_there_is_an_error_of_its_disk(examined, sqlite_world):
    from touchline.adapters.machine import free_bytes

    applied(sqlite_world)
    found = examined(free_bytes=lambda: free_bytes(sqlite_world.home / "gone"))
    assert wrong(found) == {"disk": "error"}
    assert "gone" in found["disk"].detail


def test_a_public_address_where_nobody_answers_is_an_error(examined, sqlite_world):
    applied(sqlite_world)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
    sqlite_world.extra["TOUCHLINE_PUBLIC_URL"] = url
    found = examined()
    assert wrong(found) == {"opt-out link": "error"}
    assert found["opt-out link"].detail.startswith(f"{url} does not answer")
    assert examined(public_fault=lambda _: None)["opt-out link"].detail == url


def mailbox_steps(found: dict[str, Finding]) -> dict[str, tuple[str, str]]:
    start = "mailbox mara@firm1.com"
    return {c.removeprefix(start): (f.status, f.detail) for c, f in found.items() if c.startswith(start)}


@pytest.fixture
def secured(sqlite_world: World, certificate: Path) -> Iterator[tuple[World, SmtpServer]]:
    """An installation whose mailbox wants STARTTLS and a login, and its server."""
    with SmtpServer(tls="starttls", certificate=certificate, users=USERS) as server:
        applied(sqlite_world, ('security = "none"', LOGIN), port=server.port)
        sqlite_world.extra |= {"TOUCHLINE_SMTP__CA_FILE": str(certificate), "MARA_PASSWORD": "s3cret"}
        yield sqlite_world, server


def test_a_mailbox_with_tls_and_login_is_walked_through_to_the_end(secured, examined):
    steps = mailbox_steps(examined())
    assert [(step, status) for step, (status, _) in steps.items()] == [
        (": connect", "ok"),
        (": tls", "ok"),
        (": auth", "ok"),
    ]
    assert steps[": auth"][1] == "PLAIN as mara"
    secured[0].run("doctor", code=0)


def test_a_wrong_password_is_an_error_of_the_login_and_is_not_shown(secured, examined):
    secured[0].extra["MARA_PASSWORD"] = "not-this-one"
    found = examined()
    assert wrong(found) == {"mailbox mara@firm1.com: auth": "error"}
    assert "535" in found["mailbox mara@firm1.com: auth"].detail
    assert "not-this-one" not in str(found)


@pytest.mark.parametrize("value", [None, ""])
def test_a_password_that_is_not_set_is_an_error_and_nobody_is_called(secured, examined, monkeypatch, value):
    world, server = secured
    monkeypatch.delenv("MARA_PASSWORD", raising=False)
    del world.extra["MARA_PASSWORD"]
    if value is not None:
        world.extra["MARA_PASSWORD"] = value
    found = examined()
    assert wrong(found) == {"mailbox mara@firm1.com": "error"}
    assert "MARA_PASSWORD" in found["mailbox mara@firm1.com"].detail
    assert server.commands == []


def test_a_certificate_that_nobody_vouches_for_is_an_error_of_tls(secured, examined):
    del secured[0].extra["TOUCHLINE_SMTP__CA_FILE"]
    found = examined()
    assert wrong(found) == {"mailbox mara@firm1.com: tls": "error"}
    assert "mailbox mara@firm1.com: auth" not in found


def test_a_certificate_file_that_cannot_be_read_is_a_finding(secured, examined):
    secured[0].extra["TOUCHLINE_SMTP__CA_FILE"] = "gone.pem"
    found = examined()
    assert wrong(found) == {"mailbox mara@firm1.com": "error"}
    assert "gone.pem" in found["mailbox mara@firm1.com"].detail


def test_a_server_without_starttls_is_an_error_of_tls(examined, sqlite_world):
    applied(sqlite_world, ('security = "none"', LOGIN))
    sqlite_world.extra["MARA_PASSWORD"] = "s3cret"
    found = examined()
    assert wrong(found) == {"mailbox mara@firm1.com: tls": "error"}
    assert "STARTTLS" in found["mailbox mara@firm1.com: tls"].detail


def test_a_mail_server_that_is_not_there_is_an_error_of_the_connection(examined, sqlite_world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    applied(sqlite_world, port=port)
    assert wrong(examined()) == {"mailbox mara@firm1.com: connect": "error"}


def test_many_silent_mail_servers_take_one_time_out_together(examined, sqlite_world):
    box = HEALTHY[HEALTHY.index("[[mailboxes]]") : HEALTHY.index("[icp.fit")].replace("$cap", "10")
    more = "".join(box.replace("mara@", f"mara{i}@") for i in range(7))
    applied(sqlite_world, ("[icp.fit.size]", more + "[icp.fit.size]"))
    sqlite_world.extra["TOUCHLINE_SMTP__TIMEOUT"] = "1"
    sqlite_world.smtp.script(Fault("banner", "stall", times=None))
    began = time.monotonic()
    found = examined()
    assert len(wrong(found)) == 8
    assert time.monotonic() - began < 6
