"""Where a recipient's clock stands and when it is working time there: zones, holidays and send windows.

Zones come from the tz database (`zone.tab`), holidays and weekends from the `holidays` library. A place is a
zone, a country and a subdivision; a window is local wall time there on a working day. Nothing reads a clock.
"""

import importlib.resources
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import holidays

from touchline.model.campaign import Weekday, Window

MAIN_ZONES = {
    "au": "Australia/Sydney",
    "br": "America/Sao_Paulo",
    "ca": "America/Toronto",
    "ru": "Europe/Moscow",
    "ua": "Europe/Kyiv",
    "uz": "Asia/Tashkent",
    "xk": "Europe/Belgrade",
}
"""Zone of most people, where `zone.tab` (sorted from east to west) has another first or lacks the country."""

REGION_ZONES: dict[str, dict[str, str]] = {
    "us": {
        "America/New_York": "ct,dc,de,fl,ga,in,ky,ma,md,me,mi,nc,nh,nj,ny,oh,pa,ri,sc,va,vt,wv,washington dc",
        "America/Chicago": "al,ar,ia,il,ks,la,mn,mo,ms,nd,ne,ok,sd,tn,tx,wi",
        "America/Denver": "co,mt,nm,ut,wy",
        "America/Boise": "id",
        "America/Phoenix": "az",
        "America/Los_Angeles": "ca,nv,or,wa",
        "America/Anchorage": "ak",
        "Pacific/Honolulu": "hi",
        "America/Puerto_Rico": "pr,vi",
        "Pacific/Guam": "gu,mp",
        "Pacific/Pago_Pago": "as",
    },
    "ca": {
        "America/St_Johns": "nl",
        "America/Halifax": "nb,ns,pe",
        "America/Toronto": "on,qc",
        "America/Iqaluit": "nu",
        "America/Winnipeg": "mb",
        "America/Regina": "sk",
        "America/Edmonton": "ab,nt",
        "America/Vancouver": "bc",
        "America/Whitehorse": "yt",
    },
    "au": {
        "Australia/Sydney": "act,nsw",
        "Australia/Melbourne": "vic",
        "Australia/Hobart": "tas",
        "Australia/Brisbane": "qld",
        "Australia/Adelaide": "sa",
        "Australia/Darwin": "nt",
        "Australia/Perth": "wa",
    },
    "br": {
        "America/Sao_Paulo": "df,es,go,mg,pr,rj,rs,sc,sp",
        "America/Bahia": "ba",
        "America/Maceio": "al,se",
        "America/Recife": "pe",
        "America/Fortaleza": "ce,ma,pb,pi,rn",
        "America/Belem": "ap,pa",
        "America/Araguaina": "to",
        "America/Campo_Grande": "ms",
        "America/Cuiaba": "mt",
        "America/Porto_Velho": "ro",
        "America/Boa_Vista": "rr",
        "America/Manaus": "am",
        "America/Rio_Branco": "ac",
    },
    "mx": {
        "America/Cancun": "quintana roo,roo,q roo",
        "America/Hermosillo": "sonora,son",
        "America/Mazatlan": "sinaloa,sin,nayarit,nay,baja california sur,bcs",
        "America/Tijuana": "baja california,baja california norte,bc,bcn",
    },
    "ru": {
        "Europe/Samara": "udmurtia,udmurt",
        "Asia/Yekaterinburg": "sverdlovsk,chelyabinsk,perm,tyumen,bashkortostan,orenburg,kurgan,khanty mansi",
        "Asia/Barnaul": "altai",
        "Asia/Novokuznetsk": "kemerovo,kuzbass",
        "Asia/Krasnoyarsk": "khakassia,tuva,tyva",
        "Asia/Irkutsk": "buryatia",
        "Asia/Chita": "zabaykalsky",
        "Asia/Yakutsk": "sakha,yakutia,amur",
        "Asia/Vladivostok": "primorsky,khabarovsk",
        "Asia/Kamchatka": "kamchatsky",
        "Asia/Anadyr": "chukotka",
    },
    "id": {
        "Asia/Makassar": "bali,sulawesi,south sulawesi,north sulawesi,east kalimantan,south kalimantan",
        "Asia/Jayapura": "papua,west papua,maluku",
    },
    "es": {"Atlantic/Canary": "cn,canary islands", "Africa/Ceuta": "ce,ml"},
    "pt": {"Atlantic/Azores": "azores,acores,20", "Atlantic/Madeira": "madeira,30"},
    "cl": {"America/Punta_Arenas": "ma", "America/Coyhaique": "ai"},
    "ec": {"Pacific/Galapagos": "galapagos"},
    "nz": {"Pacific/Chatham": "cit"},
    "fr": {
        "America/Guadeloupe": "971",
        "America/Martinique": "972",
        "America/Cayenne": "973",
        "Indian/Reunion": "974",
        "Indian/Mayotte": "976",
        "Pacific/Noumea": "nc",
    },
}
"""Zone -> its regions: the codes that `holidays` uses (it knows their names too), else names."""

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The window's words by `date.weekday()`."""

