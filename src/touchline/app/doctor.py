"""The doctor: checks everything that has to work, says what is wrong and what to do."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from touchline.app.claims import STOPPED
from touchline.app.ports import Resolver, Store, StoredCampaign
from touchline.model.campaign import Mailbox
from touchline.model.errors import TouchlineError

Status = Literal["ok", "warning", "error"]
LOW_DISK = 1_000_000_000
"""Bytes below which the disk is a warning."""
NO_DISK = 100_000_000
"""Bytes below which it is an error: the next import may not fit."""
TAKES_MAIL = ("mx", "a")
ANY_DOMAIN = "example.com"
"""Asked for where no mailbox names a domain (RFC 2606): any answer shows that DNS works."""
AT_ONCE = 8
"""Mailboxes that are looked at side by side."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    check: str
    status: Status
    detail: str
    hint: str = ""


class Patient(Protocol):
    """What the doctor examines."""

    @property
    def place(self) -> str:
        """Where the data is."""
        ...

    def revision(self) -> tuple[str | None, str]:
        """The database's revision and the one that is needed."""
        ...


@dataclass(frozen=True, slots=True)
class Examination:
    """What the doctor needs from outside."""

    store: Store
    patient: Patient
    resolver: Resolver
    configuration: str
    public_url: str
    public_fault: Callable[[str], str | None]
    free_bytes: Callable[[], int]
    password: Callable[[str], str | None]
    check_mailbox: Callable[[Mailbox, str | None], list[tuple[str, bool, str]]]


def examine(exam: Examination) -> Iterator[Finding]:
    """Every check in order; what rests on the database is left out where that failed."""
    yield Finding("configuration", "ok", exam.configuration)
    yield _disk(exam)
    database = list(_database(exam))
    yield from database
    if any(finding.status == "error" for finding in database):
        return
    yield _public(exam)
    with exam.store.reading() as unit:
        stopped = unit.controls.get(STOPPED)
        stored = [unit.campaigns.get(name) for name in unit.campaigns.names()]
        uncertain = unit.gauges.uncertain()
    if stopped is not None:
        yield Finding("stop switch", "warning", f"everything is stopped: {stopped}", "Lift it with: touchline start")
    if uncertain:
        hint = "Settle them: touchline outbox list --state uncertain"
        yield Finding("touches", "warning", f"{uncertain} of unknown fate", hint)
    if not stored:
        yield Finding("campaigns", "warning", "none yet", "Add one: touchline campaign apply campaign.toml")
    yield from map(_campaign, stored)
    mailboxes = list(dict.fromkeys(mailbox for one in stored for mailbox in one.campaign.mailboxes))
    yield from _dns(exam, sorted({mailbox.address.rpartition("@")[2] for mailbox in mailboxes}))
    # Side by side: a mail server that does not answer takes its whole time-out, and there may be many.
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for findings in threads.map(lambda mailbox: list(look_at(exam, mailbox)), mailboxes):
            yield from findings


def _disk(exam: Examination) -> Finding:
    try:
        free = exam.free_bytes()
    except OSError as error:
        return Finding("disk", "error", f"{error}", "Give a folder that this user may read.")
    status: Status = "error" if free < NO_DISK else "warning" if free < LOW_DISK else "ok"
    return Finding("disk", status, f"{free / 1e9:.1f} GB free", "" if status == "ok" else "Free some space.")


def _database(exam: Examination) -> Iterator[Finding]:
    try:
        present, needed = exam.patient.revision()
        if present == needed:
            with exam.store.transaction() as unit:
                # There is no such sender; a database that may only be read refuses all the same.
                unit.senders.drop("nobody")
    except TouchlineError as error:
        yield Finding("database", "error", f"{exam.patient.place}: {error.message}", error.hint)
        return
    yield Finding("database", "ok", exam.patient.place)
    if present == needed:
        yield Finding("migrations", "ok", f"at {present}")
    else:
        hint = "Run: touchline init. Where a newer Touchline set it up, install that one."
        yield Finding("migrations", "error", f"at {present or 'nothing'}, needs {needed}", hint)


def _public(exam: Examination) -> Finding:
    if not exam.public_url:
        return Finding("opt-out link", "ok", "no public_url: people opt out by answering")
    fault = exam.public_fault(exam.public_url)
    if fault is None:
        return Finding("opt-out link", "ok", exam.public_url)
    hint = "Let public_url lead to `touchline optout-server` over https. Until then mails carry no link."
    return Finding("opt-out link", "error", fault, hint)


def _campaign(stored: StoredCampaign) -> Finding:
    name, obstacles = f"campaign {stored.campaign.name}", stored.campaign.obstacles()
    if obstacles:
        return Finding(name, "warning", " ".join(obstacles), "Correct the file and apply it.")
    return Finding(name, "ok", f"{stored.state}, version {stored.version}, mode {stored.campaign.mode}")


def _dns(exam: Examination, domains: list[str]) -> Iterator[Finding]:
    try:
        answers = exam.resolver.resolve_now(domains or [ANY_DOMAIN])
    except TouchlineError as error:
        yield Finding("dns", "error", error.message, error.hint)
        return
    yield from (_domain(domain, answer, sends=bool(domains)) for domain, answer in sorted(answers.items()))


def _domain(domain: str, answer: str, *, sends: bool) -> Finding:
    name, detail = f"dns {domain}", f"mail exchange: {answer}"
    if answer == "timeout":
        return Finding(name, "error", detail, "Check the network and [dns] nameservers.")
    if sends and answer not in TAKES_MAIL:
        return Finding(name, "warning", detail, "Answers to your mails could not arrive.")
    return Finding(name, "ok", detail)


def look_at(exam: Examination, mailbox: Mailbox) -> Iterator[Finding]:
    """Whether a mailbox's server can be reached, speaks TLS and lets us in; nothing is sent."""
    name = f"mailbox {mailbox.address}"
    password = exam.password(mailbox.password_env) if mailbox.password_env else None
    if mailbox.password_env and not password:
        detail = f"the variable {mailbox.password_env} is not set"
        yield Finding(name, "error", detail, "Put the mailbox's password into it.")
        return
    try:
        steps = exam.check_mailbox(mailbox, password)
    except TouchlineError as error:
        yield Finding(name, "error", error.message, error.hint)
        return
    for step, ok, detail in steps:
        hint = "" if ok else "Compare host, port, security and login with your provider."
        yield Finding(f"{name}: {step}", "ok" if ok else "error", detail, hint)
