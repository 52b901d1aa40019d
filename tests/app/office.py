"""A workspace inside the test's own process: a real store, DNS and SMTP on loopback, and a clock that tests move."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from touchline.adapters.clock import FixedClock, Stopwatch
from touchline.adapters.dns import MxResolver
from touchline.adapters.smtp import SmtpTransport
from touchline.adapters.sources.csv import CsvSource
from touchline.adapters.sources.manual import ManualSource
from touchline.adapters.store import tables
from touchline.adapters.store.store import Store
from touchline.app import campaigns
from touchline.app.claims import Identity, Post
from touchline.app.imports import Imported, import_source
from touchline.app.judging import judge_pending
from touchline.app.letters import OptOut
from touchline.app.pipeline import Outside
from touchline.app.ports import Row, StoredCampaign
from touchline.app.sending import send_due
from touchline.app.suppression import Suppressed, suppress
from touchline.app.tasks import Bench, Duty
from touchline.app.work import Work
from touchline.model.campaign import Campaign
from touchline.sim.dns_server import KINDS, Answer, DnsServer
from touchline.sim.smtp_server import SmtpServer
from touchline.wiring import Quiet

TUESDAY = datetime(2027, 3, 9, 5, tzinfo=UTC)
"""Before the window opens in Berlin, so that first touches are due today."""
WEDNESDAY = datetime(2027, 3, 10, 11, tzinfo=UTC)
"""12:00 in Berlin: every first touch is due and the window is open."""
MONDAY = datetime(2027, 3, 15, 15, tzinfo=UTC)
"""Every follow-up is due and the window is open."""

MARA = "mara@quillmast.example"
ANN = "ann0@firm0.com"

HELLO = {
    "name": "hello",
    "wait_days": 0,
    "subject": "Hello {{ first_name | default: 'there' }}",
    "text": "Hi {{ first_name | default: 'there' }},\n\nhow does {{ company | default: 'your team' }} do it?",
}
AGAIN = {"name": "again", "wait_days": 3, "text": "Hi {{ first_name | default: 'there' }},\n\nsomething else."}
SIZE = {"cap": 60, "parts": [{"name": "50 to 500", "when": "employees BETWEEN 50 AND 500", "points": 60}]}
SENIOR = {"cap": 60, "parts": [{"name": "decides", "when": "seniority = 'c_level'", "points": 60}]}
TOO_SMALL = {"name": "too small", "when": "employees < 10", "then": "rejected"}
EVERYONE = {"name": "everyone", "when": "fit >= 0", "sequence": "short"}


SNAPSHOTS: dict[tuple[int, int], bytes] = {}
"""Databases after `Office.enrol`, by number of leads and port of the mail server."""


class PowerCut(Exception):
    """The process ends here."""


class Points:
    """Remembers the points that were passed, and does at some of them what the test wants."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.acts: dict[tuple[str, int], Callable[[], object]] = {}

    def at(self, point: str, act: Callable[[], object], nth: int = 1) -> None:
        """Do something at the n-th passing of a point, counted from now."""
        self.acts[point, self.passed.count(point) + nth] = act

    def fail(self, point: str, nth: int = 1) -> None:
        """Cut the power at the n-th passing of a point, counted from now."""
        self.at(point, _cut, nth)

    def reached(self, point: str) -> None:
        self.passed.append(point)
        if act := self.acts.get((point, self.passed.count(point))):
            act()


def _cut() -> None:
    raise PowerCut


@cache
def _transport(timeout: float) -> SmtpTransport:
    # Reading the system's certificates takes longer than sending a message.
    return SmtpTransport(timeout=timeout, final_timeout=timeout)


