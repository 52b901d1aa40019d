"""Normalising: cells as people fill them become columns that later stages can compare."""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import cleanco
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nameparser import HumanName

from touchline.model import address, columns
from touchline.stages.normalise import FIELDS, company, contact, names, normalise, numbers, phones, places, text, titles

EXAMPLES = 40
COUNTRIES = "us ca de gb fr it es nl be ch at pl se dk fi br mx ar jp kr au cn in il"
RUSSIAN = "ООО"
NAME_WORDS = st.sampled_from(
    ["Anna", "Hans-Peter", "María", "O'Neil", "Müller", "Berg", "van", "von", "der", "de", "la", "dos", "Silva"]
)
FORMS = st.sampled_from(f"Inc. LLC, GmbH S.A. Ltd Limited KG {RUSSIAN} B.V. Company".split())
WORDS = st.one_of(st.sampled_from(["Acme", "Müller", "&", "Co.", "Söhne", "the", "(UK)", "pty", "Foo!"]), FORMS)
Column = Callable[[pl.Series], pl.Series]


def series(*values: str | None) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def nothing(length: int) -> pl.Series:
    return series(*[None] * length)


def check(column: Column, wanted: dict[str, Any]) -> None:
    found = column(series(*wanted)).to_list()
    assert dict(zip(wanted, found, strict=True)) == wanted


def one(**cells: str) -> dict[str, Any]:
    return normalise(pl.DataFrame({name: [value] for name, value in cells.items()}), "csv").row(0, named=True)


WILD = st.text(
    st.sampled_from("aZéß@.,;|+-=0159 \t\r\n\0\u200b\u202e\u2028\u00a0İŉ日'\"()[]{}<>/\\%&:#_*?kKmM€ﬁ\u0301\U0001f600"),
    max_size=14,
)
CELLS = st.one_of(st.none(), WILD, st.text(max_size=8))


class TestText:
    def test_is_one_clean_line(self) -> None:
        wanted = {
            "  a  b ": "a b",
            "a\r\nBcc: x": "a Bcc: x",
            "a\0b": "a b",
            "zero\u200bwidth": "zerowidth",
            "\u202elive": "live",
            "a\u2028b\u2029c": "a b c",
            "Mu\u0308ller": "Müller",
            "日本\u3000語": "日本 語",
            "\u00a0x\u00a0": "x",
        }
        check(text.clean, wanted)

    def test_words_for_nothing_are_null(self) -> None:
        check(
            text.clean,
            dict.fromkeys(
                ["", " ", "n/a", "N/A", "#N/A", "-", "--", "\u2013", "null", "NULL", "None", "\\N", "\t\u200b"]
            ),
        )

    def test_longer_text_is_cut(self) -> None:
        assert text.clean(series("x" * 400, "é" * 200, "é" * 301)).str.len_chars().to_list() == [300, 200, 300]

    @given(st.lists(CELLS, min_size=1, max_size=5))
    @settings(max_examples=EXAMPLES)
    def test_cleaning_twice_is_cleaning_once(self, cells: list[str | None]) -> None:
        once = text.clean(series(*cells))
        assert text.clean(once).equals(once)
        for line in once.drop_nulls():
            assert unicodedata.is_normalized("NFC", line)
            assert line == " ".join(line.split())
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in line)

    @given(st.lists(CELLS, max_size=5))
    @settings(max_examples=EXAMPLES)
    def test_folding_is_the_folding_of_the_columns(self, cells: list[str | None]) -> None:
        expected = pl.DataFrame({"x": series(*cells)}).select(columns.fold(pl.col("x"))).to_series()
        assert text.folded(series(*cells)).equals(expected)

    def test_tags_are_folded_unique_words_between_bars(self) -> None:
        wanted = {
            "AWS; Azure,aws|K8s\n'X'": "|aws|azure|k8s|x|",
            '["a", "b"]': "|a|b|",
            "a｜b": "|a|b|",
            " ; ": None,
            "n/a": None,
            "a;n/a;b": "|a|b|",
            "data  base": "|data base|",
        }
        check(text.tags, wanted)

    @given(st.lists(CELLS, max_size=5))
    @settings(max_examples=EXAMPLES)
    def test_tags_of_tags_are_the_same(self, cells: list[str | None]) -> None:
        once = text.tags(series(*cells))
        assert text.tags(once).equals(once)
        for line in once.drop_nulls():
            words = line.strip("|").split("|")
            assert line == f"|{'|'.join(words)}|"
            assert all(words)
            assert len(set(words)) == len(words)

    def test_other_columns_stay_a_json_object_of_clean_lines(self) -> None:
        wanted = {
            '{"a":"b"}': '{"a":"b"}',
            '{"a":"x\\r\\ny","b":NaN,"c":["\\ud800z"],"d":{"e":1}}': '{"a":"x y","b":null,"c":["z"],"d":{"e":1}}',
            '{"a":"\u202ex"}': '{"a":"x"}',
            "[1]": None,
            "{}x": None,
            "no object": None,
            "{" + '"a":[' * 3000: None,
            '{"a\\n":1}': '{"a":1}',
            '{"\\n":{}}': '{"":{}}',
        }
        check(text.extras, wanted)

    def test_other_columns_that_do_not_fit_are_left_out_whole(self) -> None:
        found = text.extras(
            series(json.dumps({"a": "x" * 9000, "b": "y" * 9000, "c": 1}), json.dumps({"a": "x" * 20_000}))
        )
        assert [json.loads(value) if value else None for value in found] == [{"a": "x" * 9000, "c": 1}, None]


