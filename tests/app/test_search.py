"""Searches: pages of any size are the one answer of the database in pieces, and every number leads to its leads."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count as counting
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office import ANN, Office, opened

from touchline.app import search
from touchline.app.funnel import funnel
from touchline.model import rules
from touchline.model.errors import InvalidInput, NotFound
from touchline.sim.smtp_server import SmtpServer

FILTERS = {
    None: "1 = 1",
    "employees < 10": "l.employees < 10",
    "country = 'de' AND NOT employees < 10": "l.country = 'de' AND l.employees >= 10",
    "state = 'rejected'": "p.state = 'rejected'",
    "tier IS NULL OR fit = 0": "p.tier IS NULL OR p.fit = 0",
    "verdict_reason = 'too small'": "p.verdict_reason = 'too small'",
    "has(touch_states, 'planned')": "EXISTS (SELECT 1 FROM touches t WHERE t.prospect_id = p.id)",
    "company = 'nobody at all'": "1 = 0",
    "email IN ('P1@firm1.com', 'p2@firm2.com', 'ann30@firm2.com', 'ann3@firm3.com')": (
        "l.email IN ('p1@firm1.com', 'p2@firm2.com', 'ann30@firm2.com')"
    ),
    "fit >= 0 AND (email = 'p1@firm1.com')": "l.email = 'p1@firm1.com' AND p.fit >= 0",
    "email = 'p1@firm1.com' OR employees < 10": "l.email = 'p1@firm1.com' OR l.employees < 10",
    "email = 'no address'": "1 = 0",
    "import_id = 1 AND created_at >= '2027-01-01'": "l.import_id = 1",
}
ORDERS = {
    "newest": "l.id DESC",
    "oldest": "l.id",
    "score": "coalesce(p.tier, 'z'), p.fit DESC, l.id DESC",
}


def fill(either: Office) -> Office:
    """Leads of every tier and state in one campaign, others in another campaign in between."""
    either.apply()
    either.apply(name="other")
    header = "Email,First Name,Title,Company,Employees,Country"
    titles, sizes = ["CTO", "Intern", ""], [120, 5, 2_000, ""]
    rows = [
        f"p{i}@firm{i % 7}.com,Pía{chr(97 + i % 26)},{titles[i % 3]},Größe {i % 5},{sizes[i % 4]},Germany"
        for i in range(60)
    ]
    either.load(either.csv(*rows, header=header), until="nurture")
    either.load(either.people(20), campaign="other", until="nurture")
    either.load(either.people(30, start=10), until="harvest")
    return either


@pytest.fixture
def fresh(either: Office) -> Office:
    """Leads that a test may change."""
    return fill(either)


@pytest.fixture(scope="module")
def on_sqlite(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, mail_server: SmtpServer
) -> Iterator[Office]:
    """They are only read."""
    home = tmp_path_factory.mktemp("filled")
    shutil.copy(migrated_sqlite, home)
    with ExitStack() as stack:
        yield fill(opened(stack, home, "sqlite:///touchline.db", mail_server))


@pytest.fixture(scope="module")
def on_postgresql(
    tmp_path_factory: pytest.TempPathFactory,
    another_postgresql: Callable[[], AbstractContextManager[str]],
    mail_server: SmtpServer,
) -> Iterator[Office]:
    """They are only read."""
    with ExitStack() as stack:
        url = stack.enter_context(another_postgresql())
        yield fill(opened(stack, tmp_path_factory.mktemp("filled"), url, mail_server))


@pytest.fixture(params=["on_sqlite", "on_postgresql"], ids=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest) -> Office:
    """Leads on each database, made once for all tests that only read them."""
    made: Office = request.getfixturevalue(request.param)
    return made


class Clock:
    """Seconds that pass at every look."""

    def __init__(self, step: float) -> None:
        self.ticks = counting()
        self.step = step

    def __call__(self) -> float:
        return next(self.ticks) * self.step


def pages(office: Office, *, limit: int = 7, step: float = 0.0, **asked: Any) -> Iterator[search.Page]:
    given = {"campaign": "spring", "where": None, "text": None, "sort": "newest", "stretch": 11, **asked}
    cursor = None
    while True:
        page = search.page(office.store, **given, cursor=cursor, limit=limit, seconds=Clock(step))
        yield page
        if (cursor := page.cursor) is None:
            return


def found(office: Office, **asked: Any) -> list[str]:
    return [row["email"] for page in pages(office, **asked) for row in page.rows]


def answer(office: Office, where: str, order: str, campaign: str = "spring") -> list[str]:
    """What one statement, written by hand, gives."""
    query = (
        "SELECT l.email FROM leads l JOIN prospects p ON p.lead_id = l.id JOIN campaigns c ON c.id = p.campaign_id "
        f"WHERE c.name = '{campaign}' AND ({where}) ORDER BY {order}"
    )
    with office.store.reading() as unit:
        return list(unit.connection.exec_driver_sql(query).scalars())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.sampled_from(list(FILTERS)),
    sort=st.sampled_from(list(ORDERS)),
    limit=st.integers(1, 100),
    stretch=st.integers(1, 100),
    step=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_pages_of_any_size_are_the_one_answer_in_order_each_lead_once(
    filled: Office, where: str | None, sort: str, limit: int, stretch: int, step: float
) -> None:
    asked = {"where": where, "sort": sort, "limit": limit, "stretch": stretch, "step": step}
    assert found(filled, **asked) == answer(filled, FILTERS[where], ORDERS[sort])


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("where", FILTERS)
def test_how_far_it_has_come_grows_to_the_whole(filled: Office, where: str | None, sort: str) -> None:
    far = [(page.scanned, page.total) for page in pages(filled, where=where, sort=sort, limit=3, step=1.0)]
    assert far == sorted(far)
    assert far[-1][0] == far[-1][1]
    assert len({total for _, total in far}) == 1


def test_a_page_whose_time_is_up_is_given_with_the_place_to_go_on_from(filled: Office) -> None:
    few = list(pages(filled, where="company = 'nobody at all'", step=1.0))
    assert len(few) > 5
    assert not any(page.rows for page in few)
    assert few[0].scanned == 11
    at_leisure = list(pages(filled, where="company = 'nobody at all'"))
    assert len(at_leisure) == 1


def test_no_filter_asks_for_one_stretch_only_and_knows_its_end(filled: Office) -> None:
    assert [len(page.rows) for page in pages(filled, limit=45)] == [45, 45]
    assert [len(page.rows) for page in pages(filled, limit=90, sort="oldest")] == [90]


def test_leads_that_come_meanwhile_neither_repeat_nor_hide_any(fresh: Office) -> None:
    for sort in ("newest", "oldest", "score"):
        before = answer(fresh, "1 = 1", ORDERS[sort])
        seen: list[str] = []
        for number, page in enumerate(pages(fresh, sort=sort, limit=20)):
            seen += [row["email"] for row in page.rows]
            if number < 2:
                fresh.load(fresh.csv(f"late{number}@{sort}.firm.com,,,,120,", f"l{number}@{sort}x.com,,,,5,"))
        assert len(set(seen)) == len(seen)
        assert [email for email in seen if email in before] == before
    assert "late0@oldest.firm.com" in found(fresh, sort="oldest")


def test_all_leads_are_shown_with_the_names_of_their_campaigns(filled: Office) -> None:
    rows = {row["email"]: row["campaigns"] for page in pages(filled, campaign=None) for row in page.rows}
    assert len(rows) == 100
    assert rows["p3@firm3.com"] == ["spring"]
    assert rows[ANN] == ["other"]
    assert rows["ann12@firm5.com"] == ["other", "spring"]


@pytest.mark.parametrize(
    ("text", "emails"),
    [
        ("p7@firm0.com", ["p7@firm0.com"]),
        ("P7+tag@Firm0.com", ["p7@firm0.com"]),
        ("p7@firm", ["p7@firm0.com"]),
        ("píah", ["p59@firm3.com", "p33@firm5.com", "p7@firm0.com"]),
        ("  größe 2   PÍAH ", ["p7@firm0.com"]),
        ("100%", []),
        ("nobody@firm0.com", []),
    ],
)
def test_a_text_finds_an_address_a_name_or_a_company(filled: Office, text: str, emails: list[str]) -> None:
    assert found(filled, text=text) == emails
    assert found(filled, text=text, campaign=None) == emails
    assert sorted(found(filled, text=text, sort="score")) == sorted(emails)


def test_a_text_and_a_condition_must_both_hold(filled: Office) -> None:
    assert found(filled, text="p7@firm0.com", where="employees > 10") == []
    assert found(filled, text="p8@firm1.com", where="employees > 10", sort="score") == ["p8@firm1.com"]


def test_rows_of_a_campaign_carry_its_decisions(filled: Office) -> None:
    row = next(pages(filled, text="p0@firm0.com")).rows[0]
    assert (row["state"], row["tier"], row["verdict"], row["sequence"]) == ("enrolled", "b", "qualified", "short")
    assert row["prospect_id"] == filled.prospect("p0@firm0.com")["id"]


def test_every_line_of_the_funnel_leads_to_exactly_its_leads(fresh: Office) -> None:
    fresh.suppress("firm3.com", "domain")
    numbers = funnel(fresh.store, "spring")
    for line in numbers["lines"]:
        assert search.count(fresh.store, "spring", search.where_of(line)) == line["count"], line
    assert len({line["stage"] for line in numbers["lines"]}) >= 4
    for tier, number in numbers["tiers"].items():
        assert search.count(fresh.store, "spring", search.where_of({"tier": tier})) == number
    for touch, number in numbers["touches"].items():
        assert search.count(fresh.store, "spring", search.where_of({"touch": touch})) == number


def test_a_reason_is_said_letter_by_letter_whatever_a_person_wrote(fresh: Office) -> None:
    for reason in ("It's Größe %_", "sequence of things", "ends\nhere"):
        key = fresh.prospect("p1@firm1.com")["id"]
        with fresh.store.transaction() as unit:
            unit.prospects.set([key], fresh.now, state="stopped", state_reason=reason)
        line = {"stage": "stopped", "reason": reason, "count": 1}
        assert line in funnel(fresh.store, "spring")["lines"]
        assert found(fresh, where=search.where_of(line)) == ["p1@firm1.com"]
    assert search.where_of({"stage": "stopped", "reason": "a\\b"}) == "state = 'stopped'"
    assert search.where_of({"stage": "held"}) == "state = 'held'"
    assert search.where_of({"fit": 60, "verdict": "Held", "unknown": "x"}) == "fit = 60 AND verdict = 'held'"


def test_what_is_only_for_searching_no_campaign_may_use(filled: Office) -> None:
    for where in ("state = 'held'", "verdict_reason = 'x'", "import_id = 1"):
        with pytest.raises(rules.RuleError):
            rules.parse(where)
    for where in ("state = 'held'", "fit > 1", "score > 1"):
        with pytest.raises(InvalidInput):
            next(pages(filled, campaign=None, where=where))


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "score", "campaign": None},
        {"text": "x" * 201},
        {"text": "a\0b"},
        {"cursor": ["oldest", 0, 5, 0, [None, 3]]},
        {"cursor": ["newest", 0, 5, 9, [None, 3]]},
        {"cursor": ["newest", -1, 5, 0, None]},
        {"cursor": ["newest", 0, "x", 0, None]},
        {"cursor": []},
    ],
)
def test_what_cannot_be_searched_is_said(filled: Office, asked: dict[str, Any]) -> None:
    given = {"campaign": "spring", "where": None, "text": None, "sort": "newest", "cursor": None, **asked}
    with pytest.raises(InvalidInput) as error:
        search.page(filled.store, **given, seconds=Clock(0))
    assert error.value.hint


def test_an_empty_store_has_one_empty_page(office: Office) -> None:
    office.apply()
    for campaign, sort in ((None, "newest"), ("spring", "score")):
        [page] = pages(office, campaign=campaign, sort=sort)
        assert page == search.Page([], None, 0, 0)
    assert search.count(office.store, None, "employees > 1") == 0
    with pytest.raises(NotFound):
        next(pages(office, campaign="nobody's"))
