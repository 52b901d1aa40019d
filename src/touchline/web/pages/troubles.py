"""Troubles as a page tells them: each once, those that are alike together, and what to do as a link where a page does it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from markupsafe import Markup, escape

from touchline.app.desk import Failure, Today
from touchline.app.health import Finding
from touchline.app.mailboxes import MailboxUse
from touchline.app.ports import Row
from touchline.web import frame

NAMED = 5
"""Of those that are alike so many are named."""

WORD = r"([\w.:@-]*[\w])"
LINKS = (
    (rf"touchline runs show {WORD}", "/runs/{}", "run {}"),
    (rf"touchline runs cancel {WORD}", "/runs/{}", "cancel run {}"),
    (rf"touchline runs retry {WORD}", "/runs/{}", "retry run {}"),
    (rf"runs dismiss {WORD}", "/runs/{}", "dismiss what was set aside"),
    (r"touchline runs list", "/runs", "the runs"),
    (r"touchline outbox list --state uncertain", "/outbox?state=uncertain", "decide each in the outbox"),
    (r"touchline outbox list", "/outbox", "the outbox"),
    (r"touchline stop --all", "/campaigns", "stop everything, under Campaigns"),
    (rf"touchline schedule set {WORD}", "/settings/schedules/{}", "{}"),
    (rf"touchline schedule pause {WORD}", "/settings/schedules", "under Schedules"),
    (r"touchline schedule list", "/settings/schedules", "the schedules"),
    (rf"touchline campaign start {WORD}", "/campaigns/{}", "start campaign {}"),
    (r"touchline campaign apply FILE", "/campaigns/new", "a new campaign"),
    (r"touchline campaign list", "/campaigns", "the campaigns"),
    (r"touchline imports list", "/import", "the imports"),
    (r"touchline suppress add", "/suppression", "suppress the address"),
    (r"touchline key list", "/settings/keys", "the keys"),
    (r"touchline user (?:list|set)", "/settings/people", "the people"),
    (r"touchline leads list --where .*", "/leads", "among the leads"),
)
"""What the command line says, the page that does the same, and its words."""
WORDS = {
    "See: touchline schedule set --help": "",
    "Say which: --campaign NAME": "Choose one.",
    "Leave --campaign out.": "Choose none.",
    "Such as: --opens 22:00 --closes 04:00": "Such as from 22:00 to 04:00.",
}
"""Hints that only fit the command line, in words for a form that explains itself."""
KNOWN = re.compile("|".join(f"(?P<k{place}>{pattern})" for place, (pattern, _, _) in enumerate(LINKS)))
COMMAND = re.compile(r"touchline [a-z][a-z -]*[a-z]")


def advice(hint: str | None) -> Markup:
    """What to do next, for a page: a link where a page does it, the command where only the command line can."""
    text = WORDS.get(hint or "", hint or "")
    parts, at = list[Markup](), 0
    for found in KNOWN.finditer(text):
        if found.end() < len(text) and text[found.end()] == " " and text[found.end() + 1 :].startswith("--"):
            continue
        pattern, target, said = LINKS[int(str(found.lastgroup)[1:])]
        exact = re.fullmatch(pattern, found[0])
        given = exact.groups() if exact else ()
        label = said.format(*given)
        parts += [_commands(text[at : found.start()])]
        label = label[:1].upper() + label[1:] if found.start() == 0 and said != "{}" else label
        address = target.format(*(quote(each, safe="") for each in given))
        parts += [Markup('<a href="{}">{}</a>').format(address, label)]
        at = found.end()
    return Markup("").join([*parts, _commands(text[at:])])


def _commands(text: str) -> Markup:
    parts, at = list[Markup](), 0
    for found in COMMAND.finditer(text):
        parts += [escape(text[at : found.start()].removesuffix("`")), Markup("<code>{}</code>").format(found[0])]
        at = found.end() + text[found.end() :].startswith("`")
    return Markup("").join([*parts, escape(text[at:])])


frame.templates.filters["advice"] = advice


@dataclass(frozen=True, slots=True)
class Name:
    """What a trouble is about, and its page."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row under "Needs a look"; several that are alike are one.

    Attributes:
        names: The first of what it is about.
        more: How many others there are.
        state: Looks like this state, by this word.
        since: When the first of them began, if that is known.
        until: When the first of them is tried again or goes on, as `until_word` says.
        hint: What to do next, as the command line says it.
    """

    names: tuple[Name, ...]
    more: int
    state: str
    word: str
    why: str
    hint: str = ""
    note: str = ""
    since: datetime | None = None
    until: datetime | None = None
    until_word: str = ""


def of_today(today: Today) -> list[Trouble]:
    """What went wrong, each trouble once: an alert that says what a failed run or a resting mailbox says is left out."""
    told = {f"mailboxes: {one.address}" for one in today.mailboxes if one.state == "error"}
    told |= {f"{name}: runs" for name in _failing(today.failures, today.schedules)}
    rest = [row for row in today.alerts if row["key"] not in told]
    return [*map(_failure, today.failures), *_alerts(rest), *_mailboxes(today.mailboxes)]


def _failing(failures: Iterable[Failure], schedules: Iterable[Row]) -> set[str]:
    """Schedules whose work is among what failed."""
    found = {("daily" if one.run["job"] == "run" else one.run["job"], one.run["campaign_id"]) for one in failures}
    return {row["name"] for row in schedules if (row["job"], row["campaign_id"]) in found}


def _failure(one: Failure) -> Trouble:
    name = one.run["job"] + (f" of {one.run['campaign']}" if one.run["campaign"] else "")
    times = f"{one.times} times" if one.times > 1 else ""
    why = one.error if len(one.error) <= 200 else f"{one.error[:200]}…"
    return Trouble((Name(name, one.href),), 0, "failed", "Failed", why, one.hint, note=times)


def _alerts(rows: Iterable[Row]) -> list[Trouble]:
    found: dict[tuple[str, ...], list[tuple[Row, Name]]] = {}
    for row in rows:
        scope, _, matter = row["key"].rpartition(": ")
        reason = _reason(row)
        name = Name(matter if scope == "mailboxes" else scope, where(scope, row["hint"]))
        found.setdefault((row["level"], *_alike(scope, matter, reason, row["hint"])), []).append((row, name))
    return [
        Trouble(
            *_named([name for _, name in group]),
            state=level,
            word=level.capitalize(),
            why=why if len(group) > 1 else _reason(group[0][0]),
            hint=_of_all(group[0][0]["hint"], len(group)),
            since=min(row["opened_at"] for row, _ in group),
        )
        for (level, why, _), group in found.items()
    ]


def _reason(alert: Row) -> str:
    return str(alert["message"]).removeprefix(f"{alert['key'].rpartition(': ')[0]}: ")


def of_health(findings: Iterable[Finding]) -> list[Trouble]:
    """What health found, those that are alike together."""
    found: dict[tuple[str, ...], list[tuple[Finding, Name]]] = {}
    for one in findings:
        matter = one.key.removeprefix(f"{one.scope}: ")
        name = Name(matter if one.scope == "mailboxes" else one.scope, where(one.scope, one.hint))
        found.setdefault((one.level, *_alike(one.scope, matter, one.reason, one.hint)), []).append((one, name))
    return [
        Trouble(
            *_named([name for _, name in group]),
            state=level,
            word=level.capitalize(),
            why=why if len(group) > 1 else group[0][0].reason,
            hint=_of_all(group[0][0].hint, len(group)),
        )
        for (level, why, _), group in found.items()
    ]


def _alike(scope: str, matter: str, reason: str, hint: str) -> tuple[str, str]:
    """Why and what to do, equal for troubles that differ only in what they are about and in a number or a time of it."""
    if scope == "mailboxes":
        alike = re.sub(r"; it rests until [\d: -]+UTC$", "", reason.removeprefix(f"{matter}: "))
        return alike.replace(matter, "(address)"), "mailboxes"
    return reason, re.sub(r"\d+", "0", hint)


def _of_all(hint: str, count: int) -> str:
    """The run that one of several hints names is one of several; each name leads to its own."""
    return "See each." if count > 1 and hint.startswith("touchline runs show ") else hint


def _mailboxes(rows: Iterable[MailboxUse]) -> list[Trouble]:
    found: dict[tuple[str, str], list[MailboxUse]] = {}
    for one in rows:
        why = (one.error or "it rests").replace(one.address, "(address)") if one.state == "error" else ""
        found.setdefault((one.state if one.state == "error" else "cap", why), []).append(one)
    return [
        Trouble(
            *_named([Name(one.address, "/mailboxes") for one in group]),
            state="failed" if state == "error" else "degraded",
            word="Resting" if state == "error" else "At its cap",
            why=_why(why, group),
            until=min(
                (at for one in group if (at := one.retry_at if state == "error" else one.frees_at)), default=None
            ),
            until_word=("Tried again" if state == "error" else "Goes on")
            if len(group) == 1
            else ("The first is tried again" if state == "error" else "The first goes on"),
        )
        for (state, why), group in found.items()
    ]


def _why(error: str, group: list[MailboxUse]) -> str:
    first = group[0]
    if first.state == "error":
        return (first.error or error) if len(group) == 1 else error
    if len(group) == 1:
        return f"{first.used} of {first.cap} messages in 24 hours"
    return f"{sum(one.used for one in group):,} of {sum(one.cap for one in group):,} messages in 24 hours"


def _named(names: list[Name]) -> tuple[tuple[Name, ...], int]:
    return tuple(names[:NAMED]), max(0, len(names) - NAMED)


PLACES: Mapping[str, str] = {
    "mailboxes": "/mailboxes",
    "touches": "/outbox?state=uncertain",
    "suppression": "/suppression",
}


def where(scope: str, hint: str) -> str:
    """The page that helps with a finding."""
    words = hint.split()
    if words[:3] == ["touchline", "runs", "show"] and words[-1].isdecimal():
        return f"/runs/{words[-1]}"
    return PLACES.get(scope, "/settings/schedules" if ":" in scope else "")