class TestContact:
    @given(
        st.lists(
            st.one_of(
                CELLS, st.from_regex(r"[a-zA-Z.+%]{1,6}@(gmail|googlemail|Acme|x)\.(com|de)[.,>]?", fullmatch=True)
            ),
            max_size=5,
        )
    )
    @settings(max_examples=EXAMPLES)
    @example(
        [
            "A+b@Gmail.com",
            "a.b@googlemail.com",
            "Ada <ada@x.com>",
            "mailto:a@x.de?subject=y",
            "a@x.com,b@x.com",
            "+a@x.com",
        ]
    )
    def test_addresses_are_those_of_the_model(self, cells: list[str | None]) -> None:
        frame = pl.DataFrame({"x": text.clean(series(*cells))}).select(address.cleaned(pl.col("x")))
        assert contact.email(series(*cells)).to_list() == frame["x"].to_list()
        assert contact.base(frame["x"]).to_list() == frame.select(address.base_address(pl.col("x")))["x"].to_list()

    def test_an_address_that_is_too_long_is_none_rather_than_cut(self) -> None:
        assert contact.email(series(f"a@{'x' * 260}.com", f"a@{'x' * 100}.com")).is_null().to_list() == [True, False]

    def test_profiles_have_one_form(self) -> None:
        wanted = {
            "https://www.linkedin.com/in/Jane-Doe/": "linkedin.com/in/jane-doe",
            "http://de.linkedin.com/in/j%C3%B6rg?x=1": "linkedin.com/in/jörg",
            "https://www.linkedin.com/in/jörg": "linkedin.com/in/jörg",
            "linkedin.com/in/jane-doe/en": "linkedin.com/in/jane-doe",
            "LinkedIn.com/pub/jane/1/2": "linkedin.com/pub/jane/1/2",
            "https://xing.com/profile/A_B#top": "xing.com/profile/a_b",
            "github.com/ada//": "github.com/ada",
            "x.com/a%2Fb": "x.com/a%2fb",
            "x.com/a%FF": "x.com/a%ff",
            "linkedin.com/company/acme": None,
            "linkedin.com/in": None,
            "https://x.com": None,
            "ada@x.com/y": None,
            "javascript:alert(1)": None,
            "n/a": None,
            "x.com/" + "a" * 300: None,
        }
        check(contact.profile_url, wanted)

    @given(st.lists(CELLS | WILD.map(lambda path: f"https://www.x.com/{path}"), max_size=5))
    @settings(max_examples=EXAMPLES)
    def test_a_profile_in_its_form_stays(self, cells: list[str | None]) -> None:
        once = contact.profile_url(series(*cells))
        assert contact.profile_url(once).equals(once)

    def test_keys_keep_their_case_and_are_never_cut(self) -> None:
        check(contact.key, {" 00Qa ": "00Qa", "00QA": "00QA", "k" * 301: None, "-": None})


