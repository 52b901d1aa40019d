"""A person before the site: logged in as a browser is, with forms that carry their token."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest

from touchline.app import access, people
from touchline.model.access import at_the_shell
from touchline.web.visit import COOKIE
from web.api.conftest import Api, api, either, postgres_api

__all__ = ["Api", "api", "either", "postgres_api"]

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "${7*7}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "'; DROP TABLE leads; --",
)


@dataclass
class Person:
    """Somebody with a browser.

    Attributes:
        api: The site and what it stands on.
        session: Their session.
    """

    api: Api
    session: str

    @property
    def csrf(self) -> str:
        """What their forms carry."""
        return access.csrf_of(self.session)

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """One request with their cookie."""
        headers = {"Cookie": f"{COOKIE}={self.session}"} | how.pop("headers", {})
        return self.api.client.request(method, path, headers=headers, follow_redirects=False, **how)

    def page(self, path: str, code: int = 200) -> str:
        """The text of a page."""
        answer = self.ask("GET", path)
        assert answer.status_code == code, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.text

    def counted(self, path: str) -> str:
        """A page once everything on it is counted: at first it may only say that it counts."""
        self.page(path)
        assert self.api.app_counts.settle(30)
        return self.page(path)

    def words(self, path: str, code: int = 200) -> str:
        """What a reader sees of a page: no tags, single spaces."""
        return words(self.page(path, code))

    def post(self, path: str, code: int = 303, **form: Any) -> httpx.Response:
        """Send a form; a redirect is not followed."""
        answer = self.ask("POST", path, data={"csrf": self.csrf} | form)
        assert answer.status_code == code, f"{path}: {answer.status_code} {words(answer.text)[:800]}"
        return answer


def words(html: str) -> str:
    """Text without tags."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def person(made: Api, role: str = "owner") -> Person:
    """Somebody with this role, logged in."""
    if role == "owner":
        return Person(made, made.session.token)
    store, now = made.workspace.store, made.workspace.clock.now()
    email, password = f"{role}@quillmast.example", "another sentence to guess"
    people.add_user(store, made.workspace.hasher, at_the_shell("tests"), email, role.title(), role, password, now)
    begun = access.log_in(store, made.workspace.hasher, email, password, "tests", "tests", now)
    return Person(made, begun.token)


@pytest.fixture
def owner(api: Api) -> Person:
    """The owner on SQLite."""
    return person(api)


@pytest.fixture
def owner_on_each(either: Api) -> Person:
    """The owner on each database."""
    return person(either)
