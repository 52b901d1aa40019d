"""Campaigns: what a file may say, and how each fault names its place and the likely right word."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from touchline.model.campaign import Campaign, Window
from touchline.model.errors import InvalidInput

DOCUMENT: dict[str, Any] = {
    "name": "spring",
    "sender": {"name": "Ada", "postal_address": "1 Main Street, Bath"},
    "mailboxes": [{"address": "Ada@example.com", "host": "smtp.example.com"}],
    "icp": {
        "fit": {"size": {"parts": [{"name": "mid", "when": "employees > 50", "points": 30}]}},
        "opportunity": {"budget": {"parts": [{"name": "any", "when": "budget > 0", "points": 30}]}},
    },
    "rules": [{"name": "good", "when": "tier = 'a' AND address_status = 'safe'", "then": "qualified"}],
    "routes": [{"name": "all", "when": "tier IS NOT NULL", "sequence": "hello"}],
    "snippets": {"offer": [{"when": "industry = 'software'", "text": "For {{ company }}."}, {"text": "We help."}]},
    "sequences": {
        "hello": {
            "steps": [
                {"name": "first", "subject": "Hi {{ first_name | default: 'there' }}", "text": "{{ snippets.offer }}"},
                {"name": "second", "text": "{{ sender.name }}", "variants": [{"name": "short", "text": "Hi"}]},
            ]
        }
    },
}


def parsed(*path: object, value: object = None) -> Campaign:
    """The campaign with one value of the document put in place of another."""
    document = copy.deepcopy(DOCUMENT)
    if path:
        here: Any = document
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = value
    return Campaign.parse(document, "spring.toml")


def fault(*path: object, value: object = None) -> str:
    with pytest.raises(InvalidInput) as error:
        parsed(*path, value=value)
    assert error.value.message.startswith("spring.toml: ")
    return error.value.message.removeprefix("spring.toml: ")


def test_a_sound_document_is_a_campaign() -> None:
    campaign = parsed()
    assert campaign.mode == "review"
    assert campaign.mailboxes[0].address == "ada@example.com"
    assert campaign.zone().key == "UTC"
    assert campaign.obstacles() == []


SIZE = ("icp", "fit", "size")
STEP = ("sequences", "hello", "steps", 1)


@pytest.mark.parametrize(
    ("path", "place", "meant"),
    [
        (("tmezone",), "tmezone", "timezone"),
        (("icp", "fitt"), "icp.fitt", "fit"),
        ((*SIZE, "unknwn"), "icp.fit.size.unknwn", "unknown"),
        ((*SIZE, "parts", 0, "pionts"), "icp.fit.size.parts[mid].pionts", "points"),
        ((*STEP, "wait_dys"), "sequences.hello.steps[second].wait_dys", "wait_days"),
        ((*STEP, "variants", 0, "txt"), "sequences.hello.steps[second].variants[short].txt", "text"),
        (("mailboxes", 0, "dayly_cap"), "mailboxes[Ada@example.com].dayly_cap", "daily_cap"),
        (("snippets", "offer", 0, "whn"), "snippets.offer[1].whn", "when"),
        (("sender", "postal_adress"), "sender.postal_adress", "postal_address"),
        (("compatibility",), "compatibility", None),
    ],
)
def test_a_typo_in_a_key_is_named_with_the_right_key(path: tuple[object, ...], place: str, meant: str | None) -> None:
    said = fault(*path, value={"queit_days": 3} if meant is None else "x")
    if meant is None:
        place, meant = f"{place}.queit_days", "quiet_days"
    assert said == f"unknown key {place!r}, did you mean {meant!r}?"


def test_a_group_with_the_name_of_a_key_confuses_no_suggestion() -> None:
    group = {"parts": [{"name": "mid", "when": "employees > 50", "points": 30}], "unknwn": 1}
    assert fault("icp", "fit", "parts", value=group) == "unknown key 'icp.fit.parts.unknwn', did you mean 'unknown'?"


def test_a_key_like_no_other_is_named_without_a_suggestion() -> None:
    assert fault("zzz", value=1) == "unknown key 'zzz'"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("routes", 0, "sequence"), "helo",
         "route 'all' leads to sequence 'helo', which is not in [sequences], did you mean 'hello'?"),
        ((*STEP, "text"), "{{ fist_name }}",
         "sequences.hello.steps[second].text uses 'fist_name', which no lead has, did you mean 'first_name'?"),
        ((*STEP, "variants", 0, "text"), "{{ snippets.offr }}",
         "sequences.hello.steps[second].variants[short].text uses 'snippets.offr', which is not there, did"),
        ((*STEP, "text"), "{{ snippets.zzzzzzzzz }}",
         "sequences.hello.steps[second].text uses 'snippets.zzzzzzzzz', which is not there: write"),
        (("snippets", "offer", 1, "text"), "{{ wishes }}",
         "snippets.offer[2].text uses 'wishes', which no lead has; columns of your own stand under extra"),
        ((*STEP, "text"), "Hi\n{{ first_name | defualt: 'x' }}",
         "sequences.hello.steps[second].text: line 2: unknown filter 'defualt', did you mean 'default'?"),
        (("rules", 0, "when"), "tire = 'a'",
         "rules[good].when: rule \"tire = 'a'\", character 1: no column 'tire', did you mean 'tier'?"),
        ((*SIZE, "parts", 0, "when"), "fit > 3",
         "icp.fit.size.parts[mid].when: rule 'fit > 3', character 1: column 'fit' is not known yet"),
        (("snippets", "offer", 0, "when"), "employes > 3", "snippets.offer[1].when: rule 'employes > 3', character 1"),
        (("routes",), [], "routes: needs at least one entry"),
        (("routes",), "x", "routes: must be a list (given: 'x')"),
        (("icp", "fit"), "x", "icp.fit: must be a table (given: 'x')"),
        (("name",), 5, "name: must be text, in quotes (given: '5')"),
        (("name",), "Spring 2027", "name: use lower-case letters, digits, '-' and '_', and start with"),
        (("mode",), "auto", "mode: Input should be 'review' or 'automatic' (given: 'auto')"),
        (("timezone",), "Europe/Berln", "timezone: 'Europe/Berln' is not an IANA time zone, did you mean 'Europe/Berlin'?"),
        (("timezone",), "nowhere at all", "timezone: 'nowhere at all' is not an IANA time zone"),
        (("compatibility",), {"blocked_countries": ["deu"]}, "compatibility.blocked_countries[1]: 'deu' is not a two-letter"),
        (("icp", "opportunity"), {}, "icp.opportunity: needs at least one entry"),
        ((*STEP, "name"), "first", "sequences.hello: names of steps and variants must differ: first, first"),
        (("sequences", "hello", "steps", 0, "variants"), [{"name": "x", "text": "Hi"}],
         "sequences.hello: the first step needs a subject, in each of its variants too"),
        (("rules", 0, "name"), "two\nlines", "rules[1].name: a name is one line, without tabs"),
        ((*STEP, "text"), "bell\a", "sequences.hello.steps[second].text: the character U+0007 cannot be printed or sent"),
        ((*STEP, "text"), "\ud800", "sequences.hello.steps[second].text: the character U+D800 cannot be printed or sent"),
        (("sequences", "Bad Name"), {"steps": []}, "sequences.Bad Name: use lower-case letters"),
        ((*STEP, "text"), " \n", "sequences.hello.steps[second].text: is empty"),
        (("sequences", "hello", "steps", 0, "subject"), "", "sequences.hello.steps[first].subject: is empty"),
        (("tiers",), {"fit": [70]}, "'tiers.fit[2]' is missing"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(path: tuple[object, ...], value: object, said: str) -> None:
    assert fault(*path, value=value).startswith(said)


def test_a_missing_key_is_named() -> None:
    assert "'icp.opportunity' is missing" in fault("icp", value={"fit": DOCUMENT["icp"]["fit"]})


def test_every_fault_of_a_file_is_told_at_once_and_none_twice() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["routes"][0]["when"] = "tire = 'a'"
    document["mode"] = "auto"
    with pytest.raises(InvalidInput) as error:
        Campaign.parse(document, "spring.toml")
    assert [line.split(":")[0] for line in error.value.message.removeprefix("spring.toml: ").splitlines()] == [
        "mode",
        "routes[all].when",
    ]


@pytest.mark.parametrize("what", ["rules", "routes", "mailboxes"])
def test_two_entries_with_one_name_are_refused(what: str) -> None:
    assert fault(what, value=DOCUMENT[what] * 2).startswith(f"two {what} share a name: ")


@pytest.mark.parametrize(
    "address", ["Ada <ada@example.com>", "mailto:ada@example.com", " ada@example.com", "a@b@c", "ada", "ada@example.com\n", "ü@x.de"]
)  # fmt: skip
def test_a_mailbox_has_a_plain_address(address: str) -> None:
    assert "is not a plain e-mail address" in fault("mailboxes", 0, "address", value=address)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"username": "ada"}, "username and password_env go together"),
        ({"password_env": "SECRET"}, "username and password_env go together"),
        ({"username": "a", "password_env": "S", "security": "none"}, "a password never travels without TLS"),
        ({"name": "Ada\nBcc: x@y.z"}, "a name is one line"),
        ({"host": ""}, "at least 1 character"),
        ({"port": 70000}, "less than or equal to 65535"),
    ],
)
def test_a_mailbox_that_could_not_log_in_safely_is_refused(more: dict[str, object], said: str) -> None:
    assert said in fault("mailboxes", value=[{**DOCUMENT["mailboxes"][0], **more}])


def test_a_mailbox_on_this_machine_may_log_in_without_tls() -> None:
    box = {"address": "a@b.de", "host": "localhost", "security": "none", "username": "a", "password_env": "S"}
    assert parsed("mailboxes", value=[box]).mailboxes[0].password_env == "S"


@pytest.mark.parametrize("key", ["password", "password_env"])
@pytest.mark.parametrize("secret", ["hunter2-geheim", 424242])
def test_a_password_in_the_file_is_refused_and_not_repeated(key: str, secret: object) -> None:
    said = fault("mailboxes", value=[{**DOCUMENT["mailboxes"][0], "username": "ada", key: secret}])
    assert "password_env" in said
    assert str(secret) not in said


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": "18:00"}, "the window must end after it starts"),
        ({"start": "09:00", "end": "09:00"}, "the window must end after it starts"),
        ({"days": ["mon", "sun"]}, "weekends are never used"),
        ({"days": []}, "at least one weekday"),
        ({"days": ["monday"]}, "window.days[1]"),
        ({"start": "09:00Z", "end": "17:00Z"}, "without an offset"),
        ({"start": "09:00Z"}, "without an offset"),
    ],
)
def test_a_window_lies_within_a_working_day(window: dict[str, object], said: str) -> None:
    assert said in fault("window", value=window)


def test_a_window_may_be_written_with_or_without_seconds() -> None:
    assert parsed("window", value={"start": "09:00", "end": "17:00:00"}).window == Window()


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ({"fit": [40, 65]}, "fit must be [high, medium]"),
        ({"opportunity": [101, 3]}, "opportunity must be [high, medium]"),
        ({"table": "abc"}, "tiers.table: must be a list"),
        ({"table": ["a", "b", "c"]}, "tiers.table[1]: must be a list"),
        ({"table": [["a", "b", 1]] * 3}, "tiers.table[1][3]"),
        ({"table": [["a", "b", "x"]] * 3}, "tiers.table[1][3]: Input should be 'a', 'b', 'c' or 'd'"),
    ],
)
def test_tiers_are_a_table_of_three_by_three(tiers: dict[str, object], said: str) -> None:
    assert said in fault("tiers", value=tiers)


def test_tiers_may_be_written_in_capitals() -> None:
    assert parsed("tiers", value={"table": [["A", "A", "B"], ["B", "B", "C"], ["C", "D", "D"]]}) == parsed()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("mailboxes",), [], "No mailbox"),
        (("sender", "postal_address"), " ", "No postal address"),
        (("sender", "opt_out"), "", "No visible opt-out"),
        (("sender", "name"), "", "No sender's name"),
        (("snippets", "offer"), [{"text": ""}, {"text": "\n"}], "Snippet 'offer' is empty"),
    ],
)
def test_what_keeps_a_campaign_from_sending_is_an_obstacle(path: tuple[object, ...], value: object, said: str) -> None:
    (obstacle,) = parsed(*path, value=value).obstacles()
    assert obstacle.startswith(said)


@pytest.mark.parametrize(
    ("path", "value"), [(("snippets", "unused"), [{"text": ""}]), (("snippets", "offer", 0, "text"), "")]
)
def test_an_empty_passage_that_is_not_needed_is_no_obstacle(path: tuple[object, ...], value: object) -> None:
    assert parsed(*path, value=value).obstacles() == []


def test_a_campaign_comes_back_from_its_stored_form_with_the_same_digest() -> None:
    campaign = parsed()
    again = Campaign.from_json(campaign.as_json())
    assert again == campaign
    assert again.digest() == campaign.digest()


def test_the_digest_follows_content_and_not_order_or_defaults() -> None:
    turned = dict(reversed(DOCUMENT.items())) | {"mode": "review", "timezone": "UTC"}
    assert Campaign.parse(turned, "x").digest() == parsed().digest()
    assert parsed("name", value="autumn").digest() != parsed().digest()


def test_a_document_leaves_out_what_is_the_default() -> None:
    document = parsed().as_document()
    assert "mode" not in document
    assert "window" not in document
    assert document["mailboxes"] == [{"address": "ada@example.com", "host": "smtp.example.com"}]


def test_line_ends_of_any_system_are_the_same_text() -> None:
    assert parsed(*STEP, "text", value="a\r\nb\rc") == parsed(*STEP, "text", value="a\nb\nc")


def test_a_passage_has_no_blanks_around_it() -> None:
    assert parsed("snippets", "offer", value=[{"text": "\nWe help.\n"}]).snippets["offer"][0].text == "We help."


def test_columns_of_ones_own_may_stand_in_templates() -> None:
    assert parsed(*STEP, "text", value="{{ extra.pain_point }}").obstacles() == []


def test_country_codes_are_lower_case() -> None:
    campaign = parsed("compatibility", value={"blocked_countries": ["DE", "fr"]})
    assert campaign.compatibility.blocked_countries == ("de", "fr")


def test_every_template_is_listed_with_its_place() -> None:
    assert [place for place, _ in parsed(*STEP, "html", value="<p>Hi</p>").templates()] == [
        "snippets.offer[1].text",
        "snippets.offer[2].text",
        "sequences.hello.steps[first].subject",
        "sequences.hello.steps[first].text",
        "sequences.hello.steps[second].text",
        "sequences.hello.steps[second].html",
        "sequences.hello.steps[second].variants[short].text",
    ]


@pytest.mark.parametrize(
    "change", [lambda c: setattr(c, "mode", "automatic"), lambda c: setattr(c.window, "holidays", True)]
)
def test_a_campaign_does_not_change_after_reading(change: Callable[[Campaign], None]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        change(parsed())
