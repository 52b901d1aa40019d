"""A DNS responder on loopback that answers from a zone in memory, over UDP and TCP (RFC 1035)."""

import asyncio
import ipaddress
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from touchline.model.errors import InvalidInput

HOST = "127.0.0.1"
TTL = 300
UDP_LIMIT = 512
"""Longest UDP answer in bytes (RFC 1035, 4.2.1); a longer one is cut and asked again over TCP."""

A, MX, AAAA = 1, 15, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

HEADER = struct.Struct("!6H")
RECORD = struct.Struct("!3HLH")
SAME_NAME = 0xC00C
"""Compression pointer to the name in the question (RFC 1035, 4.1.4)."""
RESPONSE = 0x8400
TRUNCATED = 0x0200
RECURSION_DESIRED = 0x0100
RECURSION_AVAILABLE = 0x0080


@dataclass(frozen=True, slots=True)
class Answer:
    """What the zone holds for one name.

    Args:
        mx: Pairs of preference and host; the host "" is the root, so `((0, ""),)` is the null MX of RFC 7505.
        addresses: IPv4 and IPv6 addresses of the name itself.
        rcode: Response code; anything but 0 comes without records.
        silent: Never answer.
    """

    mx: tuple[tuple[int, str], ...] = ()
    addresses: tuple[str, ...] = ()
    rcode: int = NOERROR
    silent: bool = False

    def records(self, kind: int) -> list[bytes]:
        """Data of the records of one type, in wire form."""
        if kind == MX:
            return [struct.pack("!H", preference) + wire_name(host) for preference, host in self.mx]
        size = {A: 4, AAAA: 16}.get(kind)
        packed = (ipaddress.ip_address(text).packed for text in self.addresses)
        return [data for data in packed if len(data) == size]


KINDS: dict[str, Answer] = {
    "mx": Answer(mx=((10, "mx1.mail.example"), (20, "mx2.mail.example"))),
    "a": Answer(addresses=("192.0.2.1",)),
    "aaaa": Answer(addresses=("2001:db8::1",)),
    "none": Answer(),
    "null_mx": Answer(mx=((0, ""),), addresses=("192.0.2.1",)),
    "large": Answer(mx=tuple((10, f"exchange-{i}.mail.example") for i in range(40))),
    "nxdomain": Answer(rcode=NXDOMAIN),
    "servfail": Answer(rcode=SERVFAIL),
    "refused": Answer(rcode=REFUSED),
    "timeout": Answer(silent=True),
}
"""One answer for each word of a zone file."""

Zone = Mapping[str, Answer] | Callable[[str], Answer]


def zone_from_file(path: Path) -> dict[str, Answer]:
    """The zone in a text file: a domain and a word of `KINDS` on each line; `#` opens a comment.

    Raises:
        InvalidInput: A line is not a domain and a known word; says which line.
    """
    zone: dict[str, Answer] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in KINDS:
            raise InvalidInput(
                f"{path}, line {number}: {line.strip()!r} is not a domain and one of its answers.",
                hint=f"Write for instance 'acme.de mx'; answers are {', '.join(KINDS)}.",
            )
        zone[words[0].lower()] = KINDS[words[1]]
    return zone


def wire_name(name: str) -> bytes:
    """A domain name as length-prefixed labels; "" is the root."""
    labels = name.encode("ascii").split(b".") if name else []
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question_of(query: bytes) -> tuple[str, int, int] | None:
    """Lower-case name, type and end offset of a query's one question; None for what is not such a query."""
    if len(query) < HEADER.size:
        return None
    _, flags, questions, *_ = HEADER.unpack_from(query)
    if flags & 0x8000 or questions != 1:
        return None
    labels, at = [], HEADER.size
    while at < len(query) and (length := query[at]):
        labels.append(query[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(query):
        return None
    kind = int.from_bytes(query[at + 1 : at + 3], "big")
    return b".".join(labels).decode("ascii", "replace").lower(), kind, at + 5


def response(query: bytes, answer: Answer, kind: int, end: int, limit: int) -> bytes:
    """The packet that answers a query; without its records, and marked so, where it exceeds `limit` bytes."""
    flags = RESPONSE | RECURSION_AVAILABLE | answer.rcode | (query[2] << 8 & RECURSION_DESIRED)
    records = answer.records(kind) if answer.rcode == NOERROR else []
    question = query[HEADER.size : end]
    body = b"".join(RECORD.pack(SAME_NAME, kind, 1, TTL, len(data)) + data for data in records)
    if end + len(body) > limit:
        flags, records, body = flags | TRUNCATED, [], b""
    return query[:2] + HEADER.pack(0, flags, 1, len(records), 0, 0)[2:] + question + body


class DnsServer:
    """Answers on 127.0.0.1 from entering the context until leaving it, on a thread of its own.

    Args:
        zone: Answers by lower-case ASCII name, or a function that gives them; an unlisted name does not exist.
        port: UDP and TCP port; 0 takes any free one.
        latency: Seconds between a query and its answer.
    """

    def __init__(self, zone: Zone, port: int = 0, latency: float = 0.0) -> None:
        self.port = port
        self.asked: Counter[str] = Counter()
        self._answer = zone if callable(zone) else lambda name: zone.get(name, KINDS["nxdomain"])
        self._latency = latency
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dns-server", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._loop.run_until_complete(self._open())
        except OSError:
            self._loop.close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _open(self) -> None:
        self._tcp = await asyncio.start_server(self._converse, HOST, self.port)
        port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._udp, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(HOST, port))
        except OSError:
            self._tcp.close()
            if self.port:
                raise
            # Free for TCP is not yet free for UDP: draw again.
            await self._open()
        else:
            self.port = port

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        self._udp.close()
        self._tcp.close()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    def reply(self, query: bytes, limit: int) -> bytes | None:
        """The answer to one query in at most `limit` bytes; None where there is none to give."""
        question = question_of(query)
        if question is None:
            return None
        name, kind, end = question
        self.asked[name] += 1
        answer = self._answer(name)
        return None if answer.silent else response(query, answer, kind, end, limit)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                packet = self.reply(await reader.readexactly(size), limit=0xFFFF)
                await asyncio.sleep(self._latency)
                if packet is not None:
                    writer.write(struct.pack("!H", len(packet)) + packet)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has what it came for.
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        packet = self._server.reply(data, UDP_LIMIT)
        if packet is None:
            return
        if self._server._latency:
            asyncio.get_running_loop().call_later(self._server._latency, self._transport.sendto, packet, addr)
        else:
            self._transport.sendto(packet, addr)


def main(arguments: list[str]) -> None:
    """Serve a zone file until standard input ends: `python -m touchline.sim.dns_server ZONE_FILE [PORT]`.

    Prints its port once it answers: whoever starts it waits for that line, and ends it by closing a pipe.
    """
    with DnsServer(zone_from_file(Path(arguments[0])), port=int(arguments[1]) if arguments[1:] else 0) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
