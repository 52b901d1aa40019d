"""Campaigns: what applying a file does in every state, and the switch that stops everything."""

import pytest
from office import MARA, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import campaigns
from touchline.model.campaign import Campaign
from touchline.model.errors import NotFound, Refused


def apply(office: Office, **changes: object) -> campaigns.Applied:
    return campaigns.apply(office.store, Campaign.parse(office.document(**changes), "test.toml"), office.now)


def test_a_new_campaign_is_active_where_nothing_is_missing(either: Office) -> None:
    assert apply(either) == campaigns.Applied("spring", 1, "new", "active", [])
    stored = either.stored()
    assert (stored.state, stored.version, stored.campaign) == ("active", 1, Campaign.parse(either.document(), "x"))
    assert [row["address"] for row in either.rows(tables.mailboxes)] == [MARA]


def test_a_new_campaign_is_a_draft_where_the_law_or_sending_wants_more(office: Office) -> None:
    done = apply(office, mailboxes=[])
    assert (done.change, done.state, done.obstacles) == ("new", "draft", ["No mailbox: add a [[mailboxes]] entry."])
    assert office.stored().state == "draft"


def test_a_draft_becomes_active_with_what_was_missing_and_a_draft_again_without_it(office: Office) -> None:
    apply(office, mailboxes=[])
    done = apply(office)
    assert (done.version, done.change, done.state, office.stored().state) == (2, "revised", "active", "active")
    done = apply(office, sender={"name": "Mara"})
    assert (done.version, done.state, office.stored().state) == (3, "draft", "draft")


def test_the_same_file_again_changes_nothing(either: Office) -> None:
    apply(either)
    before = either.rows(tables.campaigns), either.rows(tables.campaign_versions)
    either.later(hours=1)
    assert apply(either) == campaigns.Applied("spring", 1, "unchanged", "active", [])
    assert (either.rows(tables.campaigns), either.rows(tables.campaign_versions)) == before


def test_every_version_is_kept(office: Office) -> None:
    apply(office)
    apply(office, otherwise="held")
    apply(office)
    assert office.stored().version == 3
    with office.store.reading() as unit:
        said = [unit.campaigns.body(office.stored().id, version).otherwise for version in (1, 2, 3)]
    assert said == ["qualified", "held", "qualified"]


def test_a_paused_campaign_stays_paused_when_it_is_revised_or_applied_again(office: Office) -> None:
    apply(office)
    assert campaigns.pause(office.store, "spring", office.now) == "active"
    assert apply(office).state == "paused"
    assert apply(office, otherwise="held").state == "paused"
    assert office.stored().state == "paused"
    assert campaigns.start(office.store, "spring", office.now) == "paused"
    assert office.stored().state == "active"


def test_a_draft_can_be_neither_paused_nor_started(office: Office) -> None:
    apply(office, mailboxes=[])
    assert campaigns.pause(office.store, "spring", office.now) == "draft"
    with pytest.raises(Refused, match="cannot start: No mailbox"):
        campaigns.start(office.store, "spring", office.now)
    assert office.stored().state == "draft"


def test_campaigns_are_found_by_name_and_listed_in_its_order(office: Office) -> None:
    for name in ("spring", "autumn"):
        apply(office, name=name)
    assert [stored.campaign.name for stored in campaigns.listed(office.store)] == ["autumn", "spring"]
    with pytest.raises(NotFound, match="Campaigns: autumn, spring"):
        campaigns.get(office.store, "summer")


def test_the_stop_holds_with_its_reason_until_it_is_lifted(either: Office) -> None:
    def stopped() -> str | None:
        with either.store.reading() as unit:
            return campaigns.stopped(unit)

    assert (stopped(), campaigns.start_all(either.store)) == (None, False)
    campaigns.stop_all(either.store, "fire", either.now)
    campaigns.stop_all(either.store, "flood", either.now)
    assert stopped() == "flood"
    assert campaigns.start_all(either.store) is True
    assert stopped() is None


def test_the_secret_is_the_given_one_or_made_once(either: Office) -> None:
    def never() -> str:
        raise AssertionError("made twice")

    assert campaigns.secret(either.store, "given", never, either.now) == b"given"
    assert either.rows(tables.controls) == []
    assert campaigns.secret(either.store, "", lambda: "made", either.now) == b"made"
    assert campaigns.secret(either.store, "", never, either.now) == b"made"


def test_a_pause_outlives_a_version_with_an_obstacle(office: Office) -> None:
    apply(office)
    campaigns.pause(office.store, "spring", office.now)
    apply(office, mailboxes=[])
    apply(office)
    assert office.stored().state == "paused"


def test_what_waits_in_a_mailbox_that_goes_is_handed_to_one_that_stays(either: Office) -> None:
    either.apply()
    either.load(either.people(2), until="nurture")
    old = either.stored().campaign.mailboxes[0].model_dump(mode="json", exclude_defaults=True)
    either.apply(mailboxes=[old | {"address": "new@quillmast.example"}])
    assert {row["mailbox"] for row in either.touches()} == {"new@quillmast.example"}
    either.now = WEDNESDAY
    assert either.send() == {"sent": 2}
