"""The door: who becomes the first owner, who gets in and stays in, and which keys open what; on both databases."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import Office

from touchline.adapters.passwords import Argon2Hasher
from touchline.adapters.store import tables
from touchline.app import access, people
from touchline.model.access import ROLES, SCOPES, Caller, at_the_shell
from touchline.model.errors import InvalidInput, NotFound, Refused

ADA, BOB = "ada@example.com", "bob@example.com"
SECRET = "a long and quiet sentence"
OTHER = "another rather long sentence"
SHELL = at_the_shell("tester")
CHEAP = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)


class Counted(Argon2Hasher):
    """Cheap hashes, and how many were made or checked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, kept: str, password: str) -> bool:
        self.verified += 1
        return super().verify(kept, password)


def added(office: Office, email: str = ADA, role: str = "owner", password: str = SECRET) -> int:
    row, _ = people.add_user(office.store, CHEAP, SHELL, email, "Ada", role, password, office.now)
    return int(row["id"])


def entered(
    office: Office, email: str = ADA, password: str = SECRET, source: str = "192.0.2.1", hasher: Argon2Hasher = CHEAP
) -> access.NewSession:
    return access.log_in(office.store, hasher, email, password, source, "Browser\x00 1", office.now)


def asking(office: Office, session: access.NewSession) -> Caller | None:
    return access.caller_of_session(office.store, session.token, office.now)


def claimed(office: Office, token: str, email: str = ADA) -> access.NewSession:
    return access.claim(office.store, CHEAP, token, email, "Ada", SECRET, "Browser", office.now)


# the first owner


def test_the_newest_link_makes_the_first_owner_once_and_logs_them_in(either: Office) -> None:
    old = access.claim_token(either.store, either.now)
    token = access.claim_token(either.store, either.now)
    assert old is not None
    assert token is not None
    with pytest.raises(Refused, match="cannot be claimed"):
        claimed(either, old)
    session = claimed(either, token)
    caller = asking(either, session)
    assert caller == Caller(f"user:{ADA}", SCOPES, session.user_id, None, "owner")
    with pytest.raises(Refused, match="cannot be claimed"):
        claimed(either, token, BOB)
    assert access.claim_token(either.store, either.now) is None
    assert [row["email"] for row in people.users(either.store)] == [ADA]


def test_of_two_who_claim_at_once_one_is_the_owner_and_the_other_is_refused(either: Office) -> None:
    token = access.claim_token(either.store, either.now)
    assert token is not None
    together = Barrier(2)

    def act(email: str) -> str:
        together.wait(10)
        try:
            return claimed(either, token, email).email
        except Refused:
            return "refused"

    with ThreadPoolExecutor(2) as threads:
        done = sorted(threads.map(act, (ADA, BOB)))
    assert done.count("refused") == 1
    assert [row["email"] for row in people.users(either.store)] == [one for one in done if one != "refused"]


def test_a_claim_that_cannot_be_leaves_the_link_as_it_is(office: Office) -> None:
    token = access.claim_token(office.store, office.now)
    assert token is not None
    with pytest.raises(InvalidInput, match="has 5 characters"):
        access.claim(office.store, CHEAP, token, ADA, "Ada", "short", "", office.now)
    assert token not in str(office.rows(tables.controls))
    assert claimed(office, token).email == ADA


def test_a_workspace_with_a_user_cannot_be_claimed_with_an_old_link(office: Office) -> None:
    token = access.claim_token(office.store, office.now)
    assert token is not None
    added(office, BOB, "viewer")
    with pytest.raises(Refused, match="cannot be claimed"):
        claimed(office, token)


# sessions


def test_a_session_lives_fourteen_days_and_its_token_is_not_in_the_store(either: Office) -> None:
    key = added(either, role="reviewer")
    session = entered(either, " ADA@example.com ")
    assert len(session.token) == 43
    [row] = either.rows(tables.sessions)
    assert row["digest"] == hashlib.sha256(session.token.encode()).hexdigest()
    assert row["agent"] == "Browser  1"
    assert asking(either, session) == Caller(f"user:{ADA}", ROLES["reviewer"], key, None, "reviewer")
    assert people.user(either.store, key)["seen_at"] == either.now
    either.now = session.expires_at - timedelta(seconds=1)
    assert asking(either, session) is not None
    either.now = session.expires_at
    assert asking(either, session) is None


