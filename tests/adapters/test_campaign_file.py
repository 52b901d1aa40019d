"""Campaign files: read with their texts, refused with their place, and written back to an equal campaign."""

import os
import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.adapters import campaign_file
from touchline.model.campaign import Campaign
from touchline.model.errors import InvalidInput

HEAD = """
name = "spring"
routes = [{ name = "all", when = "tier IS NOT NULL", sequence = "hello" }]

[icp.fit.size]
parts = [{ name = "mid", when = "employees > 50", points = 30 }]

[icp.opportunity.budget]
parts = [{ name = "any", when = "budget > 0", points = 30 }]
"""
STEP = '[[sequences.hello.steps]]\nname = "first"\nsubject = "Hi"\n'


def written(folder: Path, rest: str, *, head: str = HEAD) -> Path:
    path = folder / "campaign.toml"
    path.write_text(head + rest, "utf-8")
    return path


def fault(path: Path) -> str:
    with pytest.raises(InvalidInput) as error:
        campaign_file.read(path)
    return error.value.message


def test_a_text_beside_the_file_becomes_part_of_the_campaign(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "first.liquid").write_bytes(b"\xef\xbb\xbfHi\r\n{{ first_name }}\r\n")
    (tmp_path / "first.html").write_text("<p>Hi</p>", "utf-8")
    (tmp_path / "short.liquid").write_text("Grüße", "utf-8")
    files = 'text_file = "texts/first.liquid"\nhtml_file = "first.html"\n'
    variant = '[[sequences.hello.steps.variants]]\nname = "short"\nsubject = "Hi"\ntext_file = "short.liquid"\n'
    (step,) = campaign_file.read(written(tmp_path, STEP + files + variant)).sequences["hello"].steps
    assert step.text == "Hi\n{{ first_name }}\n"
    assert step.html == "<p>Hi</p>"
    assert step.variants[0].text == "Grüße"


def test_a_shipped_sequence_is_taken_by_name(tmp_path: Path) -> None:
    rest = '[snippets]\noffer = [{ text = "We help." }]\nproof = [{ text = "It helped." }]\n'
    campaign = campaign_file.read(written(tmp_path, rest + '[sequences.hello]\nuse = "direct"\n'))
    assert len(campaign.sequences["hello"].steps) == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('use = "dirct"', "no shipped sequence 'dirct', did you mean 'direct'?"),
        ('use = "zzz"', "no shipped sequence 'zzz'"),
        ("use = 5", "no shipped sequence 5"),
        ('use = "direct"\nlanguage = "de"', "'language' cannot stand beside 'use'"),
        ('use = "direct"\nsteps = []', "'steps' cannot stand beside 'use'"),
    ],
)
def test_a_wrong_use_of_a_shipped_sequence_is_told(tmp_path: Path, body: str, said: str) -> None:
    assert f"sequences.hello: {said}" in fault(written(tmp_path, f"[sequences.hello]\n{body}\n"))


@pytest.mark.parametrize(
    "name",
    ["../secret.liquid", "/etc/passwd", "a/../../secret.liquid", "..\\secret.liquid", "C:secret", "\\\\host\\share", "", ".",
     "link.liquid", "folder/link.liquid", "a\\u0000b"],
)  # fmt: skip
def test_a_text_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (tmp_path / "secret.liquid").write_text("secret", "utf-8")
    for link in (home / "link.liquid", home / "folder" / "link.liquid"):
        link.symlink_to(tmp_path / "secret.liquid")
    said = fault(written(home, STEP + f'text_file = "{name}"'.replace("\\s", "\\\\s").replace("\\\\h", "\\\\\\\\h")))
    assert "sequences.hello.steps[first].text_file: " in said
    assert "secret" not in said.replace("secret.liquid", "").replace("C:secret", "")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.liquid").write_text("Hi", "utf-8")
    (tmp_path / "link.liquid").symlink_to("real.liquid")
    campaign = campaign_file.read(written(tmp_path, STEP + 'text_file = "link.liquid"'))
    assert campaign.sequences["hello"].steps[0].text == "Hi"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (STEP + 'text_file = "none.liquid"', "steps[first].text_file: "),
        (STEP + 'text = "Hi"\ntext_file = "none.liquid"', "steps[first] has both 'text' and 'text_file'"),
        (STEP + "text_file = 5", "steps[first].text_file must be the name of a file"),
        (STEP + "", "'sequences.hello.steps[first].text' is missing"),
        (STEP + 'subject_file = "x"', "unknown key 'sequences.hello.steps[first].subject_file'"),
        (STEP + 'text = "Hi"\nvariants = 5', "sequences.hello.steps[first].variants: must be a list"),
        (STEP + 'text = "Hi"\nvariants = [5]', "sequences.hello.steps[first].variants[1]: must be a table"),
        ("[sequences.hello]\nsteps = 5", "sequences.hello.steps: must be a list"),
        ("[sequences]\nhello = 5", "sequences.hello: must be a table"),
        ('[sequences]\nhello = "direct"', "sequences.hello: must be a table"),
        ("[seqences]", "unknown key 'seqences', did you mean 'sequences'?"),
    ],
)
def test_a_sequence_of_the_wrong_shape_is_told_with_its_place(tmp_path: Path, rest: str, said: str) -> None:
    assert said in fault(written(tmp_path, rest))