class TestPhones:
    def test_numbers_become_international_where_the_country_is_known(self) -> None:
        wanted = {
            ("+4930123456", None): "+4930123456",
            ("+49 (0) 30 1234567", None): "+49301234567",
            ("0049 30 12345678", None): "+493012345678",
            ("(415) 555-0123", "us"): "+14155550123",
            ("1-415-555-0123", "ca"): "+14155550123",
            ("415.555.0123 x9", "us"): "+14155550123",
            ("030 / 123456", "de"): "+4930123456",
            ("030 123456, 0171 1234567", "de"): "+4930123456",
            ("06 12 34 56 78", "fr"): "+33612345678",
            ("020 7946 0958 ext. 12", "gb"): "+442079460958",
            ("(11) 91234-5678", "br"): "+5511912345678",
            ("06 1234 5678", "it"): "+390612345678",
            ("0612345678", None): "0612345678",
            ("0612345678", "aq"): "0612345678",
            ("1234567", "zz"): "1234567",
            ("５５５-1234", "us"): "5551234",
            ("+49 12", "de"): None,
            ("51200", "de"): "51200",
            ("call me", "us"): None,
            (None, "us"): None,
        }
        found = phones.phone(series(*[number for number, _ in wanted]), series(*[country for _, country in wanted]))
        assert dict(zip(wanted, found, strict=True)) == wanted

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(COUNTRIES.split()),
                st.from_regex(r"0?1?[0-9]{4,12}", fullmatch=True),
            ),
            min_size=1,
            max_size=30,
        )
    )
    @settings(max_examples=EXAMPLES)
    def test_the_fast_way_gives_the_library_its_answers(self, given_: list[tuple[str, str]]) -> None:
        national = [(country, digits) for country, digits in given_ if not digits.startswith("00")]
        found = phones.phone(series(*[digits for _, digits in national]), series(*[country for country, _ in national]))
        parsed = [phones._parsed(digits, country) or "" for country, digits in national]
        expected = [
            number if re.match(phones.INTERNATIONAL, number) else digits if len(digits) >= 5 else None
            for number, (_, digits) in zip(parsed, national, strict=True)
        ]
        assert found.to_list() == expected


class TestNames:
    @pytest.mark.parametrize(
        ("first", "last", "full", "wanted"),
        [
            ("ANNA", "O'BRIEN", None, ("Anna", "O'Brien")),
            ("john", "mcdonald", None, ("John", "McDonald")),
            ("Hans", "VAN DER BERG", None, ("Hans", "van der Berg")),
            ("mary-jane", "d\u2019angelo", None, ("Mary-Jane", "D\u2019Angelo")),
            ("maria de los angeles", "de la cruz", None, ("Maria de los Angeles", "de la Cruz")),
            ("LA TOYA", "JACKSON", None, ("La Toya", "Jackson")),
            ("ÉMILE", "ZOLA", None, ("Émile", "Zola")),
            ("AJ", "Smith", None, ("AJ", "Smith")),
            ("AL", "SMITH", None, ("Al", "Smith")),
            ("Mac", "DiCaprio", None, ("Mac", "DiCaprio")),
            ("Dr. Anna", "Müller, PhD", None, ("Anna", "Müller")),
            ("Prof. Dr. Hans", "Smith Jr.", None, ("Hans", "Smith")),
            ("John M.", "King III", None, ("John", "King")),
            ("john m", "king phd, jr.", None, ("John", "King")),
            ('William "Bill"', "Gates (MSFT)", None, ("William", "Gates")),
            ("Dr.", None, None, (None, None)),
            ("Mr", "-", None, (None, None)),
            ("NULL", "None", None, (None, None)),
            ("=cmd|'/C calc'!A0", "+Ada", None, (None, None)),
            ("ada@x.com", "B3rg", None, (None, None)),
            ("https://x.com", "@ada", None, (None, None)),
            ("Smith, John", None, None, ("John", "Smith")),
            (None, "SMITH, JOHN A.", None, ("John", "Smith")),
            (None, None, "John Smith", ("John", "Smith")),
            (None, None, "JOHN SMITH", ("John", "Smith")),
            (None, None, "Müller, Hans Peter", ("Hans", "Müller")),
            (None, None, "María García López", ("María", "López")),
            (None, None, "Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
            (None, None, "Prof. Dr. Hans Müller", ("Hans", "Müller")),
            (None, None, "John Smith MD", ("John", "Smith")),
            (None, None, "Jack Ma", ("Jack", "Ma")),
            (None, None, "Madonna", ("Madonna", None)),
            (None, None, "ada@x.com", (None, None)),
            (None, None, "=1+1 Smith", (None, None)),
            ("John", None, "J. Smith", ("John", "Smith")),
            (None, "Smith", "John Smyth", ("John", "Smith")),
        ],
    )
    def test_people_are_called_as_they_would_write_it(
        self, first: str | None, last: str | None, full: str | None, wanted: tuple[str | None, str | None]
    ) -> None:
        given_name, family = names.names(series(first), series(last), series(full))
        assert (given_name[0], family[0]) == wanted

    @given(st.lists(st.lists(NAME_WORDS, min_size=1, max_size=5).map(" ".join), min_size=1))
    @settings(max_examples=EXAMPLES)
    def test_the_fast_way_splits_as_nameparser_does(self, people: list[str]) -> None:
        nobody = nothing(len(people))
        given_, family = names.names(nobody, nobody, series(*people))
        for name, first, last in zip(people, given_, family, strict=True):
            parsed = HumanName(name)
            if parsed.first and parsed.last:
                # Case is mended afterwards.
                assert (first.lower(), last.lower()) == (parsed.first.lower(), parsed.last.lower()), name

    @given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4))
    @settings(max_examples=EXAMPLES)
    def test_nothing_that_could_run_or_lead_elsewhere_is_a_name(self, people: list[tuple[str | None, ...]]) -> None:
        for found in names.names(*(series(*column) for column in zip(*people, strict=True))):
            for name in found.drop_nulls():
                assert not set(name) & set("@=<>{}|\\0123456789")
                assert name[0] not in "+-"
                assert "://" not in name
                # Polars knows letters of a later Unicode than Python, where they are unassigned.
                assert any(c.isalpha() or unicodedata.category(c) == "Cn" for c in name)