def test_a_token_that_nobody_has_is_nobody(either: Office) -> None:
    for token in ("", "x" * 43, "\0", "\ud800", "x" * 100_000):
        assert access.caller_of_session(either.store, token, either.now) is None


def test_logging_out_ends_one_session_and_everywhere_ends_all(either: Office) -> None:
    key = added(either)
    first, second, third = (entered(either) for _ in range(3))
    access.log_out(either.store, first.token)
    assert [asking(either, one) is not None for one in (first, second, third)] == [False, True, True]
    assert access.log_out_everywhere(either.store, key) == 2
    assert asking(either, second) is None
    assert asking(either, third) is None


def test_a_changed_password_ends_every_session_of_the_user_and_of_nobody_else(either: Office) -> None:
    key = added(either)
    added(either, BOB)
    mine, elsewhere, theirs = entered(either), entered(either), entered(either, BOB)
    with pytest.raises(access.WrongLogin, match="The old password is wrong"):
        access.change_password(either.store, CHEAP, key, "wrong wrong wrong", OTHER, either.now)
    assert asking(either, mine) is not None
    access.change_password(either.store, CHEAP, key, SECRET, OTHER, either.now)
    assert [asking(either, one) is not None for one in (mine, elsewhere, theirs)] == [False, False, True]
    with pytest.raises(access.WrongLogin):
        entered(either)
    assert asking(either, entered(either, password=OTHER)) is not None


def test_a_new_password_must_be_one_that_its_user_may_have(office: Office) -> None:
    key = added(office)
    with pytest.raises(InvalidInput):
        access.change_password(office.store, CHEAP, key, SECRET, ADA, office.now)
    with pytest.raises(NotFound):
        access.change_password(office.store, CHEAP, 99, SECRET, OTHER, office.now)


def test_a_session_that_is_being_opened_while_the_password_changes_does_not_come_to_be(either: Office) -> None:
    key = added(either)

    class Slow(Argon2Hasher):
        """The password is changed between the check and the session."""

        def verify(self, kept: str, password: str) -> bool:
            right = super().verify(kept, password)
            access.change_password(either.store, CHEAP, key, SECRET, OTHER, either.now)
            return right

    with pytest.raises(access.WrongLogin):
        entered(either, hasher=Slow(time_cost=1, memory_cost=8, parallelism=1))
    assert either.rows(tables.sessions) == []


def test_forms_carry_a_word_that_holds_for_their_own_session_only() -> None:
    word = access.csrf_of("one")
    assert word == access.csrf_of("one")
    assert "one" not in word
    assert access.csrf_holds("one", word)
    assert not access.csrf_holds("two", word)
    assert not access.csrf_holds("one", "")


@given(st.text(), st.text())
def test_whatever_a_form_brings_is_compared_and_never_fails(token: str, given_word: str) -> None:
    assert access.csrf_holds(token, given_word) == (given_word == access.csrf_of(token))


# log-ins


def test_an_unknown_address_a_wrong_password_and_a_disabled_user_are_told_alike_after_the_same_work(
    either: Office,
) -> None:
    added(either)
    added(either, BOB)
    people.disable(either.store, SHELL, BOB, either.now)
    told, work = set(), []
    for number, (email, password) in enumerate(
        ((ADA, OTHER), ("nobody@example.com", SECRET), ("no address\0", SECRET), (BOB, SECRET), (ADA, "x" * 10_000))
    ):
        hasher = Counted()
        with pytest.raises(access.WrongLogin) as refused:
            entered(either, email, password, f"192.0.2.{number}", hasher)
        told.add(str(refused.value))
        work.append(hasher.verified)
    assert len(told) == 1
    assert work == [1] * 5


def test_after_five_failures_an_address_waits_a_quarter_of_an_hour_from_the_first(either: Office) -> None:
    added(either)
    for number in range(5):
        with pytest.raises(access.WrongLogin):
            entered(either, password=OTHER, source=f"192.0.2.{number}")
        either.later(minutes=1)
    with pytest.raises(access.TooManyTries, match="Try again in 10 minutes") as refused:
        entered(either, source="192.0.2.9")
    assert refused.value.wait == timedelta(minutes=10)
    either.later(minutes=9, seconds=30)
    with pytest.raises(access.TooManyTries, match="Try again in a minute"):
        entered(either, source="192.0.2.9")
    either.later(seconds=31)
    assert asking(either, entered(either, source="192.0.2.9")) is not None


