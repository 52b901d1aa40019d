"""`make screenshots`: the main pages on the demo's data, as pictures for docs/web.md."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from web.browser import chromium

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
SIZE = {"width": 1280, "height": 860}
CAMPAIGN = "/campaigns/cloud-costs"
SHOTS = {
    "today": "/",
    "campaigns": "/campaigns",
    "campaign": CAMPAIGN,
    "leads": "/leads?campaign=cloud-costs&sort=score",
    "lead": "/leads/42",
    "approvals": "/approvals",
    "import": "/import",
    "sequences": f"{CAMPAIGN}/sequences",
    "runs": "/runs",
    "mailboxes": "/mailboxes",
}
DARK = {"today-dark": "/", "campaign-dark": CAMPAIGN}


@contextmanager
def demo(home: Path) -> Iterator[str]:
    """The demo with its pages; gives the link that claims it."""
    command = [sys.executable, "-m", "touchline", "demo", "--serve", "--port", "0", "--home", str(home)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOUCHLINE_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as made:
        assert made.stdout is not None
        try:
            yield next(found[0] for line in made.stdout if (found := re.search(r"http://\S+/claim/\S+", line)))
        finally:
            os.killpg(made.pid, 15)


def taken(page: Page, address: str, shots: dict[str, str]) -> None:
    """One picture each."""
    for name, path in shots.items():
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, demo(Path(home) / "quillmast") as link, chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        page.goto(link)
        page.get_by_label("Name").fill("Mara Ellin")
        page.get_by_label("E-mail").fill("mara@quillmast.example")
        page.get_by_label("Password").fill("a sentence that nobody guesses")
        page.get_by_role("button", name="Create the owner").click()
        page.wait_for_load_state("networkidle")
        address = link.partition("/claim/")[0]
        taken(page, address, SHOTS)  # so that everything has been counted
        taken(page, address, SHOTS)
        page.emulate_media(color_scheme="dark")
        taken(page, address, DARK)


if __name__ == "__main__":
    main()
