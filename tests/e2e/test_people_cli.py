"""`touchline user`, `key` and `audit` from the outside: what a person does, sees, and is refused."""

import os
import pty
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from world import World

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def ready(sqlite_world: World) -> World:
    sqlite_world.run("init", "--yes")
    return sqlite_world


def refused(world: World, *argv: str, code: int) -> str:
    done = world.run(*argv, code=code)
    assert done.out == ""
    assert "Traceback" not in done.err
    return done.err


def added(world: World, email: str = ADA, role: str = "owner") -> str:
    password: str = world.run("user", "add", email, "--name", "Ada", "--role", role, "--generate", "--json").json[
        "password"
    ]
    return password


def test_a_user_is_added_with_a_password_that_is_shown_once(ready: World) -> None:
    said = ready.run("user", "add", "Ada@Example.com", "--name", "Ada", "--role", "owner", "--generate").out
    found = re.fullmatch(
        r"ada@example\.com may log in as owner\npassword: (\S{20})\nKeep it now: it is not shown again\.\n", said
    )
    assert found is not None
    everything = ready.run("user", "list", "--json").out + ready.run("audit", "list", "--json").out
    assert found[1] not in everything
    assert "argon2" not in everything
    assert (ready.home / "touchline.db").read_bytes().find(found[1].encode()) == -1
    [row] = ready.run("user", "list", "--json").json
    assert (row["email"], row["role"], row["state"], row["timezone"]) == (ADA, "owner", "active", None)
    assert ADA in ready.run("user", "list").out


def test_a_role_and_a_zone_are_changed_and_a_user_is_let_out_and_in(ready: World) -> None:
    added(ready)
    added(ready, BOB, "viewer")
    said = ready.run("user", "set", BOB, "--role", "operator", "--timezone", "Asia/Tokyo").out
    assert said == "bob@example.com: operator, reads times in Asia/Tokyo\n"
    assert ready.run("user", "set", BOB, "--timezone", "browser", "--json").json["timezone"] is None
    assert ready.run("user", "disable", BOB).out == "bob@example.com is disabled and logged out everywhere\n"
    assert ready.run("user", "enable", BOB, "--json").json["state"] == "active"
    first, second = (ready.run("user", "password", BOB, "--generate", "--json").json["password"] for _ in range(2))
    assert first != second


def test_what_a_person_may_not_do_is_refused_in_one_message(ready: World) -> None:
    added(ready)
    for argv, code, told in (
        (("add", ADA, "--name", "Ada", "--generate"), 77, "There is a user ada@example.com already."),
        (("add", "ada", "--name", "Ada", "--generate"), 65, "'ada' is no e-mail address."),
        (("add", BOB, "--name", "\x1b[2J", "--generate"), 65, "cannot be used"),
        (("add", BOB, "--name", "Bob", "--role", "vewer", "--generate"), 65, "did you mean 'viewer'?"),
        (("add", BOB, "--name", "Bob"), 65, "Give --generate."),
        (("set", ADA), 65, "Say what shall change."),
        (("set", ADA, "--role", "viewer"), 77, "is the last owner."),
        (("set", ADA, "--timezone", "Europe/Berln"), 65, "did you mean 'Europe/Berlin'?"),
        (("disable", ADA), 77, "is the last owner."),
        (("enable", BOB), 66, "There is no user 'bob@example.com'"),
        (("password", BOB, "--generate"), 66, "There is no user"),
    ):
        assert told in refused(ready, "user", *argv, code=code)
    assert [row["role"] for row in ready.run("user", "list", "--json").json] == ["owner"]


def test_a_password_is_typed_twice_at_a_terminal_and_not_shown(ready: World) -> None:
    typed = "a long and quiet sentence"
    ours, theirs = pty.openpty()
    argv = [str(Path(sys.executable).with_name("touchline")), "user", "add", ADA, "--name", "Ada", "--role", "owner"]
    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=ready.environment, cwd=ready.home, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        for question in (b"Password: ", b"Repeat for confirmation: "):
            while question not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, typed.encode() + b"\n")
        while b"may log in" not in shown:
            shown += os.read(ours, 1000)
        assert process.wait(60) == 0
    os.close(ours)
    assert typed.encode() not in shown
    assert b"ada@example.com may log in as owner" in shown


