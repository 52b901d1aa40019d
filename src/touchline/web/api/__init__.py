"""The REST API, one module a resource: each parses, calls the application and answers."""

from importlib import import_module

from starlette.routing import BaseRoute

RESOURCES = (
    "campaigns",
    "sending",
    "leads",
    "bulk",
    "prospects",
    "sequences",
    "touches",
    "events",
    "views",
    "rules",
    "suppressions",
    "imports",
    "runs",
    "schedules",
    "mailboxes",
    "health",
    "settings",
    "users",
    "keys",
    "audit",
)
"""Modules of this package, in the order of the document; each has its `routes`."""

DESCRIPTION = """
Everything that the command line and the pages do, for programs.

* **Who you are:** `Authorization: Bearer tl_...`; make a key with `touchline key add` or on the page Settings.
* **Lists** give `items` and `next`; send `next` as `cursor` to go on.
* **Filters** (`where`) are conditions in the rule language, such as `employees BETWEEN 50 AND 500 AND tier = 'a'`.
* **Errors** are RFC 9457 problems with a stable `code`, a `hint` and the `request_id`.
* **Changes** may carry an `Idempotency-Key`: for a day the same key gives the same answer and does nothing twice.
* **ETag** and `If-Match` keep you from overwriting what you have not seen.
* **Long work** answers 202 with a run to follow; `/api/v1/runs/{id}/events` tells its progress (server-sent events).
"""

routes: list[BaseRoute] = [
    route for name in RESOURCES for route in import_module(f"touchline.web.api.{name}").routes.routes
]
"""In one list: routers inside routers cost each request a third of its time."""
