import csv
import hashlib
from collections import Counter
from pathlib import Path
from string import Template

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.adapters import campaign_file
from touchline.model.address import base_address, base_address_of, cleaned
from touchline.model.errors import InvalidInput
from touchline.sim import dirt as kinds
from touchline.sim.companies import WORDS
from touchline.sim.countries import COUNTRIES
from touchline.sim.market import KINDS, Market, market
from touchline.sim.names import CULTURES, TITLES, plain
from touchline.sim.people import COMPANY, EMAIL, HEADER, PAIN, PHONE, PROFILE, TITLE

CAMPAIGN = Path(kinds.__file__).with_name("campaign.toml")
SAME_PERSON = ("exact_duplicate", "duplicate_by_tag", "duplicate_by_case", "duplicate_by_dots", "update")
NOBODY = ("broken_address_only", "nothing_identifies")


@pytest.fixture(scope="module")
def demo() -> Market:
    return market(seed=7)


@pytest.fixture(scope="module")
def rows(demo: Market) -> list[list[str]]:
    return list(demo.rows())


@pytest.fixture(scope="module")
def by_kind(demo: Market, rows: list[list[str]]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {name: [] for name in KINDS}
    for code, cells in zip(demo._kind, rows, strict=True):
        found[KINDS[code]].append(cells)
    return found


def written(place: Path, made: Market) -> bytes:
    """All three files of a market, one after the other."""
    writers = (made.write_csv, made.write_suppressions, made.write_zone)
    for number, write in enumerate(writers):
        write(place / str(number))
    return b"".join((place / str(number)).read_bytes() for number in range(len(writers)))


def identities(rows: list[list[str]]) -> list[str]:
    """Base address of each row, else its profile, else nothing."""
    columns = {"email": [cells[EMAIL] for cells in rows], "profile": [cells[PROFILE] for cells in rows]}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return frame.select(pl.coalesce(base_address(cleaned(pl.col("email"))), "profile")).to_series().to_list()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path, market(seed=3, leads=300)) == written(tmp_path, market(seed=3, leads=300))


def test_every_machine_and_every_python_gives_these_bytes(tmp_path: Path) -> None:
    # After a wanted change of the tables: put the new digest here.
    digest = hashlib.sha256(written(tmp_path, market(seed=7, leads=400))).hexdigest()
    assert digest[:16] == "c748f33b42015a9f"


@pytest.mark.parametrize("seed", [8, -7, 2**70])
def test_another_seed_gives_other_bytes(tmp_path: Path, seed: int) -> None:
    assert written(tmp_path, market(seed=seed, leads=300)) != written(tmp_path, market(seed=7, leads=300))


@settings(max_examples=40)
@given(
    seed=st.integers(),
    leads=st.integers(0, 400),
    domains=st.integers(2, 60),
    dirt=st.floats(0, 2, allow_subnormal=False),
)
def test_the_counts_of_kinds_add_up_to_the_rows(seed: int, leads: int, domains: int, dirt: float) -> None:
    made = market(seed, leads, domains, dirt)
    assert sum(made.truth.values()) == leads == sum(1 for _ in made.rows())


