"""The page Audit: who changed what, when, from what to what."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from touchline.app import audit
from touchline.web import frame
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/audit", "Audit", "history", "audit:read", 100)
SHOWN = 50


@routes.get("/audit")
def page(
    visit: Annotated[Visit, needs("audit:read")],
    actor: Annotated[str, Query(max_length=300)] = "",
    of: Annotated[str, Query(max_length=300)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """Changes, the newest first."""
    rows = audit.listed(visit.store, before=before, limit=SHOWN + 1, actor=actor or None, object_=of or None)
    following = rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None
    for row in rows:
        row["before_lines"], row["after_lines"] = _lines(row["before"]), _lines(row["after"])
    values = {"rows": rows[:SHOWN], "following": following, "actor": actor, "of": of}
    return frame.page(visit, "audit.html", values)


def _lines(value: object) -> list[str]:
    """A value as lines that can stand side by side."""
    if value is None:
        return []
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).splitlines()