class TestCompany:
    def test_the_legal_form_goes_and_the_name_stays(self) -> None:
        wanted = {
            "Acme Inc.": "Acme",
            "Acme Holdings, LLC": "Acme Holdings",
            "Müller & Söhne GmbH & Co. KG": "Müller & Söhne",
            "Foo S.p.A.": "Foo",
            "Bar Sp. z o.o.": "Bar",
            "Foo Pty Ltd": "Foo",
            "Acme (UK) Ltd.": "Acme (UK)",
            "Müller & Co. KG": "Müller",
            f"Acme {RUSSIAN}": "Acme",
            "GmbH": "GmbH",
            "The Company": "The Company",
            "ACME SOLUTIONS LTD": "Acme Solutions",
            "IBM GERMANY": "IBM Germany",
            "KPMG DTTL": "KPMG DTTL",
            "IKEA": "IKEA",
            "adidas": "adidas",
            "n/a": None,
        }
        check(company.company, wanted)

    @given(
        st.lists(
            st.tuples(st.lists(WORDS, max_size=4), FORMS).map(lambda name: " ".join([*name[0], name[1]])), min_size=1
        )
    )
    @settings(max_examples=EXAMPLES)
    def test_the_fast_way_gives_the_answers_of_cleanco(self, companies: list[str]) -> None:
        def bare(name: str) -> str:
            found = cleanco.basename(name)
            # We put back the bracket of "Acme (UK) Ltd", which cleanco takes for punctuation.
            found += ")" * (found.count("(") - found.count(")"))
            # What is bare stays so: "Acme & Co. KG" would else be another company when it is exported and read again.
            return name if found == name or found.casefold() in company.ARTICLES else bare(found)

        assert company.company(series(*companies)).to_list() == [bare(name) for name in companies]

    def test_domains_are_registrable(self) -> None:
        wanted = {
            "acme.com": "acme.com",
            "https://www.Acme.co.uk/about?x": "acme.co.uk",
            "acme.co.uk": "acme.co.uk",
            "http://user:pw@shop.acme.de:8080/": "acme.de",
            "mailto:info@acme.fr": "acme.fr",
            "www.acme.io.": "acme.io",
            "acme.github.io": None,
            "a.b.foo.example": "foo.example",
            "foo.test": "foo.test",
            "foo.bar.ck": "foo.bar.ck",
            "müller.de": "müller.de",
            "bar.ck": None,
            "co.uk": None,
            "linkedin.com/company/acme": None,
            "gmail.com": None,
            "192.168.0.1": None,
            "http://[::1]/": None,
            "localhost": None,
            "a..b": None,
            "Acme Inc": None,
            "-": None,
        }
        check(lambda sites: company.domain(sites, nothing(sites.len())), wanted)

    def test_without_a_website_the_address_tells_unless_its_provider_is_free(self) -> None:
        found = company.domain(
            series(None, None, None, "acme.com", "linkedin.com/x"),
            series("mail.acme.co.uk", "gmail.com", None, "other.com", "acme.fr"),
        )
        assert found.to_list() == ["acme.co.uk", None, None, "acme.com", "acme.fr"]

    @given(
        st.lists(
            st.from_regex(
                r"([a-z]{1,3}\.){1,3}(com|de|co\.uk|github\.io|ck|kobe\.jp|city\.kobe\.jp|sch\.uk|test|xn--p1ai)",
                fullmatch=True,
            ),
            min_size=1,
            max_size=8,
        )
    )
    @settings(max_examples=EXAMPLES)
    def test_the_fast_way_gives_the_answers_of_the_public_suffix_list(self, hosts: list[str]) -> None:
        assert company.registrable(series(*hosts)).to_list() == [company._registrable(host) for host in hosts]

    def test_the_account_is_the_domain_else_the_folded_name(self) -> None:
        assert company.account(series("acme.com", None, None), series("Acme", "ÄCME", None)).to_list() == [
            "acme.com",
            "äcme",
            None,
        ]


