"""The stages, in order: each a pure function from batch to batch, without database, network or clock."""

STAGES = ("harvest", "score", "qualify", "route", "nurture", "send")


def reaches(until: str, stage: str) -> bool:
    """True where work that goes as far as `until` includes `stage`."""
    return STAGES.index(until) >= STAGES.index(stage)
