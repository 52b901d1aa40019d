"""Countries of the seeded market: how people write them, their places, phone numbers, legal forms and domains."""

from typing import NamedTuple


class Phone(NamedTuple):
    """A block of numbers: its head from abroad and at home, and how many digits follow."""

    abroad: str
    home: str
    digits: int


class Country(NamedTuple):
    """What a row about a company in this country needs."""

    code: str
    weight: int
    """Companies here, against those of the other countries."""
    cultures: tuple[str, ...]
    written: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    """(state, city)."""
    phones: tuple[Phone, ...]
    forms: tuple[str, ...]
    """Company names with their legal form; {} is the name."""
    suffixes: tuple[str, ...]
    """Of domains."""


def _country(
    *,
    code: str,
    weight: int,
    cultures: str,
    written: str,
    places: str,
    phones: tuple[Phone, ...],
    forms: str,
    suffixes: str,
) -> Country:
    """One country from lists that are separated by bars."""

    def parts(listed: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in listed.split("|"))

    pairs = tuple(place.partition(": ") for place in parts(places))
    cells = tuple((state, city) for state, _, city in pairs)
    return Country(code, weight, parts(cultures), parts(written), cells, phones, parts(forms), parts(suffixes))


# Numbers lie in the blocks that regulators keep for films and books, where there are such (NANPA 555-01xx, Bundesnetzagentur,
# Ofcom, ARCEP, PTS, ACMA, ComReg): the demo dials nobody, but people copy rows. The others only have a possible form.
COUNTRIES: tuple[Country, ...] = (
    _country(
        code="us",
        weight=22,
        cultures="american",
        written="United States | United States | USA | US | U.S.A. | United States of America | usa",
        places=(
            "California: San Francisco | California: Los Angeles | New York: New York | Texas: Austin | TX: Dallas | "
            "Illinois: Chicago | Massachusetts: Boston | Colorado: Denver | Washington: Seattle | Florida: Miami | "
            "Georgia: Atlanta | Arizona: Phoenix | Oregon: Portland | North Carolina: Raleigh | Hawaii: Honolulu | NY: Brooklyn"
        ),
        phones=(
            Phone("+1 415-555-01", "(415) 555-01", 2),
            Phone("+1 212-555-01", "212.555.01", 2),
            Phone("+1 512-555-01", "512-555-01", 2),
        ),
        forms="{}, Inc. | {} Inc | {} LLC | {} Corp. | {} | {} Holdings, LLC",
        suffixes="com | com | com | io | co",
    ),
    _country(
        code="de",
        weight=14,
        cultures="german",
        written="Germany | Germany | Deutschland | DE | DEU | deutschland | Bundesrepublik Deutschland",
        places=(
            "Berlin: Berlin | Bayern: München | Bavaria: Nürnberg | Hamburg: Hamburg | Hessen: Frankfurt am Main | "
            "Baden-Württemberg: Stuttgart | Nordrhein-Westfalen: Köln | NRW: Düsseldorf | Sachsen: Leipzig | Niedersachsen: Hannover"
        ),
        phones=(
            Phone("+49 30 23125", "030 / 23125 ", 3),
            Phone("+49 89 99998", "089 99998-", 3),
            Phone("+49 40 66969 ", "(040) 66969", 3),
        ),
        forms="{} GmbH | {} GmbH | {} AG | {} GmbH & Co. KG | {} UG (haftungsbeschränkt) | {} SE",
        suffixes="de | de | de | com | eu",
    ),
    _country(
        code="gb",
        weight=12,
        cultures="english",
        written="United Kingdom | United Kingdom | UK | GB | Great Britain | England | U.K.",
        places=(
            "England: London | England: Manchester | Greater London: London | Scotland: Edinburgh | Wales: Cardiff | "
            "West Midlands: Birmingham | England: Bristol | Northern Ireland: Belfast | England: Leeds"
        ),
        phones=(
            Phone("+44 20 7946 0", "020 7946 0", 3),
            Phone("+44 161 496 0", "(0161) 496 0", 3),
            Phone("+44 7700 900", "07700 900", 3),
        ),
        forms="{} Ltd | {} Limited | {} Ltd. | {} PLC | {} LLP | {}",
        suffixes="co.uk | co.uk | com | uk",
    ),
    _country(
        code="fr",
        weight=9,
        cultures="french",
        written="France | France | FR | FRA | République française",
        places=(
            "Île-de-France: Paris | Auvergne-Rhône-Alpes: Lyon | Occitanie: Toulouse | Provence-Alpes-Côte d'Azur: Marseille | "
            "Hauts-de-France: Lille | Nouvelle-Aquitaine: Bordeaux | Bretagne: Rennes | Grand Est: Strasbourg"
        ),
        phones=(
            Phone("+33 1 99 00 ", "01 99 00 ", 4),
            Phone("+33 4 65 71 ", "04.65.71.", 4),
            Phone("+33 6 39 98 ", "06 39 98 ", 4),
        ),
        forms="{} SAS | {} SARL | {} SA | {} S.A.S. | Société {}",
        suffixes="fr | fr | com | eu",
    ),
    _country(
        code="nl",
        weight=6,
        cultures="dutch",
        written="Netherlands | Netherlands | The Netherlands | Nederland | NL | Holland",
        places="Noord-Holland: Amsterdam | Zuid-Holland: Rotterdam | Utrecht: Utrecht | Noord-Brabant: Eindhoven | Zuid-Holland: 's-Gravenhage",
        phones=(Phone("+31 20 555 0", "020-555 0", 3), Phone("+31 10 555 0", "010 555 0", 3)),
        forms="{} B.V. | {} BV | {} N.V. | {}",
        suffixes="nl | nl | com | eu",
    ),
    _country(
        code="se",
        weight=4,
        cultures="swedish",
        written="Sweden | Sweden | Sverige | SE | SWE",
        places="Stockholms län: Stockholm | Västra Götaland: Göteborg | Skåne: Malmö | Uppsala län: Uppsala",
        phones=(Phone("+46 8 465 004 ", "08-465 004 ", 2), Phone("+46 31 390 06 ", "031-390 06 ", 2)),
        forms="{} AB | {} AB | {} Aktiebolag",
        suffixes="se | se | com",
    ),
    _country(
        code="es",
        weight=5,
        cultures="spanish",
        written="Spain | Spain | España | ES | ESP",
        places=(
            "Comunidad de Madrid: Madrid | Cataluña: Barcelona | Comunidad Valenciana: València | Andalucía: Sevilla | "
            "País Vasco: Bilbao | Canarias: Las Palmas de Gran Canaria"
        ),
        phones=(Phone("+34 910 550 ", "910 550 ", 3), Phone("+34 935 550 ", "93 555 0", 3)),
        forms="{} S.L. | {} SL | {} S.A. | {} S.L.U.",
        suffixes="es | es | com",
    ),
    _country(
        code="it",
        weight=4,
        cultures="italian",
        written="Italy | Italy | Italia | IT | ITA",
        places="Lombardia: Milano | Lazio: Roma | Piemonte: Torino | Emilia-Romagna: Bologna | Veneto: Verona | Campania: Napoli",
        phones=(Phone("+39 02 5550 ", "02 5550 ", 4), Phone("+39 06 5550 ", "06/5550", 4)),
        forms="{} S.p.A. | {} S.r.l. | {} Srl | {} SPA",
        suffixes="it | it | com",
    ),
    _country(
        code="pl",
        weight=4,
        cultures="polish",
        written="Poland | Poland | Polska | PL | POL",
        places="Mazowieckie: Warszawa | Małopolskie: Kraków | Dolnośląskie: Wrocław | Pomorskie: Gdańsk | Łódzkie: Łódź",
        phones=(Phone("+48 22 555 ", "22 555 ", 4), Phone("+48 12 555 ", "(12) 555 ", 4)),
        forms="{} Sp. z o.o. | {} sp. z o.o. | {} S.A.",
        suffixes="pl | pl | com.pl",
    ),
    _country(
        code="br",
        weight=4,
        cultures="portuguese",
        written="Brazil | Brazil | Brasil | BR | BRA",
        places="São Paulo: São Paulo | Rio de Janeiro: Rio de Janeiro | Minas Gerais: Belo Horizonte | Paraná: Curitiba | Amazonas: Manaus",
        phones=(Phone("+55 11 5550-", "(11) 5550-", 4), Phone("+55 21 5550-", "(21) 5550-", 4)),
        forms="{} Ltda. | {} S.A. | {} Ltda",
        suffixes="com.br | com.br | com",
    ),
    _country(
        code="mx",
        weight=3,
        cultures="spanish",
        written="Mexico | Mexico | México | MX | MEX",
        places="CDMX: Ciudad de México | Jalisco: Guadalajara | Nuevo León: Monterrey | Quintana Roo: Cancún | Baja California: Tijuana",
        phones=(Phone("+52 55 5555 ", "55 5555 ", 4), Phone("+52 33 5550 ", "33 5550 ", 4)),
        forms="{} S.A. de C.V. | {} S. de R.L. de C.V. | {}",
        suffixes="mx | com.mx | com",
    ),
    _country(
        code="jp",
        weight=3,
        cultures="japanese",
        written="Japan | Japan | 日本 | JP | JPN",
        places="Tokyo: Minato-ku | 東京都: 渋谷区 | Osaka: Osaka | Kanagawa: Yokohama | Fukuoka: Fukuoka",
        phones=(Phone("+81 3-5550-", "03-5550-", 4), Phone("+81 6-5550-", "06-5550-", 4)),
        forms="{} K.K. | {} Co., Ltd. | 株式会社{}",
        suffixes="co.jp | jp | com",
    ),
    _country(
        code="in",
        weight=6,
        cultures="indian",
        written="India | India | IN | IND | Bharat",
        places="Karnataka: Bengaluru | Maharashtra: Mumbai | Delhi: New Delhi | Telangana: Hyderabad | Tamil Nadu: Chennai | Maharashtra: Pune",
        phones=(Phone("+91 80 5550 ", "080 5550 ", 4), Phone("+91 98450 0", "98450 0", 4)),
        forms="{} Pvt Ltd | {} Private Limited | {} Pvt. Ltd. | {} Limited",
        suffixes="in | co.in | com",
    ),
    _country(
        code="ca",
        weight=4,
        cultures="american | french",
        written="Canada | Canada | CA | CAN",
        places=(
            "Ontario: Toronto | Québec: Montréal | British Columbia: Vancouver | Alberta: Calgary | ON: Ottawa | "
            "Newfoundland and Labrador: St. John's"
        ),
        phones=(Phone("+1 416-555-01", "(416) 555-01", 2), Phone("+1 514-555-01", "514-555-01", 2)),
        forms="{} Inc. | {} Ltd. | {} Corporation | {} ltée",
        suffixes="ca | ca | com",
    ),
    _country(
        code="au",
        weight=4,
        cultures="english",
        written="Australia | Australia | AU | AUS | australia",
        places=(
            "New South Wales: Sydney | Victoria: Melbourne | NSW: Newcastle | Queensland: Brisbane | Western Australia: Perth | "
            "South Australia: Adelaide"
        ),
        phones=(Phone("+61 2 5550 ", "(02) 5550 ", 4), Phone("+61 3 7010 ", "03 7010 ", 4)),
        forms="{} Pty Ltd | {} Pty. Ltd. | {} Limited",
        suffixes="com.au | com.au | com",
    ),
    _country(
        code="ch",
        weight=3,
        cultures="german | french | italian",
        written="Switzerland | Switzerland | Schweiz | Suisse | CH | CHE | Svizzera",
        places="Zürich: Zürich | Genève: Genève | Basel-Stadt: Basel | Vaud: Lausanne | Ticino: Lugano | Bern: Bern",
        phones=(Phone("+41 44 555 0", "044 555 0", 3), Phone("+41 22 555 0", "022 555 0", 3)),
        forms="{} AG | {} SA | {} GmbH | {} Sàrl",
        suffixes="ch | ch | com",
    ),
    _country(
        code="at",
        weight=2,
        cultures="german",
        written="Austria | Austria | Österreich | AT | AUT",
        places="Wien: Wien | Steiermark: Graz | Oberösterreich: Linz | Tirol: Innsbruck | Salzburg: Salzburg",
        phones=(Phone("+43 1 5550", "01/5550", 4), Phone("+43 316 5550", "0316 5550", 3)),
        forms="{} GmbH | {} Ges.m.b.H. | {} AG",
        suffixes="at | at | com",
    ),
    _country(
        code="ie",
        weight=2,
        cultures="english",
        written="Ireland | Ireland | IE | IRL | Éire | Republic of Ireland",
        places="Leinster: Dublin | Munster: Cork | Connacht: Galway",
        phones=(Phone("+353 20 910 ", "020 910 ", 4),),
        forms="{} Ltd | {} DAC | {} Limited",
        suffixes="ie | ie | com",
    ),
    _country(
        code="dk",
        weight=2,
        cultures="danish",
        written="Denmark | Denmark | Danmark | DK | DNK",
        places="Hovedstaden: København | Midtjylland: Aarhus | Syddanmark: Odense | Nordjylland: Aalborg",
        phones=(Phone("+45 33 55 ", "33 55 ", 4), Phone("+45 86 55 ", "86 55 ", 4)),
        forms="{} A/S | {} ApS",
        suffixes="dk | dk | com",
    ),
    _country(
        code="be",
        weight=2,
        cultures="dutch | french",
        written="Belgium | Belgium | België | Belgique | BE | BEL",
        places="Vlaanderen: Antwerpen | Brussels: Bruxelles | Wallonie: Liège | Oost-Vlaanderen: Gent",
        phones=(Phone("+32 2 555 ", "02 555 ", 4), Phone("+32 9 555 ", "09/555.", 4)),
        forms="{} NV | {} BV | {} SRL | {} SA",
        suffixes="be | be | com",
    ),
)