def test_after_five_failures_a_source_waits_whatever_address_it_tries(either: Office) -> None:
    added(either)
    for number in range(5):
        with pytest.raises(access.WrongLogin):
            entered(either, f"user{number}@example.com")
    with pytest.raises(access.TooManyTries):
        entered(either)
    assert asking(either, entered(either, source="192.0.2.2")) is not None


def test_success_takes_the_failures_back(either: Office) -> None:
    added(either)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(access.WrongLogin):
                entered(either, password=OTHER)
        entered(either)
    assert either.rows(tables.login_failures) == []


def test_tries_that_come_at_once_are_counted_before_they_are_checked(either: Office) -> None:
    added(either)
    together = Barrier(8)

    def guess(number: int) -> type[Refused]:
        together.wait(10)
        try:
            entered(either, password=f"{OTHER} {number}", source=f"192.0.2.{number}")
        except Refused as error:
            return type(error)
        raise AssertionError("nobody knows the password")

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(guess, range(8)))
    assert told.count(access.WrongLogin) == 5
    assert told.count(access.TooManyTries) == 3


def test_what_was_tried_is_not_kept_readable(office: Office) -> None:
    with pytest.raises(access.WrongLogin):
        entered(office, "my password by mistake", SECRET)
    assert "mistake" not in str(office.rows(tables.login_failures))
    assert "192.0.2.1" not in str(office.rows(tables.login_failures))


def test_a_hash_of_weaker_parameters_is_made_anew_at_the_next_login(either: Office) -> None:
    added(either)
    stronger = Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1)
    entered(either, hasher=stronger)
    assert "m=16,t=2,p=1" in either.rows(tables.users)[0]["password"]
    assert asking(either, entered(either, hasher=stronger)) is not None


def test_an_umlaut_is_the_same_however_a_keyboard_writes_it() -> None:
    assert CHEAP.verify(CHEAP.hash("übermorgen um acht"), "u\u0308bermorgen um acht")
    assert not CHEAP.verify("no hash", "anything")
    assert CHEAP.hash(SECRET) != CHEAP.hash(SECRET)
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in Argon2Hasher().hash(SECRET)


# users


def test_users_are_listed_by_address_and_never_with_a_password(either: Office) -> None:
    added(either, BOB, "viewer")
    key = added(either)
    assert [(row["email"], row["role"], row["state"]) for row in people.users(either.store)] == [
        (ADA, "owner", "active"),
        (BOB, "viewer", "active"),
    ]
    for row in (
        *people.users(either.store),
        people.user(either.store, key),
        people.user(either.store, " ADA@example.com"),
    ):
        assert "password" not in row
        assert "argon2" not in str(row)


def test_an_address_belongs_to_one_user(either: Office) -> None:
    added(either)
    with pytest.raises(Refused, match=f"There is a user {ADA} already"):
        added(either, "Ada@Example.com")


def test_a_password_that_is_made_opens_and_is_told_once(office: Office) -> None:
    row, made = people.add_user(office.store, CHEAP, SHELL, ADA, "Ada", "owner", None, office.now)
    assert made is not None
    assert len(made) >= 20
    assert asking(office, entered(office, password=made)) is not None
    again = people.set_password(office.store, CHEAP, SHELL, ADA, None, office.now)
    assert again not in (None, made)
    assert office.rows(tables.sessions) == []
    assert people.set_password(office.store, CHEAP, SHELL, row["id"], OTHER, office.now) is None
    assert asking(office, entered(office, password=OTHER)) is not None


def test_a_user_who_is_not_there_names_the_nearest(office: Office) -> None:
    added(office)
    with pytest.raises(NotFound, match=r"did you mean 'ada@example\.com'"):
        people.user(office.store, "adda@example.com")
    with pytest.raises(NotFound, match="There is no user 7"):
        people.user(office.store, 7)


