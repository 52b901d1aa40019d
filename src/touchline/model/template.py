"""Liquid templates by authors who are not trusted: checked when read, strict on missing values, bounded in work."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, wraps
from typing import Any, Final, NoReturn

from liquid import BoundTemplate, Environment, Node, RenderContext, Token, Undefined
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterError, LiquidError, LoopIterationLimitError, UndefinedError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.utils import ReadOnlyChainMap

from touchline.model.columns import COLUMNS, Kind
from touchline.model.errors import InvalidInput, Permanent

LEAD_NAMES: Final = (
    "first_name", "last_name", "title", "seniority", "role", "company", "domain", "industry", "employees", "tech",
    "stage", "country", "region", "city", "language", "budget", "timeline_months", "intent", "email",
)  # fmt: skip
OPTIONAL_SNIPPETS: Final = ("snippets.opener", "snippets.problem")
"""Passages that the shipped sequences use where a campaign has them."""
NAMES: Final = frozenset((*LEAD_NAMES, "sender.name", "sender.company", "mailbox.name", *OPTIONAL_SNIPPETS))
"""What a template may use in every campaign; `extra.` and the campaign's own `snippets.` come on top."""

LONGEST: Final = 100_000
"""Characters of a template, of a value in a filter and of the locals; bytes of a rendered text."""
MOST_TAGS: Final = 1_000
DEEPEST: Final = 50
"""Expressions within each other; terms of one condition."""
MOST_TURNS: Final = 1_000
"""Turns of all loops in one rendering."""
LONGEST_INSERT: Final = 100
"""Characters that `replace` and `join` may put in many places."""

TAGS: Final = (
    "content", "output", "illegal", "comment", "#", "if", "unless", "case", "for", "break", "continue", "assign",
    "capture",
)  # fmt: skip
"""No include and render (nothing is loaded), no counters, no tables. The first three are literals, {{ }} and faults."""
FILTERS: Final = (
    "append", "at_least", "at_most", "capitalize", "ceil", "compact", "concat", "default", "divided_by", "downcase",
    "first", "floor", "join", "last", "lstrip", "minus", "newline_to_br", "plus", "prepend", "remove", "replace",
    "reverse", "round", "rstrip", "size", "slice", "split", "squish", "strip", "times", "truncate", "truncatewords",
    "uniq", "upcase", "url_encode",
)  # fmt: skip
"""No `date` (it reads the clock), no `safe` (it lets a lead's own markup through)."""

SPACES = ("sender", "mailbox", "snippets", "extra")
PROPERTIES = ("size", "first", "last")
WORD_LISTS = tuple(name for name in LEAD_NAMES if COLUMNS[name].kind is Kind.TAGS)
TOO_DEEP = "its expressions are nested too deeply"
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
SURROGATES = re.compile(r"[\ud800-\udfff]")


class TemplateError(InvalidInput, ValueError):
    """A text is not a template, or not one that messages may use.

    It is a ValueError too, so that pydantic collects it with the other faults of a campaign file.
    """


