"""The opt-out page in a real browser: one click does it, in light and dark, on a telephone and on a desk."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from web.browser import watched

WIDTHS = {390: 844, 1200: 800}

pytestmark = pytest.mark.browser


def shot(page: Page, name: str) -> None:
    """Keep a picture where TOUCHLINE_SHOTS names a folder."""
    if folder := os.environ.get("TOUCHLINE_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize(
    ("scheme", "width", "scripts"),
    [("light", 390, True), ("dark", 390, False), ("light", 1200, False), ("dark", 1200, True)],
)
def test_one_click_on_the_page_is_enough(browser, sqlite_people, link, served, scheme, width, scripts):
    ann, _ = sqlite_people.enrol()
    view = {"width": width, "height": WIDTHS[width]}
    with (
        served(sqlite_people.application()) as server,
        browser.new_context(color_scheme=scheme, viewport=view, java_script_enabled=scripts) as context,
    ):
        page = context.new_page()
        complaints = watched(page)
        page.goto(str(server.base_url.join(link(ann))))
        assert page.get_by_role("heading", level=1).inner_text() == "Stop these emails?"
        shot(page, f"ask-{scheme}-{width}")
        button = page.get_by_role("button", name="Stop the emails")
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "a thumb hits it (WCAG 2.5.5)"
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert sqlite_people.suppressed == []
        button.click()
        page.get_by_role("heading", name="Done", exact=True).wait_for()
        shot(page, f"done-{scheme}-{width}")
        assert complaints == []
        page.goto(str(server.base_url.join("/o/cut")))
        shot(page, f"unknown-{scheme}-{width}")
    assert sqlite_people.suppressed == ["ann@firm.example"]
    assert sqlite_people.touches == {"cancelled": 2}


def test_the_keyboard_alone_is_enough_and_text_may_be_twice_as_large(browser, sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with (
        served(sqlite_people.application()) as server,
        browser.new_context(viewport={"width": 390, "height": 700}) as context,
    ):
        page = context.new_page()
        page.goto(str(server.base_url.join(link(ann))))
        page.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Tab")
        shot(page, "keyboard")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Done", exact=True).wait_for()
    assert sqlite_people.suppressed == ["ann@firm.example"]
