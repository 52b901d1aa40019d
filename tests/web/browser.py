"""A real browser for tests of pages: Debian's Chromium, what a page complains about, and axe."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
AXE = (Path(__file__).parents[1] / "samples" / "axe" / "axe-4.14.1.min.js").read_text("utf-8")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium of the system."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.fail("This test drives a real browser: install Chromium (Debian, Ubuntu: apt-get install chromium).")
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=found, args=ARGUMENTS, headless=False)
        yield made
        made.close()


def watched(page: Page) -> list[str]:
    """What the page complains about: console, policy reports, failed requests, and dialogs that only a script of others opens."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # Whoever leaves a page ends what it still asks for.
    page.on(
        "requestfailed",
        lambda request: (
            complaints.append(f"{request.url}: {request.failure}") if request.failure != "net::ERR_ABORTED" else None
        ),
    )
    page.on(
        "response", lambda answer: complaints.append(f"{answer.url}: {answer.status}") if answer.status >= 400 else None
    )

    def dialog(found: Any) -> None:
        complaints.append(f"dialog: {found.message}")
        found.dismiss()

    page.on("dialog", dialog)
    return complaints


def violations(page: Page) -> list[str]:
    """What axe finds: rule, and the first element that breaks it."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found["violations"]]
