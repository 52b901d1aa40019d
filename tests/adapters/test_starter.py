"""What `touchline init` writes: a valid campaign whatever is answered, and nothing over a file that is there."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.adapters import campaign_file
from touchline.adapters.starter import CAMPAIGN, Answers, campaign_of, prepare
from touchline.model.campaign import Campaign
from touchline.model.errors import InvalidInput, Misconfigured, Refused
from touchline.settings import Settings, load

WHOLE = Answers("Mara", "mara@firm1.com", "1 Example Row", "We help.", "It worked.")
SENTENCES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="{"), max_size=30)


def in_home(home: Path, **values: Any) -> Settings:
    return Settings().model_copy(update={"home": home, **values})


def test_nothing_answered_is_the_example_as_it_ships() -> None:
    assert campaign_of(Answers()) == campaign_file.example()


def test_a_whole_answer_leaves_nothing_missing(tmp_path: Path) -> None:
    prepared = prepare(in_home(tmp_path), WHOLE, "")
    assert prepared.missing == []
    prepared.write()
    campaign = campaign_file.read(tmp_path / CAMPAIGN)
    assert (campaign.sender.name, campaign.sender.postal_address) == ("Mara", "1 Example Row")
    assert campaign.snippets["offer"][0].text == "We help."
    assert campaign.snippets["proof"][0].text == "It worked."
    assert [(m.address, m.host, m.username) for m in campaign.mailboxes] == [
        ("mara@firm1.com", "smtp.firm1.com", "mara@firm1.com")
    ]
    assert load(tmp_path).database_url == "sqlite:///touchline.db"


@given(SENTENCES, SENTENCES, SENTENCES)
def test_any_printable_answer_stands_in_the_campaign_as_one_line(name: str, place: str, offer: str) -> None:
    document = tomllib.loads(campaign_of(Answers(name, "mara@firm1.com", place, offer, "")))
    assert document["sender"]["name"] == " ".join(name.split())
    assert document["sender"]["postal_address"] == " ".join(place.split())
    assert document["snippets"]["offer"][0]["text"] == " ".join(offer.split())
    assert document["mailboxes"][0]["name"] == " ".join(name.split()) or not name.strip()
    document["sequences"] = {key: campaign_file.shipped()[key] for key in document["sequences"]}
    Campaign.parse(document, "campaign.toml")


@pytest.mark.parametrize(
    "answers", [Answers(email="nobody"), Answers(sender="a\x07b"), Answers(offer="{{ x"), Answers(proof="a\x7fb")]
)
def test_an_answer_that_cannot_be_used_is_refused_before_anything_is_written(tmp_path: Path, answers: Answers) -> None:
    with pytest.raises(InvalidInput, match=r"^campaign.toml: ") as refused:
        prepare(in_home(tmp_path / "new"), answers, "")
    assert "nothing was written" in refused.value.hint
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    for name in ("touchline.toml", CAMPAIGN):
        (tmp_path / name).write_text("")
    prepared = prepare(in_home(tmp_path), WHOLE, "")
    assert (prepared.texts, prepared.missing) == ({}, [])


def test_another_database_is_taken_only_where_none_is_named(tmp_path: Path) -> None:
    url = "postgresql://me@host/mine"
    prepared = prepare(in_home(tmp_path), WHOLE, url)
    assert prepared.settings.database_url == url
    assert tomllib.loads(prepared.texts[tmp_path / "touchline.toml"])["database_url"] == url
    with pytest.raises(Refused):
        prepare(in_home(tmp_path, database_url="sqlite:///other.db"), WHOLE, url)
    (tmp_path / "touchline.toml").write_text("")
    with pytest.raises(Refused):
        prepare(in_home(tmp_path), WHOLE, url)


def test_a_database_named_by_the_environment_is_not_written_down(tmp_path: Path) -> None:
    text = prepare(in_home(tmp_path, database_url="postgresql://me:secret@host/mine"), WHOLE, "").texts
    assert "secret" not in text[tmp_path / "touchline.toml"]
    assert "database_url" not in tomllib.loads(text[tmp_path / "touchline.toml"])


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be written"):
        prepare(in_home(tmp_path / "file"), WHOLE, "")
    prepared = prepare(in_home(tmp_path / "new"), WHOLE, "")
    (tmp_path / "new" / "touchline.toml").mkdir()
    with pytest.raises(Misconfigured, match="cannot be written"):
        prepared.write()
