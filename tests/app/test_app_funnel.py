"""The funnel: every prospect stands on one line, with the reason."""

import pytest
from office import TOO_SMALL, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app.funnel import ORDER, funnel
from touchline.app.leads import replied
from touchline.model.errors import NotFound
from touchline.sim.smtp_server import Fault


def lines(office: Office) -> list[tuple[str, str, int]]:
    found = funnel(office.store, "spring")
    assert sum(line["count"] for line in found["lines"]) == found["prospects"] == len(office.rows(tables.prospects))
    assert sum(found["tiers"].values()) == found["prospects"]
    assert sum(found["touches"].values()) == len(office.touches())
    stages = [ORDER.index(line["stage"]) for line in found["lines"]]
    assert stages == sorted(stages)
    return [(line["stage"], line["reason"], line["count"]) for line in found["lines"]]


def test_a_funnel_of_no_campaign_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound, match="no campaign 'spring'"):
        funnel(office.store, "spring")


def test_an_empty_campaign_has_an_empty_funnel(office: Office) -> None:
    office.apply()
    assert funnel(office.store, "spring") == {
        "campaign": "spring", "state": "active", "version": 1, "prospects": 0,
        "lines": [], "tiers": {}, "touches": {}, "next_due": None,
    }  # fmt: skip


def test_what_is_only_harvested_has_no_tier_and_no_reason(office: Office) -> None:
    office.apply()
    office.load(office.people(2))
    assert lines(office) == [("harvested", "", 2)]
    assert funnel(office.store, "spring")["tiers"] == {"-": 2}


def test_every_state_stands_on_its_line_with_its_reason(either: Office) -> None:
    either.zone |= {"firm5.com": "nxdomain"}
    hold = {"name": "too large", "when": "employees > 1000", "then": "held"}
    either.apply(rules=[TOO_SMALL, hold], compatibility={"blocked_countries": ["jp"]})
    header = "Email,First Name,Employees,Country,Profile URL"
    rows = (
        "a@firm0.com,A,100,Germany,", "b@firm1.com,B,100,Germany,", "c@firm2.com,C,100,Germany,",
        "d@firm3.com,D,100,Germany,", "e@firm4.com,E,100,Germany,", "f@firm5.com,F,100,Germany,",
        "g@firm6.com,G,5,Germany,", "h@firm6.com,H,5,Germany,", "i@firm7.com,I,5000,Germany,",
        "j@firm8.com,J,100,Japan,", ",K,100,Germany,linkedin.com/in/k",
    )  # fmt: skip
    either.load(either.csv(*rows, header=header), until="nurture")
    replied(either.store, "b@firm1.com", either.now)
    either.suppress("firm2.com")
    either.now = WEDNESDAY
    either.smtp.script(Fault("rcpt", "5xx", matches="d@firm3.com"))
    assert either.send(limit=9) == {"failed": 1, "sent": 2}
    with either.store.transaction() as unit:
        unit.prospects.set([either.prospect("e@firm4.com")["id"]], either.now, state="finished")
    either.load(either.csv("l@firm9.com,L", header="Email,First Name"))
    assert lines(either) == [
        ("harvested", "", 1),
        ("waiting", "no address yet", 1),
        ("rejected", "too small", 2),
        ("rejected", "address invalid: no_domain", 1),
        ("held", "too large", 1),
        ("unrouted", "country blocked: jp", 1),
        ("enrolled", "sequence short", 1),
        ("finished", "sequence short", 1),
        ("replied", "replied", 1),
        ("stopped", "not delivered: 550 5.0.0 refused at rcpt", 1),
        ("stopped", "suppressed: domain", 1),
    ]
    found = funnel(either.store, "spring")
    assert found["touches"] == {"cancelled": 2, "failed": 1, "planned": 2, "sent": 2}
    assert found["next_due"] == min(row["due_at"] for row in either.touches() if row["state"] == "planned")


def test_a_new_version_shows_where_the_campaign_stands(office: Office) -> None:
    office.apply()
    office.apply(otherwise="held", mailboxes=[])
    found = funnel(office.store, "spring")
    assert (found["state"], found["version"]) == ("draft", 2)
