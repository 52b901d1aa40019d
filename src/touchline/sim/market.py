"""The seeded market: realistic, dirty leads with their opt-outs and mail domains, the same bytes for the same seed."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from touchline.model.errors import InvalidInput
from touchline.sim import dirt as kinds
from touchline.sim.chance import distinct, draw, stream
from touchline.sim.companies import WORDS, companies
from touchline.sim.dirt import DIRT, Row
from touchline.sim.people import EMAIL, HEADER, QUOTED, person, quoted, quoted_company

KINDS = ("clean", *(kind.name for kind in DIRT))
_CODES = {name: code for code, name in enumerate(KINDS)}
PEOPLE_PER_DOMAIN = 200
"""At most, on average: names within a company stay unique up to 1,296."""

# Per mille of the companies' domains; every other domain has mail servers.
_ANSWERS = (("a", 30), ("none", 20), ("nxdomain", 25), ("null_mx", 15))
_TIMEOUTS = 4
_REASONS = ("unsubscribed", "complained", "asked by phone", "customer", "no longer there")


def market(seed: int, leads: int = 2000, domains: int | None = None, dirt: float = 1.0) -> "Market":
    """A market of `leads` rows about people at `domains` companies (one for four rows, if not given).

    Args:
        seed: Any integer. The same arguments give the same bytes on every machine.
        leads: Rows of the file, with duplicates.
        domains: Companies, each with a domain of its own.
        dirt: How dirty: 0 is clean, 1 as exports are, 2 twice that.

    Raises:
        InvalidInput: More people or companies than there are made-up names for, or dirt outside 0-2.
    """
    count = max(1, leads // 4) if domains is None else domains
    if not 0 <= dirt <= 2:
        raise InvalidInput(f"dirt is {dirt}.", hint="Give a number from 0 to 2.")
    if leads < 0 or not 1 <= count <= WORDS or leads > count * PEOPLE_PER_DOMAIN:
        raise InvalidInput(
            f"A market of {leads} leads at {count} domains cannot be made.",
            hint=f"At most {WORDS} domains, with at most {PEOPLE_PER_DOMAIN} leads each.",
        )
    return Market(seed, leads, count, dirt)


class Market:
    """Rows, opt-outs and domains of one market; rows are made when asked for and not kept."""

    def __init__(self, seed: int, leads: int, domains: int, dirt: float) -> None:
        self.seed = seed
        self.companies = companies(seed, domains)
        self._opted_out = max(1, domains // 50) if domains > 1 else 0
        self._people = stream(seed, "people")
        self._spoil = stream(seed, "dirt")
        self._kind, self._of = _plan(seed, leads, dirt, with_domains=self._opted_out > 0)
        self._company, self._ordinal = self._employ(stream(seed, "employers"))

    @property
    def truth(self) -> dict[str, int]:
        """Rows by kind, `clean` among them: they add up to the rows of the file."""
        found = Counter(self._kind)
        return {name: found[code] for code, name in enumerate(KINDS)}

    def rows(self) -> Iterator[list[str]]:
        """The rows without the header, in the order of the file."""
        return (self._row(number) for number in range(len(self._kind)))

    def write_csv(self, path: Path) -> None:
        """Write header and rows: UTF-8, comma, line feed."""
        _write(path, chain((_line(HEADER),), self._lines()))

    def suppressions(self) -> Iterator[tuple[str, str, str]]:
        """(kind, value, reason) of those who opted out earlier: some of the file, written in other ways, and some others."""
        start = stream(self.seed, "suppressions")
        for line, (kind, value) in enumerate(chain(self._opt_outs(start), self._strangers())):
            yield kind, value, _REASONS[draw(start, line) % len(_REASONS)]

    def write_suppressions(self, path: Path) -> None:
        """Write a CSV with the columns kind, value and reason."""
        _write(path, map(_line, chain((("kind", "value", "reason"),), self.suppressions())))

    def zone(self) -> dict[str, str]:
        """What DNS says of each domain: mx, a, none, nxdomain, null_mx or timeout."""
        order = distinct(stream(self.seed, "zone"), len(self.companies))
        answers = {company.domain: "mx" for company in self.companies}
        counts = [(kind, len(answers) * per_mille // 1000) for kind, per_mille in _ANSWERS]
        # A resolver's time-out is seconds of waiting, so there are only a few, however large the market.
        for kind, count in (*counts, ("timeout", min(_TIMEOUTS, len(answers) // 50))):
            for _ in range(count):
                answers[self.companies[next(order)].domain] = kind
        shared = chain(kinds.GMAIL_HOSTS, kinds.DISPOSABLE, *kinds.FREE.values())
        return answers | dict.fromkeys(shared, "mx")

    def write_zone(self, path: Path) -> None:
        """Write `domain kind`, one domain a line."""
        _write(path, (f"{domain} {kind}\n" for domain, kind in self.zone().items()))

    def _employ(self, start: int) -> tuple["array[int]", "array[int]"]:
        """Company of each row, and how many of its people came before."""
        hired = [0] * len(self.companies)
        company, ordinal = array("I"), array("I")
        role, gone = _CODES["role_address"], _CODES["suppressed_domain"]
        active, roles = len(hired) - self._opted_out, 0
        for number, kind in enumerate(self._kind):
            if kind == role:
                # Each company has one info@: in turn, so that no two rows share one by accident.
                place, at = divmod(roles, active)
                at += self._opted_out
                roles += 1
            else:
                at = draw(start, number)
                at = at % self._opted_out if kind == gone else self._opted_out + at % active
                place = hired[at]
                hired[at] += 1
            company.append(at)
            ordinal.append(place)
        return company, ordinal

    def _lines(self) -> Iterator[str]:
        """The rows as text: clean ones straight from quoted tables, the others cell by cell."""
        employers = [quoted_company(company) for company in self.companies]
        for number, code in enumerate(self._kind):
            if code:
                yield _line(self._row(number))
            else:
                bits = draw(self._people, number)
                cells = person(employers[self._company[number]], self._ordinal[number], bits, number, QUOTED)
                yield ",".join(cells) + "\n"

    def _row(self, number: int) -> list[str]:
        code = self._kind[number]
        about = self._of.get(number, number)
        ordinal = self._ordinal[about]
        cells = person(self.companies[self._company[about]], ordinal, draw(self._people, about), about)
        if code:
            DIRT[code - 1].spoil(cells, Row(about, ordinal, draw(self._spoil, about)))
        return cells

    def _opt_outs(self, start: int) -> Iterator[tuple[str, str]]:
        for company in self.companies[: self._opted_out]:
            yield "domain", company.domain
        address, gmail = _CODES["suppressed_address"], _CODES["suppressed_gmail"]
        for number, kind in enumerate(self._kind):
            if kind in (address, gmail):
                given = self._row(number)[EMAIL]
                yield "address", kinds.dotted(given) if kind == gmail else _otherwise(given, draw(start, number))

    def _strangers(self) -> Iterator[tuple[str, str]]:
        """About as many again, who worked at the same companies and are in no file."""
        active = self.companies[self._opted_out :]
        for number in range(len(self._kind) // 100):
            company = active[number % len(active)]
            yield "address", f"former.{company.family[number % len(company.family)].plain}{number}@{company.domain}"


def _plan(seed: int, leads: int, dirt: float, *, with_domains: bool) -> tuple[bytearray, dict[int, int]]:
    """Kind of each row, and for rows that repeat an earlier one its number."""
    kind_of, of = bytearray(leads), dict[int, int]()
    free = distinct(stream(seed, "kinds"), leads)
    for kind in DIRT:
        if kind.name == "suppressed_domain" and not with_domains:
            continue
        for _ in range(int(leads * kind.per_mille * dirt / 1000)):
            number = next(free)
            if kind.repeats:
                earlier, number = sorted((number, next(free)))
                kind_of[earlier] = _CODES[kind.repeats]
                of[number] = earlier
            kind_of[number] = _CODES[kind.name]
    return kind_of, of


def _otherwise(address: str, bits: int) -> str:
    """The same account as another list may write it."""
    return (address.lower(), address.upper(), kinds.tagged(address, bits >> 8))[bits % 3]


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def _line(cells: Iterable[str]) -> str:
    return ",".join(map(quoted, cells)) + "\n"
