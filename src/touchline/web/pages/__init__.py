"""The pages, one module for each entry of the navigation."""

from importlib import import_module

from fastapi import APIRouter

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
    "audit",
)
"""Modules of this package; each has its `routes`, and adds its entry to the navigation."""

router = APIRouter(include_in_schema=False)
for _name in MODULES:
    router.include_router(import_module(f"touchline.web.pages.{_name}").routes)
