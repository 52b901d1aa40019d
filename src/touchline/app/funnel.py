"""The funnel: how many prospects stand where in a campaign, with the reason of every drop."""

from collections import Counter
from typing import Any

from touchline.app.ports import Row, Store

ORDER = ("harvested", "waiting", "rejected", "held", "unrouted", "enrolled", "finished", "replied", "stopped")


def funnel(store: Store, campaign: str) -> dict[str, Any]:
    """Counts by state and reason, by tier, and touches by state. The lines add up to `prospects`.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        rows = unit.prospects.funnel(stored.id)
        touches = unit.touches.counts(stored.id)
        next_due = unit.touches.next_due(stored.id)
    lines: Counter[tuple[str, str]] = Counter()
    tiers: Counter[str] = Counter()
    for row in rows:
        lines[row["state"], _reason(row)] += row["prospects"]
        tiers[(row["tier"] or "-").upper()] += row["prospects"]
    ordered = sorted(lines.items(), key=lambda item: (ORDER.index(item[0][0]), -item[1], item[0][1]))
    return {
        "campaign": campaign,
        "state": stored.state,
        "version": stored.version,
        "prospects": sum(lines.values()),
        "lines": [{"stage": stage, "reason": reason, "count": count} for (stage, reason), count in ordered],
        "tiers": dict(sorted(tiers.items())),
        "touches": touches,
        "next_due": next_due,
    }


def _reason(row: Row) -> str:
    if row["state_reason"]:
        return str(row["state_reason"])
    if row["state"] in ("waiting", "rejected", "held"):
        return row["verdict_reason"] or ""
    if row["state"] == "unrouted":
        return row["route_reason"] or ""
    return f"sequence {row['sequence']}" if row["sequence"] else ""
