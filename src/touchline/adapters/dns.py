"""Asks the DNS which domains take mail: one word a domain, many questions at a time."""

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeVar

import aiodns
import idna
import pycares

from touchline.model.errors import Misconfigured

# What can be asked at all: labels of 1 to 63 bytes, a name of at most 253 (RFC 1035, 2.3.4).
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")
_FIRST_WAIT = 0.25
"""Seconds before c-ares repeats a question to a quick name server, whatever one sets; the wait doubles each time."""
_DEAD_AFTER = 50
"""Domains in a row without any answer, at least, before a name server is taken for dead."""
_UNHEARD = (pycares.errno.ARES_ETIMEOUT, pycares.errno.ARES_ECONNREFUSED)

_Data = TypeVar("_Data")
Progress = Callable[[int], None]


def wire_form(domain: str) -> str | None:
    """The name as it goes over the wire (IDNA 2008 after UTS 46); None where no such name can exist."""
    try:
        name = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None
    return name if _NAME.match(name) else None


class MxResolver:
    """Finds out which domains take mail (RFC 5321, 5.1).

    Answers are words: `mx` (a mail exchanger), `a` (none, but an address: the implicit exchanger),
    `none` (the name exists and takes no mail), `null_mx` (it says that it takes none, RFC 7505),
    `nxdomain` (no such name), `timeout` (no answer, SERVFAIL, refused, unreachable: nothing is known).

    Args:
        nameservers: IP addresses, with a port where it is not 53 (`127.0.0.1:5353`, `[::1]:53`);
            without any, the system's.
        timeout: Seconds to wait for a domain, roughly: its question is repeated with doubling waits until then.
        tries: How often this is done; domains without an answer come again when all others have theirs.
        concurrency: Domains in question at the same time. Where as many in a row (and at least 50) hear nothing
            at all, the name server is taken for dead, and the other domains are not waited for.
    """

    def __init__(
        self, nameservers: Sequence[str] = (), timeout: float = 5.0, tries: int = 2, concurrency: int = 200
    ) -> None:
        self.nameservers = tuple(nameservers)
        self.timeout = timeout
        self.tries = tries
        self.concurrency = concurrency

    def resolve_now(self, domains: Iterable[str], progress: Progress | None = None) -> dict[str, str]:
        """`resolve`, for callers without an event loop."""
        return asyncio.run(self.resolve(domains, progress))

    async def resolve(self, domains: Iterable[str], progress: Progress | None = None) -> dict[str, str]:
        """One word for each domain.

        Args:
            domains: Names as they stand in addresses; international ones in Unicode or as `xn--`.
            progress: Called after each answer with the number of domains that have one.

        Raises:
            Misconfigured: A name server is not an IP address.
        """
        wanted = dict.fromkeys(domains, "timeout")
        answers: dict[str, str] = {}
        async with self._channel() as resolver:
            for _ in range(self.tries):
                pending = [domain for domain in wanted if domain not in answers]
                round_ = _Round(resolver, pending, answers, max(self.concurrency, _DEAD_AFTER), progress)
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self.concurrency, len(pending))):
                        workers.create_task(round_.work())
        return wanted | answers

    def _channel(self) -> aiodns.DNSResolver:
        # c-ares replaces the wait one sets by five times the usual delay of its name server, at least 0.25 s.
        # Behind a near resolver two long tries become 0.75 s, too short for a far domain: many short ones last.
        repeats = math.ceil(math.log2(self.timeout / _FIRST_WAIT + 1))
        try:
            return aiodns.DNSResolver(self.nameservers, timeout=_FIRST_WAIT, tries=max(1, repeats))
        except (pycares.AresError, UnicodeEncodeError):
            raise Misconfigured(
                f"One of the name servers {', '.join(self.nameservers)} is not an IP address.",
                hint="Write them like 9.9.9.9 or 127.0.0.1:5353, or leave them out to use the system's.",
            ) from None


class _Round:
    """One pass over domains by several workers that share what they hear."""

    def __init__(
        self,
        resolver: aiodns.DNSResolver,
        pending: Iterable[str],
        answers: dict[str, str],
        patience: int,
        progress: Progress | None,
    ) -> None:
        self.resolver = resolver
        self.pending: Iterator[str] = iter(pending)
        self.answers = answers
        self.patience = patience
        self.progress = progress
        self.unheard = 0

    async def work(self) -> None:
        """Ask for domains until there are none left, or nobody answers."""
        for domain in self.pending:
            name = wire_form(domain)
            answer = "nxdomain" if name is None else await self._ask(name)
            if answer is not None:
                self.answers[domain] = answer
                if self.progress:
                    self.progress(len(self.answers))
            if self.unheard >= self.patience:
                return

    async def _ask(self, name: str) -> str | None:
        try:
            if exchangers := await self._records(name, "MX", pycares.MXRecordData):
                return "mx" if any(mx.exchange.strip(".") for mx in exchangers) else "null_mx"
            if await self._records(name, "A", pycares.ARecordData):
                return "a"
            return "a" if await self._records(name, "AAAA", pycares.AAAARecordData) else "none"
        except aiodns.error.DNSError as error:
            status = error.args[0]
            self.unheard = self.unheard + 1 if status in _UNHEARD else 0
            return "nxdomain" if status == pycares.errno.ARES_ENOTFOUND else None

    async def _records(self, name: str, kind: Literal["MX", "A", "AAAA"], form: type[_Data]) -> list[_Data]:
        """What the records of one type say, none where there are no such records."""
        try:
            result = await self.resolver.query_dns(name, kind)
        except aiodns.error.DNSError as error:
            if error.args[0] != pycares.errno.ARES_ENODATA:
                raise
            return []
        self.unheard = 0
        # An alias may lead to a name without such records: then the answer holds the alias alone.
        return [record.data for record in result.answer if isinstance(record.data, form)]
