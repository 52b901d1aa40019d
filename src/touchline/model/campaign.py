"""A campaign as its file says it: ICP, rules, routes, sequences, mailboxes, window, caps and mode, frozen and checked."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from datetime import time
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from touchline.model import rules, template
from touchline.model.address import SHAPE
from touchline.model.columns import COLUMNS, LEAD
from touchline.model.errors import InvalidInput
from touchline.model.faults import faults, meant

LEAD_COLUMNS = {column.name: column for column in LEAD}
SCORED = {**LEAD_COLUMNS, **{name: COLUMNS[name] for name in ("fit", "opportunity", "tier")}}
CHECKED = {**SCORED, **{name: COLUMNS[name] for name in ("address_status", "address_reasons")}}
UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")
"""Control characters, which stores and mail headers refuse, and lone surrogates, which no encoding has."""


def _condition(known: Mapping[str, Any]) -> AfterValidator:
    def check(text: str) -> str:
        rules.parse(text, known)
        return text

    return AfterValidator(check)


def _template(text: str) -> str:
    template.compiled(text)
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


@cache
def _zones() -> set[str]:
    return available_timezones()


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"{name!r} is not an IANA time zone{meant(name, _zones())}")
    return name


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("a name is one line, without tabs")
    return text


def _variable(name: str) -> str:
    # What was given is not shown: it may be the password itself.
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) is None:
        raise ValueError(
            "this is the name of an environment variable, such as MAILBOX_PASSWORD (capital letters, digits and _); "
            "the password itself never stands in a campaign file"
        )
    return name


def _country(code: str) -> str:
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{code!r} is not a two-letter country code (ISO 3166-1), such as 'de'")
    return code.lower()


LeadCondition = Annotated[str, _condition(LEAD_COLUMNS)]
"""A rule over what is known of the lead."""
CheckedCondition = Annotated[str, _condition(CHECKED)]
"""A rule over the lead, its scores, its tier and its address status."""
Liquid = Annotated[str, AfterValidator(_template)]
Filled = Annotated[str, AfterValidator(_filled), AfterValidator(_template)]
"""Liquid that says something: an empty message is never meant."""
Zone = Annotated[str, AfterValidator(_zone)]
Country = Annotated[str, AfterValidator(_country)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A name that also stands in files, logs and URLs."""
Label = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_one_line)]
"""A name for people."""
Points = Annotated[int, Field(ge=-100, le=100)]


