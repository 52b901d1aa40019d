"""Settings to adapters: the only place that chooses."""

import asyncio
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from touchline.adapters import machine, public
from touchline.adapters.clock import FixedClock, MovedClock, Stopwatch, SystemClock
from touchline.adapters.dns import MxResolver
from touchline.adapters.smtp import SmtpTransport
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.sources.files import Absent, matching
from touchline.adapters.store.store import Store
from touchline.adapters.uploads import Shelf
from touchline.app import access, campaigns, doctor, history
from touchline.app.access import Hasher
from touchline.app.alerts import Etiquette, Watch
from touchline.app.claims import Identity, Post
from touchline.app.health import Health, health
from touchline.app.letters import OptOut
from touchline.app.pipeline import Outside
from touchline.app.ports import Clock, Probe, Progress, Source, StoredCampaign
from touchline.app.tasks import Duty
from touchline.app.uploads import Upload
from touchline.model.campaign import Mailbox
from touchline.model.errors import InvalidInput, Misconfigured, SourceUnavailable
from touchline.settings import Settings

KILL_AT = "TOUCHLINE_KILL_AT"
"""Variable by which a fault test names the point where this process is to die."""

NOW = "TOUCHLINE_NOW"
"""Variable that holds the clock still at an instant, for rehearsals and simulations."""


