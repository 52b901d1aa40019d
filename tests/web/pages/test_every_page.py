"""Every page in a real browser: usable by everybody, silent in the console, light, and deaf to what outsiders write."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from touchline.app import campaigns, schedules
from touchline.web.visit import COOKIE
from web.browser import chromium, violations, watched
from web.pages.conftest import Person

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]

POLYGLOT = (
    "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=alert(1) )//</stYle/</titLe/</teXtarEa/</scRipt/--!>"
    "<sVg/<sVg/oNloAd=alert(1)//>{{constructor.constructor('alert(1)')()}}<img src=x onerror=alert(1)>"
)
FIRST_LOAD, LATER = 900_000, 100_000
PAGES = (
    "/",
    "/campaigns",
    "/campaigns/new",
    "/campaigns/spring",
    "/campaigns/spring/edit",
    "/campaigns/spring/versions",
    "/campaigns/spring/sequences",
    "/campaigns/spring/calendar",
    "/leads",
    "/leads?campaign=spring&sort=score",
    "/leads/{lead}",
    "/events",
    "/approvals",
    "/outbox",
    "/outbox?state=uncertain",
    "/import",
    "/runs",
    "/runs/{run}",
    "/mailboxes",
    "/suppression",
    "/settings",
    "/settings/people",
    "/settings/keys",
    "/settings/schedules",
    "/settings/account",
    "/audit",
    "/styleguide",
)


@pytest.fixture
def furnished(owner: Person) -> Person:
    """A workspace with something on each page, and in every outside field what would run if a page let it."""
    office = owner.api.office
    office.apply(mode="review")
    hostile = POLYGLOT.replace('"', "'").replace(",", ";")
    header = f"Email,First Name,Last Name,Title,Company,Employees,Country,{hostile}"
    rows = [f'ann{n}@firm{n}.com,"{hostile}","{hostile}","{hostile}","{hostile}",120,Germany,x' for n in range(3)]
    office.load(office.csv(*rows, header=header), until="nurture")
    office.load(office.csv(f'"{hostile}",x,x,x,1,x'), until="nurture")
    store, now = office.store, office.now
    office.suppress("example.org", reason=hostile)
    campaigns.pause(store, "spring", now, POLYGLOT)
    campaigns.start(store, "spring", now)
    schedules.ensure(store, now)
    run = schedules.run_now(store, "daily:spring", now)
    with store.transaction() as unit:
        unit.runs.set(run["id"], state="failed", finished_at=now, error=POLYGLOT)
        unit.runs.add_batch(run["id"], "harvest", "set_aside", now, error=POLYGLOT, counts={"rejected": 3})
        unit.mailboxes.failing("mara@quillmast.example", POLYGLOT, now + timedelta(hours=1), now)
    return owner


def keys(person: Person) -> dict[str, str]:
    """What stands for the numbers in paths."""
    with person.api.workspace.store.reading() as unit:
        lead = unit.leads.page(campaign_id=None, where=None, after=0, limit=1)[0]["id"]
        run = unit.runs.listed(1)[0]["id"]
    return {"lead": str(lead), "run": str(run)}


@pytest.fixture
def browser(furnished: Person) -> Iterator[Browser]:
    """One for each test."""
    with chromium() as made:
        yield made


@pytest.fixture
def context(browser: Browser, furnished: Person) -> Iterator[BrowserContext]:
    """A browser in which the owner is logged in."""
    address = str(furnished.api.client.base_url)
    made = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    made.add_cookies([{"name": COOKIE, "value": furnished.session, "url": address}])
    yield made
    made.close()


def open_in(page: Page, path: str) -> None:
    """Open a page, with all that it asks for once it is there."""
    answer = page.goto(path, wait_until="load")
    assert answer is not None
    assert answer.status == 200, path
    # What a page asks for once it is there: `networkidle` would wait half a second more for nothing.
    page.wait_for_function("!document.querySelector('.htmx-request')")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_every_page_can_be_used_by_everybody_and_runs_nothing_that_outsiders_wrote(
    context: BrowserContext, furnished: Person, scheme: Scheme, width: int
) -> None:
    wrong, numbers = dict[str, list[str]](), keys(furnished)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    complaints = watched(page)
    for path in PAGES:
        open_in(page, path.format(**numbers))
        found = complaints + violations(page)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append("it scrolls sideways")
        if found:
            wrong[path] = found
        complaints.clear()
    assert wrong == {}


def test_a_page_is_light_and_the_next_one_lighter(context: BrowserContext, furnished: Person) -> None:
    """Bytes as they come over the wire."""
    page = context.new_page()
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    taken = list[float]()
    client.on("Network.loadingFinished", lambda event: taken.append(event["encodedDataLength"]))
    page.goto("/", wait_until="networkidle")
    assert 0 < sum(taken) < FIRST_LOAD
    for path in ("/campaigns", "/leads", "/runs"):
        taken.clear()
        page.goto(path, wait_until="networkidle")
        assert 0 < sum(taken) < LATER, path


def test_a_page_says_what_it_has_to_without_script(browser: Browser, furnished: Person) -> None:
    address = str(furnished.api.client.base_url)
    made = browser.new_context(base_url=address, java_script_enabled=False)
    made.add_cookies([{"name": COOKIE, "value": furnished.session, "url": address}])
    page = made.new_page()
    page.goto("/campaigns/spring")
    assert "Why is this not sending?" in page.inner_text("main")
    page.goto("/leads?campaign=spring")
    assert "ann0@firm0.com" in page.inner_text("main")
    page.goto("/approvals")
    assert "ann" in page.inner_text("main")
    made.close()
