"""One clean row about one person at one company of the seeded market."""

import re
from typing import NamedTuple

from touchline.sim.companies import Company
from touchline.sim.names import TITLES, Name

HEADER = (
    "First Name", "Last Name", "Title", "Company", "Email", "Website", "# Employees", "Industry", "Technologies",
    "Latest Funding Stage", "Country", "State", "City", "Corporate Phone", "Person Linkedin Url", "Budget", "Timeline",
    "Intent Signals", "Pain Point",
)  # fmt: skip
"""As Apollo exports people, with the columns that a sales team adds."""

(
    FIRST, LAST, TITLE, COMPANY, EMAIL, WEBSITE, EMPLOYEES, INDUSTRY, TECH,
    STAGE, COUNTRY, STATE, CITY, PHONE, PROFILE, BUDGET, TIMELINE,
    INTENT, PAIN,
) = range(len(HEADER))  # fmt: skip


class Wording(NamedTuple):
    """What people and sales teams write into the cells that differ from row to row."""

    titles: dict[str, tuple[str, ...]]
    budgets: tuple[str, ...]
    timelines: tuple[str, ...]
    intent: tuple[str, ...]
    pains: tuple[str, ...]


PLAIN = Wording(
    titles=TITLES,
    budgets=("",) * 24 + (
        "$50k", "$120k", "25.000 EUR", "€40,000", "£30k", "100000", "$1.5M", "USD 80,000", "10k", "5000 EUR", "€ 15.000", "tbd",
    ),
    timelines=("",) * 22 + (
        "3 months", "1 month", "6 months", "Q1", "Q3", "asap", "ASAP", "this quarter", "next year", "12 months", "2 weeks", "open",
    ),
    intent=("",) * 20 + (
        "pricing page", "pricing page; webinar", "webinar", "demo request", "Pricing page, case study", "case study", "newsletter",
        "hiring devops; pricing page", "hiring devops", "competitor page; demo request", "whitepaper",
    ),
    pains=("",) * 6 + (
        "cloud bill grows faster than revenue", "nobody owns idle servers", "month-end close takes two weeks",
        "Budget für Cloud ist jedes Quartal überzogen", "can't say which team spends what", "audit asks for cost per customer",
        "la facture cloud double chaque année", 'finance calls it "the black hole"', "no tags, no owners, no idea",
    ),
)  # fmt: skip

_SPECIAL = re.compile('[",\r\n]')


def quoted(cell: str) -> str:
    """One cell of a CSV file (RFC 4180, 2.5-2.7)."""
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell


def _all_quoted(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(quoted(cell) for cell in cells)


QUOTED = Wording(
    {language: _all_quoted(titles) for language, titles in TITLES.items()}, *(_all_quoted(table) for table in PLAIN[1:])
)
"""The same tables for a file. Quoting an entry once instead of each time it is used halves the time of a large market."""


def quoted_company(company: Company) -> Company:
    """The company with its cells as a file has them; names of people and addresses need no quotes."""
    return company._replace(name=quoted(company.name), cells=_all_quoted(company.cells))


def person(company: Company, ordinal: int, bits: int, number: int, wording: Wording = PLAIN) -> list[str]:
    """The cells of one row, as HEADER names them.

    Args:
        company: Where the person works.
        ordinal: How many people of this company came before; each has another name and another address.
        bits: 64 even bits.
        number: Differs for every person of the market, less than 2**32; makes the profile's address unique.
        wording: PLAIN, or QUOTED together with a `quoted_company`.
    """
    given, family = company.given, company.family
    lap, place = divmod(ordinal, len(family))
    # A lap shifts the two lists against each other, so that a pair comes again only after all pairs.
    first = given[(company.start[0] + place + lap) % len(given)]
    last = family[(company.start[1] + place) % len(family)]
    titles = wording.titles[company.language if bits & 4 else "en"]
    phone = company.phones[(bits >> 3) % len(company.phones)]
    digits = str((bits >> 16) % 10**phone.digits).zfill(phone.digits)
    # Odd factor: another number, another profile.
    key = (number + 0x5EED) * 0x9E3779B1 & 0xFFFFFFFF
    return [
        first.written,
        last.written,
        titles[(bits >> 8) % len(titles)],
        company.name,
        f"{_local(company.address, first, last, lap)}@{company.domain}",
        *company.cells,
        "" if bits & 3 == 0 else (phone.abroad if bits & 3 < 3 else phone.home) + digits,
        f"http://www.linkedin.com/in/{first.plain}-{last.plain}-{key:08x}",
        wording.budgets[(bits >> 24) % len(wording.budgets)],
        wording.timelines[(bits >> 32) % len(wording.timelines)],
        wording.intent[(bits >> 40) % len(wording.intent)],
        wording.pains[(bits >> 48) % len(wording.pains)],
    ]


def _local(address: str, first: Name, last: Name, lap: int) -> str:
    """The part before the @. Short forms are unique on the first lap only."""
    if address == "last.first":
        return f"{last.plain}.{first.plain}"
    if address == "first_last":
        return f"{first.plain}_{last.plain}"
    if lap or address == "first.last":
        return f"{first.plain}.{last.plain}"
    return first.plain if address == "first" else first.plain[0] + last.plain