class TemplateFailed(Permanent):
    """A template cannot be rendered with these values.

    Args:
        variable: Dotted name of the value that is missing; empty for other causes.
    """

    exit_code = 65  # EX_DATAERR

    def __init__(self, message: str, *, variable: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.variable = variable


class Template:
    """A checked template; make it with `compiled`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain = _parsed(text, PLAIN)
        _check_expressions(text, self._plain)
        found = self._plain.analyze(include_partials=False)
        _check_filters(text, found.filters)
        self.variables: frozenset[str] = frozenset(
            _dotted(use.segments) for uses in found.globals.values() for use in uses
        )
        """Names that must come from outside, dotted: `first_name`, `snippets.offer`, `extra.pain_point`."""
        self._lists = tuple(name for name in WORD_LISTS if name in self.variables)
        self._extra = any(name.startswith("extra.") for name in self.variables)

    @cached_property
    def _html(self) -> BoundTemplate:
        return _parsed(self.text, HTML)

    def render(self, values: Mapping[str, object], *, html: bool = False) -> str:
        """The text for one lead.

        Args:
            values: A row of leads as it is stored (lists as `|a|b|`, `extra` as JSON), with the mappings `sender`,
                `mailbox` and `snippets`. None, blank text and empty lists count as missing.
            html: Escape values for HTML; the template's own text is not touched.

        Raises:
            TemplateFailed: A value is missing where the template writes it or works with it, other than through
                `default` or a condition; or the template does more work than a message needs.
        """
        template = self._html if html else self._plain
        buffer = LimitedStringIO(LONGEST)
        try:
            template.render_with_context(_Context(template, self._given(values)), buffer)
        except UndefinedError as error:
            raise _missing(str(error.message)) from None
        except (LiquidError, ArithmeticError, ValueError, TypeError) as error:
            raise TemplateFailed(f"the template cannot be rendered: {_cause(self.text, error)}") from error
        return buffer.getvalue()

    def _given(self, values: Mapping[str, object]) -> dict[str, object]:
        given = dict(values)
        for name in self._lists:
            given[name] = _words(given.get(name))
        if self._extra and isinstance(extra := given.get("extra"), str):
            given["extra"] = json.loads(extra)
        return given


@lru_cache(maxsize=4096)
def compiled(text: str) -> Template:
    """The template of a text, checked: syntax, names of tags and filters, and size. Equal texts share one.

    Raises:
        TemplateError: With the line and what is wrong there.
    """
    return Template(text)


def one_line(text: str) -> str:
    """Text for a subject or a name: blanks, control characters and line separators in a row become one space.

    Lone surrogates, which no encoding has, become U+FFFD.
    """
    return SURROGATES.sub("\ufffd", UNPRINTABLE.sub(" ", text)).strip(" ")


class _Words(tuple[str, ...]):
    """A list of words that reads well when a template writes it without `join`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(self)


def _words(value: object) -> object:
    if isinstance(value, str):
        return _Words(word for word in value.split("|") if word)
    return _Words(map(str, value)) if isinstance(value, list | tuple) else value


class _Missing(Undefined):
    """A value that is not there: false in conditions, replaced by `default`, an error for everything else."""

    __slots__ = ()
    force_liquid_default = True

    def _refuse(self, *_: object) -> NoReturn:
        raise UndefinedError(self.name, token=self.token)

    __str__ = __int__ = __len__ = __iter__ = __reversed__ = __contains__ = __getitem__ = _refuse
    __hash__ = Undefined.__hash__


class _Context(RenderContext):
    """Names without the clock (`now`, `today`), missing values that stand out, and one budget for all loops."""

    __slots__ = ("_turns",)

    def __init__(self, template: BoundTemplate, values: Mapping[str, object]) -> None:
        super().__init__(template, globals=values)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)
        self._turns = 0

    def get(self, path: list[object], *, token: Token | None, default: object = None) -> object:  # noqa: ARG002
        found = super().get(path, token=token, default=None)
        if isinstance(found, str):
            # A passage that the template itself left empty is meant.
            gone = not found.strip() and path[0] not in self.locals
        elif isinstance(found, float) and found.is_integer():
            return int(found)  # an amount is written as 50000, not as 50000.0
        else:
            gone = found is None or (isinstance(found, _Words) and not found)
        return _Missing(_dotted(path), token=token) if gone else found

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self._turns += length
        if self._turns > MOST_TURNS:
            raise LoopIterationLimitError(f"its loops take more than {MOST_TURNS} turns", token=None)