class Frozen(BaseModel):
    """Base of all parts of a campaign: no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        """Line ends become LF, as TOML reads them, so that a campaign comes back equal from its file."""
        if not isinstance(value, str):
            return value
        if bad := UNPRINTABLE.search(text := value.replace("\r\n", "\n").replace("\r", "\n")):
            raise ValueError(f"the character U+{ord(bad[0]):04X} cannot be printed or sent: take it out")
        return text


class Part(Frozen):
    """One line of a scorecard: these points when this condition is met."""

    name: Label
    when: LeadCondition
    points: Points


class Group(Frozen):
    """Parts about one thing (size, industry, budget ...). Matching parts add up, at most to `cap`.

    Where every column that the parts look at is empty, the group gives `unknown` points, as a part of its own.
    """

    cap: Annotated[int, Field(ge=1, le=100)] = 100
    unknown: Points = 0
    parts: tuple[Part, ...] = Field(min_length=1)


class Icp(Frozen):
    """The ideal customer profile as an additive scorecard with two axes, each 0-100."""

    fit: dict[Code, Group] = Field(min_length=1)
    opportunity: dict[Code, Group] = Field(min_length=1)


Tier = Literal["a", "b", "c", "d"]


class Tiers(Frozen):
    """Tier by fit (rows) and opportunity (columns): high, medium, low. Each pair is the least score of high and of medium."""

    fit: tuple[int, int] = (65, 40)
    opportunity: tuple[int, int] = (50, 25)
    table: tuple[tuple[Tier, Tier, Tier], tuple[Tier, Tier, Tier], tuple[Tier, Tier, Tier]] = (
        ("a", "a", "b"),
        ("b", "b", "c"),
        ("c", "d", "d"),
    )

    @field_validator("table", mode="before")
    @classmethod
    def _lower(cls, table: Any) -> Any:
        if isinstance(table, list | tuple):
            return tuple(
                tuple(cell.lower() if isinstance(cell, str) else cell for cell in row)
                if isinstance(row, list | tuple)
                else row
                for row in table
            )
        return table

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for axis, (high, medium) in (("fit", self.fit), ("opportunity", self.opportunity)):
            if not 0 <= medium <= high <= 100:
                raise ValueError(
                    f"{axis} must be [high, medium] with 0 <= medium <= high <= 100, not [{high}, {medium}]"
                )
        return self


class Rule(Frozen):
    """One rule of qualification; the first that matches decides."""

    name: Label
    when: CheckedCondition
    then: Literal["qualified", "rejected", "held"]


class Route(Frozen):
    """One route; the first that matches chooses the sequence."""

    name: Label
    when: CheckedCondition
    sequence: Code


class Compatibility(Frozen):
    """What keeps a qualified prospect out of a sequence for now."""

    quiet_days: Annotated[int, Field(ge=0, le=3650)] = 30
    blocked_countries: tuple[Country, ...] = ()
    one_sequence_at_a_time: bool = True
    respect_account_replies: bool = True


class Snippet(Frozen):
    """A passage by lead profile: the first whose condition matches is used; without `when` it always matches."""

    when: LeadCondition | None = None
    text: Annotated[Liquid, AfterValidator(str.strip)]


class Variant(Frozen):
    """An alternative text of a step: chosen by condition if it has one, else by share among those without."""

    name: Code
    when: LeadCondition | None = None
    subject: Filled | None = None
    text: Filled
    html: Filled | None = None


class Step(Frozen):
    """One message of a sequence. `wait_days` counts from the message before it; without a subject it replies in the thread."""

    name: Code
    wait_days: Annotated[int, Field(ge=0, le=365)] = 3
    subject: Filled | None = None
    text: Filled
    html: Filled | None = None
    variants: tuple[Variant, ...] = ()


class Sequence(Frozen):
    """Ordered messages in one language."""

    language: Code = "en"
    about: str = ""
    steps: tuple[Step, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        first = self.steps[0]
        if first.subject is None or any(v.subject is None for v in first.variants):
            raise ValueError("the first step needs a subject, in each of its variants too")
        for names in ([s.name for s in self.steps], *([v.name for v in s.variants] for s in self.steps)):
            if len(set(names)) < len(names):
                raise ValueError(f"names of steps and variants must differ: {', '.join(names)}")
        return self


class Ramp(Frozen):
    """How a new mailbox warms up: providers distrust one that begins with many messages."""

    start: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """Messages in 24 hours on the day of its first message."""
    step: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """How many more on each day after it, up to the daily cap."""


class Mailbox(Frozen):
    """A sending identity. The password stays in the environment: only the variable's name is here."""

    address: str
    name: Annotated[str, AfterValidator(_one_line)] = ""
    host: str = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_env: Annotated[str, AfterValidator(_variable)] | None = None
    daily_cap: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    """Messages in any 24 hours; 0 stops the mailbox."""
    ramp: Ramp | None = None
    """None: the daily cap holds from the first day."""

    def cap_on(self, day: int) -> int:
        """Messages in any 24 hours, so many whole days after its first one."""
        return self.daily_cap if self.ramp is None else min(self.daily_cap, self.ramp.start + self.ramp.step * day)

    @field_validator("address")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if re.fullmatch(SHAPE, value) is None or not value.isascii():
            raise ValueError(f"{value!r} is not a plain e-mail address such as ada@example.com")
        return value.lower()

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password_env is None):
            raise ValueError("username and password_env go together: the name of the variable that holds the password")
        if self.security == "none" and self.username is not None and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("a password never travels without TLS: use security = 'starttls' or 'tls'")
        return self


