"""Templates: what they may use, what a missing value does, and what a hostile one cannot do."""

import html
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.model import template
from touchline.model.columns import LEAD
from touchline.model.errors import InvalidInput
from touchline.model.template import LEAD_NAMES, LONGEST, NAMES, TemplateFailed, compiled, one_line

LEAD_ROW = {
    "first_name": "Ada", "last_name": None, "company": "  ", "role": "engineering", "employees": None,
    "budget": 50000.0, "tech": "|aws|python|", "intent": "||", "extra": '{"pain_point": "slow builds", "note": ""}',
    "sender": {"name": "Bo Marten", "company": ""}, "mailbox": {"name": "Bo"}, "snippets": {"offer": "We help."},
}  # fmt: skip


def rendered(text: str, **more: object) -> str:
    return compiled(text).render({**LEAD_ROW, **more})


def test_a_value_is_written_where_its_name_stands() -> None:
    assert rendered("Hi {{ first_name }}, {{ snippets.offer }} {{ sender.name }}") == "Hi Ada, We help. Bo Marten"


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("Hi {{ last_name }},", "last_name"),
        ("{{ last_name | upcase }}", "last_name"),
        ("{{ 'Dr ' | append: last_name }}", "last_name"),
        ("{{ employees | plus: 1 }}", "employees"),
        ("{% assign name = last_name %}{{ name }}", "last_name"),
        ("{% for word in intent %}{{ word }}{% endfor %}", "intent"),
        ("{{ intent | join: ', ' }}", "intent"),
        ("{{ last_name.size | plus: 1 }}", "last_name"),
        ("{{ extra.unheard }}", "extra.unheard"),
        ("{{ extra.note }}", "extra.note"),
        ("{{ sender.company }}", "sender.company"),
        ("{{ snippets.proof }}", "snippets.proof"),
        ("{{ last_name | default: company }}", "company"),
    ],
)
def test_a_missing_value_is_named_instead_of_leaving_a_gap(text: str, variable: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        rendered(text)
    assert failed.value.variable == variable
    assert variable in failed.value.message


def test_a_lead_without_a_first_name_is_never_greeted_with_a_gap() -> None:
    with pytest.raises(TemplateFailed) as failed:
        compiled("Hi {{ first_name }},").render({"first_name": None})
    assert failed.value.message == (
        "lead has no first_name: add a default, such as {{ first_name | default: 'there' }}"
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{ last_name | default: 'there' }}", "there"),
        ("{{ company | default: 'your company' }}", "your company"),
        ("{% if company %}at {{ company }}{% else %}there{% endif %}", "there"),
        ("{% unless last_name %}none{% endunless %}", "none"),
        ("{% if employees > 100 %}big{% else %}unknown{% endif %}", "unknown"),
        ("{% if last_name == nil %}none{% endif %}", "none"),
        ("{% if last_name contains 'x' %}x{% else %}no{% endif %}", "no"),
        ("{% case last_name %}{% when 'x' %}x{% else %}other{% endcase %}", "other"),
        ("{% if intent %}some{% else %}none{% endif %}", "none"),
        ("{{ extra.unheard | default: '-' }}", "-"),
        ("{% assign passage = '' %}{{ passage }}", ""),
    ],
)
def test_defaults_and_conditions_work_on_a_missing_value(text: str, result: str) -> None:
    assert rendered(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{ tech }}", "aws, python"),
        ("{{ tech | join: ' and ' }}", "aws and python"),
        ("{% for word in tech %}[{{ word }}]{% endfor %}", "[aws][python]"),
        ("{{ tech.size }} {{ tech[0] }} {{ tech.last }}", "2 aws python"),
        ("{% if tech contains 'aws' %}yes{% endif %}", "yes"),
    ],
)
def test_tags_of_a_lead_are_a_list(text: str, result: str) -> None:
    assert rendered(text) == result
    assert rendered(text, tech=["aws", "python"]) == result


def test_other_columns_of_the_source_stand_under_extra() -> None:
    assert rendered("{{ extra.pain_point }}") == "slow builds"
    assert rendered("{{ extra['pain_point'] }}", extra={"pain_point": "x"}) == "x"


def test_a_whole_amount_is_written_without_a_decimal_point() -> None:
    assert rendered("{{ budget }} {{ employees }}", employees=12) == "50000 12"


