"""The page Today: how the outreach stands at one look, and what waits for a person."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from touchline.app import desk
from touchline.web import frame
from touchline.web.pages import troubles
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/", "Today", "home-2", "health:read", 0)


@routes.get("/")
def page(visit: Annotated[Visit, needs("health:read")]) -> Response:
    """Runs, failures, approvals, mailboxes, uncertain touches, and what is still to set up."""
    settings = visit.workspace.settings
    today = desk.today(
        visit.store,
        visit.now,
        zone=visit.caller.timezone or "UTC",
        public_url=settings.public_url,
        alerts=bool(settings.alerts.urls),
    )
    return frame.page(
        visit, "today.html", {"today": today, "troubles": troubles.of_today(today), "week": _sums(today.days)}
    )


def _sums(days: list[desk.Day]) -> dict[str, int]:
    return {
        "sent": sum(day.sent for day in days),
        "replied": sum(day.replied for day in days),
        "bounced": sum(day.bounced for day in days),
    }