class Sender(Frozen):
    """Who writes. The law wants a visible opt-out and a postal address in every message (CAN-SPAM, 15 U.S.C. 7704(a)(5))."""

    name: str = ""
    company: str = ""
    postal_address: str = ""
    opt_out: str = 'If you would rather not hear from me again, reply with "no thanks" and I will not write again.'


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Frozen):
    """When messages may leave, in the recipient's local time."""

    start: time = time(9, 0)
    end: time = time(17, 0)
    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    holidays: bool = False
    """True sends on public holidays too."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("the window is local time without an offset")
        if self.start >= self.end:
            raise ValueError(f"the window must end after it starts, on the same day: {self.start} to {self.end}")
        if not self.days or set(self.days) & {"sat", "sun"}:
            raise ValueError("days must name at least one weekday; weekends are never used")
        return self


def _inside(path: str) -> str:
    # Whoever may write a campaign may not read whatever the server can.
    parts = path.replace("\\", "/").split("/")
    if parts[0] in ("", "~") or parts[0][1:] == ":" or ".." in parts or parts[-1] in ("", "."):
        raise ValueError(
            f"{path!r} is no path of files inside the folder of touchline.toml, such as leads/*.csv; "
            "a link in that folder may lead elsewhere"
        )
    if not path.isprintable() or any("**" in part and part != "**" for part in parts) or parts[-1] == "**":
        raise ValueError(f"{path!r} is no pattern such as leads/*.csv or **/new-*.csv")
    return path


class FileSource(Frozen):
    """Files that `touchline run` harvests when they are new; a path or a pattern inside the folder of touchline.toml."""

    kind: Literal["csv"] = "csv"
    path: Annotated[str, AfterValidator(_inside)] = Field(min_length=1)


class Campaign(Frozen):
    """Everything that decides who gets which message when. Equal files are equal campaigns."""

    name: Code
    mode: Literal["review", "automatic"] = "review"
    timezone: Zone = "UTC"
    sender: Sender = Sender()
    mailboxes: tuple[Mailbox, ...] = ()
    window: Window = Window()
    sources: tuple[FileSource, ...] = ()
    icp: Icp
    tiers: Tiers = Tiers()
    rules: tuple[Rule, ...] = ()
    otherwise: Literal["qualified", "rejected", "held"] = "held"
    """Verdict where no rule matches."""
    routes: tuple[Route, ...] = Field(min_length=1)
    compatibility: Compatibility = Compatibility()
    snippets: dict[Code, tuple[Snippet, ...]] = {}
    sequences: dict[Code, Sequence] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_meet(self) -> Self:
        for route in self.routes:
            if route.sequence not in self.sequences:
                raise ValueError(
                    f"route {route.name!r} leads to sequence {route.sequence!r}, which is not in [sequences]"
                    + meant(route.sequence, self.sequences)
                )
        for what, names in (
            ("rules", [r.name for r in self.rules]),
            ("routes", [r.name for r in self.routes]),
            ("mailboxes", [m.address for m in self.mailboxes]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(
                    f"two {what} share a name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
                )
        known = template.NAMES | {f"snippets.{name}" for name in self.snippets}
        for where, text in self.templates():
            for name in sorted(template.compiled(text).variables - known):
                if not name.startswith("extra."):
                    raise ValueError(f"{where} uses {name!r}, which {_lacking(name, known)}")
        return self

    def templates(self) -> list[tuple[str, str]]:
        """Every template of the campaign with the place where it stands."""
        found = [
            (f"snippets.{n}[{i}].text", s.text) for n, many in self.snippets.items() for i, s in enumerate(many, 1)
        ]
        for name, sequence in self.sequences.items():
            for step in sequence.steps:
                label = f"sequences.{name}.steps[{step.name}]"
                messages: list[tuple[str, Step | Variant]] = [(label, step)]
                messages += [(f"{label}.variants[{variant.name}]", variant) for variant in step.variants]
                for place, message in messages:
                    texts = (("subject", message.subject), ("text", message.text), ("html", message.html))
                    found += [(f"{place}.{key}", text) for key, text in texts if text is not None]
        return found

    def zone(self) -> ZoneInfo:
        """The zone used where nothing better is known of a lead."""
        return ZoneInfo(self.timezone)

    def obstacles(self) -> list[str]:
        """Why this campaign may not send yet, one sentence each; empty where it may."""
        found = []
        if not self.mailboxes:
            found.append("No mailbox: add a [[mailboxes]] entry.")
        if not self.sender.postal_address.strip():
            found.append("No postal address: set postal_address under [sender].")
        if not self.sender.opt_out.strip():
            found.append("No visible opt-out: set opt_out under [sender].")
        used = frozenset[str]().union(*(template.compiled(text).variables for _, text in self.templates()))
        if "sender.name" in used and not self.sender.name.strip():
            found.append("No sender's name, and messages are signed with it: set name under [sender].")
        for name, passages in self.snippets.items():
            if f"snippets.{name}" in used and not any(passage.text.strip() for passage in passages):
                found.append(
                    f"Snippet {name!r} is empty, and messages use it: write its text under [[snippets.{name}]]."
                )
        return found

    def as_json(self) -> str:
        """Canonical JSON: the stored form, equal for equal campaigns."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True, ensure_ascii=False)

    def digest(self) -> str:
        """Short name of this exact content."""
        return hashlib.blake2b(self.as_json().encode(), digest_size=8).hexdigest()

    def as_document(self) -> dict[str, Any]:
        """The campaign as plain values for a TOML file, without what equals the default."""
        document: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return document

    @classmethod
    def parse(cls, document: Mapping[str, Any], where: str) -> "Campaign":
        """Check a document and give the campaign.

        Args:
            document: Parsed TOML or JSON.
            where: Name of the file, for messages.

        Raises:
            InvalidInput: One line a fault, each with its place, what is wrong, and the likely right word.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            told = "\n".join(faults(cls, document, error))
            raise InvalidInput(f"{where}: {told}", hint="Correct the file and apply it again.") from None

    @classmethod
    def from_json(cls, text: str) -> "Campaign":
        """The campaign from its stored form."""
        return cls.model_validate_json(text)


def _lacking(name: str, known: Collection[str]) -> str:
    if name.startswith("snippets."):
        return f"is not there{meant(name, known) or f': write it under [[{name}]]'}"
    return f"no lead has{meant(name, known) or '; columns of your own stand under extra, such as extra.pain_point'}"