@dataclass
class Office:
    """One workspace with its parts."""

    home: Path
    store: Store
    dns: DnsServer
    smtp: SmtpServer
    zone: dict[str, str]
    """What the DNS says of names that tests choose: words of `KINDS`."""
    clock: FixedClock = field(default_factory=lambda: FixedClock(TUESDAY))
    points: Points = field(default_factory=Points)
    batch_rows: int = 40
    passwords: dict[str, str] = field(default_factory=dict)
    running: set[int] = field(default_factory=lambda: {1})
    """Processes of this host that are alive; ours is 1."""
    opt_out: OptOut = field(default_factory=lambda: OptOut(b"secret", None))

    @property
    def now(self) -> datetime:
        return self.clock.at

    @now.setter
    def now(self, at: datetime) -> None:
        self.clock.at = at

    def later(self, **span: float) -> None:
        """Move the clock."""
        self.clock.at += timedelta(**span)

    @property
    def outside(self) -> Outside:
        return Outside(
            store=self.store,
            resolver=MxResolver([f"127.0.0.1:{self.dns.port}"], timeout=0.2, tries=1),
            clock=self.clock,
            probe=self.points,
            progress=Quiet(),
            secret=b"secret",
            keep_answers=timedelta(days=7),
            batch_rows=self.batch_rows,
            stopwatch=Stopwatch(),
        )

    def worker(self, name: str = "one", files: Sequence[CsvSource] = (), **duties: Duty) -> Work:
        """One that works on this office's runs; these are the files of its campaigns."""
        bench = Bench(
            lambda: self.outside,
            lambda _: files,
            lambda _: self.post(),
            duties,
            name,
            lambda: self.now.timestamp(),  # noqa: PLW0108 - the office's clock moves
        )
        return Work(bench, timedelta(hours=24))

    def enrol(self, count: int = 1, **changes: Any) -> None:
        """Leads with a first touch, by the test campaign as it is or changed; the unchanged one on SQLite is made once and copied."""
        file, key = self.home / "touchline.db", (count, self.smtp.port)
        once = not changes and not self.zone and self.store.engine.dialect.name == "sqlite"
        if once and key in SNAPSHOTS:
            self.store.close()
            file.write_bytes(SNAPSHOTS[key])
            return
        self.apply(**changes)
        self.load(self.people(count), until="nurture")
        if once:
            self.store.close()
            SNAPSHOTS[key] = file.read_bytes()

    # campaigns

    def mailbox(self, address: str = MARA, **values: object) -> dict[str, object]:
        """A mailbox at our server."""
        given = {"address": address, "name": "Mara Ellin", "host": "127.0.0.1", "port": self.smtp.port}
        return {**given, "security": "none", "daily_cap": 1000, **values}

    def document(self, **changes: Any) -> dict[str, Any]:
        """The test campaign, with some of its top-level entries changed."""
        return {
            "name": "spring",
            "mode": "automatic",
            "timezone": "Europe/Berlin",
            "otherwise": "qualified",
            "sender": {"name": "Mara", "company": "Quillmast", "postal_address": "1 Example Row, Dublin"},
            "mailboxes": [self.mailbox()],
            "icp": {"fit": {"size": SIZE}, "opportunity": {"seniority": SENIOR}},
            "rules": [TOO_SMALL],
            "routes": [EVERYONE],
            "sequences": {"short": {"steps": [HELLO, AGAIN]}},
        } | changes

    def apply(self, **changes: Any) -> StoredCampaign:
        """Make this the campaign's present version."""
        campaign = Campaign.parse(self.document(**changes), "test.toml")
        campaigns.apply(self.store, campaign, self.now)
        return self.stored(campaign.name)

    def stored(self, name: str = "spring") -> StoredCampaign:
        return campaigns.get(self.store, name)

    # leads

    def csv(self, *rows: str, header: str = "Email,First Name,Title,Company,Employees,Country") -> CsvSource:
        """A file of leads; one with a header is given by its rows."""
        path = self.home / f"{len(list(self.home.glob('*.csv')))}.csv"
        path.write_text("\n".join((header, *rows)) + "\n", "utf-8")
        return CsvSource(path, batch_rows=self.batch_rows)

    def people(self, count: int, start: int = 0, employees: int = 120) -> CsvSource:
        """A file of plain leads in Berlin."""
        return self.csv(
            *(
                f"ann{i}@firm{i % 7}.com,Ann{chr(97 + i % 26)},Chief Technology Officer,Firm {i % 7},{employees},Germany"
                for i in range(start, start + count)
            )
        )

    def load(self, source: Any, campaign: str = "spring", **how: Any) -> Imported:
        return import_source(self.outside, source, campaign, **how)

    def add(self, email: str, campaign: str = "spring", until: str = "nurture", **values: str) -> Imported:
        """One lead, typed in."""
        given = {"email": email, "first_name": "Ann", "employees": "120", "country": "Germany"} | values
        return self.load(ManualSource(given), campaign, kind="manual", until=until)

    def judge(self, until: str = "nurture", limit: int | None = None, campaign: str = "spring") -> int:
        return judge_pending(self.outside, self.stored(campaign), until, limit)

    def suppress(self, value: str, kind: str | None = None, reason: str = "asked") -> Suppressed:
        with self.store.transaction() as unit:
            return suppress(unit, [(kind, value, reason)], "test", self.now)

    # sending

    def post(self, name: str = "me", host: str = "here", pid: int = 1, timeout: float = 5) -> Post:
        return Post(
            store=self.store,
            transport=_transport(timeout),
            clock=self.clock,
            probe=self.points,
            progress=Quiet(),
            password=self.passwords.get,
            is_alive=self.running.__contains__,
            identity=Identity(name, host, pid),
            opt_out=self.opt_out,
            stopwatch=Stopwatch(),
        )

    def send(self, limit: int | None = None, campaign: str = "spring", **who: Any) -> dict[str, int]:
        """Send what is due; gives the counts."""
        return {k: v for k, v in send_due(self.post(**who), self.stored(campaign), limit).items() if v}

    def taken(self) -> list[str]:
        """Recipients, by the mail server's word, in order."""
        return [message.rcpt_to[0] for message in self.smtp.messages]

    # what the store holds

    def rows(self, table: Table) -> list[Row]:
        with self.store.reading() as unit:
            query = select(table).order_by(*table.primary_key.columns)
            return [dict(row) for row in unit.connection.execute(query).mappings()]

    def lead(self, email: str = ANN) -> Row:
        return next(row for row in self.rows(tables.leads) if row["email"] == email)

    def prospect(self, email: str = ANN, campaign: str = "spring") -> Row:
        with self.store.reading() as unit:
            return next(p for p in unit.prospects.of_lead(self.lead(email)["id"]) if p["campaign"] == campaign)

    def touches(self, campaign: str = "spring") -> list[Row]:
        keys = [row["id"] for row in self.rows(tables.campaigns) if row["name"] == campaign]
        return [row for row in self.rows(tables.touches) if row["campaign_id"] in keys]

    def touch(self, email: str = ANN, step: int = 1, campaign: str = "spring") -> Row:
        key = self.prospect(email, campaign)["id"]
        return next(row for row in self.touches(campaign) if row["prospect_id"] == key and row["step"] == step)

    def deliveries(self) -> list[tuple[str, int | None]]:
        """Result and code of every attempt."""
        return [(row["result"], row["code"]) for row in self.rows(tables.deliveries)]

    def events(self) -> list[str]:
        return [row["kind"] for row in self.rows(tables.events)]

    def suppressed(self) -> list[tuple[str, str]]:
        return [(row["kind"], row["value"]) for row in self.rows(tables.suppressions)]

    def mailbox_state(self, address: str = MARA) -> Row:
        return next(row for row in self.rows(tables.mailboxes) if row["address"] == address)

    def decisions(self) -> list[dict[str, Any]]:
        """Everything decided, without the times of writing."""
        hidden = ("created_at", "updated_at", "id", "lead_id", "prospect_id")
        return [
            {k: v for k, v in row.items() if k not in hidden}
            for table in (tables.prospects, tables.touches)
            for row in self.rows(table)
        ]


def opened(stack: ExitStack, home: Path, url: str, smtp: SmtpServer) -> Office:
    """An office whose parts are closed with the stack, at a mail server that has forgotten what was before."""
    zone: dict[str, str] = {}

    def answer(name: str) -> Answer:
        return KINDS[zone.get(name, "mx" if name.startswith("firm") else "nxdomain")]

    for kept in (smtp.messages, smtp.commands, smtp.users):
        kept.clear()
    smtp.script()
    store = Store(url, home)
    stack.callback(store.close)
    dns = stack.enter_context(DnsServer(answer))
    return Office(home, store, dns, smtp, zone)
