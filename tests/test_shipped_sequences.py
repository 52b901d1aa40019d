"""The shipped sequences: whatever is missing of a lead, each message reads as if a careful person wrote it."""

import itertools
import re
from collections.abc import Iterator

import pytest

from touchline.adapters.campaign_file import shipped
from touchline.model import template
from touchline.model.campaign import Sequence, Step, Variant

SEQUENCES = {name: Sequence.model_validate(body) for name, body in shipped().items()}
MESSAGES: dict[str, Step | Variant] = {
    f"{name}/{step.name}" + (f"/{message.name}" if message is not step else ""): message
    for name, sequence in SEQUENCES.items()
    for step in sequence.steps
    for message in (step, *step.variants)
}
each_sequence = pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
each_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)

PERSON = {"first_name": "Maria", "company": "Acme", "role": "engineering"}
SNIPPETS = {
    "offer": "We help hauliers get lorries through customs in hours.",
    "proof": "Nordfracht went from three days to four hours.",
    "opener": "I write to hauliers because we started out as one.",
    "problem": "Every border wants other papers, and one wrong line costs a day.",
}
ROLES = ("engineering", "it", "hr", "facility_management")


def renderings(text: str) -> Iterator[str]:
    """The text for every combination of what may be missing."""
    optional = [*PERSON, "sender.company", "opener", "problem"]
    for missing in itertools.chain.from_iterable(itertools.combinations(optional, n) for n in range(len(optional) + 1)):
        for role in ROLES if "role" not in missing else (None,):
            person = {name: None if name in missing else value for name, value in PERSON.items()}
            yield template.compiled(text).render(
                person
                | {"role": role}
                | {
                    "sender": {"name": "Ada Bell", "company": "" if "sender.company" in missing else "Hafen & Co"},
                    "snippets": {name: value for name, value in SNIPPETS.items() if name not in missing},
                }
            )


def test_three_sequences_of_five_messages_ship() -> None:
    assert {name: len(sequence.steps) for name, sequence in SEQUENCES.items()} == {
        "direct": 5,
        "problem-first": 5,
        "light-touch": 5,
    }


@each_sequence
def test_waits_grow_and_the_first_message_waits_for_nothing(sequence: Sequence) -> None:
    waits = [step.wait_days for step in sequence.steps]
    assert waits[0] == 0
    assert waits == sorted(set(waits))
    assert waits[1] >= 3


@each_sequence
def test_follow_ups_stay_in_the_thread(sequence: Sequence) -> None:
    assert [bool(step.subject) for step in sequence.steps] == [True, False, False, False, False]


def test_what_ships_uses_only_what_every_campaign_has() -> None:
    allowed = {"first_name", "company", "role", "sender.name", "sender.company"} | {
        f"snippets.{name}" for name in SNIPPETS
    }
    for message in MESSAGES.values():
        for text in (message.text, message.subject or ""):
            assert template.compiled(text).variables <= allowed


@each_message
def test_every_combination_of_missing_values_reads_well(message: Step | Variant) -> None:
    for text in renderings(message.text):
        assert re.match(r"Hi (Maria|there),\n\n[A-Z]", text)
        assert re.search(r"\n\nAda Bell(\nHafen & Co)?\n$", text)
        assert "\n\n\n" not in text
        assert not re.search(r"[ \t]$| {2}| [,.?:;]|\.\.|[,;:]\.|[{}%|_]|None", text, re.MULTILINE)
        assert not re.search(r"[.?] [a-z]", text)
        for paragraph in text.strip().split("\n\n")[1:-1]:
            assert re.fullmatch(r"[A-Z-].*[.?:]", paragraph, re.DOTALL), paragraph


@each_message
def test_subjects_are_short_and_whole(message: Step | Variant) -> None:
    for subject in set(renderings(message.subject or "Subject")):
        assert re.fullmatch(r"[A-Z][A-Za-z' ]+[a-zA-Z?]", subject)
        assert "  " not in subject
        assert len(subject) <= 45


@each_message
def test_messages_are_short_with_short_paragraphs(message: Step | Variant) -> None:
    for text in renderings(message.text):
        assert len(text.split()) <= 125
        assert all(len(paragraph.split()) <= 50 for paragraph in text.split("\n\n"))


@each_message
def test_each_message_stands_alone(message: Step | Variant) -> None:
    for text in renderings(message.text):
        assert text.count(SNIPPETS["offer"]) + text.count(SNIPPETS["problem"]) >= 1
        assert all(text.count(passage) <= 1 for passage in SNIPPETS.values())


@each_sequence
def test_each_message_asks_one_question_and_the_goodbye_none(sequence: Sequence) -> None:
    for step in sequence.steps:
        for message in (step, *step.variants):
            asked = {text.count("?") for text in renderings(message.text)}
            assert asked == ({0} if step is sequence.steps[-1] else {1})


@each_sequence
def test_the_last_message_says_goodbye(sequence: Sequence) -> None:
    assert sequence.steps[-1].name == "goodbye"
    for text in renderings(sequence.steps[-1].text):
        assert "all the best" in text
        assert "last message" in text or "leave it here" in text


PUSHY = (
    "circling back", "circle back", "touching base", "touch base", "bump", "following up", "follow up", "just checking", "quick",
    "reaching out", "reach out", "hope this finds", "hope you are", "haven't heard", "have not heard", "did you see", "as we discussed",
    "we spoke", "as promised", "no response", "ignored", "last chance", "limited", "act now", "don't miss", "guarantee", "revolution",
    "game", "cutting-edge", "leverage", "synergy", "exciting", "thrilled", "amazing", "love", "free", "!", "asap", "urgent",
    "impressed", "congrat", "noticed that you", "15 minutes", "hop on", "pick your brain", "unsubscribe", "opt out",
)  # fmt: skip


@each_message
def test_no_message_pushes_flatters_or_pretends(message: Step | Variant) -> None:
    wording = f"{message.subject or ''} {message.text}".lower()
    assert not [
        phrase
        for phrase in PUSHY
        if re.search(rf"\b{re.escape(phrase)}" if phrase.isalpha() else re.escape(phrase), wording)
    ]


@each_message
def test_no_message_shouts(message: Step | Variant) -> None:
    bare = re.sub(r"\{[{%].*?[%}]\}", "", message.text)
    assert not re.search(r"\b[A-Z]{2,}\b", bare)


@each_message
def test_a_message_without_the_campaigns_own_words_is_not_sent(message: Step | Variant) -> None:
    with pytest.raises(template.TemplateFailed) as failed:
        template.compiled(message.text).render({**PERSON, "sender": {"name": "Ada Bell"}, "snippets": {}})
    assert failed.value.variable in ("snippets.offer", "snippets.proof")


@each_message
def test_a_message_without_a_sender_is_not_sent(message: Step | Variant) -> None:
    with pytest.raises(template.TemplateFailed) as failed:
        template.compiled(message.text).render({**PERSON, "sender": {"name": ""}, "snippets": SNIPPETS})
    assert failed.value.variable == "sender.name"