class TestTitles:
    @pytest.mark.parametrize(
        ("title", "seniority", "role"),
        [
            ("CEO", "c_level", "general"),
            ("C.T.O.", "c_level", "engineering"),
            ("Founder & CEO", "founder", "general"),
            ("Co-Founder", "founder", "general"),
            ("President", "c_level", "general"),
            ("Senior Vice President", "vp", "general"),
            ("VP Marketing", "vp", "marketing"),
            ("Head of Engineering", "head", "engineering"),
            ("Managing Director", "c_level", "general"),
            ("Director of Product", "director", "product"),
            ("Product Marketing Manager", "manager", "marketing"),
            ("Product Owner", "staff", "product"),
            ("Account Executive", "staff", "sales"),
            ("Assistant to the CEO", "staff", "general"),
            ("Executive Assistant", "staff", "operations"),
            ("Senior Software Engineer", "senior", "engineering"),
            ("Software Engineer", "staff", "engineering"),
            ("Chief Information Officer", "c_level", "it"),
            ("Data Protection Officer", "staff", "legal"),
            ("Customer Success Manager", "manager", "support"),
            ("HR Business Partner", "senior", "hr"),
            ("Data Engineer", "staff", "data"),
            ("UX Designer", "staff", "design"),
            ("Geschäftsführerin", "c_level", "general"),
            ("Vertriebsleiterin", "head", "sales"),
            ("Softwareentwickler", "staff", "engineering"),
            ("Leiter Einkauf", "head", "operations"),
            ("Assistenz der Geschäftsführung", "staff", "general"),
            ("Directeur général", "c_level", "general"),
            ("Responsable des ventes", "manager", "sales"),
            ("Directora de Recursos Humanos", "director", "hr"),
            ("Amministratore Delegato", "c_level", "general"),
            ("Diretor Comercial", "director", "sales"),
            ("Hoofd Marketing", "head", "marketing"),
            ("Teacher", "staff", None),
            ("Wizard", None, None),
        ],
    )
    def test_rank_and_field_are_read_from_the_title(self, title: str, seniority: str | None, role: str | None) -> None:
        assert titles.seniority(nothing(1), series(title)).to_list() == [seniority]
        assert titles.role(nothing(1), series(title)).to_list() == [role]

    def test_what_is_given_wins_and_what_is_not_understood_falls_back_to_the_title(self) -> None:
        given_ = series("Director-level", "c_suite", "entry", "???", None)
        assert titles.seniority(given_, series(*["VP Sales"] * 5)).to_list() == [
            "director",
            "c_level",
            "staff",
            "vp",
            "vp",
        ]
        assert titles.role(series("master_marketing", "???"), series("VP Sales", "VP Sales")).to_list() == [
            "marketing",
            "sales",
        ]

    @pytest.mark.parametrize("column", [titles.seniority, titles.role])
    def test_every_code_reads_as_itself(self, column: Callable[[pl.Series, pl.Series], pl.Series]) -> None:
        codes = titles.TABLES[column.__name__][0]
        assert column(series(*codes), nothing(len(codes))).to_list() == codes


