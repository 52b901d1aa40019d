"""Conversations with real servers on loopback: every fault at every stage ends as the one right word."""

import asyncio
import json
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import pytest
from aiosmtpd.smtp import SMTP as OtherServer  # noqa: N811 - it is not a constant
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from touchline.adapters.smtp import Check, Reply, SmtpTransport
from touchline.model.campaign import Mailbox
from touchline.model.errors import InvalidInput, MailboxUnavailable, Misconfigured
from touchline.sim.smtp_server import Fault, Kind, SmtpServer, Stage
from touchline.stages.send import Letter, compose

T = TypeVar("T")
PATIENT, IMPATIENT = 20.0, 0.4
USERS = {"bob": "s3cret"}
MESSAGE = b"Message-ID: <1@acme.test>\r\n\r\n.a line that starts with a dot\r\n"


class Pki(NamedTuple):
    ca: Path
    certificate: Path
    key: Path


def signed(subject: str, names: list[x509.GeneralName], key: ec.EllipticCurvePrivateKey, by=None) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer, issuer_key = by or (name, key)
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A certificate authority of our own and a certificate for 127.0.0.1, but not for localhost."""
    home = tmp_path_factory.mktemp("pki")
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = signed("Test CA", [x509.DNSName("ca.test")], ca_key)
    leaf = signed("mail.test", [x509.IPAddress(ip_address("127.0.0.1"))], key, by=(ca.subject, ca_key))
    made = Pki(home / "ca.pem", home / "certificate.pem", home / "key.pem")
    made.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    made.certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


@pytest.fixture(scope="module")
def servers(pki: Pki) -> Iterator[dict[str, SmtpServer]]:
    """One server for each kind of security, all with AUTH."""
    tls: dict[str, Any] = {"certificate": pki.certificate, "key": pki.key, "users": USERS}
    with (
        SmtpServer(users=USERS) as plain,
        SmtpServer(tls="starttls", **tls) as starttls,
        SmtpServer(tls="tls", **tls) as implicit,
    ):
        yield {"none": plain, "starttls": starttls, "tls": implicit}


@pytest.fixture
def open_server() -> Iterator[SmtpServer]:
    """A server without TLS and without AUTH."""
    with SmtpServer() as server:
        yield server


def mailbox(server: SmtpServer, **changes: Any) -> Mailbox:
    login = {"username": "bob", "password_env": "BOB_PASSWORD"} if server.users else {}
    values = {"address": "bob@acme.test", "host": server.host, "port": server.port, "security": server.tls or "none"}
    return Mailbox(**{**values, **login, **changes})


@cache
def transport(pki: Pki | None = None, timeout: float = PATIENT) -> SmtpTransport:
    return SmtpTransport(timeout=timeout, final_timeout=timeout, ca_file=pki.ca if pki else None)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def deliver(
    post: SmtpTransport, box: Mailbox, message: bytes = MESSAGE, recipient: str = "ada@example.com"
) -> Reply:
    session = await post.connect(box, "s3cret")
    try:
        reply = await session.offer(box.address, recipient)
        return await session.transmit(message) if reply.result == "accepted" else reply
    finally:
        await session.close()


def outcome(post: SmtpTransport, box: Mailbox) -> tuple[str, bool]:
    """(result, body_begun) of one delivery, or ("mailbox", permanent)."""
    try:
        reply = run(deliver(post, box))
    except MailboxUnavailable as error:
        return "mailbox", error.permanent
    return reply.result, reply.body_begun


BEFORE_MAIL = {
    "4xx": ("mailbox", False),
    "5xx": ("mailbox", True),
    **dict.fromkeys(("drop", "stall", "garbage"), ("mailbox", False)),
}
SAFE = dict.fromkeys(("drop", "stall", "garbage"), ("lost", False))
UNKNOWN = dict.fromkeys(("drop", "stall", "garbage"), ("lost", True))
BEFORE_BODY = {"4xx": ("deferred", False), "5xx": ("failed", False), **SAFE}
IN_BODY = {"4xx": ("deferred", True), "5xx": ("failed", True), **UNKNOWN}
ENDS: dict[str, dict[str, tuple[str, bool]]] = {
    **dict.fromkeys(("connect", "banner", "ehlo", "starttls", "auth"), BEFORE_MAIL),
    "mail": {**BEFORE_MAIL, **SAFE},
    "rcpt": BEFORE_BODY,
    "data": BEFORE_BODY,
    "body": IN_BODY,
    "dot": IN_BODY,
    "quit": dict.fromkeys(get_args(Kind), ("accepted", True)),
}
PLACES = [
    *((stage, "starttls" if stage == "starttls" else "none") for stage in get_args(Stage)),
    # And those again where TLS makes a difference.
    *((stage, "tls") for stage in ("connect", "banner", "dot")),
]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize(("stage", "security"), PLACES)
def test_each_fault_at_each_stage_ends_as_the_one_right_word(
    servers: dict[str, SmtpServer], pki: Pki, stage: Stage, kind: Kind, security: str
) -> None:
    server, post = servers[security], transport(pki, IMPATIENT if kind == "stall" else PATIENT)
    before = len(server.messages)
    server.script(Fault(stage, kind))
    # Before TLS there is no SMTP reply to understand: a refusal in the clear is a broken handshake.
    veiled = stage == "connect" and security == "tls"

    assert outcome(post, mailbox(server)) == (("mailbox", False) if veiled else ENDS[stage][kind])
    taken = stage == "quit" or (stage == "dot" and kind in {"drop", "stall", "garbage"})
    assert len(server.messages) - before == taken
    assert outcome(transport(pki), mailbox(server)) == ("accepted", True)


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_message_arrives_byte_for_byte(servers: dict[str, SmtpServer], pki: Pki, security: str) -> None:
    server = servers[security]
    message = MESSAGE + b".\r\n..\r\n" + b"x" * 900 + b"\r\n.." + b"\r\nlast line\r\n" * 20_000
    reply = run(deliver(transport(pki), mailbox(server), message))

    assert (reply.result, reply.code, reply.text) == ("accepted", 250, "2.0.0 taken")
    got = server.messages[-1]
    assert (got.mail_from, got.rcpt_to, got.data) == ("bob@acme.test", ("ada@example.com",), message)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=8))
def test_whatever_is_composed_passes_a_strict_server_unchanged(texts: list[tuple[str, str, str]]) -> None:
    letter = Letter(
        "bob@acme.test", "", "ada@example.com", "", "", "", None, "<1@acme.test>", (), "mailto:bob@acme.test", None,
        datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    messages = [compose(replace(letter, recipient_name=a, subject=b, text=c)) for a, b, c in texts]

    async def deliver_all(server: SmtpServer) -> list[str]:
        session = await transport().connect(mailbox(server), None)
        results = []
        for message in messages:
            await session.offer("bob@acme.test", "ada@example.com")
            results.append((await session.transmit(message)).result)
        await session.close()
        return results

    with SmtpServer() as server:
        assert run(deliver_all(server)) == ["accepted"] * len(messages)
        assert [received.data for received in server.messages] == messages


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Fault("rcpt", "4xx"), "deferred"),
        (Fault("rcpt", "5xx"), "failed"),
        (Fault("data", "4xx"), "deferred"),
        (Fault("data", "5xx"), "failed"),
        (Fault("dot", "4xx"), "deferred"),
        (Fault("dot", "5xx"), "failed"),
    ],
)
def test_a_refused_recipient_does_not_end_the_session(open_server: SmtpServer, fault: Fault, result: str) -> None:
    open_server.script(replace(fault, matches="ada@", times=None))

    async def three() -> tuple[list[str], bool]:
        session = await transport().connect(mailbox(open_server), None)
        results = []
        for recipient in ("bob@example.com", "ada@example.com", "eve@example.com"):
            reply = await session.offer("bob@acme.test", recipient)
            results.append((await session.transmit(MESSAGE) if reply.result == "accepted" else reply).result)
        alive = session.alive
        await session.close()
        return results, alive

    assert run(three()) == (["accepted", result, "accepted"], True)
    assert [m.rcpt_to for m in open_server.messages] == [("bob@example.com",), ("eve@example.com",)]


@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
def test_a_server_that_closes_with_421_defers_the_message_and_ends_the_session(
    open_server: SmtpServer, stage: Stage
) -> None:
    open_server.script(Fault(stage, "4xx", code=421))

    async def once() -> tuple[Reply, bool]:
        session = await transport().connect(mailbox(open_server), None)
        reply = await session.offer("bob@acme.test", "ada@example.com")
        if reply.result == "accepted":
            reply = await session.transmit(MESSAGE)
        alive = session.alive
        await session.close()
        return reply, alive

    reply, alive = run(once())
    assert (reply.result, reply.code, alive) == ("deferred", 421, False)


def test_a_login_asked_for_at_rcpt_is_no_recipients_fault(open_server: SmtpServer) -> None:
    open_server.script(Fault("rcpt", "5xx", code=530))

    assert outcome(transport(), mailbox(open_server)) == ("mailbox", True)


def test_mail_without_login_where_one_is_wanted_is_the_mailboxs_fault(servers: dict[str, SmtpServer]) -> None:
    box = mailbox(servers["none"], username=None, password_env=None)

    assert outcome(transport(), box) == ("mailbox", True)


@pytest.mark.parametrize(("stage", "begun"), [("rcpt", False), ("data", False), ("dot", True)])
def test_a_reply_that_makes_no_sense_there_is_no_reply(open_server: SmtpServer, stage: Stage, begun: bool) -> None:
    open_server.script(Fault(stage, "4xx", code=354 if stage != "data" else 250))

    assert outcome(transport(), mailbox(open_server)) == ("lost", begun)


def test_a_connection_lost_between_messages_loses_nothing() -> None:
    async def after_the_end() -> Reply:
        with SmtpServer() as server:
            session = await transport().connect(mailbox(server), None)
        reply = await session.offer("bob@acme.test", "ada@example.com")
        assert not session.alive
        assert (await session.transmit(MESSAGE)) == replace(reply, text="Server not connected")
        await session.close()
        return reply

    reply = run(after_the_end())
    assert (reply.result, reply.code, reply.body_begun) == ("lost", None, False)


def test_what_the_server_says_comes_back_as_one_clean_line(open_server: SmtpServer) -> None:
    said = "no\x00 such\t" + "user " * 200
    open_server.script(Fault("rcpt", "5xx", text=said))
    reply = run(deliver(transport(), mailbox(open_server)))

    assert reply == Reply("failed", 550, ("no such " + "user " * 200)[:500])


@pytest.mark.parametrize(
    "address", ["ada@example.com>\r\nDATA", "ada@example.com, eve@evil.test", "", "ädi@example.com"]
)
def test_an_address_that_is_not_plain_reaches_no_server(open_server: SmtpServer, address: str) -> None:
    with pytest.raises(InvalidInput):
        run(deliver(transport(), mailbox(open_server), recipient=address))

    assert open_server.commands == ["EHLO acme.test", "QUIT"]


@pytest.mark.parametrize("message", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nMAIL FROM:<eve@evil.test>\r\n"])
def test_a_message_with_bare_line_ends_is_not_sent(open_server: SmtpServer, message: bytes) -> None:
    with pytest.raises(InvalidInput, match="bare CR or LF"):
        run(deliver(transport(), mailbox(open_server), message))

    assert "DATA" not in open_server.commands


def test_a_message_without_last_line_end_gets_one(open_server: SmtpServer) -> None:
    run(deliver(transport(), mailbox(open_server), b"a: b\r\n\r\nend"))

    assert open_server.messages[0].data == b"a: b\r\n\r\nend\r\n"


def unavailable(post: SmtpTransport, box: Mailbox, password: str | None = "s3cret") -> MailboxUnavailable:
    with pytest.raises(MailboxUnavailable) as caught:
        run(post.connect(box, password))
    return caught.value


def test_a_closed_port_is_worth_another_try() -> None:
    with SmtpServer() as server:
        box = mailbox(server)
    error = unavailable(transport(), box)

    assert not error.permanent
    assert f"bob@acme.test at 127.0.0.1:{server.port} cannot be reached" in error.message


def test_an_impossible_host_name_is_not() -> None:
    assert unavailable(transport(), Mailbox(address="bob@acme.test", host="a..b")).permanent


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(("ca", "host"), [(False, "127.0.0.1"), (True, "localhost")])
def test_a_certificate_that_is_not_trusted_or_not_for_this_host_gets_no_password(
    servers: dict[str, SmtpServer], pki: Pki, security: str, ca: bool, host: str
) -> None:
    server = servers[security]
    server.commands.clear()
    error = unavailable(transport(pki if ca else None), mailbox(server, host=host))

    assert error.permanent
    assert "certificate verify failed" in error.message
    assert "AUTH PLAIN" not in server.commands


def test_where_starttls_is_not_offered_nothing_goes_in_the_clear(servers: dict[str, SmtpServer], pki: Pki) -> None:
    server = servers["none"]
    server.commands.clear()
    error = unavailable(transport(pki), mailbox(server, security="starttls"))

    assert error.permanent
    assert "does not offer STARTTLS" in error.message
    assert server.commands == ["EHLO acme.test"]


def test_a_server_that_says_yes_to_starttls_and_stays_in_the_clear_gets_no_password(
    servers: dict[str, SmtpServer], pki: Pki
) -> None:
    server = servers["starttls"]
    server.commands.clear()
    server.script(Fault("starttls", "4xx", code=220))

    assert outcome(transport(pki, IMPATIENT), mailbox(server)) == ("mailbox", False)
    assert not any("AUTH" in command for command in server.commands)


def test_security_none_is_never_changed_silently(servers: dict[str, SmtpServer], pki: Pki) -> None:
    server = servers["starttls"]
    server.commands.clear()
    box = mailbox(server, security="none", username=None, password_env=None)
    run(transport(pki).check(box, None))

    assert server.commands == ["EHLO acme.test", "QUIT"]


def test_no_password_travels_without_tls_beyond_this_machine(servers: dict[str, SmtpServer]) -> None:
    # 0.0.0.0 leads to this machine and is no loopback address; the model would refuse it, so go round the model.
    box = mailbox(servers["none"]).model_copy(update={"host": "0.0.0.0"})
    servers["none"].commands.clear()
    error = unavailable(transport(), box)

    assert error.permanent
    assert "without TLS" in error.message
    assert servers["none"].commands == ["EHLO acme.test"]


def test_a_wrong_password_is_tried_once_and_is_for_a_person_to_mend(servers: dict[str, SmtpServer], pki: Pki) -> None:
    server = servers["starttls"]
    server.commands.clear()
    error = unavailable(transport(pki), mailbox(server), "wrong")

    assert error.permanent
    assert "535" in error.message
    assert server.commands == ["EHLO acme.test", "STARTTLS", "EHLO acme.test", "AUTH PLAIN"]


def test_a_missing_password_names_the_variable(servers: dict[str, SmtpServer], pki: Pki) -> None:
    error = unavailable(transport(pki), mailbox(servers["tls"]), None)

    assert error.permanent
    assert "BOB_PASSWORD" in str(error)


@pytest.mark.parametrize(
    ("logins", "end"), [(("LOGIN",), ("accepted", True)), (("XOAUTH2",), ("mailbox", True)), ((), ("mailbox", True))]
)
def test_login_uses_what_the_server_offers(logins: tuple[str, ...], end: tuple[str, bool]) -> None:
    with SmtpServer(users=USERS, logins=logins) as server:
        assert outcome(transport(), mailbox(server)) == end


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(Misconfigured, match=name):
            SmtpTransport(ca_file=tmp_path / name)


def test_trouble_at_quit_is_logged_and_not_raised(open_server: SmtpServer) -> None:
    open_server.script(Fault("quit", "garbage"))
    with capture_logs() as logs:
        assert outcome(transport(), mailbox(open_server)) == ("accepted", True)

    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("smtp_quit_failed", "debug")]


def test_a_cancelled_connect_leaves_no_connection(open_server: SmtpServer) -> None:
    open_server.script(Fault("ehlo", "stall"))

    async def cancelled() -> None:
        await asyncio.wait_for(transport().connect(mailbox(open_server), None), 0.1)

    with pytest.raises(TimeoutError):
        run(cancelled())


@pytest.mark.parametrize(
    ("security", "details"),
    [
        ("none", ["touchline.test ESMTP", "not used", "PLAIN as bob"]),
        ("tls", ["touchline.test ESMTP", "TLSv1.3", "PLAIN as bob"]),
    ],
)
def test_check_shows_each_step_and_sends_nothing(
    servers: dict[str, SmtpServer], pki: Pki, security: str, details: list[str]
) -> None:
    server = servers[security]
    server.commands.clear()
    checks = run(transport(pki).check(mailbox(server), "s3cret"))

    assert checks == [Check(step, True, d) for step, d in zip(("connect", "tls", "auth"), details, strict=True)]
    assert server.commands[-1] == "QUIT"
    assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize(
    ("fault", "steps"),
    [("connect", ["connect"]), ("starttls", ["connect", "tls"]), ("auth", ["connect", "tls", "auth"])],
)
def test_check_ends_with_the_step_that_fails(
    servers: dict[str, SmtpServer], pki: Pki, fault: Stage, steps: list[str]
) -> None:
    servers["starttls"].script(Fault(fault, "5xx"))
    checks = run(transport(pki).check(mailbox(servers["starttls"]), "s3cret"))

    assert [check.step for check in checks] == steps
    assert [check.ok for check in checks] == [True] * (len(steps) - 1) + [False]
    assert "doctor" in checks[-1].detail


class Keeper:
    """Handler of the other server."""

    def __init__(self) -> None:
        self.content = b""

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.content = envelope.original_content
        return "250 taken"


def test_a_server_of_another_make_understands_us() -> None:
    keeper = Keeper()

    async def over_there() -> Reply:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: OtherServer(keeper, loop=loop), "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            box = Mailbox(address="bob@acme.test", host="127.0.0.1", port=port, security="none")
            return await deliver(transport(), box)

    assert run(over_there()).result == "accepted"
    assert keeper.content == MESSAGE


def test_a_client_of_another_make_understands_our_server(servers: dict[str, SmtpServer], pki: Pki) -> None:
    server = servers["starttls"]
    with smtplib.SMTP(server.host, server.port) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(pki.ca)))
        client.login("bob", "s3cret")
        client.sendmail("bob@acme.test", ["ada@example.com"], MESSAGE)
        assert client.docmd("VRFY", "x")[0] == 502
        assert client.docmd("RCPT", "TO:<x@y>")[0] == 503
        assert client.noop()[0] == 250

    assert server.messages[-1].data == MESSAGE


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"x" * 999 + b"\r\n", b"\xff\r\n"])
def test_the_server_takes_nothing_that_a_strict_relay_refuses(open_server: SmtpServer, content: bytes) -> None:
    with smtplib.SMTP(open_server.host, open_server.port) as client:
        client.ehlo()
        client.docmd("MAIL", "FROM:<bob@acme.test>")
        client.docmd("RCPT", "TO:<ada@example.com>")
        client.docmd("DATA")
        client.send(content + b".\r\n")
        assert client.getreply()[0] == 554

    assert open_server.messages == []


def test_a_fault_strikes_its_recipient_as_often_as_told(open_server: SmtpServer) -> None:
    open_server.script(
        Fault("rcpt", "4xx", matches="ada@", times=2), Fault("rcpt", "5xx", matches=lambda to: to.startswith("eve"))
    )

    def result(recipient: str) -> str:
        return run(deliver(transport(), mailbox(open_server), recipient=recipient)).result

    assert [result("ada@example.com") for _ in range(3)] == ["deferred", "deferred", "accepted"]
    assert [result("eve@example.com") for _ in range(2)] == ["failed", "accepted"]


def test_a_server_with_tls_wants_a_certificate() -> None:
    with pytest.raises(InvalidInput, match="needs a certificate"):
        SmtpServer(tls="tls")


def test_the_log_and_the_folder_of_a_server_in_its_own_process_bear_witness(tmp_path: Path) -> None:
    log, folder = tmp_path / "witness.jsonl", tmp_path / "mail"
    command = [sys.executable, "-m", "touchline.sim.smtp_server", "--log", str(log), "--mail-dir", str(folder)]
    for _ in range(2):  # the second process goes on counting
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            place = json.loads(process.stdout.readline())
            box = Mailbox(address="bob@acme.test", host=place["host"], port=place["port"], security="none")
            assert outcome(transport(), box) == ("accepted", True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0

    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        {
            "sequence": n,
            "message_id": "<1@acme.test>",
            "mail_from": "bob@acme.test",
            "rcpt": "ada@example.com",
            "bytes": len(MESSAGE),
        }
        for n in (1, 2)
    ]
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [MESSAGE, MESSAGE]
