"""A real SMTP server on loopback that keeps what it is sent, bears witness in a log, and misbehaves on request."""

import argparse
import json
import os
import re
import signal
import socket
import socketserver
import ssl
import struct
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, Self

from touchline.model.errors import InvalidInput

Stage = Literal["connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "quit"]
Kind = Literal["4xx", "5xx", "drop", "stall", "garbage"]

REFUSALS: dict[Stage, tuple[int, int]] = {
    "connect": (421, 554),
    "banner": (421, 554),
    "ehlo": (451, 550),
    "starttls": (454, 501),
    "auth": (454, 535),
    "mail": (451, 550),
    "rcpt": (450, 550),
    "data": (451, 554),
    "body": (451, 554),
    "dot": (451, 554),
    "quit": (451, 550),
}
"""What `4xx` and `5xx` mean at each stage where a fault names no code (RFC 5321, 4.2 and 4.3.2; RFC 3207; RFC 4954)."""

GARBAGE = b"\x00\xff\x80 no reply of any protocol\r\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to go wrong.

    Args:
        stage: Where. `connect` is before TLS and banner, `body` after 354 and the first line of the message,
            `dot` after its end.
        kind: What. `4xx` and `5xx` are replies, `drop` resets the connection, `stall` never answers, `garbage`
            answers with a line that is no reply. At `dot` the last three come after the message was taken:
            its sender cannot know.
        matches: Recipient, part of it, or a test of it; before RCPT the recipient is ''.
        times: How often before it is used up; None for ever.
        code: Another reply code than the usual one. 421 ends the conversation.
        text: Another reply text than the usual one.
    """

    stage: Stage
    kind: Kind
    matches: str | Callable[[str], bool] = ""
    times: int | None = 1
    code: int | None = None
    text: str | None = None

    def hits(self, stage: Stage, recipient: str) -> bool:
        """True where this fault is meant."""
        return stage == self.stage and (
            self.matches in recipient if isinstance(self.matches, str) else self.matches(recipient)
        )


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message, and its place in the order of acceptance, from 1."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    data: bytes
    sequence: int


class SmtpServer:
    """The server on threads of its own, from `with` to its end.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        log: File that gets one JSON line per accepted message (sequence, message_id, mail_from, rcpt, bytes),
            on disk before the sender hears 250.
        mail_dir: Folder that gets each accepted message as an .eml file.
        tls: `starttls` offers it, `tls` starts with it; both need `certificate` and `key` (PEM files).
        users: Name to password; with users, mail is taken after AUTH only.
        logins: SASL mechanisms that are offered; PLAIN and LOGIN work.
        faults: What goes wrong, see `script`.
        keep: False keeps nothing in memory.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
        mail_dir: Path | None = None,
        tls: Literal["starttls", "tls"] | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        users: Mapping[str, str] | None = None,
        logins: tuple[str, ...] = ("PLAIN", "LOGIN"),
        faults: Iterable[Fault] = (),
        keep: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self.messages: list[Received] = []
        self.commands: list[str] = []
        """Every command line as it came, without what followed AUTH."""
        self.tls = tls
        self.users = dict(users or {})
        self.logins = logins
        self.context: ssl.SSLContext | None = None
        if tls is not None:
            if certificate is None:
                raise InvalidInput("A server with TLS needs a certificate.", hint="Pass certificate= and key=.")
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self._log_path, self._mail_dir, self._keep = log, mail_dir, keep
        self._log: int | None = None
        self._sequence = 0
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self._closing = False
        self.script(*faults)

    def script(self, *faults: Fault) -> None:
        """Replace what is still to go wrong. Of several faults that match, the first that is not used up strikes."""
        with self._lock:
            self._faults = [(fault, [fault.times]) for fault in faults]

    def __enter__(self) -> Self:
        if self._mail_dir is not None:
            self._mail_dir.mkdir(parents=True, exist_ok=True)
            # A server that starts again on the same folder goes on counting instead of overwriting.
            self._sequence = max((int(f.stem) for f in self._mail_dir.glob("*.eml") if f.stem.isdigit()), default=0)
        if self._log_path is not None:
            self._log = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._listener = _Listener((self.host, self.port), _Conversation)
        self._listener.owner = self
        self.port = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        with self._lock:
            self._closing = True
            for connection in self._live:
                _end(connection)
        self._listener.server_close()
        if self._log is not None:
            os.close(self._log)

    def enter(self, connection: socket.socket, instead_of: socket.socket | None = None) -> None:
        """Note a connection, so that it ends when the server does."""
        with self._lock:
            self._live.discard(instead_of or connection)
            self._live.add(connection)
            if self._closing:
                _end(connection)

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._live.discard(connection)

    def due(self, stage: Stage, recipient: str) -> Fault | None:
        """The fault that strikes now, if any; it is used up by that."""
        if not self._faults:
            return None
        with self._lock:
            for fault, left in self._faults:
                if left[0] != 0 and fault.hits(stage, recipient):
                    left[0] = left[0] and left[0] - 1
                    return fault
        return None

    def heard(self, line: str) -> None:
        """Note a command."""
        if self._keep:
            self.commands.append(line if line[:4].upper() != "AUTH" else line[:10].rstrip())

    def take(self, mail_from: str, rcpt_to: tuple[str, ...], content: bytes) -> None:
        """Accept a message: number it, keep it, and have it on disk when this returns."""
        with self._lock:
            self._sequence += 1
            if self._keep:
                self.messages.append(Received(mail_from, rcpt_to, content, self._sequence))
            if self._mail_dir is not None:
                (self._mail_dir / f"{self._sequence:07d}.eml").write_bytes(content)
            if self._log is not None:
                found = re.search(rb"(?im)^message-id:\s*(\S+)", content.partition(b"\r\n\r\n")[0])
                line = {
                    "sequence": self._sequence,
                    "message_id": found[1].decode("ascii", "replace") if found else None,
                    "mail_from": mail_from,
                    "rcpt": ",".join(rcpt_to),
                    "bytes": len(content),
                }
                os.write(self._log, json.dumps(line).encode() + b"\n")
                os.fsync(self._log)


def _clean(lines: list[bytes], content: bytes) -> bool:
    """What a strict relay takes: no test shall pass with a message that a real one would refuse or rewrite."""
    ends = content.count(b"\r\n")
    return (
        content.isascii()
        and content.count(b"\r") == content.count(b"\n") == ends
        and max(map(len, lines), default=0) <= 1000
    )


def _end(connection: socket.socket) -> None:
    """Wake whoever reads from this connection, TLS or not."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
    owner: SmtpServer


class _HangUp(Exception):
    """This conversation is over."""


class _Conversation(socketserver.BaseRequestHandler):
    """One connection, one command at a time (RFC 5321)."""

    server: _Listener
    request: socket.socket

    def setup(self) -> None:
        self._owner = self.server.owner
        self._socket = self.request
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owner.enter(self._socket)
        self._stream: BinaryIO = self._socket.makefile("rb")
        self._greeted = self._secret = self._known = False
        self._forget()

    def _forget(self) -> None:
        self._mail_from: str | None = None
        self._rcpt_to: tuple[str, ...] = ()
        self._recipient = ""

    def handle(self) -> None:
        try:
            self._converse()
        except (_HangUp, OSError):
            return  # one of the two left, as they may at any moment

    def finish(self) -> None:
        self._owner.leave(self._socket)
        self._stream.close()
        self._socket.close()

    def _converse(self) -> None:
        if self._struck("connect"):
            return
        if self._owner.tls == "tls":
            self._wrap()
        if self._struck("banner"):
            return
        self._reply(220, "touchline.test ESMTP")
        while line := self._stream.readline():
            command = line.decode("ascii", "replace").rstrip("\r\n")
            self._owner.heard(command)
            verb, _, argument = command.partition(" ")
            answer = self.ANSWERS.get(verb.upper())
            if answer is None:
                self._reply(502, "5.5.1 no such command")
            else:
                answer(self, argument.strip())

    def _reply(self, code: int, *text: str) -> None:
        last = len(text) - 1
        reply = "".join(f"{code}{' ' if at == last else '-'}{line}\r\n" for at, line in enumerate(text))
        self._socket.sendall(reply.encode())
        if code == 421:
            raise _HangUp

    def _struck(self, stage: Stage) -> bool:
        """True where a fault answered instead of us."""
        fault = self._owner.due(stage, self._recipient)
        if fault is not None:
            self._perform(fault)
        return fault is not None

    def _perform(self, fault: Fault) -> None:
        if fault.kind == "drop":
            # Closing with linger 0 sends RST, which is what a crash or a firewall looks like.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _HangUp
        if fault.kind == "stall":
            while self._socket.recv(65536):
                pass
            raise _HangUp
        if fault.kind == "garbage":
            self._socket.sendall(GARBAGE)
        else:
            usual = REFUSALS[fault.stage][fault.kind == "5xx"]
            self._reply(fault.code or usual, fault.text or f"{fault.kind[0]}.0.0 refused at {fault.stage}")

    def _wrap(self) -> None:
        if self._owner.context is None:
            raise _HangUp
        plain = self._socket
        self._stream.close()
        self._socket = self._owner.context.wrap_socket(plain, server_side=True)
        self._owner.enter(self._socket, instead_of=plain)
        self._stream = self._socket.makefile("rb")
        self._secret = True

    def _ehlo(self, _: str) -> None:
        if self._struck("ehlo"):
            return
        self._forget()
        self._greeted = True
        offers = ["touchline.test"]
        if self._owner.tls == "starttls" and not self._secret:
            offers.append("STARTTLS")
        elif self._owner.users:
            offers.append("AUTH " + " ".join(self._owner.logins))
        self._reply(250, *offers)

    def _starttls(self, _: str) -> None:
        if self._owner.tls != "starttls" or self._secret:
            self._reply(502, "5.5.1 not offered")
        elif not self._struck("starttls"):
            self._reply(220, "2.0.0 go ahead")
            self._wrap()
            self._greeted = False

    def _auth(self, argument: str) -> None:
        if self._struck("auth"):
            return
        try:
            user, password = self._credentials(argument)
        except ValueError:
            self._reply(501, "5.5.2 not PLAIN or LOGIN, or not base64 of a name and a password")
            return
        self._known = self._owner.users.get(user) == password
        if self._known:
            self._reply(235, "2.7.0 welcome")
        else:
            self._reply(535, "5.7.8 name or password is wrong")

    def _credentials(self, argument: str) -> tuple[str, str]:
        method, _, given = argument.partition(" ")
        if method.upper() == "LOGIN":
            return self._answered("VXNlcm5hbWU6", given), self._answered("UGFzc3dvcmQ6")
        if method.upper() != "PLAIN":
            raise ValueError(method)
        _, user, password = self._answered("", given).split("\0")
        return user, password

    def _answered(self, challenge: str, given: str = "") -> str:
        if not given:
            self._reply(334, challenge)
            given = self._stream.readline().decode("ascii", "replace")
        return b64decode(given).decode()

    def _mail(self, argument: str) -> None:
        found = re.match(r"(?i)FROM:<([^<>\s]*)>", argument)
        if not self._greeted or self._mail_from is not None:
            self._reply(503, "5.5.1 EHLO first, and one message at a time")
        elif self._owner.users and not self._known:
            self._reply(530, "5.7.0 AUTH first")
        elif found is None:
            self._reply(501, "5.5.4 MAIL FROM:<address>")
        elif not self._struck("mail"):
            self._mail_from = found[1]
            self._reply(250, "2.1.0 sender ok")

    def _rcpt(self, argument: str) -> None:
        found = re.match(r"(?i)TO:<([^<>\s]+)>", argument)
        if self._mail_from is None or found is None:
            self._reply(503 if found else 501, "5.5.1 MAIL, then RCPT TO:<address>")
            return
        self._recipient = found[1]
        if not self._struck("rcpt"):
            self._rcpt_to += (found[1],)
            self._reply(250, "2.1.5 recipient ok")

    def _data(self, _: str) -> None:
        if self._mail_from is None or not self._rcpt_to:
            self._reply(503, "5.5.1 MAIL and RCPT first")
        elif not self._struck("data"):
            self._reply(354, "end with a dot on its own line")
            first = self._stream.readline()
            struck = self._struck("body")
            lines = self._rest(first)
            if not struck:
                self._settle(self._mail_from, lines)
            self._forget()

    def _rest(self, line: bytes) -> list[bytes]:
        """The lines of the message up to its dot, with doubled dots made single (RFC 5321, 4.5.2)."""
        found = []
        while line != b".\r\n":
            if not line:
                raise _HangUp
            found.append(line[1:] if line.startswith(b".") else line)
            line = self._stream.readline()
        return found

    def _settle(self, mail_from: str, lines: list[bytes]) -> None:
        fault = self._owner.due("dot", self._recipient)
        content = b"".join(lines)
        if fault is not None and fault.kind in {"4xx", "5xx"}:
            self._perform(fault)
        elif not _clean(lines, content):
            self._reply(554, "5.6.0 8-bit, a bare CR or LF, or a line over 998 octets")
        else:
            self._owner.take(mail_from, self._rcpt_to, content)
            if fault is None:
                self._reply(250, "2.0.0 taken")
            else:
                self._perform(fault)

    def _rset(self, _: str) -> None:
        self._forget()
        self._reply(250, "2.0.0 forgotten")

    def _noop(self, _: str) -> None:
        self._reply(250, "2.0.0 ok")

    def _quit(self, _: str) -> None:
        if not self._struck("quit"):
            self._reply(221, "2.0.0 bye")
        raise _HangUp

    ANSWERS: ClassVar[dict[str, Callable[["_Conversation", str], None]]] = {
        "EHLO": _ehlo,
        "HELO": _ehlo,
        "STARTTLS": _starttls,
        "AUTH": _auth,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "QUIT": _quit,
    }


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; the first line on standard output is JSON with the port."""
    parser = argparse.ArgumentParser(prog="python -m touchline.sim.smtp_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--log", type=Path, help="file that gets one JSON line per accepted message")
    parser.add_argument("--mail-dir", type=Path, help="folder that gets each accepted message as .eml")
    chosen = parser.parse_args(arguments)
    # Blocked before any thread starts, so that only sigwait sees them.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with SmtpServer(host=chosen.host, port=chosen.port, log=chosen.log, mail_dir=chosen.mail_dir, keep=False) as server:
        sys.stdout.write(json.dumps({"host": server.host, "port": server.port}) + "\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
