"""Scopes, roles, and what addresses, names and passwords must be."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.model.access import (
    AREAS,
    READ,
    ROLES,
    SCOPES,
    WRITE,
    Caller,
    at_the_shell,
    email_of,
    name_of,
    password_for,
    role_of,
    scopes_of,
    zone_of,
)
from touchline.model.errors import InvalidInput


def test_each_role_may_all_that_the_one_before_may_and_the_owner_everything() -> None:
    rising = [ROLES[role] for role in ("viewer", "reviewer", "operator", "owner")]
    assert all(less < more for less, more in pairwise(rising))
    assert rising[-1] == SCOPES == READ | WRITE
    assert len(SCOPES) == 2 * len(AREAS)


def test_a_viewer_writes_nothing_and_sees_no_people_keys_audit_or_settings() -> None:
    hidden = {f"{area}:read" for area in ("users", "keys", "audit", "settings")}
    assert ROLES["viewer"] == READ - hidden


def test_a_reviewer_decides_and_an_operator_runs_but_neither_lets_anybody_in() -> None:
    assert ROLES["reviewer"] - ROLES["viewer"] == {"touches:write", "prospects:write"}
    gained = ROLES["operator"] - ROLES["reviewer"]
    assert {"audit:read", "settings:read", "campaigns:write", "schedules:write", "views:write"} < gained
    assert not {scope for scope in ROLES["operator"] if scope.startswith(("users:", "keys:"))}
    assert not ROLES["operator"] & {"settings:write", "audit:write"}


def test_a_caller_may_what_is_among_their_scopes() -> None:
    caller = Caller("key:abc", frozenset({"leads:read"}))
    assert caller.may("leads:read")
    assert not caller.may("leads:write")
    assert at_the_shell("ada").may("users:write")
    assert at_the_shell("ada").name == "shell:ada"


def test_scopes_are_named_one_by_one_or_for_every_area() -> None:
    assert scopes_of(["leads:read", "leads:write"]) == {"leads:read", "leads:write"}
    assert scopes_of(["*:read"]) == READ
    assert scopes_of(["*:write", "runs:read"]) == WRITE | {"runs:read"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lead:read"], "did you mean 'leads:read'?"),
        (["*"], "is no scope."),
        (["*:*"], "is no scope"),
        (["leads:raed"], "did you mean 'leads:read'?"),
        ([], "No scope is given."),
    ],
)
def test_a_word_that_is_no_scope_names_the_nearest(words: list[str], told: str) -> None:
    with pytest.raises(InvalidInput, match=told.replace("*", r"\*").replace("?", r"\?")):
        scopes_of(words)


@given(st.sets(st.sampled_from(sorted(SCOPES)), min_size=1))
def test_scopes_that_are_read_again_stay_the_same(scopes: set[str]) -> None:
    assert scopes_of(scopes) == scopes


def test_a_role_that_is_none_names_the_nearest() -> None:
    assert role_of("owner") == "owner"
    with pytest.raises(InvalidInput, match="did you mean 'owner'"):
        role_of("ownr")
    with pytest.raises(InvalidInput, match=r"is no role\."):
        role_of("")


def test_an_address_is_kept_in_lower_case_without_blanks_around_it() -> None:
    assert email_of(" Ada@Example.COM\n") == "ada@example.com"
    assert email_of("a@b") == "a@b"


@pytest.mark.parametrize(
    "text", ["", "ada", "@b", "a@", "a@b@c", "a b@c", "a\0@b", "a\u202e@b", "\ud800@b", "a" * 252 + "@bc"]
)
def test_what_can_be_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no e-mail address"):
        email_of(text)


@given(st.text(max_size=300))
def test_an_address_once_taken_is_taken_again_unchanged(text: str) -> None:
    try:
        email = email_of(text)
    except InvalidInput:
        return
    assert email_of(email) == email
    assert len(email) <= 254
    assert email.isprintable()


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "\x1b[2J", "x" * 201])
def test_a_name_can_be_printed_and_is_neither_empty_nor_endless(text: str) -> None:
    assert name_of(" Ada Lovelace ") == "Ada Lovelace"
    with pytest.raises(InvalidInput, match="cannot be used"):
        name_of(text)


def test_a_password_is_long_and_not_the_name_or_address_of_its_user() -> None:
    fine = "correct horse battery"
    assert password_for("ada@example.com", "Ada Augusta King", fine) == fine
    assert len(password_for("a@b", "A", "x" * 256)) == 256
    for password, told in (
        ("x" * 11, "has 11 characters"),
        ("x" * 257, "has 257 characters"),
        ("Ada@Example.com", "is the address or the name"),
        ("ada augusta king ", "is the address or the name"),
    ):
        with pytest.raises(InvalidInput, match=told) as refused:
            password_for("ada@example.com", "Ada Augusta King", password)
        assert password not in str(refused.value)


def test_a_time_zone_that_is_none_names_the_nearest() -> None:
    assert zone_of("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(InvalidInput, match="did you mean 'Europe/Berlin'"):
        zone_of("Europe/Berln")
    with pytest.raises(InvalidInput, match=r"is no time zone\."):
        zone_of("")
