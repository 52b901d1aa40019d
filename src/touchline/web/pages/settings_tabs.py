"""What every tab of the page Settings shares: which tabs there are, how one is shown, and how its fields are read."""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import Form
from starlette.responses import Response

from touchline.web import frame, problems
from touchline.web.api.texts import ONE_LINE
from touchline.web.visit import Visit

Word = Annotated[str, Form(max_length=300, pattern=ONE_LINE)]

TABS = (
    ("/settings", "Workspace", "settings:read"),
    ("/settings/people", "People", "users:read"),
    ("/settings/keys", "Keys", "keys:read"),
    ("/settings/schedules", "Schedules", "schedules:read"),
    ("/settings/views", "Views", "views:read"),
    ("/settings/account", "Account", "health:read"),
)


def page(visit: Visit, template: str, values: Mapping[str, Any]) -> Response:
    """A tab; with an `error` among the values it says so, by its status as well."""
    path = visit.request.url.path.replace("/settings/users", "/settings/people")
    active = next(
        href
        for href, _, _ in (*TABS[1:], TABS[0])
        if path == href or path.startswith(f"{href}/") or href == "/settings"
    )
    tabs = [
        {"label": label, "href": href, "active": href == active}
        for href, label, scope in TABS
        if visit.caller.may(scope)
    ]
    error = values.get("error")
    status = problems.of(error)[0] if error is not None else 200
    return frame.page(visit, template, {"tabs": tabs, "error": error} | dict(values), status=status)


def line(text: str) -> str:
    """What was typed as the audit may name it."""
    return "".join(char for char in text if char.isprintable())[:200]


def zones() -> list[str]:
    """Names of time zones that people know."""
    return sorted(
        zone
        for zone in available_timezones()
        if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/", "SystemV/"))
    )
