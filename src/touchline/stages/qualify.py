"""Qualify: the campaign's rules decide on each prospect, the first that matches, and say so by name."""

from collections.abc import Sequence

import polars as pl

from touchline.model import rules as language
from touchline.model.campaign import CHECKED, Rule
from touchline.stages.addresses import INVALIDATING, domains_to_resolve

__all__ = ["domains_to_resolve", "qualify"]  # what the stage asks for, and what it does

_CAUSE = r"\|(" + "|".join(INVALIDATING) + r")\|"


def qualify(prospects: pl.DataFrame, rules: Sequence[Rule], otherwise: str) -> pl.DataFrame:
    """Add `verdict` and `verdict_reason`.

    A prospect without an address is waiting, one with an invalid address is rejected; then the first rule that
    matches decides. A rule that cannot know, since what it looks at is null, does not match.

    Args:
        prospects: A batch with scores, tier, address checks and the folded shadows of its text columns.
        rules: In order.
        otherwise: The verdict where no rule matches.
    """
    decided = [("waiting", "no address yet"), ("rejected", None), *((rule.then, rule.name) for rule in rules)]
    outcomes = pl.DataFrame(
        [*decided, (otherwise, "no rule matched")],
        schema={"verdict": pl.String, "verdict_reason": pl.String},
        orient="row",
    )
    invalid = pl.col("address_status") == "invalid"
    chain = pl.when(pl.col("email").is_null()).then(0).when(invalid).then(1)
    for number, rule in enumerate(rules, start=2):
        chain = chain.when(language.parse(rule.when, CHECKED).polars()).then(number)
    chosen = prospects.select(chain.otherwise(len(decided)).cast(pl.UInt32)).to_series()
    cause = pl.when(invalid).then("address_reasons").str.extract(_CAUSE)
    return prospects.with_columns(outcomes[chosen].get_columns()).with_columns(
        verdict_reason=pl.coalesce("verdict_reason", "address invalid: " + cause)
    )
