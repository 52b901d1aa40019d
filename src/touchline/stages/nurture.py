"""Nurture: when each prospect's next touch is due, inside a send window of its own place."""

from datetime import UTC, datetime

import polars as pl

from touchline.model.calendar import place_of, windows_of_day
from touchline.model.campaign import Window
from touchline.stages.route import draw

INSTANT = pl.Datetime("us", "UTC")
PLACE = ("timezone", "country", "region")

SLOT_BITS = 24
"""A window has 2**24 moments: fine enough for a million people, and moments x microseconds fit 64 bits."""


def due(
    prospects: pl.DataFrame, window: Window, campaign_zone: str, after: datetime | pl.Expr, step: int
) -> pl.DataFrame:
    """Add `due_at` and `zone`: a moment of the first window with time left, so drawn that few share it.

    The moment depends on identity, step, place, window and `after` alone, so a replay gives the same one.

    Args:
        prospects: `identity`, `timezone`, `country`, `region`, and what `after` reads.
        window: The campaign's window, in local time.
        campaign_zone: IANA zone for leads of whom nothing better is known.
        after: UTC instant before which nothing is due: one for all, or an expression over the prospects.
        step: Position of the step in its sequence; each draws its own moment.

    Returns:
        The prospects with `zone` (IANA) and `due_at` (UTC; null where `after` is null or the window never opens,
        as `calendar.send_window` tells).

    Raises:
        ValueError: `after` is not an instant in UTC.
    """
    since = pl.lit(after.astimezone(UTC) if after.tzinfo else after) if isinstance(after, datetime) else after
    rows = prospects.select(*PLACE, since.alias("since"), draw(prospects["identity"], f"due {step}").alias("draw"))
    if rows.schema["since"] != INSTANT:
        raise ValueError(f"'after' must be an instant in UTC ({INSTANT}), not {rows.schema['since']}")
    rows = rows.with_columns(pl.col("since").dt.date().alias("day"))
    opened, depth = _openings(rows.select(*PLACE, "day").unique(), window, campaign_zone)
    found = rows.join(opened, on=[*PLACE, "day"], how="left", nulls_equal=True, maintain_order="left")
    open_at, close_at = (
        # Windows are in order, so the first that closes later than `since` is the next one.
        pl.coalesce(pl.when(pl.col(f"close_{i}") > pl.col("since")).then(pl.col(f"{bound}_{i}")) for i in range(depth))
        for bound in ("open", "close")
    )
    start = pl.max_horizontal(open_at, "since")
    left = (close_at - start).dt.total_microseconds()
    moment = (left * (pl.col("draw") // 2 ** (32 - SLOT_BITS)).cast(pl.Int64)) // 2**SLOT_BITS
    return prospects.with_columns(found.select((start + moment.cast(pl.Duration("us"))).alias("due_at"), "zone"))


def _openings(places: pl.DataFrame, window: Window, campaign_zone: str) -> tuple[pl.DataFrame, int]:
    """Zone and windows of each distinct place and UTC day as columns `open_0`, `close_0`, ..., and how many."""
    zones = []
    spans = []
    for timezone, country, region, day in places.iter_rows():
        place = place_of(timezone, country, region, campaign_zone)
        zones.append(place.zone)
        spans.append(windows_of_day(place, window, day) if day else ())
    depth = max(map(len, spans), default=0) or 1
    columns = [pl.Series("zone", zones, pl.String)]
    for i in range(depth):
        for bound, name in enumerate(("open", "close")):
            values = [span[i][bound] if i < len(span) else None for span in spans]
            columns.append(pl.Series(f"{name}_{i}", values, INSTANT))
    return places.with_columns(columns), depth
