"""Route: which sequence a qualified prospect enters, what keeps it out, and which of a step's texts it reads."""

from collections.abc import Iterable, Mapping
from zlib import crc32

import polars as pl

from touchline.model import rules
from touchline.model.campaign import CHECKED, LEAD_COLUMNS, Campaign, Sequence, Snippet

FACTS: dict[str, pl.DataType] = {
    "identity": pl.String(),
    "active_campaign": pl.String(),
    "last_contact_days": pl.Int64(),
    "account_replied": pl.Boolean(),
}
"""What the store knows of a lead, one row an identity: the campaign in whose sequence it is now, whole days since
the last message to it, whether anybody of its account has replied. Null and absent rows: nothing of the kind."""

LOOKED_AT = ("verdict", "tier", "country", "language")


def facts_to_ask(prospects: pl.DataFrame) -> pl.DataFrame:
    """The distinct `identity` and `account` of qualified prospects, for whom `route` wants facts."""
    return prospects.filter(pl.col("verdict") == "qualified").select("identity", "account").unique(maintain_order=True)


def route(prospects: pl.DataFrame, campaign: Campaign, facts: pl.DataFrame) -> pl.DataFrame:
    """Add `sequence` and `route_reason`.

    The first route that matches chooses; then the compatibility checks, in their order, may stop it. A lead
    whose country or language is unknown is stopped by neither check.

    Args:
        prospects: Leads with shadows, `identity`, scores, tier, address status and `verdict`, not yet enrolled
            in this campaign.
        campaign: Gives routes, compatibility and the sequences' languages.
        facts: As `FACTS` says.

    Returns:
        The prospects with both columns. Qualified: a sequence with its route's name, or null with what stopped
        it. Not qualified: null and null.
    """
    known = prospects.select("identity").join(
        facts.select(FACTS.keys()), on="identity", how="left", validate="m:1", maintain_order="left"
    )
    matched = _first([(rules.parse(route.when, CHECKED), route.name) for route in campaign.routes])
    considered = pl.concat([prospects.select(LOOKED_AT), known.drop("identity")], how="horizontal")
    considered = considered.with_columns(prospects.select(matched.alias("route")))
    languages = {route.name: campaign.sequences[route.sequence].language for route in campaign.routes}
    decided = considered.with_columns(_named("route", languages).alias("reads")).select(
        qualified=pl.col("verdict").eq_missing("qualified"),
        stopped=pl.coalesce(_stops(campaign)),
        route="route",
        chosen=_named("route", {route.name: route.sequence for route in campaign.routes}),
    )
    enters = pl.col("qualified") & pl.col("stopped").is_null()
    return prospects.with_columns(
        decided.select(
            sequence=pl.when(enters).then("chosen"),
            route_reason=pl.when("qualified").then(pl.coalesce("stopped", "route")),
        )
    )


def _stops(campaign: Campaign) -> list[pl.Expr]:
    """What keeps a prospect out, in the order of precedence: the reason, or null."""
    checks = campaign.compatibility
    tier, days = pl.col("tier"), pl.col("last_contact_days")
    language = pl.col("language")
    # Sequences may name a variety ("pt-br"); leads have the bare ISO 639-1 code.
    differs = pl.col("reads").str.extract(r"^([a-z]+)") != language.str.extract(r"^([a-z]+)")
    stops: list[pl.Expr] = [
        pl.when(pl.col("route").is_null()).then(
            pl.coalesce(pl.format("no route for tier {}", tier), pl.lit("no route matches"))
        )
    ]
    if checks.one_sequence_at_a_time:
        stops.append(pl.format("in active sequence of campaign {}", "active_campaign"))
    unit = pl.when(days == 1).then(pl.lit("day")).otherwise(pl.lit("days"))
    stops.append(pl.when(days < checks.quiet_days).then(pl.format("contacted {} {} ago", days, unit)))
    if checks.respect_account_replies:
        stops.append(pl.when("account_replied").then(pl.lit("company has replied")))
    blocked = pl.col("country").is_in(list(checks.blocked_countries))
    stops.append(pl.when(blocked).then(pl.format("country blocked: {}", "country")))
    stops.append(pl.when(differs).then(pl.format("language: sequence is {}, lead reads {}", "reads", language)))
    return stops


def choose_variants(prospects: pl.DataFrame, sequence: Sequence, step: int) -> pl.Series:
    """The name of the variant that each prospect reads at a step; null for the step's own text.

    The first variant whose condition matches. Else an equal share for each variant without condition and for the
    step's own text, by a stable draw of identity and step.

    Args:
        prospects: Leads with shadows and `identity`.
        sequence: The sequence.
        step: Position of the step in it.
    """
    variants = sequence.steps[step].variants
    shares = [None, *(variant.name for variant in variants if variant.when is None)]
    drawn = draw(prospects["identity"], f"variant {step}").cast(pl.UInt64) * len(shares) // 2**32
    shared = drawn.replace_strict(range(len(shares)), shares, return_dtype=pl.String)
    conditions = [(rules.parse(v.when, LEAD_COLUMNS), v.name) for v in variants if v.when is not None]
    return prospects.select(pl.coalesce(_first(conditions), shared).alias("variant")).to_series()


def choose_snippets(prospects: pl.DataFrame, snippets: Mapping[str, tuple[Snippet, ...]]) -> pl.DataFrame:
    """Add `snippet_<name>`: the Liquid text of the first snippet that matches, else null.

    Args:
        prospects: Leads with shadows.
        snippets: As the campaign has them.
    """
    return prospects.with_columns(
        _first([(rules.parse(s.when, LEAD_COLUMNS) if s.when else None, s.text) for s in choices]).alias(
            f"snippet_{name}"
        )
        for name, choices in snippets.items()
    )


def _first(choices: Iterable[tuple[rules.Condition | None, str]]) -> pl.Expr:
    """The text beside the first condition that holds; without a condition it always holds. Else null."""
    texts = [pl.lit(text) if when is None else pl.when(when.polars()).then(pl.lit(text)) for when, text in choices]
    return pl.coalesce(*texts, pl.lit(None, pl.String))


def _named(column: str, values: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(values, return_dtype=pl.String)


def draw(identity: pl.Series, salt: str) -> pl.Series:
    """A stable draw per identity: UInt32, uniform, the same in every version and process; null draws as ''.

    CRC-32 (ISO 3309) spreads badly and makes the draws of two salts alike, so an integer mixer follows it
    (lowbias32, github.com/skeeto/hash-prospector).
    """
    sums = pl.Series([crc32(text.encode()) for text in identity.fill_null("").to_list()], dtype=pl.UInt64)
    x = sums ^ crc32(salt.encode())
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        # Both factors are below 2**32, so the product fits 64 bits before it is cut to 32.
        x = ((x ^ (x // 2**shift)) * factor) % 2**32
    return (x ^ (x // 2**16)).cast(pl.UInt32)
