"""The columns of the one batch type: names, kinds and meaning, declared once and used by stages, store, rules and docs."""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl


class Kind(StrEnum):
    """How a column is compared in rules and kept in the store."""

    TEXT = "text"
    """Shown as people write it; compared through its folded shadow column."""
    CODE = "code"
    """Folded already: lower-case codes, addresses, domains."""
    NUMBER = "number"
    AMOUNT = "amount"
    FLAG = "flag"
    TAGS = "tags"
    """`|a|b|`: folded words between bars, so that `has` is one literal search on every engine."""
    INSTANT = "instant"
    OPAQUE = "opaque"
    """Kept and shown, never compared."""
    NAME = "name"
    """Compared letter by letter as it stands: names that people gave, and reasons."""


POLARS: dict[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.CODE: pl.String(),
    Kind.NUMBER: pl.Int64(),
    Kind.AMOUNT: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
    Kind.TAGS: pl.String(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.OPAQUE: pl.String(),
    Kind.NAME: pl.String(),
}

FOLDED = "_folded"
"""Suffix of the shadow column that holds the folded form of a TEXT column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind and meaning in one sentence."""

    name: str
    kind: Kind
    doc: str

    @property
    def compared(self) -> str:
        """The stored column that rules look at."""
        return self.name + FOLDED if self.kind is Kind.TEXT else self.name

    @property
    def dtype(self) -> pl.DataType:
        """Polars type."""
        return POLARS[self.kind]


LEAD: tuple[Column, ...] = (
    Column("email", Kind.CODE, "Address as given, lower case; empty while a lead waits for enrichment."),
    Column("base_address", Kind.CODE, "Identity of the address: tags and Gmail dots removed."),
    Column("email_domain", Kind.CODE, "Part after the @."),
    Column("profile_url", Kind.CODE, "Public profile, without scheme, query and trailing slash."),
    Column("source", Kind.CODE, "Where the lead came from first: csv, manual."),
    Column("source_key", Kind.CODE, "The source's own key for this person."),
    Column("first_name", Kind.TEXT, "Given name."),
    Column("last_name", Kind.TEXT, "Family name."),
    Column("title", Kind.TEXT, "Job title as given."),
    Column(
        "seniority",
        Kind.CODE,
        "founder, c_level, vp, head, director, manager, senior or staff; from the title if not given.",
    ),
    Column("role", Kind.CODE, "Field of work: engineering, marketing, sales, ...; from the title if not given."),
    Column("company", Kind.TEXT, "Company name without its legal form."),
    Column("domain", Kind.CODE, "Registrable domain of the company."),
    Column("account", Kind.CODE, "Key of the company: its domain, else its folded name."),
    Column("industry", Kind.CODE, "Industry, lower case."),
    Column("employees", Kind.NUMBER, "Head count."),
    Column("tech", Kind.TAGS, "Technologies in use."),
    Column("stage", Kind.CODE, "Company stage: seed, series a, growth, public, ..."),
    Column("country", Kind.CODE, "ISO 3166-1 alpha-2, lower case."),
    Column("region", Kind.TEXT, "State or province."),
    Column("city", Kind.TEXT, "City."),
    Column("timezone", Kind.OPAQUE, "IANA zone of the lead, if known."),
    Column("language", Kind.CODE, "ISO 639-1, lower case."),
    Column("phone", Kind.CODE, "E.164 where it could be made so, else digits as given."),
    Column("budget", Kind.AMOUNT, "Known budget, in the campaign's currency."),
    Column("timeline_months", Kind.NUMBER, "Months until a decision is expected."),
    Column("intent", Kind.TAGS, "Signals of intent."),
    Column("extra", Kind.OPAQUE, "Other columns of the source, as a JSON object; for templates."),
)
"""What harvest gives and the store keeps of a lead."""

DECISIONS: tuple[Column, ...] = (
    Column("fit", Kind.NUMBER, "How well the account matches the ICP, 0-100."),
    Column("opportunity", Kind.NUMBER, "How likely now, 0-100."),
    Column("tier", Kind.CODE, "a, b, c or d, from fit and opportunity."),
    Column(
        "score_parts",
        Kind.OPAQUE,
        "JSON list of [axis, group, part, points, evidence]; points sum to the scores.",
    ),
    Column("address_status", Kind.CODE, "safe, risky, invalid or unknown."),
    Column(
        "address_reasons",
        Kind.TAGS,
        "Why: bad_syntax, special_use, no_mx, null_mx, role, disposable, free, dns_timeout, ...",
    ),
    Column("verdict", Kind.CODE, "qualified, rejected, held, or waiting for an address."),
    Column("verdict_reason", Kind.OPAQUE, "Name of the rule that decided, or what is missing."),
    Column("sequence", Kind.CODE, "Sequence that the prospect is enrolled in."),
    Column("route_reason", Kind.OPAQUE, "Name of the route, or the compatibility check that stopped it."),
)
"""What the stages add for a prospect, in the order they add it."""

COLUMNS: dict[str, Column] = {column.name: column for column in (*LEAD, *DECISIONS)}

LOADED: tuple[Column, ...] = (
    Column("import_id", Kind.NUMBER, "Import that brought the lead."),
    Column("created_at", Kind.INSTANT, "When the lead came."),
)
"""What the store knows of a lead besides, for searching."""

STANDING: tuple[Column, ...] = (
    Column(
        "state",
        Kind.CODE,
        "harvested, waiting, rejected, held, unrouted, enrolled, finished, replied or stopped.",
    ),
    Column("state_reason", Kind.NAME, "Why it stands there, where neither verdict nor route says so."),
    Column("verdict_reason", Kind.NAME, "Name of the rule that decided, or what is missing."),
    Column("route_reason", Kind.NAME, "Name of the route, or the compatibility check that stopped it."),
    Column("touch_states", Kind.TAGS, "States of the prospect's touches."),
)
"""Where a prospect stands, for searching."""

SEARCH_LEADS: dict[str, Column] = {column.name: column for column in (*LEAD, *LOADED)}
"""What a search among all leads may look at."""

SEARCH: dict[str, Column] = {**SEARCH_LEADS, **{column.name: column for column in (*DECISIONS, *STANDING)}}
"""What a search in a campaign may look at; a campaign's rules know only `COLUMNS`."""


def lead_schema() -> dict[str, pl.DataType]:
    """Polars schema of a batch of leads as harvest returns it, without shadows and keys."""
    return {column.name: column.dtype for column in LEAD}


def fold(expr: pl.Expr) -> pl.Expr:
    """The one case folding: NFKC, then Unicode lower case. Literals of rules go through it too."""
    return expr.str.normalize("NFKC").str.to_lowercase()


def fold_text(text: str) -> str:
    """`fold` of one string, by the same code, so that a literal can never fold differently from a column."""
    folded: str = pl.select(fold(pl.lit(text))).item()
    return folded


def shadows() -> list[pl.Expr]:
    """Expressions that add the folded shadow of every TEXT column."""
    return [fold(pl.col(column.name)).alias(column.compared) for column in LEAD if column.kind is Kind.TEXT]
