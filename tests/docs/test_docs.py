"""The documentation is true: every block runs, every command and option exists, every link leads somewhere."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.main import get_command

from newcomer import LEADS, campaign
from touchline.adapters import campaign_file
from touchline.cli import app, reference
from world import TUESDAY, WEDNESDAY, World

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"cli.md": reference.commands, "configuration.md": reference.configuration}
TREE: Any = get_command(app)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    language, begin, text = None, 0, list[str]()
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if language is None and line.startswith("```"):
            language, begin, text = line[3:], number, []
        elif line == "```":
            assert language is not None, f"{page.name}:{number} closes what is not open"
            yield Block(page, begin, language, "\n".join(text))
            language = None
        else:
            text.append(line)
    assert language is None, f"{page.name}:{begin} is not closed"


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of_language(name: str) -> Any:
    found = [block for block in BLOCKS if block.language == name]
    return pytest.mark.parametrize("block", found, ids=map(str, found))


def leaves(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, *path, name)
    if not hasattr(command, "commands"):
        yield path, command


def check_command(words: list[str]) -> None:
    """The words after `touchline` name a command, and each option is one of its own."""
    command, rest = TREE, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    known = {"--help", *(option for p in command.params for option in p.opts)}
    assert not hasattr(command, "commands") or (rest and rest[0] in known), f"touchline {' '.join(words)}: no command"
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= known, f"touchline {' '.join(words)}: no option {given - known}"


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_what_the_code_says_now(page: str) -> None:
    written = (ROOT / "docs" / page).read_text("utf-8")
    assert written == GENERATED[page](), "run: python -m touchline.cli.reference docs"


def test_every_command_and_option_is_documented_with_its_meaning() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for path, command in leaves(TREE):
        assert f"\n## touchline {' '.join(path)}\n\n{command.help}\n" in page
        for parameter in command.params:
            assert parameter.help, f"{' '.join(path)}: {parameter.name} says nothing"


def test_every_block_is_of_a_language_that_is_tested() -> None:
    assert not [str(block) for block in BLOCKS if block.language not in ("console", "sh", "toml")]


PREPARED = {
    "README.md": (),
    "quickstart.md": (),
    "pipeline.md": (("import", "leads.csv", "-c", "first"),),
    "monitoring.md": (("import", "leads.csv", "-c", "first"),),
    "api.md": (("import", "leads.csv", "-c", "first"),),
    "web.md": (("import", "leads.csv", "-c", "first"),),
    "running.md": (("run", "-c", "first", "--until", "nurture"),),
    "troubleshooting.md": (
        ("import", "leads.csv", "-c", "first"),
        ("run", "-c", "first", "--until", "nurture"),
        ("outbox", "approve", "1"),
    ),
}
"""Commands that have been run before a page's story begins."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language == "console" for b in blocks(page))], ids=lambda p: p.name
)
def test_every_console_line_of_a_page_runs_in_order(page: Path, sqlite_world: World) -> None:
    world = sqlite_world
    (world.home / "leads.csv").write_text(LEADS, "utf-8")
    (world.home / "campaign.toml").write_text(campaign(world.smtp.port), "utf-8")
    if before := PREPARED[page.name]:
        world.run("init", "--yes")
        world.run("campaign", "apply", "campaign.toml")
        for argv in before:
            world.run(*argv)
    now, done = TUESDAY, list[str]()
    for block in (b for b in blocks(page) if b.language == "console"):
        for line in filter(None, block.text.splitlines()):
            program, *words = shlex.split(line.removeprefix("$ "))
            assert line.startswith("$ "), f"{block}: {line}"
            if program == "make":
                assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
            else:
                assert program == "touchline", line
                check_command(words)
                world.run(*words, now=now)
            done.append(line)
            if words[:2] == ["outbox", "approve"]:
                now = WEDNESDAY  # the recipient's window opens
    assert done
    if page.name == "quickstart.md":
        assert [m.rcpt_to for m in world.smtp.messages] == [("anna.berg@firm1.com",)]


@of_language("toml")
def test_a_toml_block_is_valid_inside_a_campaign(block: Block, tmp_path: Path) -> None:
    def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        both = {key: merged(one[key], value) for key, value in other.items() if isinstance(value, dict) and key in one}
        return {**one, **other, **both}

    file = tmp_path / "campaign.toml"
    whole = merged(tomllib.loads(campaign_file.example()), tomllib.loads(block.text))
    file.write_text(tomli_w.dumps(whole), "utf-8")
    campaign_file.read(file)


@of_language("sh")
def test_a_shell_block_is_shell_and_its_commands_exist(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "touchline":
            check_command(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_in_a_sentence_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for said in re.findall(r"`touchline ([a-z][^`]*)`", text):
        if not said.endswith("[OPTIONS]"):
            check_command(shlex.split(said))


def slugs(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            there = (page.parent / name).resolve() if name else page
            assert there.is_file(), target
            assert not anchor or anchor in slugs(there), target
