"""Suppression: which words mean whom, and how soon they count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import ANN, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app.suppression import KINDS, entries_of, guess, normal, opt_out, suppress
from touchline.model.errors import InvalidInput

BOB = "ann1@firm1.com"


@pytest.mark.parametrize(
    ("kind", "given_value", "kept"),
    [
        ("address", " Ann+tag@Firm.com ", "ann@firm.com"),
        ("address", "a.n.n@googlemail.com", "ann@gmail.com"),
        ("address", "nobody", None),
        ("address", "", None),
        ("domain", " @Firm.COM. ", "firm.com"),
        ("domain", "ＦＩＲＭ.com", "firm.com"),
        ("domain", "localhost", None),
        ("domain", "two words.com", None),
        ("domain", "a/b.com", None),
        ("domain", "", None),
        ("account", " Firm GmbH ", "firm gmbh"),
        ("account", "  ", None),
    ],
)
def test_a_value_is_kept_as_it_is_compared(kind: str, given_value: str, kept: str | None) -> None:
    assert normal(kind, given_value) == kept


@given(st.sampled_from(KINDS), st.text(max_size=40))
def test_a_value_once_kept_stays_as_it_is(kind: str, value: str) -> None:
    kept = normal(kind, value)
    assert kept is None or normal(kind, kept) == kept


@pytest.mark.parametrize(
    ("value", "kind"),
    [("ann@firm.com", "address"), ("firm.com", "domain"), ("@firm.com", "domain"), (" @firm.com", "domain")],
)
def test_what_has_a_name_before_its_at_is_an_address(value: str, kind: str) -> None:
    assert guess(value) == kind


def test_every_entry_is_new_there_already_or_rejected_with_a_reason(either: Office) -> None:
    either.apply()
    entries = [
        (None, "ann@firm.com", "asked"),
        ("address", "ANN+x@firm.com", "again"),
        ("domain", "firm.org", "  a\n customer "),
        ("account", "Firm", ""),
        ("person", "Ann", "x"),
        ("address", "no address", "x"),
        (None, "localhost", "x"),
    ]
    with either.store.transaction() as unit:
        done = suppress(unit, entries, "test", either.now)
    assert (done.rows, done.new, done.already) == (7, 3, 1)
    assert done.rejected == [
        (5, "Ann", "kind 'person' is not one of address, domain, account"),
        (6, "no address", "not a usable address"),
        (7, "localhost", "not a usable domain"),
    ]
    kept = [(r["kind"], r["value"], r["reason"], r["source"]) for r in either.rows(tables.suppressions)]
    assert sorted(kept) == [
        ("account", "firm", "no reason given", "test"),
        ("address", "ann@firm.com", "asked", "test"),
        ("domain", "firm.org", "a customer", "test"),
    ]
    with either.store.transaction() as unit:
        again = suppress(unit, entries[:3], "test", either.now)
    assert (again.rows, again.new, again.already, again.rejected) == (3, 0, 3, [])


def test_nothing_suppresses_nothing(office: Office) -> None:
    with office.store.transaction() as unit:
        done = suppress(unit, [], "test", office.now)
    assert (done.rows, done.new, done.already, done.touches_cancelled) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("address", "ANN0+x@firm0.com"), (None, "@FIRM0.com"), ("account", "firm0.com")],
)
def test_each_kind_ends_at_once_every_sequence_of_whom_it_means(either: Office, kind: str | None, value: str) -> None:
    either.apply()
    either.apply(name="autumn", compatibility={"one_sequence_at_a_time": False})
    for name in ("spring", "autumn"):
        either.load(either.people(2), name, until="nurture")
    done = either.suppress(value, kind)
    assert (done.new, done.touches_cancelled) == (1, 2)
    said = f"suppressed: {kind or 'domain'}"
    for name in ("spring", "autumn"):
        touch, prospect = either.touch(campaign=name), either.prospect(campaign=name)
        assert (touch["state"], touch["reason"]) == ("cancelled", said)
        assert (prospect["state"], prospect["state_reason"], prospect["pending"]) == ("stopped", said, 0)
    either.now = WEDNESDAY
    assert either.send() == {"sent": 1}
    assert either.taken() == [BOB]


def test_a_domain_covers_the_domains_below_it(office: Office) -> None:
    office.zone["mail.firm9.com"] = "mx"
    office.apply()
    office.add("ann@mail.firm9.com")
    assert office.suppress("firm9.com").touches_cancelled == 1
    assert office.add("bo@mail.firm9.com").counts["suppressed"] == 1


def test_what_has_left_already_is_not_cancelled(office: Office) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    assert office.suppress(ANN).touches_cancelled == 1, "the follow-up"
    assert [row["state"] for row in office.touches()] == ["sent", "cancelled"]


def test_suppressing_again_cancels_what_was_planned_in_between(office: Office) -> None:
    office.suppress(ANN)
    office.apply()
    assert office.load(office.people(2), until="nurture").counts == {
        "new": 1, "updated": 0, "duplicate": 0, "suppressed": 1, "rejected": 0,
    }  # fmt: skip
    done = office.suppress(ANN)
    assert (done.new, done.already, done.touches_cancelled) == (0, 1, 0)


# opting out


def test_opting_out_is_for_good_in_every_campaign_and_again_is_harmless(either: Office) -> None:
    either.apply()
    either.load(either.people(1), until="nurture")
    key = either.prospect()["id"]
    with either.store.transaction() as unit:
        assert opt_out(unit, key, "link", either.now) is True
    with either.store.transaction() as unit:
        assert opt_out(unit, key, "link", either.now) is False
    assert either.suppressed() == [("address", ANN)]
    row = either.rows(tables.suppressions)[0]
    assert (row["reason"], row["source"]) == ("unsubscribed", "link")
    (event,) = either.rows(tables.events)
    assert (event["kind"], event["detail"], event["prospect_id"]) == ("unsubscribed", "link", key)
    assert (either.prospect()["state"], either.touch()["state"]) == ("stopped", "cancelled")


def test_who_is_not_there_or_has_no_address_cannot_opt_out(office: Office) -> None:
    office.apply()
    office.load(office.csv(",Cy,linkedin.com/in/cy", header="Email,First Name,Profile URL"), until="nurture")
    with office.store.transaction() as unit:
        assert opt_out(unit, office.rows(tables.prospects)[0]["id"], "link", office.now) is False
        assert opt_out(unit, 99, "link", office.now) is False
    assert office.suppressed() == []


# files


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("ann@x.com\n\n x.org \n", [(None, "ann@x.com", "imported"), (None, " x.org ", "imported")]),
        ("Value,Kind,Reason\nx.org,DOMAIN,asked\ny.org\n", [("domain", "x.org", "asked"), (None, "y.org", "imported")]),
        ("reason,email\nasked,ann@x.com\nshort\n", [("address", "ann@x.com", "asked"), ("address", "", "short")]),
        ("domain\nx.org\n", [("domain", "x.org", "imported")]),
        ("Address,kind\nAcme,account\n", [("account", "Acme", "imported")]),
        ("ann@x.com\0\n", [(None, "ann@x.com", "imported")]),
        ('value\n"a ""b"", c"\n', [(None, 'a "b", c', "imported")]),
        ("value\n", []),
    ],
)
def test_a_file_with_or_without_a_header_gives_its_entries(text: str, entries: list) -> None:
    assert entries_of(text, "list.csv") == entries


@pytest.mark.parametrize("text", ["", "\n \n", ",,\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"list\.csv has no rows"):
        entries_of(text, "list.csv")