_GENERIC = frozenset({"state", "province", "oblast", "krai", "kray", "republic", "region", "of"})
_SEARCH_DAYS = 370


class Place(NamedTuple):
    """Where a recipient is, as far as time goes."""

    zone: str
    """IANA zone."""
    country: str | None
    """ISO 3166-1 alpha-2, lower case."""
    subdivision: str | None = None
    """Code of the state or province as `holidays` writes it."""


def place_of(timezone: str | None, country: str | None, region: str | None, campaign_zone: str) -> Place:
    """The recipient's place: the lead's own zone, else its region's, its country's, the campaign's.

    Args:
        timezone: IANA zone of the lead; any other text counts as unknown.
        country: ISO 3166-1 alpha-2, any case.
        region: State or province: a code or a name.
        campaign_zone: IANA zone used where nothing better is known.
    """
    country = country.lower() if country else None
    zone = timezone if timezone in _all_zones() else zone_of(country, region)
    return Place(zone or campaign_zone, country, subdivision_of(country, region))


def zone_of(country: str | None, region: str | None) -> str | None:
    """IANA zone of a region, else the zone of most people in the country, else None."""
    if not country:
        return None
    if region:
        by_region = _region_zones(country)
        code = subdivision_of(country, region)
        # The code is the better key: names and spellings of a region all lead to one code.
        found = by_region.get(_key(code, country)) if code else None
        if found := found or by_region.get(_key(region, country)):
            return found
    zones = _zones_by_country().get(country)
    return MAIN_ZONES.get(country) or (zones[0] if zones else None)


def subdivision_of(country: str | None, region: str | None) -> str | None:
    """Code of the region as the holiday calendar of its country writes it; None where it has none for it."""
    return _subdivisions(country).get(_key(region, country)) if country and region else None


def is_working_day(place: Place, window: Window, day: date) -> bool:
    """True on the window's days (never Saturday or Sunday) that are no weekend and no holiday there."""
    if WEEKDAYS[day.weekday()] not in window.days:
        return False
    calendar = _calendar(place.country, place.subdivision, day.year) if place.country else None
    if calendar is None:
        return True
    return not calendar.is_weekend(day) and (window.holidays or day not in calendar)


def window_on(zone: str, window: Window, day: date) -> tuple[datetime, datetime] | None:
    """The window of one local day as UTC instants, end excluded; None where the clock jumps over all of it.

    Every instant in `[start, end)` shows a local time within the window. Where the clock goes back and shows
    a bound twice, the window starts at the second showing and ends at the first, unless nothing is left then.
    """
    local = ZoneInfo(zone)
    start = instant_of(datetime.combine(day, window.start, local), later=True)
    end = instant_of(datetime.combine(day, window.end, local), later=False)
    if start >= end:
        start = instant_of(datetime.combine(day, window.start, local), later=False)
    return (start, end) if start < end else None


def send_window(
    zone: str, country: str | None, window: Window, after: datetime, region: str | None = None
) -> tuple[datetime, datetime] | None:
    """The first window that has time left at or after an instant.

    Args:
        zone: IANA zone of the recipient.
        country: ISO 3166-1 alpha-2 for weekends and holidays; without it only Saturday and Sunday are free.
        window: The campaign's window.
        after: An instant with an offset.
        region: State or province, for its own holidays.

    Returns:
        UTC instants: when it opens (perhaps before `after`) and when it closes (after `after`; excluded).
        None where it never opens: only Fridays are asked for, and the country rests on Fridays.
    """
    return next(windows(_place(zone, country, region), window, after), None)


