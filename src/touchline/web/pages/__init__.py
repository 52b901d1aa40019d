"""The pages, one module for each entry of the navigation."""

from importlib import import_module

from starlette.routing import BaseRoute

MODULES = (
    "doors",
    "today",
    "campaigns",
    "leads",
    "leads_bulk",
    "lead",
    "approvals",
    "outbox",
    "sequences",
    "events",
    "imports",
    "runs",
    "mailboxes",
    "suppression",
    "settings",
    "settings_schedules",
    "audit",
)
"""Modules of this package; each has its `routes`, and most add an entry to the navigation."""

routes: list[BaseRoute] = [
    route for name in MODULES for route in import_module(f"touchline.web.pages.{name}").routes.routes
]