@settings(max_examples=20)
@given(seed=st.integers(), leads=st.integers(0, 400), dirt=st.floats(0, 2, allow_subnormal=False))
def test_only_the_rows_that_repeat_someone_share_an_identity(seed: int, leads: int, dirt: float) -> None:
    made = market(seed, leads, domains=max(2, leads // 50), dirt=dirt)
    found = identities(list(made.rows()))
    repeated, nobody = (sum(made.truth[kind] for kind in some) for some in (SAME_PERSON, NOBODY))
    assert sum(1 for identity in found if not identity) == nobody
    assert len({identity for identity in found if identity}) == leads - repeated - nobody


def test_2000_rows_have_every_kind_of_dirt(demo: Market) -> None:
    assert min(demo.truth.values()) >= 5
    assert demo.truth["clean"] > 1000


def test_csv_readers_see_the_rows_as_they_were_made(tmp_path: Path, demo: Market, rows: list[list[str]]) -> None:
    demo.write_csv(tmp_path / "leads.csv")
    with (tmp_path / "leads.csv").open(encoding="utf-8", newline="") as file:
        header, *read = csv.reader(file, strict=True)
    assert tuple(header) == HEADER
    assert read == rows
    assert sum(len(cells) > len(HEADER) for cells in read) == demo.truth["too_many_fields"]


def test_a_clean_market_has_a_working_address_and_a_profile_in_each_row() -> None:
    clean = market(seed=1, leads=1000, dirt=0)
    rows = list(clean.rows())
    assert clean.truth["clean"] == 1000
    assert set(identities(rows)) == {cells[EMAIL] for cells in rows}
    assert len({cells[PROFILE] for cells in rows}) == 1000
    assert {cells[EMAIL].partition("@")[2] for cells in rows} <= clean.zone().keys()


def test_broken_addresses_are_none_and_padded_ones_become_addresses(by_kind: dict[str, list[list[str]]]) -> None:
    for kind in ("broken_address", "broken_address_only", "no_address", "nothing_identifies"):
        assert {base_address_of(cells[EMAIL]) for cells in by_kind[kind]} == {None}, kind
    for kind in ("bad_syntax", "padded_address", "special_use_domain"):
        assert None not in {base_address_of(cells[EMAIL]) for cells in by_kind[kind]}, kind


def test_an_update_fills_what_an_earlier_row_left_empty(
    rows: list[list[str]], by_kind: dict[str, list[list[str]]]
) -> None:
    for later in by_kind["update"]:
        (earlier,) = (cells for cells in by_kind["sparse"] if cells[EMAIL] == later[EMAIL])
        assert rows.index(earlier) < rows.index(later)
        assert all(one in ("", other) for one, other in zip(earlier, later, strict=True))
        assert earlier[TITLE] == "" != later[TITLE]


def test_cells_hold_formulas_line_breaks_and_hidden_characters(by_kind: dict[str, list[list[str]]]) -> None:
    assert all(any(cell.lstrip().startswith(("=", "@", "+", "-")) for cell in cells) for cells in by_kind["formula"])
    assert all(any("\n" in cell for cell in cells) for cells in by_kind["line_break"])
    assert any("\r\nBcc:" in cell for cells in by_kind["line_break"] for cell in cells)
    assert {"\u00a0", "\u200b"} <= set("".join(cell for cells in by_kind["odd_spaces"] for cell in cells))
    assert any('"' in cells[PAIN] and "," in cells[COMPANY] for cells in by_kind["clean"])


def test_opt_outs_hit_exactly_the_rows_that_are_counted_as_suppressed(demo: Market, rows: list[list[str]]) -> None:
    listed = list(demo.suppressions())
    people = {base_address_of(value) for kind, value, _ in listed if kind == "address"}
    domains = {value for kind, value, _ in listed if kind == "domain"}
    found = Counter(
        "person" if identity in people else "domain" if identity.rpartition("@")[2] in domains else ""
        for identity in map(str, identities(rows))
    )
    assert found["person"] == demo.truth["suppressed_address"] + demo.truth["suppressed_gmail"]
    assert found["domain"] == demo.truth["suppressed_domain"]
    assert len(people) > found["person"]
    assert any(value not in {cells[EMAIL] for cells in rows} for _, value, _ in listed)


def test_the_zone_has_every_answer_and_few_time_outs(tmp_path: Path, demo: Market) -> None:
    answers = Counter(demo.zone().values())
    assert answers.keys() == {"mx", "a", "none", "nxdomain", "null_mx", "timeout"}
    assert answers["timeout"] <= 4
    assert answers["mx"] > 0.85 * answers.total()
    demo.write_zone(tmp_path / "zone")
    lines = (tmp_path / "zone").read_text("utf-8").splitlines()
    assert dict(line.split(" ") for line in lines) == demo.zone()


def test_a_large_market_has_as_many_domains_as_asked_for() -> None:
    made = market(seed=7, leads=20_000, domains=20_000)
    assert len({company.domain for company in made.companies}) == 20_000
    assert len(made.truth) == len(KINDS)


def test_one_company_is_a_market_too() -> None:
    made = market(seed=7, leads=200, domains=1)
    assert made.truth["suppressed_domain"] == 0
    assert len({identity for identity in identities(list(made.rows())) if identity}) > 150


@pytest.mark.parametrize(
    ("leads", "domains", "dirt"),
    [
        (-1, None, 1),
        (10, 0, 1),
        (201, 1, 1),
        (10, WORDS + 1, 1),
        (10, None, -0.1),
        (10, None, 2.1),
        (10, None, float("nan")),
    ],
)
def test_a_market_that_cannot_be_made_is_refused(leads: int, domains: int | None, dirt: float) -> None:
    with pytest.raises(InvalidInput):
        market(7, leads, domains, dirt)


def test_names_within_a_culture_differ_in_addresses_too() -> None:
    for name, culture in CULTURES.items():
        for names in (culture.given, culture.family):
            spelt = [entry.plain for entry in names]
            assert len(set(spelt)) == len(spelt) == 36, name
            assert all(text.isascii() and text.strip("-") == text != "" for text in spelt), name
        assert culture.language in TITLES


def test_umlauts_are_written_as_the_country_does() -> None:
    assert plain("Jörg Groß", umlauts=True) == "joerggross"
    assert plain("Björn Åkesson") == "bjornakesson"
    assert plain("Łukasz O'Brien-Møller") == "lukaszobrien-moller"


def test_countries_are_written_in_many_ways(rows: list[list[str]]) -> None:
    seen = {cells[HEADER.index("Country")] for cells in rows}
    assert {"Germany", "Deutschland", "DE", "DEU", "USA", "U.S.A.", "United Kingdom", "UK", ""} <= seen
    assert len({country.code for country in COUNTRIES}) == len(COUNTRIES) == 20
    assert (
        sum(cells[PHONE].startswith("+") for cells in rows)
        > sum(cells[PHONE][:1] in ("0", "(") for cells in rows)
        > 200
    )


def test_the_campaign_of_the_demo_reads_once_its_port_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "campaign.toml").write_text(Template(CAMPAIGN.read_text("utf-8")).substitute(smtp_port=2525), "utf-8")
    campaign = campaign_file.read(tmp_path / "campaign.toml")
    assert campaign.obstacles() == []
    assert [mailbox.port for mailbox in campaign.mailboxes] == [2525, 2525]
    assert {route.sequence for route in campaign.routes} == set(campaign.sequences)