def test_the_last_active_owner_is_neither_lowered_nor_disabled(either: Office) -> None:
    ada, bob = added(either), added(either, BOB)
    people.disable(either.store, SHELL, bob, either.now)
    for act in (
        lambda: people.disable(either.store, SHELL, ada, either.now),
        lambda: people.set_role(either.store, SHELL, ada, "operator", either.now),
    ):
        with pytest.raises(Refused, match="is the last owner"):
            act()
    assert people.set_role(either.store, SHELL, ada, "owner", either.now)["role"] == "owner"
    people.enable(either.store, SHELL, bob, either.now)
    assert people.set_role(either.store, SHELL, ada, "viewer", either.now)["role"] == "viewer"


def test_two_owners_who_disable_each_other_at_once_leave_one(either: Office) -> None:
    keys = added(either), added(either, BOB)
    together = Barrier(2)

    def act(key: int) -> bool:
        together.wait(10)
        try:
            people.disable(either.store, SHELL, key, either.now)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(act, keys)) == [False, True]


def test_a_disabled_user_is_out_at_once_and_in_again_when_enabled(either: Office) -> None:
    added(either)
    added(either, BOB, "viewer")
    session = entered(either, BOB)
    assert people.disable(either.store, SHELL, BOB, either.now)["state"] == "disabled"
    assert asking(either, session) is None
    with pytest.raises(access.WrongLogin):
        entered(either, BOB)
    assert people.enable(either.store, SHELL, BOB, either.now)["state"] == "active"
    assert asking(either, session) is None
    assert asking(either, entered(either, BOB)) is not None


def test_another_role_counts_from_the_next_request(either: Office) -> None:
    added(either, role="viewer")
    session = entered(either)
    either.later(hours=1)
    changed = people.set_role(either.store, SHELL, ADA, "operator", either.now)
    assert changed == people.user(either.store, ADA)
    assert changed["updated_at"] == either.now
    caller = asking(either, session)
    assert caller is not None
    assert caller.may("campaigns:write")
    with pytest.raises(InvalidInput, match="is no role"):
        people.set_role(either.store, SHELL, ADA, "king", either.now)


def test_nobody_gives_or_takes_what_they_may_not_do_themselves(either: Office) -> None:
    added(either)
    added(either, BOB, "viewer")
    clerk = Caller("key:clerk", ROLES["viewer"] | {"users:read", "users:write"})
    for act in (
        lambda: people.add_user(either.store, CHEAP, clerk, "eve@example.com", "Eve", "owner", SECRET, either.now),
        lambda: people.set_role(either.store, clerk, BOB, "owner", either.now),
        lambda: people.set_role(either.store, clerk, ADA, "viewer", either.now),
        lambda: people.disable(either.store, clerk, ADA, either.now),
        lambda: people.enable(either.store, clerk, ADA, either.now),
        lambda: people.set_password(either.store, CHEAP, clerk, ADA, OTHER, either.now),
    ):
        with pytest.raises(Refused, match="key:clerk may not act on a user who is owner"):
            act()
    with pytest.raises(Refused, match=r"lack prospects:write, touches:write\."):
        people.set_role(either.store, clerk, BOB, "reviewer", either.now)
    assert people.disable(either.store, clerk, BOB, either.now)["state"] == "disabled"
    assert (
        people.add_user(either.store, CHEAP, clerk, "eve@example.com", "Eve", "viewer", SECRET, either.now)[1] is None
    )
    assert [row["role"] for row in people.users(either.store)] == ["owner", "viewer", "viewer"]


def test_a_user_reads_times_in_the_zone_of_their_choice(either: Office) -> None:
    key = added(either)
    session = entered(either)
    people.set_timezone(either.store, key, "Asia/Tokyo", either.now)
    caller = asking(either, session)
    assert caller is not None
    assert caller.timezone == "Asia/Tokyo"
    with pytest.raises(InvalidInput, match="is no time zone"):
        people.set_timezone(either.store, key, "Mars", either.now)
    assert people.set_timezone(either.store, key, None, either.now)["timezone"] is None


# keys


def test_a_key_opens_what_it_was_made_for_and_its_secret_is_not_in_the_store(either: Office) -> None:
    row, text = access.make_key(either.store, "CRM", {"leads:read"}, SHELL, either.now)
    assert text == f"tl_{row['prefix']}_{text[-43:]}"
    assert access.caller_of_key(either.store, text, either.now) == Caller(
        f"key:{row['prefix']}", frozenset({"leads:read"})
    )
    assert text[-43:] not in str(either.rows(tables.api_keys))
    [listed] = access.keys(either.store)
    assert listed == access.key(either.store, row["prefix"]) == {**row, "used_at": either.now}
    assert listed["scopes"] == ["leads:read"]
    assert "digest" not in listed


