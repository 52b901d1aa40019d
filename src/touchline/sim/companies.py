"""Companies of the seeded market: made-up names and domains, size, industry, technology, stage and place."""

from typing import NamedTuple

from touchline.sim.chance import Dice, distinct, stream
from touchline.sim.countries import COUNTRIES, Country, Phone
from touchline.sim.names import CULTURES, Name

# Fixed lengths of the first two make every combination another word; all are invented and not found in any language.
_FIRST = (
    "Brel", "Vond", "Zwim", "Quor", "Plex", "Tarv", "Drum", "Falk", "Grev", "Hult", "Jask", "Klem", "Lurn",
    "Mish", "Nurv", "Osph", "Prun", "Rask", "Skav", "Trel", "Ulmo", "Vask", "Wrel", "Yarn", "Zelt", "Blor",
    "Crim", "Dwel", "Elvo", "Frud", "Glim", "Horv", "Ivra", "Jolm", "Krav", "Lomp", "Morv", "Nilt", "Orvu",
    "Pask", "Quil", "Runs", "Stev", "Thop", "Urlo", "Virn", "Wolp", "Zond", "Bask", "Tolv",
)  # fmt: skip
_MIDDLE = (
    "avo", "eri", "ilu", "ona", "uzi", "ake", "evo", "ipa", "oru", "uma", "axi", "eno", "igo", "oba", "uve",
    "ami", "esu", "ira", "olo", "uti", "ada", "eku", "ivi", "omi",
)  # fmt: skip
_LAST = (
    "ra", "nix", "to", "vex", "lo", "dra", "mo", "quin", "sa", "tek", "nu", "zar", "ko", "lis", "va",
    "mund", "re", "bix", "no", "ster", "pa", "gon", "du", "lith", "ka", "mer", "zi", "tron", "fa", "wick",
    "be", "dor", "ga", "lune",
)  # fmt: skip

WORDS = len(_FIRST) * len(_MIDDLE) * len(_LAST)
"""How many different companies can be made."""

_NOUNS = (
    "", "", "", " Systems", " Labs", " Logistics", " Software", " Health", " Energy", " Foods", " Mobility", " Analytics",
    " Robotics", " Media", " Payments", " & Partners", " Group", ", Smith & Sons", " Cloud",
)  # fmt: skip

_INDUSTRIES = (
    "Computer Software", "Computer Software", "computer software", "Information Technology & Services", "Internet", "Internet",
    "Financial Services", "Financial Services", "Insurance", "Logistics & Supply Chain", "E-Commerce", "E-commerce", "Retail",
    "Hospital & Health Care", "Machinery", "Automotive", "Telecommunications", "Renewables & Environment", "Biotechnology",
    "Consumer Goods", "Food & Beverages", "Construction", "Real Estate", "Education Management", "Staffing & Recruiting",
    "Marketing & Advertising", "Cloud Consulting", "Computer Games", "Media Production", "",
)  # fmt: skip

_TECH = (
    "AWS; Python; PostgreSQL", "AWS; Kubernetes; Terraform", "AWS, Snowflake, Looker", "Google Cloud; Kubernetes; Go",
    "Azure; .NET; SQL Server", "Microsoft Azure; SAP", "AWS; Datadog; Kubernetes; Kafka", "Google Cloud; BigQuery",
    "WordPress; PHP; MySQL", "Shopify; Klaviyo", "Salesforce; HubSpot", "AWS", "Azure", "Kubernetes; Terraform; Google Cloud",
    "Oracle; Java", "SAP; Windows Server", "C++; Qt", "Java; Spring; AWS; MongoDB", "HubSpot", "", "", "",
)  # fmt: skip

# A log-normal: median 140, sigma 1.6. A table, because the last digit of `exp` differs between machines.
_EMPLOYEES = (
    3, 6, 9, 12, 16, 19, 23, 27, 31, 36, 41, 46, 52, 58, 65, 72, 80, 88, 97, 107, 118, 130, 143, 157,
    173, 190, 210, 231, 255, 283, 314, 350, 392, 440, 498, 567, 651, 757, 892, 1072, 1325, 1710, 2370, 3800, 12500,
)  # fmt: skip
_BANDS = ((1, 10), (11, 50), (51, 200), (201, 500), (501, 1000), (1001, 5000), (5001, 10000))

# By size: a company with five people is not listed on an exchange.
_STAGES = (
    (50, ("Seed", "Pre-Seed", "Angel", "Bootstrapped", "Seed", "", "")),
    (250, ("Series A", "Series A", "Series B", "Seed", "Bootstrapped", "", "")),
    (1000, ("Series B", "Series C", "Series B", "Private Equity", "Bootstrapped", "", "")),
    (1_000_000, ("Series D", "Public", "Private Equity", "Public", "Subsidiary", "")),
)

# How local parts are made; one way per company.
_ADDRESSES = ("first.last",) * 5 + ("flast",) * 3 + ("first", "first_last", "last.first")

_WEBSITES = (
    "http://www.{}",
    "http://www.{}",
    "https://{}",
    "{}",
    "www.{}",
    "https://www.{}/",
    "HTTP://{}/about?utm_source=list",
    "",
)


class Company(NamedTuple):
    """What all rows about one company share."""

    word: str
    name: str
    domain: str
    cells: tuple[str, ...]
    """Website to City, as the header has them."""
    given: tuple[Name, ...]
    family: tuple[Name, ...]
    start: tuple[int, int]
    """Where its people begin in the two lists of names."""
    address: str
    language: str
    phones: tuple[Phone, ...]


def companies(seed: int, count: int) -> list[Company]:
    """`count` companies with different domains; count <= WORDS."""
    start = stream(seed, "companies")
    words = distinct(stream(seed, "words"), WORDS)
    by_weight = [country for country in COUNTRIES for _ in range(country.weight)]
    return [_company(_word(next(words)), Dice(start, number), by_weight) for number in range(count)]


def _word(number: int) -> str:
    number, last = divmod(number, len(_LAST))
    first, middle = divmod(number, len(_MIDDLE))
    return _FIRST[first] + _MIDDLE[middle] + _LAST[last]


def _company(word: str, dice: Dice, by_weight: list[Country]) -> Company:
    country = dice.of(by_weight)
    culture = CULTURES[dice.of(country.cultures)]
    domain = f"{word.lower()}.{dice.of(country.suffixes)}"
    employees = dice.of(_EMPLOYEES) * dice.of(range(90, 111)) // 100
    return Company(
        word=word.lower(),
        name=dice.of(country.forms).format(word + dice.of(_NOUNS)),
        domain=domain,
        cells=(
            dice.of(_WEBSITES).format(domain),
            dice.of(_written(employees)),
            dice.of(_INDUSTRIES),
            dice.of(_TECH),
            dice.of(next(stages for limit, stages in _STAGES if employees < limit)),
            dice.of(country.written),
            *dice.of(country.places),
        ),
        given=culture.given,
        family=culture.family,
        start=(dice.of(range(len(culture.given))), dice.of(range(len(culture.family)))),
        address=dice.of(_ADDRESSES),
        language=culture.language,
        phones=country.phones,
    )


def _written(employees: int) -> tuple[str, ...]:
    """A head count in the ways exports write it: 250, 1,200, 51-200, 10k+."""
    band = next((f"{low}-{high}" for low, high in _BANDS if employees <= high), "10k+")
    return str(employees), f"{employees:,}", band, band