def test_the_variables_of_a_template_are_listed_dotted() -> None:
    text = (
        "{% assign own = role %}{{ own }}{{ first_name.size }}{{ tech[0] }}{{ extra.pain_point }}{{ snippets.offer }}"
        "{{ sender.name }}{% for word in intent %}{{ word }}{{ forloop.index }}{% endfor %}{{ city | default: country }}"
    )
    assert compiled(text).variables == {
        "role", "first_name", "tech", "extra.pain_point", "snippets.offer", "sender.name", "intent", "city", "country",
    }  # fmt: skip


def test_every_name_for_templates_is_a_column_of_a_lead() -> None:
    assert set(LEAD_NAMES) <= {column.name for column in LEAD}
    assert {"first_name", "sender.name", "mailbox.name"} <= NAMES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hi\n\n{% incl %}", "line 3: unexpected tag 'incl'"),
        ("{% include 'secrets' %}", "line 1: unexpected tag 'include'"),
        ("{% render 'secrets' %}", "line 1: unexpected tag 'render'"),
        ("Hi\n{{ first_name | dflt: 'x' }}", "line 2: unknown filter 'dflt', did you mean 'default'?"),
        ("{{ first_name | safe }}", "line 1: unknown filter 'safe'"),
        ("{{ 'now' | date: '%Y' }}", "line 1: unknown filter 'date'"),
        ("\n{{ first_name | }}", "line 2: expected word, found the end"),
        ("\n{{ first_name", "line 2: expected '}}', found end of file"),
        ("{% if first_name %}\nHi", "line 2: expected tag endif, found the end"),
        ("{{{ first_name }}}", "line 1: '{{{' is not Liquid"),
        ("Hi\n{% for i in (1..1000000000) %}x{% endfor %}", "line 2: a range such as (1..9) is not for messages"),
        ("{% assign i = (1..1000000000) %}", "line 1: a range such as (1..9) is not for messages"),
        ("{% if tech %}" * 21, "line 1: block nesting is over its limit"),
        ("{{ " + "extra[" * 2000 + "role" + "]" * 2000 + " }}", "its expressions are nested too deeply"),
        ("{% if " + "role or " * 60 + "role %}x{% endif %}", "line 1: its expressions are nested too deeply"),
        ("\n{{ " + "extra[" * 60 + "role" + "]" * 60 + " }}", "line 2: its expressions are nested too deeply"),
        ("{% if " + "role or " * 5000 + "role %}x{% endif %}", "its expressions are nested too deeply"),
        ("{{ role }}" * 1001, "at most"),
        ("x" * (LONGEST + 1), "at most"),
    ],
)
def test_a_fault_in_a_template_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as fault:
        compiled(text)
    assert said in fault.value.message


WORDS = "{% assign words = 'a b c d e f g h i j k l m n o p q r s t u v w x y z' | split: ' ' %}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WORDS + "{% for a in words %}{% for b in words %}{% for c in words %}x" + "{% endfor %}" * 3, "1000 turns"),
        ("{% assign x = 'ab' %}" + "{% assign x = x | append: x %}" * 40, "over its limit"),
        ("{% assign x = 99 %}" + "{% assign x = x | times: x %}" * 40, "over its limit"),
        ("{% assign x = 99 %}" + "{% assign x = x | times: x %}" * 12 + "{{ x }}", "cannot be rendered"),
        (WORDS + "{% for a in words %}{{ extra.long }}{% endfor %}", "over its limit"),
        ("{{ extra.long | replace: 'x', '" + "y" * 200 + "' }}", "replace puts in at most 100 characters"),
        ("{{ extra.long | append: extra.long | upcase }}", "upcase is given more than"),
        ("{{ role | divided_by: 0 }}", "can't divide by 0"),
        ("{% break %}", "unexpected 'break'"),
        ("{% if role > 3 %}{% endif %}", "not supported"),
        ("{{ extra.long | round: 2 | plus: first_name }}{{ tech | times: tech | join: 3 | slice: 'x' }}", "rendered"),
    ],
)
def test_work_without_end_ends_soon_with_a_reason(text: str, said: str) -> None:
    work = compiled(text)
    began = time.process_time()
    with pytest.raises(TemplateFailed) as failed:
        work.render({**LEAD_ROW, "extra": {"long": "x" * (LONGEST - 1)}})
    assert said in failed.value.message
    assert time.process_time() - began < 2


def test_extra_that_is_not_json_is_told() -> None:
    with pytest.raises(TemplateFailed, match="cannot be rendered"):
        rendered("{{ extra.note }}", extra="{")


def test_the_clock_is_out_of_reach() -> None:
    for name in ("now", "today"):
        assert compiled(f"{{{{ {name} }}}}").variables == {name}
        with pytest.raises(TemplateFailed):
            rendered(f"{{{{ {name} }}}}")