def test_a_key_that_is_wrong_in_one_letter_opens_nothing(either: Office) -> None:
    _, text = access.make_key(either.store, "CRM", {"leads:read"}, SHELL, either.now)
    swapped = "A" if text[-1] != "A" else "B"
    for wrong in (text[:-1] + swapped, text[:-1], text + "A", text.upper(), "", "tl_\0", text + "\n"):
        assert access.caller_of_key(either.store, wrong, either.now) is None
    assert access.keys(either.store)[0]["used_at"] is None


def test_a_key_can_do_no_more_than_whoever_made_it(either: Office) -> None:
    operator = Caller("user:bob", ROLES["operator"] | {"keys:write"})
    with pytest.raises(Refused, match="may not give away keys:read, users:write"):
        access.make_key(either.store, "grab", {"leads:read", "users:write", "keys:read"}, operator, either.now)
    assert access.keys(either.store) == []
    assert access.make_key(either.store, "fine", {"leads:read"}, operator, either.now)[0]["created_by"] == "user:bob"


def test_a_key_ends_when_it_expires_or_is_revoked(either: Office) -> None:
    row, text = access.make_key(either.store, "week", {"leads:read"}, SHELL, either.now, days=7)
    assert row["expires_at"] == either.now + timedelta(days=7)
    other, lasting = access.make_key(either.store, "long", {"leads:read"}, SHELL, either.now)
    either.later(days=7)
    assert access.caller_of_key(either.store, text, either.now) is None
    assert access.caller_of_key(either.store, lasting, either.now) is not None
    assert access.revoke_key(either.store, other["prefix"], either.now)["revoked_at"] == either.now
    assert access.caller_of_key(either.store, lasting, either.now) is None
    with pytest.raises(Refused, match="is revoked already"):
        access.revoke_key(either.store, other["prefix"], either.now)
    with pytest.raises(NotFound, match="There is no key 'nothing'"):
        access.revoke_key(either.store, "nothing", either.now)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_key_lives_a_day_to_ten_years(office: Office, days: int) -> None:
    with pytest.raises(InvalidInput, match=f"cannot live {days} days"):
        access.make_key(office.store, "odd", {"leads:read"}, SHELL, office.now, days)
    with pytest.raises(InvalidInput, match="The key's name"):
        access.make_key(office.store, "\n", {"leads:read"}, SHELL, office.now)


def test_when_a_key_was_used_is_written_at_most_once_a_minute(either: Office) -> None:
    _, text = access.make_key(either.store, "CRM", {"leads:read"}, SHELL, either.now)
    first = either.now
    seen = []
    for _ in range(4):
        access.caller_of_key(either.store, text, either.now)
        seen.append(access.keys(either.store)[0]["used_at"] - first)
        either.later(seconds=20)
    assert seen == [timedelta(0)] * 3 + [timedelta(minutes=1)]


# retention


def test_what_has_had_its_time_is_forgotten_and_the_rest_stays(either: Office) -> None:
    added(either)
    old = entered(either)
    with pytest.raises(access.WrongLogin):
        entered(either, password=OTHER)
    with either.store.transaction() as unit:
        unit.answers.begin("old", "request", either.now)
        for _ in range(3):
            unit.audit.begin(either.now, "shell:ada", "user.add", "user:x", None, None)
    assert access.forget(either.store, either.now) is None
    either.later(days=366)
    entered(either)
    with either.store.transaction() as unit:
        unit.answers.begin("new", "request", either.now)
        unit.audit.begin(either.now, "shell:ada", "user.add", "user:y", None, None)
    assert access.forget(either.store, either.now, most=2) == {
        "sessions": 1,
        "login_failures": 0,
        "answers": 1,
        "audit": 2,
    }
    assert access.forget(either.store, either.now) == {"sessions": 0, "login_failures": 0, "answers": 0, "audit": 1}
    assert access.forget(either.store, either.now) is None
    assert asking(either, old) is None
    assert [row["object"] for row in either.rows(tables.audit)] == ["user:y"]
    assert [row["key"] for row in either.rows(tables.answers)] == ["new"]