def test_sequences_that_are_no_table_are_told(tmp_path: Path) -> None:
    assert "sequences: must be a table" in fault(written(tmp_path, "", head="sequences = 5\n" + HEAD))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = 'x'\nmode = review\n", "is not TOML: Invalid value (at line 2"),
        (b"name = 'x'\nname = 'y'\n", "is not TOML: Cannot overwrite a value (at line 2"),
        (b"name = 'x'\n# Gr\xfc\xdfe\n", "is not UTF-8: line 2"),
        ("name = 'x'".encode("utf-16"), "is not UTF-8: line 1"),
        (b"name = '\0'", "is not TOML"),
        (b"name = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
        (b"name = " + b"[" * 5000, "is not TOML: maximum recursion depth"),
        (b"", "'name' is missing"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "campaign.toml"
    path.write_bytes(content)
    assert said in fault(path)
    assert str(path) in fault(path)


def test_a_missing_file_a_folder_a_pipe_and_a_huge_file_are_told(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.toml").endswith("cannot be read: No such file or directory")
    assert fault(tmp_path).endswith("is a folder or a device, not a file")
    os.mkfifo(tmp_path / "pipe")
    assert fault(tmp_path / "pipe").endswith("is a folder or a device, not a file")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(campaign_file.LARGEST + 1)
    assert "has more than 5 MB" in fault(tmp_path / "huge")


def test_the_starter_is_valid_in_review_mode_and_says_what_to_fill_in(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(campaign_file.example(), "utf-8")
    campaign = campaign_file.read(path)
    assert campaign.mode == "review"
    assert set(campaign.sequences) == set(campaign_file.shipped())
    assert {route.sequence for route in campaign.routes} == set(campaign.sequences)
    assert [obstacle.split(":")[0].split(",")[0] for obstacle in campaign.obstacles()] == [
        "No mailbox", "No postal address", "No sender's name", "Snippet 'offer' is empty", "Snippet 'proof' is empty",
    ]  # fmt: skip


def test_the_starter_may_send_once_it_is_filled_in(tmp_path: Path) -> None:
    text = campaign_file.example().replace('text = ""', 'text = "We help."')
    text = text.replace('\nname = ""', '\nname = "Ada"').replace(
        'postal_address = ""', 'postal_address = "1 Main Street"'
    )
    # What stands in comments is valid too.
    for line in ("[[mailboxes]]", "address =", "name =", "host =", "port =", "security =", "username =", "password_env =",
                 "daily_cap =", "[[snippets.problem]]", "[[snippets.opener]]", "text =", "when ="):  # fmt: skip
        text = text.replace(f"\n# {line}", f"\n{line}")
    path = tmp_path / "campaign.toml"
    path.write_text(text, "utf-8")
    campaign = campaign_file.read(path)
    assert campaign.obstacles() == []
    assert campaign.mailboxes[0].daily_cap == 30
    assert set(campaign.snippets) == {"offer", "proof", "problem", "opener"}


def test_a_written_campaign_is_read_with_the_same_digest(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(campaign_file.example(), "utf-8")
    campaign = campaign_file.read(path)
    path.write_text(campaign_file.write(campaign), "utf-8")
    again = campaign_file.read(path)
    assert again == campaign
    assert again.digest() == campaign.digest()
    assert campaign_file.write(again) == campaign_file.write(campaign)


TRICKY = st.text(st.sampled_from("ab \"'\\\r\n\t#=[]é☃\u2028\ufeff😀")) | st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="{")
)
FILLED = TRICKY.filter(str.strip)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
LABELS = TRICKY.map(lambda t: " ".join(t.splitlines()).replace("\t", " ")).filter(lambda t: 0 < len(t) <= 80)
PATHS = LABELS.filter(str.isprintable).map(lambda t: "in/" + re.sub(r"[/*\\]", "_", t) + ".csv")
WHEN = st.sampled_from(("tier = 'a'", "employees BETWEEN 1 AND 9 OR\n country IN ('de', 'a\"b')", "has(tech, 'é')"))
BOX = {"address": "a@b.de", "host": "h", "username": 'a"\\', "password_env": "P", "daily_cap": 0}
LEAD_WHEN = st.sampled_from(("employees > 3", "title LIKE '%\"x\"%'", "has(tech, 'c#')"))


def table(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


def several(entries: st.SearchStrategy[Any], *, least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(entries, min_size=least, max_size=3, unique_by=lambda entry: entry.get("name", id(entry)))


PARTS = several(table({"name": LABELS, "when": LEAD_WHEN, "points": st.integers(-100, 100)}), least=1)
GROUPS = st.dictionaries(
    NAMES, table({"parts": PARTS}, cap=st.integers(1, 100), unknown=st.integers(-9, 9)), min_size=1, max_size=3
)
VARIANTS = several(table({"name": NAMES, "subject": FILLED, "text": FILLED}, when=LEAD_WHEN, html=FILLED))
STEPS = several(
    table(
        {"name": NAMES, "subject": FILLED, "text": FILLED},
        wait_days=st.integers(0, 365),
        html=FILLED,
        variants=VARIANTS,
    ),
    least=1,
)
DOCUMENTS = table(
    {
        "name": NAMES,
        "icp": st.fixed_dictionaries({"fit": GROUPS, "opportunity": GROUPS}),
        "routes": several(table({"name": LABELS, "when": WHEN, "sequence": st.just("hello")}), least=1),
        "sequences": st.dictionaries(NAMES, table({"steps": STEPS}, about=TRICKY), max_size=2).flatmap(
            lambda more: table({"steps": STEPS}).map(lambda hello: {**more, "hello": hello})
        ),
    },
    mode=st.sampled_from(("review", "automatic")),
    timezone=st.sampled_from(("UTC", "Europe/Berlin")),
    sender=table({}, name=TRICKY, postal_address=TRICKY, opt_out=TRICKY),
    mailboxes=st.sampled_from(
        ([BOX], [{**BOX, "ramp": {"start": 2}}], [BOX, {**BOX, "address": "b@b.de", "ramp": {}}])
    ),
    window=table({}, end=st.times(min_value=time(9, 1)).map(str), days=st.just(["fri", "mon"])),
    sources=st.lists(table({"path": PATHS}), max_size=2),
    tiers=table({}, fit=st.just([100, 0]), table=st.just([["D", "d", "d"]] * 3)),
    rules=several(table({"name": LABELS, "when": WHEN, "then": st.sampled_from(("held", "rejected"))})),
    compatibility=table(
        {}, quiet_days=st.integers(0, 3650), blocked_countries=st.just(["DE"]), one_sequence_at_a_time=st.booleans()
    ),
    snippets=st.dictionaries(NAMES, st.lists(table({"text": TRICKY}, when=LEAD_WHEN), max_size=2), max_size=2),
)


@given(DOCUMENTS)
def test_any_campaign_comes_back_equal_from_its_file(document: dict[str, Any]) -> None:
    campaign = Campaign.parse(document, "given")
    text = campaign_file.write(campaign)
    again = Campaign.parse(tomllib.loads(text.encode().decode()), "written")
    assert again == campaign
    assert again.digest() == campaign.digest()
    assert campaign_file.write(again) == text


def test_equal_campaigns_are_written_as_equal_texts() -> None:
    document = tomllib.loads(
        HEAD + STEP + 'text = "Hi"\n[sequences.a]\nsteps = [{ name = "x", subject = "x", text = "x" }]'
    )
    turned = {**document, "sequences": dict(reversed(document["sequences"].items()))}
    assert campaign_file.write(Campaign.parse(document, "x")) == campaign_file.write(Campaign.parse(turned, "x"))
