"""A lead's journey: where it came from, how it was scored and judged and why, what happened, and what comes next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from touchline.app.leads import find
from touchline.app.ports import Row, Store, Unit
from touchline.stages.score import PartLine, explain_parts


@dataclass(frozen=True, slots=True)
class Chapter:
    """One campaign's part of the journey."""

    prospect: Row
    parts: list[PartLine]
    touches: list[Row]
    next_touch: Row | None


@dataclass(frozen=True, slots=True)
class Journey:
    """Everything that is known of one lead."""

    lead: Row
    origin: Row | None
    suppressed: str | None
    chapters: list[Chapter]
    happened: list[tuple[datetime, str, str]]
    """Instant, what, detail; oldest first."""


def journey(store: Store, who: str) -> Journey:
    """The journey of the lead with this address.

    Raises:
        NotFound: There is no such lead.
    """
    with store.reading() as unit:
        lead = find(unit, who)
        chapters = [_chapter(unit, prospect) for prospect in unit.prospects.of_lead(lead["id"])]
        origin = unit.imports.get(lead["import_id"]) if lead["import_id"] else None
        return Journey(
            lead,
            origin,
            unit.suppressions.why(lead["base_address"], lead["email_domain"], lead["account"]),
            chapters,
            _happened(unit, lead, origin, chapters),
        )


def _chapter(unit: Unit, prospect: Row) -> Chapter:
    touches = unit.touches.of_prospects([prospect["id"]])
    waiting = next(
        (t for t in touches if t["state"] in ("drafted", "planned", "claimed", "sending", "uncertain")), None
    )
    parts: list[PartLine] = []
    if prospect["score_parts"] and prospect["campaign_version"]:
        parts = explain_parts(
            prospect["score_parts"], unit.campaigns.body(prospect["campaign_id"], prospect["campaign_version"]).icp
        )
    return Chapter(prospect, parts, touches, waiting)


def _happened(unit: Unit, lead: Row, origin: Row | None, chapters: list[Chapter]) -> list[tuple[datetime, str, str]]:
    came = f"{origin['source']} {origin['name']}, import {origin['id']}" if origin else lead["source"] or ""
    found: list[tuple[datetime, str, str]] = [(lead["created_at"], "harvested", came)]
    for chapter in chapters:
        p = chapter.prospect
        if p["tier"]:
            detail = f"fit {p['fit']}, opportunity {p['opportunity']}, tier {p['tier'].upper()}"
            found.append(
                (p["created_at"], f"scored in {p['campaign']}", f"{detail}, by version {p['campaign_version']}")
            )
        if p["verdict"]:
            found.append((p["created_at"], f"{p['verdict']} in {p['campaign']}", p["verdict_reason"] or ""))
        if p["route_reason"]:
            found.append(
                (p["created_at"], f"routed in {p['campaign']}", f"{p['sequence'] or 'nowhere'}: {p['route_reason']}")
            )
        found += [
            (t["updated_at"], f"step {t['step']} {t['state']}", t["reason"] or "")
            for t in chapter.touches
            if t["state"] in ("uncertain", "cancelled", "failed")
        ]
    steps = {t["id"]: t["step"] for chapter in chapters for t in chapter.touches}
    found += [
        (e["at"], e["kind"] + (f" step {steps[e['touch_id']]}" if e["touch_id"] in steps else ""), e["detail"] or "")
        for e in unit.journal.of_lead(lead["id"])
    ]
    # Equal instants keep the order of the pipeline: the sort is stable.
    return sorted(found, key=lambda item: item[0])


def as_json(found: Journey) -> dict[str, Any]:
    """The journey as plain values."""
    hidden = ("score_parts",)
    return {
        "lead": {k: v for k, v in found.lead.items() if not k.endswith("_folded")},
        "suppressed": found.suppressed,
        "campaigns": [
            {
                **{k: v for k, v in chapter.prospect.items() if k not in hidden and not k.endswith("_folded")},
                "score": [vars_of(line) for line in chapter.parts],
                "touches": chapter.touches,
                "next_touch": chapter.next_touch,
            }
            for chapter in found.chapters
        ],
        "happened": [{"at": at, "what": what, "detail": detail} for at, what, detail in found.happened],
    }


def vars_of(line: PartLine) -> dict[str, Any]:
    """A score part as plain values."""
    return {"axis": line.axis, "group": line.group, "part": line.name, "points": line.points, "evidence": line.evidence}