class TestPlaces:
    def test_countries_are_understood_in_many_languages(self) -> None:
        wanted = {
            "Germany": "de", "DEUTSCHLAND": "de", " de ": "de", "DEU": "de", "276": "de", "Alemania": "de",
            "U.S.A.": "us", "United States of America": "us", "the Netherlands": "nl", "Nederland": "nl",
            "uk": "gb", "England": "gb", "Großbritannien": "gb", "日本": "jp", "Côte d\u2019Ivoire": "ci", "Cote d'Ivoire": "ci",
            "Bosnia and Herzegovina": "ba", "Korea, Republic of": "kr", "Hong Kong": "hk", "XK": "xk",
            "Atlantis": None, "Europe": None, "EU": None, "n/a": None, "": None,
        }  # fmt: skip
        check(places.country, wanted)

    def test_languages_and_zones_are_codes_or_null(self) -> None:
        check(
            places.language,
            {
                "EN": "en",
                "en-US": "en",
                "pt_BR": "pt",
                "eng": "en",
                "Deutsch": "de",
                "français": "fr",
                "Klingon": None,
                "xx": None,
                "xx-YY": None,
            },
        )
        check(places.timezone, {"Europe/Berlin": "Europe/Berlin", " UTC ": "UTC", "CEST+3": None, "": None})


class TestNumbers:
    def test_head_counts(self) -> None:
        wanted = {
            "250": 250, "1,200": 1200, "1.200": 1200, "1 200": 1200, "1'200": 1200, "10k+": 10_000, "1.5k": 1500, "1000+": 1000,
            "51-200": 101, "11 – 50": 23, "2 to 10": 4, "5,001-10,000": 7072, "201–500 Mitarbeiter": 317, "50-100k": 70_711,
            "~50 people": 50, "<50": 50, "self-employed": 1, "1e5": 100_000, "１２": 12,
            "0": None, "0.2": None, "-5": None, "nan": None, "inf": None, "1e999": None, "9" * 9: None, "9" * 30: None,
            "Fortune 500": None, "10-Jan": None, "2025-06-01": None, "1,2,3": None, "12%": None, "10 20": None, "1-1,2,3": None, "": None,
        }  # fmt: skip
        check(numbers.employees, wanted)

    def test_budgets(self) -> None:
        wanted = {
            "20000": 20_000.0, "0": 0.0, "$50k": 50_000.0, "25.000 EUR": 25_000.0, "€ 25.000,50": 25_000.5, "1,234.56": 1234.56,
            "1.2m": 1_200_000.0, "1.234m": 1_234_000.0, "1,200k": 1_200_000.0, "1.5 Mio": 1_500_000.0, "25000.5": 25_000.5,
            "$50,000 - $75,000": 62_500.0, "5-10k": 7500.0, "500-1k": 750.0, "50k per year": 50_000.0, "0.125": 0.125,
            "NaN": None, "Infinity": None, "-3": None, "1e400": None, "50 bananas": None, "1.2.3": None, "5k per month": None,
        }  # fmt: skip
        check(numbers.budget, wanted)

    def test_months_to_a_decision(self) -> None:
        wanted = {
            "6": 6, "3 months": 3, "3-6 months": 5, "6+ months": 6, "within 3 months": 3, "< 3 months": 3, "3 Monate": 3,
            "2 weeks": 1, "12 weeks": 3, "90 days": 3, "1.5 years": 18, "1 quarter": 3, "0": 0,
            "ASAP": 0, "now": 0, "sofort": 0, "dès que possible": 0, "next month": 1,
            "next year": None, "Q1": None, "2025": None, "-2": None, "now 5": None, "some day": None,
        }  # fmt: skip
        check(numbers.timeline, wanted)

    @given(st.lists(CELLS, min_size=1, max_size=5))
    @settings(max_examples=EXAMPLES)
    def test_numbers_are_finite_and_within_reason(self, cells: list[str | None]) -> None:
        assert all(1 <= count <= numbers.MOST_EMPLOYEES for count in numbers.employees(series(*cells)).drop_nulls())
        assert all(0 <= amount <= numbers.MOST_BUDGET for amount in numbers.budget(series(*cells)).drop_nulls())
        assert all(0 <= months <= numbers.MOST_MONTHS for months in numbers.timeline(series(*cells)).drop_nulls())