class _Environment(Environment):
    block_nesting_limit = 20
    local_namespace_limit = LONGEST
    output_stream_limit = LONGEST

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: self.tags[name] for name in TAGS}
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS}

    def error(
        self, exc: type[LiquidError] | LiquidError, msg: str | None = None, token: Token | None = None
    ) -> NoReturn:
        fault = exc if isinstance(exc, LiquidError) else exc(msg, token=token)
        if fault.token is None or fault.token.start_index < 0:
            fault.token = token
        raise fault


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing missing values (liquid's own filters take them as "" or 0) and huge ones."""
    if name == "default":
        return function

    @wraps(function)
    def checked(value: object, *given: object, **options: object) -> object:
        for one in (value, *given):
            if isinstance(one, _Missing):
                one._refuse()
            if isinstance(one, Sequence) and len(one) > LONGEST:
                raise FilterError(f"{name} is given more than {LONGEST} characters or items", token=None)
        if name in ("replace", "join") and any(isinstance(one, str) and len(one) > LONGEST_INSERT for one in given):
            raise FilterError(f"{name} puts in at most {LONGEST_INSERT} characters", token=None)
        return function(value, *given, **options)

    return checked


PLAIN = _Environment(autoescape=False)
HTML = _Environment(autoescape=True)


def _parsed(text: str, environment: Environment) -> BoundTemplate:
    # Past these limits the library's lexer takes time that grows with the square of the text.
    if len(text) > LONGEST or text.count("{{") + text.count("{%") > MOST_TAGS:
        raise TemplateError(f"a template has at most {LONGEST} characters and {MOST_TAGS} tags")
    if (place := text.find("{{{")) >= 0:
        raise TemplateError(f"line {_line(text, place)}: '{{{{{{' is not Liquid", hint="A value stands in {{ two }}.")
    try:
        return environment.from_string(text)
    except LiquidError as error:
        raise TemplateError(
            _cause(text, error), hint="Templates are Liquid: https://shopify.github.io/liquid."
        ) from None


def _check_filters(text: str, used: Mapping[str, Sequence[Any]]) -> None:
    for name, places in used.items():
        if name not in FILTERS:
            close = difflib.get_close_matches(name, FILTERS, 1)
            raise TemplateError(
                f"line {_line(text, places[0].index)}: unknown filter {name!r}"
                + (f", did you mean {close[0]!r}?" if close else "")
            )


def _check_expressions(text: str, template: BoundTemplate) -> None:
    for expression, depth in _expressions(template.nodes, RenderContext(template)):
        if depth > DEEPEST:
            raise TemplateError(f"line {_line(text, expression.token.start_index)}: {TOO_DEEP}")
        if isinstance(expression, RangeLiteral):
            raise TemplateError(
                f"line {_line(text, expression.token.start_index)}: a range such as (1..9) is not for messages",
                hint="Loop over a list of the lead: {% for word in tech %}.",
            )


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[tuple[Expression, int]]:
    """Every expression of a tree and how deep it stands in another, each before its parts."""
    for node in nodes:
        waiting = [(expression, 0) for expression in node.expressions()]
        while waiting:
            expression, depth = waiting.pop()
            yield expression, depth
            waiting += [(part, depth + 1) for part in expression.children()]
        yield from _expressions(node.children(context, include_partials=False), context)


def _dotted(path: Sequence[object]) -> str:
    """`first_name`, `tech` for `tech.size` and `tech[0]`, `extra.pain_point`."""
    names = [str(path[0])]
    for segment in path[1:]:
        if not isinstance(segment, str):
            break
        names.append(segment)
    if names[-1] in PROPERTIES and len(names) > (2 if names[0] in SPACES else 1):
        names.pop()
    return ".".join(names)


def _missing(name: str) -> TemplateFailed:
    space, _, inner = name.partition(".")
    if space == "snippets":
        said = f"no passage of snippets.{inner} is for this lead: add one without 'when' as the last"
    elif space in ("sender", "mailbox"):
        said = f"the campaign has no {name}: write it into the campaign's file"
    else:
        word = "there" if name == "first_name" else "..."
        said = f"lead has no {name}: add a default, such as {{{{ {name} | default: '{word}' }}}}"
    return TemplateFailed(said, variable=name, hint=f"Or leave the sentence out: {{% if {name} %}} ... {{% endif %}}.")


def _cause(text: str, error: BaseException) -> str:
    if isinstance(error.__cause__, RecursionError):
        return TOO_DEEP
    if not isinstance(error, LiquidError):
        return str(error)
    said = str(error.message).replace("end of expression", "the end").replace("limit reached", "is over its limit")
    return f"line {_line(text, error.token.start_index)}: {said}" if error.token else said


def _line(text: str, index: int) -> int:
    """Line of a place in the text, from 1; the last line for what was expected after the end (-1)."""
    return text.count("\n", 0, index if index >= 0 else len(text)) + 1