def test_liquid_in_a_value_is_text() -> None:
    assert rendered("{{ first_name }}", first_name="{{ sender.name }}{% if") == "{{ sender.name }}{% if"


def test_values_are_escaped_for_html_and_the_template_is_not() -> None:
    text = "<p>{{ first_name }} {{ company | default: 'R&amp;D' }}</p>"
    assert compiled(text).render({"first_name": "<b>&", "company": None}, html=True) == "<p>&lt;b&gt;&amp; R&amp;D</p>"
    assert compiled(text).render({"first_name": "<b>&", "company": None}) == "<p><b>& R&amp;D</p>"


FILTERS = ("", "| upcase", "| append: first_name", "| prepend: first_name", "| strip", "| newline_to_br",
           "| replace: 'a', first_name", "| truncate: 9", "| split: 'a' | join: first_name", "| slice: 0, 5",
           "| url_encode", "| default: 'x'", "| remove: 'a'", "| squish", "| capitalize", "| compact")  # fmt: skip


@given(st.text(st.sampled_from("<>&\"'a lt;\n"), max_size=20), st.sampled_from(FILTERS))
def test_no_filter_lets_markup_of_a_value_into_html(value: str, filters: str) -> None:
    try:
        result = compiled(f"{{{{ first_name {filters} }}}}").render({"first_name": value}, html=True)
    except TemplateFailed:
        return
    bare = result.replace("<br />", "")
    assert "<" not in bare
    assert ">" not in bare
    if not filters:
        assert html.unescape(result) == value


PLAIN = st.sampled_from(
    ("first_name", "budget", "extra", "extra.a", "extra[x]", "tech", "tech[0]", "tech.size", "sender.name", "x", "y", "'a'",
     "'%'", "''", "0", "-1", "1.5", "99999999999999999999", "nil", "true", "blank", "empty")
)  # fmt: skip
FILTERED = st.tuples(
    PLAIN, st.lists(st.tuples(st.sampled_from(template.FILTERS), st.lists(PLAIN, max_size=2)), max_size=3)
).map(lambda e: e[0] + "".join(f" | {name}{': ' * bool(given)}{', '.join(given)}" for name, given in e[1]))
CONDITIONS = st.tuples(PLAIN, st.sampled_from(("==", "!=", ">", "<=", "contains", "and", "or", "<>")), PLAIN).map(
    " ".join
)
BITS = st.one_of(
    st.text(max_size=3),
    FILTERED.map(lambda e: f"{{{{ {e} }}}}"),
    FILTERED.map(lambda e: f"{{% assign x = {e} %}}"),
)
BLOCKS = st.recursive(
    st.lists(BITS, max_size=4).map("".join),
    lambda inner: st.one_of(
        st.tuples(CONDITIONS, inner, inner).map("{{% if {0[0]} %}}{0[1]}{{% else %}}{0[2]}{{% endif %}}".format),
        st.tuples(PLAIN, inner).map("{{% for y in {0[0]} %}}{0[1]}{{% endfor %}}".format),
        st.tuples(PLAIN, PLAIN, inner).map("{{% case {0[0]} %}}{{% when {0[1]} %}}{0[2]}{{% endcase %}}".format),
        st.tuples(inner, inner).map("{{% capture x %}}{0[0]}{{% endcapture %}}{0[1]}".format),
        st.tuples(inner, st.integers(0, 40)).map(lambda b: b[0][: b[1]]),
    ),
    max_leaves=4,
)
VALUES = st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats(), st.booleans())


@given(BLOCKS, st.fixed_dictionaries({"first_name": VALUES, "budget": VALUES, "extra": VALUES | st.just({"a": 1})}))
def test_whatever_an_author_writes_ends_in_text_or_in_one_of_two_errors(text: str, values: dict[str, object]) -> None:
    try:
        assert isinstance(compiled(text).render({**values, "tech": "|a|b|"}), str)
    except (InvalidInput, TemplateFailed) as error:
        assert error.message  # noqa: PT017


@given(st.text() | st.text(st.sampled_from("a \r\n\t\0\x0b\x0c\x1c\x85\u2028\u2029\ud800\x7f")))
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in line)
    assert one_line(line) == line == line.strip(" ")
    line.encode()


def test_one_line_keeps_what_can_be_printed() -> None:
    assert one_line(" Grüße\r\nBcc: x@y.z \u2028 and more ") == "Grüße Bcc: x@y.z and more"


def test_equal_texts_share_one_template() -> None:
    assert compiled("Hi {{ first_name }}") is compiled("Hi {{ first_name }}")