RAW = [*FIELDS, "full_name"]
ROWS = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(RAW, CELLS)), min_size=1, max_size=4)


class TestRows:
    def test_a_row_becomes_a_lead(self) -> None:
        found = one(
            email="Ada+x@Mail.Acme.co.uk", full_name="Dr. ADA LOVELACE", title="VP Engineering", company="ACME LIMITED", country="England",
            phone="020 7946 0958", employees="51-200", tech="AWS; SAP", stage=" Series  A", industry="SaaS", extra='{"x":"1"}',
        )  # fmt: skip
        wanted = {
            "row": 1, "reason": None, "raw": None, "source": "csv", "email": "ada+x@mail.acme.co.uk", "base_address": "ada@mail.acme.co.uk",
            "email_domain": "mail.acme.co.uk", "first_name": "Ada", "last_name": "Lovelace", "seniority": "vp", "role": "engineering",
            "company": "ACME", "domain": "acme.co.uk", "account": "acme.co.uk", "country": "gb", "phone": "+442079460958",
            "employees": 101, "tech": "|aws|sap|", "stage": "series a", "industry": "saas", "extra": '{"x":"1"}', "city": None,
        }  # fmt: skip
        assert {name: found[name] for name in wanted} == wanted

    @pytest.mark.parametrize(
        ("cells", "reason"),
        [
            ({"email": "ada@x.com"}, None),
            ({"email": "nobody"}, "bad_address"),
            ({"email": "nobody", "source_key": "7"}, None),
            ({"email": "nobody", "profile_url": "x.com/ada"}, None),
            ({"email": "n/a"}, "no_identity"),
            ({"first_name": "Ada"}, "no_identity"),
            ({"email": "ada@x.com", "fault": "ragged"}, "ragged"),
            ({"fault": "ragged"}, "ragged"),
        ],
    )
    def test_a_row_without_a_key_says_why_it_is_no_lead(self, cells: dict[str, str], reason: str | None) -> None:
        assert one(**cells)["reason"] == reason

    def test_row_numbers_and_raw_text_are_kept(self) -> None:
        rows = pl.DataFrame({"row": [7, 9], "raw": ["a;b", None], "email": ["a@x.com", "b@x.com"]})
        assert normalise(rows, "csv").select("row", "raw").rows() == [(7, "a;b"), (9, None)]

    def test_no_rows_are_an_empty_frame_of_leads(self) -> None:
        found = normalise(pl.DataFrame({"email": []}, schema={"email": pl.String}), "csv")
        assert found.height == 0
        assert found.select(FIELDS).schema == columns.lead_schema()

    @given(ROWS)
    @settings(max_examples=EXAMPLES)
    def test_whatever_the_cells_each_row_has_the_declared_types_and_a_key_or_a_reason(
        self, rows: list[dict[str, str | None]]
    ) -> None:
        found = normalise(pl.DataFrame(rows, schema=dict.fromkeys(RAW, pl.String)), "CSV ")
        assert found.columns == ["row", "raw", "reason", *FIELDS]
        assert found.select(FIELDS).schema == columns.lead_schema()
        assert found["row"].to_list() == list(range(1, len(rows) + 1))
        keyed = found.select(
            pl.any_horizontal(pl.col("base_address", "profile_url", "source_key").is_not_null())
        ).to_series()
        assert keyed.equals(found["reason"].is_null())
        assert found["source"].to_list() == ["csv"] * len(rows)

    @given(ROWS, st.integers(0, 4))
    @settings(max_examples=EXAMPLES // 2)
    def test_splitting_a_batch_changes_no_row(self, rows: list[dict[str, str | None]], cut: int) -> None:
        cells = pl.DataFrame(rows, schema=dict.fromkeys(RAW, pl.String)).with_row_index("row")
        parts = [normalise(part, "csv") for part in (cells[:cut], cells[cut:])]
        assert pl.concat(parts).equals(normalise(cells, "csv"))

    def test_repeated_values_are_read_once_and_alike(self) -> None:
        cells = pl.DataFrame(
            {
                "email": [f"p{n}@x.com" for n in range(50)],
                "company": ["Acme GmbH", "Foo S.p.A."] * 25,
                "domain": ["www.acme.de"] * 50,
            }
        )
        found = normalise(cells, "csv")
        assert found["company"].unique().sort().to_list() == ["Acme", "Foo"]
        assert found["domain"].unique().to_list() == ["acme.de"]
