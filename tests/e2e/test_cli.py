"""The command line itself: a newcomer's way to the first message, JSON everywhere, exit codes, round trips."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from certificate import self_signed
from newcomer import ANSWERS, LEADS, campaign
from touchline.cli import app
from touchline.sim.market import market
from touchline.sim.smtp_server import SmtpServer
from world import TUESDAY, WEDNESDAY, World


def test_a_newcomer_gets_to_a_first_approved_message_on_a_mailbox_with_tls_and_login(sqlite_world: World) -> None:
    world, home = sqlite_world, sqlite_world.home
    pem = self_signed(home)
    with SmtpServer(tls="starttls", certificate=pem, users={ANSWERS.email: "open sesame"}) as smtp:
        said = world.run(
            *("init", "--yes", "--sender", ANSWERS.sender, "--email", ANSWERS.email),
            *("--postal-address", ANSWERS.postal_address, "--offer", ANSWERS.offer),
        ).out
        assert "Still missing: Snippet 'proof' is empty" in said
        assert "touchline campaign apply campaign.toml" in said
        assert "cannot send yet: Snippet 'proof'" in world.run("campaign", "apply", "campaign.toml").out
        # The newcomer writes the missing sentence, and the provider's host and port.
        (home / "campaign.toml").write_text(campaign(smtp.port, login=True), "utf-8")
        assert "version 2, active" in world.run("campaign", "apply", "campaign.toml").out
        assert "MAILBOX_PASSWORD is not set" in world.run("doctor", code=1).out
        world.extra |= {"MAILBOX_PASSWORD": "wrong", "TOUCHLINE_SMTP__CA_FILE": pem.name}
        assert "login" in world.run("doctor", code=1).out
        world.extra["MAILBOX_PASSWORD"] = "open sesame"
        findings = world.run("doctor", "--json", code=None).json
        assert not [f for f in findings if f["status"] == "error" and f["check"].startswith("mailbox")]
        (home / "leads.csv").write_text(LEADS, "utf-8")
        done = world.run("import", "leads.csv", "-c", "first", "--json").json
        assert done["counts"] == {"new": 2, "updated": 0, "duplicate": 1, "suppressed": 0, "rejected": 1}
        world.run("run", "-c", "first", "--until", "nurture")
        draft = world.run("outbox", "list", "--json").json[0]
        world.run("outbox", "approve", str(draft["touch_id"]))
        assert world.run("run", "-c", "first", "--json", now=WEDNESDAY).json["sending"] == {"sent": 1}
        assert [m.rcpt_to for m in smtp.messages] == [("anna.berg@firm1.com",)]
        text = smtp.messages[0].data.decode()
        assert ANSWERS.offer.split(",")[0] in text
        assert ANSWERS.postal_address in text
        assert "open sesame" not in json.dumps(findings) + world.run("campaign", "export", "first").out


def test_init_asks_a_person_at_a_terminal_five_things(tmp_path: Path) -> None:
    answers = ["Mara Ellin", "mara@firm1.com", "1 Example Row", "", "Fjordline halved its bill."]
    master, slave = pty.openpty()
    environment = os.environ | {"TOUCHLINE_HOME": str(tmp_path), "DATABASE_URL": "", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "touchline", "init"], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = b""
    for answer in answers:
        begin = len(shown)
        while b": " not in shown[begin:]:
            assert select.select([master], [], [], 60)[0], shown.decode()
            shown += os.read(master, 4096)
        os.write(master, answer.encode() + b"\n")
    assert process.wait(60) == 0
    os.close(master)
    text = (tmp_path / "campaign.toml").read_text("utf-8")
    for line in ('name = "Mara Ellin"', 'host = "smtp.firm1.com"', 'text = "Fjordline halved its bill."'):
        assert line in text.splitlines()


def test_init_never_writes_over_a_file(sqlite_world: World) -> None:
    world = sqlite_world
    first = world.run("init", "--yes", "--json").json
    assert [Path(name).name for name in first["wrote"]] == ["touchline.toml", "campaign.toml"]
    assert first["missing"]
    for name in ("touchline.toml", "campaign.toml"):
        (world.home / name).write_text("# mine\n", "utf-8")
    again = world.run("init", "--yes", "--email", "other@firm1.com", "--json").json
    assert (again["wrote"], again["missing"]) == ([], [])
    assert (world.home / "campaign.toml").read_text("utf-8") == "# mine\n"
    assert "nothing is written over" in world.run("init", "--yes", "--database-url", "sqlite:///x.db", code=77).err


def test_init_refuses_an_answer_that_cannot_stand_in_a_campaign_before_it_writes(sqlite_world: World) -> None:
    before = set(sqlite_world.home.iterdir())
    for option, value, said in (
        ("--email", "not an address", "not a plain e-mail address"),
        ("--offer", "We do {{ this", "snippets.offer"),
        ("--sender", "Mara\x1b[2J", "cannot be printed"),
    ):
        assert said in sqlite_world.run("init", "--yes", option, value, code=65).err
    (sqlite_world.home / "file").touch()
    assert "Not a directory" in sqlite_world.run("--home", "file/x", "init", "-y", code=78).err
    (sqlite_world.home / "file").unlink()
    assert set(sqlite_world.home.iterdir()) == before


def test_a_round_trip_through_a_file_leaves_every_lead_as_it_was(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    world.set_up()
    market(11, 400).write_csv(world.home / "leads.csv")
    world.run("import", "leads.csv", "-c", "spring")
    world.run("leads", "export", "-o", "out.csv")
    other = World(tmp_path / "other", "sqlite:///touchline.db", world.zygote, world.smtp, world.dns)
    other.home.mkdir()
    other.set_up()
    done = other.run("import", str(world.home / "out.csv"), "-c", "spring", "--json").json
    assert done["counts"]["new"] == done["rows"] > 200, done["reasons"]
    one, two = (
        {lead["identity"]: lead for lead in w.run("leads", "list", "--limit", "1000", "--json").json}
        for w in (world, other)
    )
    kept = next(iter(one.values())).keys() - {"id", "created_at", "updated_at"}
    assert one.keys() == two.keys()
    for identity, lead in one.items():
        assert {name: lead[name] for name in kept} == {name: two[identity][name] for name in kept}
    assert other.run("leads", "export").out == (world.home / "out.csv").read_text("utf-8")


def test_exported_suppressions_import_again(sqlite_world: World) -> None:
    world = sqlite_world
    world.set_up()
    world.run("suppress", "add", "ann@firm1.com", "firm2.com", "--reason", "=asked")
    world.run("suppress", "add", "--kind", "account", "Acme")
    before = world.run("suppress", "list", "--json").json
    world.run("suppress", "export", "-o", "out.csv")
    done = world.run("suppress", "import", "out.csv", "--json").json
    assert (done["rows"], done["new"], done["already"]) == (3, 0, 3)
    assert world.run("suppress", "list", "--json").json == before


NO_JSON = {"demo", "optout-server", "serve", "worker", "campaign export", "suppress export"}
"""What prints a story, serves, or writes a file format of its own."""


def test_every_command_offers_json() -> None:
    found = {}

    def walk(command: object, path: str = "") -> None:
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            found[path] = {option for p in command.params for option in p.opts}  # type: ignore[attr-defined]

    walk(get_command(app))
    assert {path for path, options in found.items() if "--json" not in options} == NO_JSON


def test_json_says_what_was_done(sqlite_world: World) -> None:
    world = sqlite_world
    world.set_up(mode="review")
    world.leads(4)
    world.run("import", "leads.csv", "-c", "spring")
    world.run("run", "-c", "spring", "--until", "nurture")

    def said(*argv: str) -> object:
        return world.run(*argv, "--json").json

    assert said("campaign", "pause", "spring") == {"name": "spring", "before": "active", "state": "paused"}
    assert said("campaign", "start", "spring") == {"name": "spring", "before": "paused", "state": "active"}
    assert said("stop", "--all", "--reason", "drill") == {"stopped": True, "reason": "drill"}
    assert said("start") == {"stopped": False, "lifted": True}
    assert said("start") == {"stopped": False, "lifted": False}
    first, second, *_ = (draft["touch_id"] for draft in said("outbox", "list"))  # type: ignore[attr-defined]
    assert said("outbox", "reject", str(first)) == {"rejected": 1, "not_open": 0}
    assert said("outbox", "reject", str(first)) == {"rejected": 0, "not_open": 1}
    assert said("outbox", "approve", str(second)) == {"approved": 1, "not_waiting": 0, "unwritable": []}
    replied = said("leads", "replied", "ann3@firm3.com")
    assert replied["email"] == "ann3@firm3.com"  # type: ignore[index]
    assert replied["touches_cancelled"] == 1  # type: ignore[index]
    added = said("leads", "add", "-c", "spring", "--email", "bo@firm5.com", "--set", "employees=50")
    assert added["counts"]["new"] == 1  # type: ignore[index]
    decided = said("leads", "decide", "bo@firm5.com", "rejected", "-c", "spring", "--reason", "a friend")
    assert (decided["email"], decided["verdict"]) == ("bo@firm5.com", "rejected")  # type: ignore[index]
    for argv in (
        ("leads", "list"),
        ("leads", "show", "ann2@firm2.com"),
        ("leads", "list", "-c", "spring"),
        ("outbox", "list"),
        ("explain", "ann2@firm2.com"),
    ):
        assert "_folded" not in world.run(*argv, "--json").out
    assert "_folded" not in world.run("leads", "export", "-c", "spring", "--json").out
    assert "_folded" not in world.run("leads", "export", "-c", "spring").out


def test_exit_codes_are_those_of_the_table(sqlite_world: World) -> None:
    world = sqlite_world
    world.run("campaign", "list", code=78)
    world.set_up(mode="review")
    world.leads(1)
    world.run("import", "leads.csv", "-c", "spring")
    world.run("run", "-c", "spring", "--until", "nurture")
    for argv, code in {
        ("--version",): 0,
        ("frobnicate",): 2,
        ("import", "leads.csv"): 2,
        ("run", "-c", "spring", "--until", "lunch"): 2,
        ("outbox", "list", "--state", "lost"): 2,
        ("outbox", "list", "--limit", "0"): 2,
        ("leads", "list", "--limit", "ten"): 2,
        ("leads", "list", "--after", "99999999999999999999"): 2,
        ("outbox", "resolve", "1", "--as", "lost"): 2,
        ("leads", "decide", "ann0@firm0.com", "perhaps", "-c", "spring", "--reason", "x"): 2,
        ("optout-server", "--port", "65536"): 2,
        ("outbox", "approve"): 65,
        ("stop",): 65,
        ("import", "nowhere.csv", "-c", "spring"): 65,
        ("leads", "add", "-c", "spring", "--set", "company"): 65,
        ("leads", "export", "-o", "nowhere/out.csv"): 65,
        ("leads", "export", "-o", "."): 65,
        ("leads", "decide", "ann0@firm0.com", "rejected", "-c", "spring", "--reason", " "): 65,
        ("import", "leads.csv", "-c", "autumn"): 66,
        ("run", "-c", "autumn"): 66,
        ("campaign", "show", "autumn"): 66,
        ("campaign", "export", "autumn"): 66,
        ("campaign", "pause", "autumn"): 66,
        ("leads", "list", "-c", "autumn"): 66,
        ("leads", "replied", "nobody@firm1.com"): 66,
        ("outbox", "list", "-c", "autumn"): 66,
        ("outbox", "approve", "99"): 66,
        ("outbox", "approve", "--all", "-c", "autumn"): 66,
        ("outbox", "reject", "99"): 66,
        ("imports", "show", "99"): 66,
        ("explain", "nobody@firm1.com"): 66,
        ("leads", "show", "nobody@firm1.com"): 66,
        ("outbox", "resolve", "1", "--as", "sent"): 77,
        ("leads", "decide", "ann0@firm0.com", "rejected", "-c", "spring", "--reason", "x"): 77,
    }.items():
        done = world.run(*argv, code=None)
        assert done.code == code, (argv, done.out, done.err)
        assert "Traceback" not in done.err
        assert code == 0 or done.err.startswith(("touchline: ", "Usage: ")), argv


def test_an_unknown_campaign_is_answered_with_those_that_exist(sqlite_world: World) -> None:
    sqlite_world.set_up()
    assert "Campaigns: spring." in sqlite_world.run("run", "-c", "sprnig", code=66).err


def test_an_argument_that_is_no_text_is_refused(sqlite_world: World) -> None:
    sqlite_world.set_up()
    done = subprocess.run(
        [sys.executable, "-m", "touchline", "explain", b"\xff@firm1.com"],
        env=sqlite_world.environment, cwd=sqlite_world.home, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (65, b"")
    assert b"is not text" in done.stderr


def test_help_starts_without_the_heavy_libraries() -> None:
    heavy = (
        "polars",
        "sqlalchemy",
        "pydantic",
        "alembic",
        "psycopg",
        "structlog",
        "liquid",
        "sqlglot",
        "touchline.settings",
    )
    code = f"import sys, touchline.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_exported_decisions_do_not_pose_as_columns_of_a_lead(sqlite_world: World) -> None:
    world = sqlite_world
    world.set_up()
    world.leads(2)
    world.run("import", "leads.csv", "-c", "spring")
    world.run("run", "-c", "spring", "--until", "nurture", now=TUESDAY)
    world.run("leads", "export", "-c", "spring", "-o", "out.csv")
    world.run("import", "out.csv", "-c", "spring")
    leads = world.run("leads", "list", "--json").json
    assert {(lead["region"], lead["stage"], lead["employees"]) for lead in leads} == {(None, None, 120)}


@pytest.mark.parametrize("argv", [("leads", "export"), ("suppress", "export")])
def test_an_export_replaces_a_file_only_when_it_is_whole(sqlite_world: World, argv: tuple[str, ...]) -> None:
    world = sqlite_world
    world.set_up()
    world.leads(2)
    world.run("import", "leads.csv", "-c", "spring")
    world.run("suppress", "add", "firm9.com")
    (world.home / "out.csv").write_text("before", "utf-8")
    if argv == ("leads", "export"):
        world.run(*argv, "--where", "nope = 1", "-o", "out.csv", code=65)
        assert (world.home / "out.csv").read_text("utf-8") == "before"
    assert "written to out.csv" in world.run(*argv, "-o", "out.csv").out
    assert (world.home / "out.csv").read_text("utf-8") == world.run(*argv).out
    (world.home / "link.csv").symlink_to(world.home / "behind.csv")
    world.run(*argv, "-o", "link.csv")
    assert (world.home / "link.csv").is_symlink()
    assert (world.home / "behind.csv").read_text("utf-8") == world.run(*argv).out