def test_a_key_is_printed_once_listed_without_its_secret_and_revoked(ready: World) -> None:
    text, _, told = ready.run("key", "add", "CRM", "--scope", "leads:read", "--scope", "events:read").out.partition(
        "\n"
    )
    assert re.fullmatch(r"tl_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", text)
    assert "it is not shown again" in told
    made = ready.run("key", "add", "all", "--scope", "*:read", "--days", "30", "--json").json
    assert made["expires_at"] == "2027-04-08T05:00:00+00:00"
    rows = ready.run("key", "list", "--json").json
    assert [(row["name"], row["state"]) for row in rows] == [("all", "active"), ("CRM", "active")]
    assert rows[1]["scopes"] == ["events:read", "leads:read"]
    assert rows[1]["created_by"] == "shell:tester"
    shown = (
        ready.run("key", "list", "--json").out + ready.run("key", "list").out + ready.run("audit", "list", "--json").out
    )
    assert text[-43:] not in shown
    assert made["key"][-43:] not in shown
    assert ready.run("key", "revoke", text[3:11]).out == f"the key {text[3:11]} (CRM) is revoked\n"
    assert "is revoked already" in refused(ready, "key", "revoke", text[3:11], code=77)
    assert "There is no key" in refused(ready, "key", "revoke", "nothing", code=66)
    assert "did you mean 'leads:read'?" in refused(ready, "key", "add", "x", "--scope", "lead:read", code=65)
    later = ready.run("key", "list", "--json", now="2027-05-01T00:00:00Z").json
    assert [row["state"] for row in later] == ["expired", "revoked"]


def test_whoever_disables_a_user_is_told_of_the_keys_that_go_on(ready: World) -> None:
    added(ready)
    added(ready, BOB)
    made = ready.run("key", "add", "CRM", "--scope", "leads:read", "--json").json
    with closing(sqlite3.connect(ready.home / "touchline.db")) as database, database:
        database.execute("UPDATE api_keys SET created_by = ?", [f"user:{BOB}"])
    assert f"Keys that they made go on: {made['prefix']}." in ready.run("user", "disable", BOB).out


def test_every_change_at_the_shell_stands_in_the_audit(ready: World) -> None:
    added(ready)
    added(ready, BOB, "viewer")
    ready.run("user", "set", BOB, "--role", "operator")
    ready.run("user", "disable", ADA, code=77)
    made = ready.run("key", "add", "CRM", "--scope", "leads:read", "--json").json
    ready.run("key", "revoke", made["prefix"])
    rows = ready.run("audit", "list", "--json").json
    assert [(row["action"], row["object"], row["result"]) for row in rows] == [
        ("key.revoke", f"key:{made['prefix']}", "done"),
        ("key.add", "key:CRM", "done"),
        ("user.disable", f"user:{ADA}", "failed"),
        ("user.set", f"user:{BOB}", "done"),
        ("user.add", f"user:{BOB}", "done"),
        ("user.add", f"user:{ADA}", "done"),
    ]
    assert {row["actor"] for row in rows} == {"shell:tester"}
    assert rows[2]["error"].startswith("Refused: ada@example.com is the last owner.")
    assert (rows[3]["before"]["role"], rows[3]["after"]["role"]) == ("viewer", "operator")
    assert (rows[0]["before"]["revoked_at"], rows[0]["after"]["revoked_at"]) == (None, "2027-03-09T05:00:00+00:00")
    page = ready.run("audit", "list", "--limit", "4").out
    assert f"More: --before {rows[3]['id']}" in page
    rest = ready.run("audit", "list", "--before", str(rows[3]["id"]), "--json").json
    assert [row["id"] for row in rest] == [row["id"] for row in rows[4:]]
    assert len(ready.run("audit", "list", "--of", f"user:{BOB}", "--json").json) == 2
    assert ready.run("audit", "list", "--actor", "user:nobody", "--json").json == []
    assert len(ready.run("audit", "list", "--action", "user.add", "--json").json) == 2


def test_people_keys_and_audit_are_the_same_on_both_databases(world: World) -> None:
    world.run("init", "--yes")
    added(world)
    world.run("user", "set", ADA, "--timezone", "Europe/Berlin")
    made = world.run("key", "add", "CRM", "--scope", "leads:read", "--json").json
    world.run("key", "revoke", made["prefix"])
    assert [row["timezone"] for row in world.run("user", "list", "--json").json] == ["Europe/Berlin"]
    assert [row["state"] for row in world.run("key", "list", "--json").json] == ["revoked"]
    actions = [row["action"] for row in world.run("audit", "list", "--json").json]
    assert actions == ["key.revoke", "key.add", "user.set", "user.add"]