class Quiet:
    """Shows no progress."""

    def step(self, what: str, done: int, total: int | None) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Workspace:
    """One workspace with its parts, each made when it is first needed."""

    settings: Settings
    progress: Progress

    @cached_property
    def store(self) -> Store:
        """The database, checked to be set up.

        Raises:
            Misconfigured: It is not set up, or by another version.
        """
        store = self.database
        present, needed = store.revision()
        if present != needed:
            store.refuse_newer(present)
            raise Misconfigured(
                f"The database {store.place} is not set up for this version.", hint="Run: touchline init"
            )
        return store

    @cached_property
    def database(self) -> Store:
        """The database in whatever state it is."""
        return Store(self.settings.database_url, self.settings.home, connections=self.settings.connections)

    @cached_property
    def clock(self) -> Clock:
        """The machine's clock, or one that stands still where TOUCHLINE_NOW says so; with a + at the end it runs on from there."""
        text = os.environ.get(NOW, "")
        if text.endswith("+"):
            return MovedClock(instant(text[:-1]))
        return FixedClock(instant(text)) if text else SystemClock()

    @cached_property
    def probe(self) -> Probe:
        """Nothing, or the point at which a fault test wants this process dead."""
        return machine.KillAt(os.environ[KILL_AT]) if os.environ.get(KILL_AT) else machine.NoProbe()

    @cached_property
    def resolver(self) -> MxResolver:
        """DNS."""
        dns = self.settings.dns
        return MxResolver(nameservers=dns.nameservers, timeout=dns.timeout, concurrency=dns.concurrency)

    @cached_property
    def transport(self) -> SmtpTransport:
        """SMTP."""
        ca_file = self.settings.smtp.ca_file
        return SmtpTransport(
            timeout=self.settings.smtp.timeout, ca_file=self.settings.home / ca_file if ca_file else None
        )

    @cached_property
    def secret(self) -> bytes:
        """Key that signs and names."""
        return campaigns.secret(self.store, self.settings.secret, lambda: secrets.token_urlsafe(32), self.clock.now())

    @cached_property
    def outside(self) -> Outside:
        """What the pipeline needs."""
        return Outside(
            store=self.store,
            resolver=self.resolver,
            clock=self.clock,
            probe=self.probe,
            progress=self.progress,
            secret=self.secret,
            keep_answers=timedelta(days=self.settings.dns.keep_days),
            batch_rows=self.settings.batch_rows,
            stopwatch=Stopwatch(),
        )

    @cached_property
    def opt_out(self) -> OptOut:
        """How recipients say no: by link only where the public address answers now."""
        url = self.settings.public_url
        return OptOut(self.secret, url if url and public.fault(url, self.secret) is None else None)

    @cached_property
    def hasher(self) -> Hasher:
        """Passwords."""
        from touchline.adapters.passwords import Argon2Hasher  # only log-ins need it

        return Argon2Hasher()

    def post(self, stored: StoredCampaign) -> Post:
        """What sending needs."""
        del stored
        host, pid = machine.host(), os.getpid()
        return Post(
            store=self.store,
            transport=self.transport,
            clock=self.clock,
            probe=self.probe,
            progress=self.progress,
            password=os.environ.get,
            is_alive=machine.is_alive,
            identity=Identity(f"{host}:{pid}:{secrets.token_hex(4)}", host, pid),
            opt_out=self.opt_out,
            stopwatch=Stopwatch(),
        )

    @property
    def duties(self) -> Mapping[str, Duty]:
        """Jobs that belong to no campaign."""
        return {"retention": Duty(self._forget), "health": Duty(self._look, once=True)}

    @cached_property
    def watch(self) -> Watch:
        """Looks after health and tells people."""
        from touchline.adapters.notify import AppriseNotifier, Heartbeat  # apprise costs a start half a second

        given = self.settings.alerts
        etiquette = Etiquette.of(
            repeat_hours=given.repeat_hours, quiet=given.quiet, zone=given.zone, urgent=given.urgent_breaks_quiet
        )
        # Not checked to be set up: that it is away has to be told.
        return Watch(self.database, AppriseNotifier(given.urls), etiquette, Heartbeat(given.heartbeat))

    def _look(self) -> dict[str, Any]:
        return self.watch.look(self.clock.now(), self.free_bytes())

    def free_bytes(self) -> int:
        """Space left on the disk of the workspace, or of the database file where that has less."""
        url = self.database.engine.url
        places = [self.settings.home]
        if url.get_backend_name() == "sqlite" and url.database:
            places.append(Path(url.database).parent)
        return min(machine.free_bytes(place) for place in places)

    def health(self) -> Health:
        """How things stand."""
        return health(self.store, self.clock.now(), self.free_bytes())

    def metrics(self) -> tuple[bytes, str]:
        """What Prometheus scrapes, and its content type."""
        from touchline.adapters import exposition  # only `serve` needs it

        text = exposition.metrics_text(self.store, self.clock.now(), self.free_bytes())
        return text, exposition.CONTENT_TYPE

    def _forget(self) -> dict[str, Any] | None:
        now = self.clock.now()
        old = history.forget(self.store, now, timedelta(days=self.settings.history_days))
        gone = access.forget(self.store, now)
        return None if old is None and gone is None else {**(old or {}), **(gone or {})}

    def csv(self, path: Path, column_map: Mapping[str, str] | None = None, name: str | None = None) -> CsvSource:
        """A CSV file as a source."""
        return CsvSource(path, batch_rows=self.settings.batch_rows, column_map=column_map, name=name)

    @cached_property
    def shelf(self) -> Shelf:
        """Files that were uploaded. Workers on other machines need the same folder."""
        return Shelf(self.settings.home / "uploads", self.settings.history_days)

    def uploaded(self, upload: Upload, column_map: Mapping[str, str] | None = None) -> CsvSource:
        """An uploaded file as a source."""
        columns = upload.columns if column_map is None else column_map
        return self.csv(self.shelf.path(upload), columns, upload.name)

    def uploads(self, stored: StoredCampaign) -> dict[str, CsvSource]:
        """Files that were uploaded for a campaign, by id."""
        name = stored.campaign.name
        return {upload.id: self.uploaded(upload) for upload in self.shelf.listed() if upload.campaign == name}

    def sources(self, stored: StoredCampaign) -> Iterable[Source]:
        """The campaign's own sources: every file that its patterns match, in order of name, and what should be there and is not."""
        for source in stored.campaign.sources:
            try:
                yield from [self.csv(path) for path in matching(self.settings.home, source.path)]
            except SourceUnavailable as error:
                yield Absent(error)

    def examination(self, patience: float | None = None) -> doctor.Examination:
        """What the doctor needs.

        Args:
            patience: Seconds after which a mailbox is given up; None: as long as its server may take.
        """

        async def look(mailbox: Mailbox, password: str | None) -> list[tuple[str, bool, str]]:
            try:
                async with asyncio.timeout(patience):
                    return [(c.step, c.ok, c.detail) for c in await self.transport.check(mailbox, password)]
            except TimeoutError:
                return [("connect", False, f"no answer within {patience:g} seconds")]

        def check(mailbox: Mailbox, password: str | None) -> list[tuple[str, bool, str]]:
            return asyncio.run(look(mailbox, password))

        settings = self.settings
        return doctor.Examination(
            store=self.database,
            patient=self.database,
            resolver=self.resolver,
            configuration=f"{settings.file}" if settings.file.exists() else "defaults (no touchline.toml here)",
            public_url=settings.public_url,
            public_fault=lambda url: public.fault(url, self.secret),
            free_bytes=self.free_bytes,
            password=os.environ.get,
            check_mailbox=check,
        )


def instant(text: str) -> datetime:
    """An instant from ISO 8601 text; without an offset it is UTC.

    Raises:
        InvalidInput: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not an instant.", hint="Write it as 2027-01-12T09:00:00Z.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