def in_window(zone: str, country: str | None, window: Window, at: datetime, region: str | None = None) -> bool:
    """True where a message may leave at this instant: a window of `send_window` is open."""
    place = _place(zone, country, region)
    day = at.astimezone(ZoneInfo(zone)).date()
    if not is_working_day(place, window, day):
        return False
    span = window_on(zone, window, day)
    return span is not None and span[0] <= at < span[1]


def windows(place: Place, window: Window, after: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The windows that close after an instant, in order, as far as about a year ahead."""
    if after.utcoffset() is None:
        raise ValueError(f"an instant needs an offset: {after}")
    first = after.astimezone(ZoneInfo(place.zone)).date()
    for offset in range(_SEARCH_DAYS):
        day = first + timedelta(days=offset)
        if is_working_day(place, window, day):
            span = window_on(place.zone, window, day)
            if span and span[1] > after:
                yield span


def windows_of_day(place: Place, window: Window, day: date) -> list[tuple[datetime, datetime]]:
    """Every window that is the next for some instant of a UTC day, in order; the last closes after it."""
    midnight = datetime.combine(day, time(), UTC)
    found = []
    for span in windows(place, window, midnight):
        found.append(span)
        if span[1] >= midnight + timedelta(days=1):
            break
    return found


def _place(zone: str, country: str | None, region: str | None) -> Place:
    country = country.lower() if country else None
    return Place(zone, country, subdivision_of(country, region))


def instant_of(local: datetime, *, later: bool = False) -> datetime:
    """The UTC instant of a local wall time; one that the clock skips is the moment of the jump.

    Args:
        local: Wall time with its zone.
        later: Of a time that the clock shows twice, the second showing instead of the first.
    """
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:  # once, or twice because the clock goes back
        return second if later else first
    # In a gap fold=0 reads by the old offset, fold=1 by the new one (PEP 495): the jump lies between.
    low, high = second.replace(microsecond=0), first.replace(microsecond=0) + timedelta(seconds=1)
    old = low.astimezone(local.tzinfo).utcoffset()
    while (seconds := (high - low) // timedelta(seconds=1)) > 1:
        middle = low + timedelta(seconds=seconds // 2)
        low, high = (middle, high) if middle.astimezone(local.tzinfo).utcoffset() == old else (low, middle)
    return high


@lru_cache(maxsize=4096)
def _calendar(country: str, subdivision: str | None, year: int) -> holidays.HolidayBase | None:
    """Holidays and weekends of one year; None where the library does not know the country."""
    try:
        # New Year's Day on a Saturday is observed in the old year, so the next year is filled in as well.
        return holidays.country_holidays(country.upper(), subdiv=subdivision, years=(year, year + 1), expand=False)
    except NotImplementedError:
        return None


@lru_cache(maxsize=512)
def _subdivisions(country: str) -> dict[str, str]:
    """Key of a code or a name -> code, of one country."""
    try:
        known = holidays.country_holidays(country.upper())
    except NotImplementedError:
        return {}
    aliases = known.get_subdivision_aliases()
    named = {_key(alias, country): code for code in known.subdivisions for alias in aliases.get(code, ())}
    return named | {_key(code, country): code for code in known.subdivisions}


@lru_cache(maxsize=512)
def _region_zones(country: str) -> dict[str, str]:
    """Key of a region -> zone: the table above, and the cities that give zones their names."""
    cities = {
        _key(zone.rpartition("/")[2].replace("_", " "), country): zone for zone in _zones_by_country().get(country, ())
    }
    table = REGION_ZONES.get(country, {})
    return cities | {_key(name, country): zone for zone, names in table.items() for name in names.split(",")}


@lru_cache(maxsize=1)
def _zones_by_country() -> dict[str, list[str]]:
    """Zones of each country in the order of the tz database's `zone.tab`."""
    table = importlib.resources.files("tzdata") / "zoneinfo" / "zone.tab"
    zones: dict[str, list[str]] = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, _, zone, *_ = line.split("\t")
            zones.setdefault(code.lower(), []).append(zone)
    return zones


@lru_cache(maxsize=1)
def _all_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=65536)
def _key(text: str, country: str) -> str:
    """A region's text without accents, punctuation, generic words and the country's prefix (`US-CA`)."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    words = "".join(c if c.isalnum() else " " for c in plain).split()
    if len(words) > 1 and words[0] == country:
        words = words[1:]
    return " ".join(word for word in words if word not in _GENERIC) or plain
