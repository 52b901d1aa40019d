"""The life of a campaign in a real browser: claim, import, review, sending, an opt-out, the journey, a failed run retried."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from string import Template

import pytest
from playwright.sync_api import Error, Page, expect

from faults.crew import until
from web.browser import chromium, watched
from world import CAMPAIGN, World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MORNING, AFTERNOON = "2027-03-09T05:00:00Z+", "2027-03-10T15:00:00Z+"
PATIENCE = 60_000


@contextmanager
def serving(world: World, now: str, port: int = 0) -> Iterator[tuple[str, str]]:
    """`touchline serve` by a clock that runs on from an instant; gives its address and what it said besides."""
    quick = {"TOUCHLINE_NOW": now, "TOUCHLINE_WORKER__TICK_SECONDS": "0.3", "TOUCHLINE_WORKER__STOP_SECONDS": "5"}
    command = [sys.executable, "-m", "touchline", "serve", "--port", str(port)]
    environment = world.environment | quick
    with subprocess.Popen(
        command, env=environment, cwd=world.home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().removeprefix("listening on ").strip()
            owned = (world.home / "owned").exists()
            yield address, "" if owned else server.stdout.readline()
        finally:
            server.terminate()
            server.wait(30)


def claim(page: Page, said: str, address: str) -> None:
    token = re.search(r"/claim/(\S+)", said)
    assert token is not None
    go(page, f"{address}/claim/{token[1]}")
    page.get_by_label("Name").fill("Olga Berg")
    page.get_by_label("E-mail").fill("olga@quillmast.example")
    page.get_by_label("Password").fill("a sentence that nobody guesses")
    page.get_by_role("button", name="Create the owner").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def go(page: Page, address: str) -> None:
    """To another page. One that follows a run loads itself again when that ends, perhaps at this very moment."""
    try:
        page.goto(address)
    except Error as error:
        if "ERR_ABORTED" not in error.message:
            raise
        page.goto(address)


def add_campaign(page: Page, address: str, text: str) -> None:
    go(page, f"{address}/campaigns")
    page.get_by_role("link", name="Add the first one").click()
    page.get_by_label("Campaign (TOML)").fill(text)
    page.get_by_role("button", name="Check only").click()
    expect(page.get_by_text("spring can be applied.")).to_be_visible()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="spring")).to_be_visible()
    expect(page.get_by_text("Why is this not sending?")).to_be_visible()


def import_file(page: Page, address: str, path: str, rows: int) -> None:
    go(page, f"{address}/import?campaign=spring")
    page.get_by_label("File", exact=True).set_input_files(path)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Columns")).to_be_visible()
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="What would happen")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    # The page follows the run and comes to the import when it has ended.
    expect(page.get_by_text("Done").first).to_be_visible(timeout=PATIENCE)
    go(page, f"{address}/import")
    expect(page.locator("tbody tr").first).to_contain_text(str(rows))


def approve(page: Page, address: str, count: int) -> None:
    go(page, f"{address}/approvals")
    until_shown(page, f"{count} messages wait")
    page.get_by_role("checkbox", name="Tick all").check()
    page.locator("#bulk").get_by_role("button", name="Approve").click()
    expect(page.locator(".flash")).to_contain_text(f"{count} approved", timeout=PATIENCE)


def until_shown(page: Page, text: str) -> None:
    """Load the page again until it says so."""

    def shown() -> bool:
        try:
            page.reload()
        except Error:
            # A page that follows a run loads itself again when that ends, perhaps at this very moment.
            page.wait_for_load_state()
        return text in page.inner_text("main")

    until(shown, 60, f"the page does not say {text!r}")


def test_a_campaign_lives_from_its_claim_to_a_retried_run(sqlite_world: World) -> None:
    world = sqlite_world
    world.run("init", "--yes")
    text = Template(CAMPAIGN).substitute(smtp_port=world.smtp.port, mode="review", cap=1000, name="spring")
    text = text.replace("[sender]", '[[sources]]\npath = "late*.csv"\n\n[sender]', 1)
    leads = world.leads(3)
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(30_000)
        page = context.new_page()
        complaints = watched(page)
        with serving(world, MORNING) as (address, said):
            claim(page, said, address)
            (world.home / "owned").touch()
            add_campaign(page, address, text)
            import_file(page, address, str(leads), 3)
            approve(page, address, 3)
        port = int(address.rpartition(":")[2])
        with serving(world, AFTERNOON, port) as (address, _):
            until(lambda: len(world.smtp.messages) == 3, 60, "nothing is sent")
            mail = next(message for message in world.smtp.messages if message.rcpt_to == ("ann0@firm0.com",))
            token = re.search(rb"unsubscribe%20([^>]+)>", mail.data)
            assert token is not None
            opt_out(page, address, token[1].decode())
            see_the_journey(page, address)
            retry_a_failed_run(page, address, world)
        assert complaints == []


def opt_out(page: Page, address: str, token: str) -> None:
    go(page, f"{address}/o/{token}")
    page.get_by_role("button", name="Stop the emails").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def see_the_journey(page: Page, address: str) -> None:
    go(page, f"{address}/leads?text=ann0%40firm0.com")
    page.locator("tbody a").first.click()
    main = page.locator("main")
    for said in ("Harvested", "Scored in spring", "Sent step 1", "Unsubscribed", "decides"):
        expect(main).to_contain_text(said)
    expect(main).to_contain_text("suppressed")


def retry_a_failed_run(page: Page, address: str, world: World) -> None:
    late = world.home / "late.csv"
    late.write_text("Colour,Shape\nred,round\n", "utf-8")
    go(page, f"{address}/campaigns/spring")
    page.get_by_role("button", name="Run now").click()
    until_shown(page, "Failed")
    world.leads(2, start=10, name="late.csv")
    page.get_by_role("button", name="Retry").first.click()
    page.locator("dialog[open]").get_by_role("button", name="Retry").click()
    until_shown(page, "Done")
    go(page, f"{address}/leads?text=ann10%40firm3.com")
    expect(page.locator("tbody")).to_contain_text("ann10@firm3.com")
