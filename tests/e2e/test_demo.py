"""The demo runs from one end to the other, and the same seed tells the same story."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def demo(home: Path, seed: int = 7) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "touchline", "demo", "--seed", str(seed), "--leads", "300", "--home", str(home)],
        env={k: v for k, v in os.environ.items() if not k.startswith("TOUCHLINE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    home = tmp_path_factory.mktemp("demo")
    return demo(home / "one"), home / "one"


def test_the_demo_shows_everything_it_promises(told: tuple[str, Path]) -> None:
    text, home = told
    rows, *outcomes = map(int, re.search(
        r"(\d+) rows became (\d+) new, (\d+) updated, (\d+) duplicate, (\d+) suppressed, (\d+) rejected", text
    ).groups())  # fmt: skip
    assert rows == 300 == sum(outcomes)
    assert text.count("$ touchline explain") == 4
    assert len(re.findall(r"-> tier [ABD] ", text)) >= 3
    assert "In-Reply-To:" in text, "a follow-up is among the messages shown"
    assert str(home / "touchline.db") in text
    sent = sum(int(n) for n in re.findall(r"(\d+) sent", text))
    assert sent == len(list((home / "mail").glob("*.eml"))) > 0


def test_the_same_seed_gives_the_same_bytes(told: tuple[str, Path], tmp_path: Path) -> None:
    def comparable(text: str, home: Path) -> str:
        # The free disk space and the ports are this moment's.
        return re.sub(r"[\d.]+ GB free", "", text).replace(str(home), "HOME")

    again = demo(tmp_path / "two")
    assert comparable(again, tmp_path / "two") == comparable(*told)
    mails = [sorted(p.read_bytes() for p in (home / "mail").glob("*.eml")) for home in (told[1], tmp_path / "two")]
    assert mails[0] == mails[1]


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    done = subprocess.run(
        [sys.executable, "-m", "touchline", "demo", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77
    assert "not a demo" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "keep me"
