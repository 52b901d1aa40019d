"""Delivery by SMTP: each attempt ends as one reply that says whose fault it was and whether the body had begun."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.response import SMTPResponse

from touchline.model.campaign import Mailbox
from touchline.model.errors import InvalidInput, MailboxUnavailable, Misconfigured
from touchline.stages.send import plain_address

log = structlog.get_logger(__name__)

Result = Literal["accepted", "deferred", "failed", "lost"]
Step = Literal["connect", "tls", "auth"]

ANSWER: Mapping[int, Result] = {2: "accepted", 4: "deferred", 5: "failed"}
GO_AHEAD: Mapping[int, Result] = {3: "accepted", 4: "deferred", 5: "failed"}
"""What the first digit of a reply means, and of a reply to DATA: clients go by that digit (RFC 5321, 4.3.2)."""

TROUBLE = (SMTPException, OSError)
"""What a conversation raises when the other side or the network misbehaves; OSError covers TLS and time-outs."""

LOGIN_WANTED = frozenset({530, 534, 535, 538})
"""Replies about our login, at whatever command they come (RFC 4954, 6)."""

HINT = "Check host, port, security, username and password_env of this mailbox with `touchline doctor`."

CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """How one command, or one transmission, ended.

    Args:
        result: `accepted` (2xx, or 354 to DATA), `deferred` (4xx), `failed` (5xx), or `lost`: no valid reply came,
            because of a dropped connection, a time-out or garbage. The session is over after `lost` and after 421.
        code: Reply code (RFC 5321, 4.2); None where none came.
        text: What the server or the network said: one line of at most 500 characters.
        body_begun: True once bytes of the message were written. `lost` with it means that nobody can know whether
            the message arrived (RFC 1047); `lost` without it means that it did not.
    """

    result: Result
    code: int | None
    text: str
    body_begun: bool = False


class _Client(SMTP):
    """A client that is gone when it is closed: a TLS connection would otherwise wait for the other side."""

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class SmtpSession:
    """One open, greeted and logged-in connection that takes one message after another."""

    def __init__(self, client: SMTP, where: str, *, timeout: float, final_timeout: float) -> None:
        self._client = client
        self._where = where
        self._timeout = timeout
        self._final_timeout = final_timeout

    @property
    def alive(self) -> bool:
        """True while another message can be offered."""
        return self._client.is_connected

    async def offer(self, sender: str, recipient: str) -> Reply:
        """MAIL FROM and RCPT TO. `accepted` means ready for `transmit`.

        After `deferred` and `failed` the session is ready for the next offer, unless the reply was 421.

        Raises:
            InvalidInput: An address is not plain; nothing was sent.
            MailboxUnavailable: MAIL was refused, or a login was asked for: no recipient is at fault.
                Permanent where the code is 5xx.
        """
        # Built here rather than by aiosmtplib, whose parser reads more than one form of address.
        source, target = plain_address(sender), plain_address(recipient)
        reply = await self._command(f"MAIL FROM:<{source}>")
        if reply.result == "lost":
            return reply
        if reply.result != "accepted":
            raise self._refused("the sender", reply)
        reply = await self._command(f"RCPT TO:<{target}>")
        if reply.code in LOGIN_WANTED:
            raise self._refused("to take mail without login", reply)
        if reply.result in {"deferred", "failed"}:
            await self._reset()
        return reply

    async def transmit(self, message: bytes) -> Reply:
        """DATA, the message, and the final dot; after an accepted `offer`.

        Args:
            message: RFC 5322 bytes with CRLF line ends, not dot-stuffed.

        Raises:
            InvalidInput: The message has a bare CR or LF, which some servers read as its end; nothing was sent.
        """
        if not message.count(b"\r\n") == message.count(b"\r") == message.count(b"\n"):
            raise InvalidInput("A message for SMTP has a bare CR or LF.", hint="Write CRLF line ends only.")
        content = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..").removeprefix(b"\r\n")
        content += b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
        reply = await self._command("DATA", GO_AHEAD)
        if reply.result != "accepted":
            if reply.result != "lost":
                await self._reset()
            return reply
        protocol = self._client.protocol
        try:
            if protocol is None:
                raise SMTPServerDisconnected("Connection lost")
            # Not SMTP.data(): it writes DATA and the message in one call, and so cannot tell what was begun.
            protocol.write(content)
        except SMTPServerDisconnected as error:
            return self._lost(error)
        try:
            response = await protocol.read_response(timeout=self._final_timeout)
        except TROUBLE as error:
            return self._lost(error, body_begun=True)
        return self._read(response, ANSWER, body_begun=True)

    async def close(self) -> None:
        """QUIT and hang up. Trouble here concerns no message, so it is logged and not raised."""
        if self.alive:
            reply = await self._command("QUIT")
            if reply.result != "accepted":
                log.debug("smtp_quit_failed", mailbox=self._where, code=reply.code, text=reply.text)
        self._client.close()

    async def _command(self, line: str, meaning: Mapping[int, Result] = ANSWER) -> Reply:
        try:
            response = await self._client.execute_command(line.encode("ascii"), timeout=self._timeout)
        except TROUBLE as error:
            return self._lost(error)
        return self._read(response, meaning)

    async def _reset(self) -> None:
        """Clear the envelope, so that the next offer starts afresh; a server that cannot is left."""
        if self.alive and (await self._command("RSET")).result != "accepted":
            self._client.close()

    def _read(self, response: SMTPResponse, meaning: Mapping[int, Result], *, body_begun: bool = False) -> Reply:
        code, text = response.code, _line(response.message)
        result = meaning.get(code // 100)
        if result is None:
            return self._lost(f"unexpected reply {code} {text}", body_begun=body_begun)
        if code == 421:
            self._client.close()
        return Reply(result, code, text, body_begun)

    def _lost(self, cause: Exception | str, *, body_begun: bool = False) -> Reply:
        # What comes later on this connection could be taken for the reply to another command.
        self._client.close()
        return Reply("lost", None, _line(str(cause)) or type(cause).__name__, body_begun)

    def _refused(self, what: str, reply: Reply) -> MailboxUnavailable:
        return MailboxUnavailable(
            f"{self._where} refuses {what}: {reply.code} {reply.text}",
            permanent=reply.result == "failed",
            hint=HINT,
        )


@dataclass(frozen=True, slots=True)
class Check:
    """One step towards a mailbox, as `touchline doctor` shows it."""

    step: Step
    ok: bool
    detail: str


class SmtpTransport:
    """Opens sessions to mailboxes.

    Args:
        timeout: Seconds for connecting and for each reply.
        final_timeout: Seconds for the reply after the final dot; ten times `timeout` unless given. RFC 5321,
            4.5.3.2.6 asks for ten minutes: who gives up sooner makes messages of unknown fate.
        ca_file: PEM file with certificate authorities to trust besides those of the system.

    Raises:
        Misconfigured: `ca_file` cannot be read.
    """

    def __init__(
        self, *, timeout: float = 60.0, final_timeout: float | None = None, ca_file: Path | None = None
    ) -> None:
        self._timeout = timeout
        self._final_timeout = 10 * timeout if final_timeout is None else final_timeout
        self._context = ssl.create_default_context()
        if ca_file is not None:
            try:
                self._context.load_verify_locations(ca_file)
            except OSError as error:
                raise Misconfigured(
                    f"The certificate authorities in {ca_file} cannot be read: {error}",
                    hint="Give a PEM file.",
                ) from error

    async def connect(self, mailbox: Mailbox, password: str | None) -> SmtpSession:
        """Connect, secure the connection as the mailbox says, and log in.

        Raises:
            MailboxUnavailable: Any of this failed. Permanent after a 5xx reply, a bad certificate, or where TLS
                or AUTH is not offered; transient after 4xx, a refused or lost connection, a time-out, garbage.
        """
        client = self._client(mailbox)
        try:
            for _, act in self._steps(client, mailbox, password):
                await act()
        except BaseException:  # a cancelled task too must not leave a socket behind
            client.close()
            raise
        return self._session(client, mailbox)

    async def check(self, mailbox: Mailbox, password: str | None) -> list[Check]:
        """Walk through connect, TLS and login without sending anything; ends with the first step that fails."""
        client = self._client(mailbox)
        checks: list[Check] = []
        try:
            for step, act in self._steps(client, mailbox, password):
                checks.append(Check(step, True, await act()))
        except MailboxUnavailable as error:
            checks.append(Check(step, False, str(error)))
        finally:
            await self._session(client, mailbox).close()
        return checks

    def _client(self, mailbox: Mailbox) -> SMTP:
        return _Client(
            hostname=mailbox.host,
            port=mailbox.port,
            local_hostname=mailbox.address.rpartition("@")[2],
            timeout=self._timeout,
            use_tls=mailbox.security == "tls",
            # Never by itself: what the mailbox asks for is done by `_secure` or fails.
            start_tls=False,
            tls_context=self._context,
        )

    def _session(self, client: SMTP, mailbox: Mailbox) -> SmtpSession:
        return SmtpSession(client, _where(mailbox), timeout=self._timeout, final_timeout=self._final_timeout)

    def _steps(
        self, client: SMTP, mailbox: Mailbox, password: str | None
    ) -> Iterator[tuple[Step, Callable[[], Awaitable[str]]]]:
        yield "connect", lambda: _greet(client, mailbox)
        yield "tls", lambda: _secure(client, mailbox)
        yield "auth", lambda: _login(client, mailbox, password)


async def _greet(client: SMTP, mailbox: Mailbox) -> str:
    with _blamed_on(mailbox, "cannot be reached"):
        banner = await client.connect()
        await client.ehlo()
    return _line(banner.message)


async def _secure(client: SMTP, mailbox: Mailbox) -> str:
    if mailbox.security == "none":
        return "not used"
    if mailbox.security == "starttls":
        if not client.supports_extension("starttls"):
            raise _unavailable(
                mailbox, "does not offer STARTTLS", "Try security = 'tls' with port 465.", permanent=True
            )
        with _blamed_on(mailbox, "does not complete STARTTLS"):
            await client.starttls()
            await client.ehlo()
    return str(client.get_transport_info("ssl_object").version())


async def _login(client: SMTP, mailbox: Mailbox, password: str | None) -> str:
    if mailbox.username is None:
        return "not used"
    if password is None:
        raise _unavailable(
            mailbox, "has no password", f"Set {mailbox.password_env} in the environment.", permanent=True
        )
    if mailbox.security == "none" and not _loopback(mailbox.host):
        raise _unavailable(
            mailbox, "would get the password without TLS", "Use security = 'starttls' or 'tls'.", permanent=True
        )
    methods = {"plain": client.auth_plain, "login": client.auth_login}
    offered = [name for name in methods if name in client.server_auth_methods]
    if not offered:
        names = ", ".join(client.server_auth_methods) or "none"
        raise _unavailable(mailbox, "offers no login by password", f"It offers: {_line(names)}.", permanent=True)
    # One attempt with one method: further ones with the same password are what locks accounts.
    with _blamed_on(mailbox, "refuses the login"):
        await methods[offered[0]](mailbox.username, password)
    return f"{offered[0].upper()} as {mailbox.username}"


@contextmanager
def _blamed_on(mailbox: Mailbox, what: str) -> Iterator[None]:
    """Turn trouble on the way to a mailbox into MailboxUnavailable."""
    try:
        yield
    except SMTPResponseException as error:
        detail = f"{what}: {error.code} {_line(error.message)}" if error.code > 0 else f"{what}: {_line(error.message)}"
        raise _unavailable(mailbox, detail, HINT, permanent=500 <= error.code < 600) from error
    except (*TROUBLE, ValueError) as error:
        # Bad certificates and impossible host names are ValueErrors, directly or wrapped by aiosmtplib.
        permanent = isinstance(error, ValueError) or isinstance(error.__cause__, ValueError)
        raise _unavailable(mailbox, f"{what}: {_line(str(error))}", HINT, permanent=permanent) from error


def _unavailable(mailbox: Mailbox, what: str, hint: str, *, permanent: bool) -> MailboxUnavailable:
    return MailboxUnavailable(f"{_where(mailbox)} {what}.", permanent=permanent, hint=hint)


def _where(mailbox: Mailbox) -> str:
    return f"Mailbox {mailbox.address} at {mailbox.host}:{mailbox.port}"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _line(text: str) -> str:
    """One line of at most 500 characters, without control characters and undecodable bytes."""
    return CONTROLS.sub(" ", text).strip()[:500]
