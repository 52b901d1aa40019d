"""Recognises the columns of a list of leads by the names that CRMs and people give them."""

import difflib
import itertools
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from touchline.model.columns import DECISIONS
from touchline.model.errors import InvalidInput

ALIASES: Final[dict[str, str]] = {
    "email": """email | email address | mail | mail address | e-mail-adresse | mailadresse
        | adresse email | adresse mail | adresse e-mail | courriel | adresse électronique | correo
        | correo electrónico | dirección de correo electrónico | indirizzo email | indirizzo mail
        | posta elettronica | endereço de email | correio eletrônico | e-mailadres | mailadres
        > primary email | contact email | person email | lead email > work email | business email
        | professional email | company email | email professionnel | person email work
        | geschäftliche e-mail | corporate email | verified email > email 1 | e-mail 1 value
        > personal email | private email | home email > secondary email | email 2 | e-mail 2 value
        | other email | alternate email > tertiary email""",
    "first_name": """first name | given name | forename | vorname | rufname | prénom | prénoms
        | primer nombre | nome proprio | nombre de pila | primeiro nome | voornaam | roepnaam
        > contact first name | person first name | lead first name""",
    "last_name": """last name | surname | family name | nachname | familienname | zuname | nom de famille
        | apellido | apellidos | primer apellido | cognome | sobrenome | apelido | último nome
        | achternaam | familienaam > contact last name | person last name | lead last name""",
    "full_name": """full name | vollständiger name | nom complet | nombre completo | nombre y apellidos
        | nome completo | nome e cognome | volledige naam > name > contact name | person name | lead name
        | contact | ansprechpartner | kontaktperson | kontaktname | contacto | contatto | contato
        | contactpersoon | referente | display name""",
    "title": """job title | job position | jobbezeichnung | berufsbezeichnung | stellenbezeichnung
        | positionsbezeichnung | intitulé du poste | intitulé de poste | poste | puesto
        | puesto de trabajo | cargo | qualifica | posizione lavorativa | função | functietitel
        | functienaam | jobtitel > title > position | headline | funktion | fonction | functie
        | posizione | current position | prospect position | contact title | person title
        | organization title | organization 1 title""",
    "seniority": """seniority | seniority level > management level | job level | employment seniority
        | career level | karrierestufe | hierarchieebene | hierarchiestufe | niveau hiérarchique
        | nivel jerárquico | nível hierárquico | senioridade | livello | niveau""",
    "role": """department | departments | abteilung | fachbereich | département | service | departamento
        | dipartimento | reparto | afdeling > role | rolle | ruolo | rol | job function | job role
        | employment role | function | job department""",
    "company": """company | company name | organization | organisation | organization name
        | organisation name | account name | firma | firmenname | unternehmen | unternehmensname
        | entreprise | nom de l'entreprise | société | nom de la société | raison sociale | empresa
        | nombre de la empresa | nombre empresa | nome da empresa | nome empresa | compañía
        | razón social | razão social | azienda | nome azienda | società | ragione sociale | bedrijf
        | bedrijfsnaam | organisatie > company account | current company | associated company
        | primary company | employer | arbeitgeber | business name | person organization
        | organization 1 name | lead company > account""",
    "domain": """domain | company domain | company domain name | domain name | domaine | dominio | domein
        > website | website url | web site | company website | company website url | company url | web
        | web page | homepage | webseite | webadresse | internetseite | internetadresse | internet
        | site web | site internet | sitio web | página web | sito | sito web | sito internet | site
        > organization website | account website | url""",
    "industry": """industry | branche | industrie | secteur d'activité | industria | sector industrial
        | settore | setor | ramo de atividade | bedrijfstak > company industry | account industry
        | primary industry > sector | secteur | vertical | wirtschaftszweig""",
    "employees": """employees | number of employees | no of employees | num employees | nr of employees
        | employee count | employees count | headcount | company employees | mitarbeiter
        | mitarbeiterzahl | mitarbeiteranzahl | anzahl mitarbeiter | anzahl der mitarbeiter
        | nombre d'employés | nombre de salariés | effectif | effectifs | empleados | número de empleados
        | n empleados | dipendenti | numero dipendenti | numero di dipendenti | funcionários
        | número de funcionários | nº de funcionários | nº de empleados | colaboradores | medewerkers
        | aantal medewerkers | aantal werknemers > company size | company headcount | employee range
        | size | firmengröße | unternehmensgröße | taille de l'entreprise | tamaño de la empresa
        | tamanho da empresa | dimensione azienda | bedrijfsgrootte""",
    "tech": """tech | technologies | tech stack | technology stack | technologien | tecnologías
        | tecnologie | technologieën > technology | technologie | tecnología | web technologies""",
    "stage": """latest funding stage | funding stage | company stage | finanzierungsphase
        | stade de financement | etapa de financiación > latest funding | last funding type
        | last funding round | latest funding round | funding round > stage""",
    "country": """country | land | pays | país | paese | nazione > country code | ländercode
        | country region | person country | contact country | lead country > mailing country
        | home country > company country | billing country | hq country | headquarters country
        | account country""",
    "region": """state | state region | state province | province | bundesland | kanton | estado
        | provincia | comunidad autónoma | provincie > region | région | regione | person state
        | contact state | mailing state | mailing state province > company state | billing state
        | billing state province | hq state | account state""",
    "city": """city | town | ort | stadt | wohnort | ville | ciudad | localidad | città | comune | cidade
        | plaats | woonplaats | stad > person city | contact city | mailing city > company city
        | billing city | hq city | account city""",
    "timezone": """timezone | zeitzone | fuseau horaire | zona horaria | huso horario | fuso orario
        | fuso horário | tijdzone""",
    "language": """language | sprache | langue | idioma | lingua | taal > preferred language | locale
        | contact language""",
    "phone": """phone | phone number | telephone | telephone number | tel | telefon | telefonnummer
        | rufnummer | numéro de téléphone | teléfono | número de teléfono | telefone | telefoon
        | telefoonnummer > direct phone | work direct phone | direct dial | direct number | durchwahl
        | ligne directe > mobile phone | mobile | mobile number | mobile phone number | cell | cell phone
        | handy | handynummer | mobil | mobiltelefon | mobilnummer | portable | téléphone portable
        | móvil | teléfono móvil | celular | cellulare | telemóvel | mobiel > work phone | business phone
        | contact phone number | person phone work | phone 1 value | office phone | contact phone
        > other phone | phone 2 value > corporate phone | company phone | account phone > home phone""",
    "profile_url": """profile url | person linkedin url | person linkedin | contact linkedin url
        | linkedin profile url > linkedin url | linkedin | linkedin profile | linkedin link
        | profil linkedin | perfil de linkedin | linkedin profil | perfil linkedin | profilo linkedin
        | linkedin profiel | linkedin url public > profile link | public profile url
        | linkedin url unique id | default profile url | li profile""",
    "source_key": """source key > apollo contact id > person id > contact id | kontakt id | id contact
        > lead id > record id | record id contact > prospect id | external id | unique id > id""",
    "budget": "budget | presupuesto | orçamento | budget amount > budget eur | budget usd | deal budget",
    "timeline_months": """timeline months | timeline | timeline in months | timeframe
        > purchase timeframe | buying timeframe | purchase timeline | buying timeline | decision timeline
        | decision timeframe | project timeline | zeitrahmen | zeithorizont | horizon | délai | plazo
        | tempistica | prazo | termijn""",
    "intent": """intent | intent signals | buying intent | buying signals | kaufsignale | signaux d'achat
        | señales de compra | segnali di acquisto | sinais de compra | koopsignalen > intent topics
        | intent topic > primary intent topic""",
}
"""What each column of a lead may be called. `|` stands between equals, `>` before names that only count where no better
one is there. Two equals in one file are a conflict among the best names, and among all names of what identifies a
person; else the first column counts."""

_KEYS: Final = frozenset({"email", "profile_url", "source_key"})

_BESIDE: Final = (
    ("nombre", {"apellido", "apellidos", "primerapellido"}, "first_name"),
    ("nome", {"cognome", "sobrenome", "apelido", "ultimonome"}, "first_name"),
    ("nom", {"prenom", "prenoms"}, "last_name"),
    ("name", {"vorname", "rufname"}, "last_name"),
    ("naam", {"voornaam", "roepnaam"}, "last_name"),
    # LinkedIn's own export of connections calls the profile just URL.
    ("url", {"connectedon"}, "profile_url"),
)
"""Words that mean one thing beside certain other columns; else the names are full names and the URL is a website."""

_ALONE: Final = {"nombre": "full_name", "nome": "full_name", "nom": "full_name", "naam": "full_name"}

DERIVED: Final = frozenset({"base_address", "email_domain", "prospect_state", *(c.name for c in DECISIONS)})
"""Columns of an exported list that harvest or the stages make again from others."""

FIELDS: Final = tuple(ALIASES)
EXTRA, IGNORED = "extra", "ignored"
MEANINGS: Final = (*FIELDS, "website", EXTRA, IGNORED)
"""What a column can be chosen for."""


def key(header: str) -> str:
    """The first 200 characters of a header without case, spaces, punctuation and diacritics."""
    plain = unicodedata.normalize("NFKD", header[:200].casefold())
    return "".join(char for char in plain if char.isalnum())


def _ranks() -> dict[str, tuple[str, int]]:
    """For each folded name its field and how far down in the order of preference it stands."""
    ranks = {key(name): (field, _LAST) for name, field in _ALONE.items()}
    for field, names in ALIASES.items():
        for rank, equals in enumerate(names.split(">")):
            for name in equals.split("|"):
                ranks[key(name)] = ranks[key(name.translate(_SPELT_OUT))] = (field, rank)
    return ranks


_LAST: Final = 99
_SPELT_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_RANKS: Final = _ranks()


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column of a file is, by position.

    Attributes:
        names: The headers, made unique: an empty one is `column 3`, a second `Notes` is `Notes (2)`.
        fields: Field to column.
        extra: Key in `extra` to column; the key is the header in lower case with `_` for all but letters and digits.
        nested: The column called `extra`, whose cells may be JSON objects already.
    """

    names: tuple[str, ...]
    fields: Mapping[str, int]
    extra: Mapping[str, int]
    nested: int | None

    @property
    def identifying(self) -> bool:
        """True if the columns can tell who a lead is: an address, a profile, a key, or a name and a company."""
        name = {"first_name", "last_name", "full_name"} & self.fields.keys()
        return bool(_KEYS & self.fields.keys() or (name and {"company", "domain"} & self.fields.keys()))

    def meanings(self) -> dict[str, str]:
        """For each header its field, `extra` or `ignored`."""
        known = dict.fromkeys((*self.extra.values(), self.nested), EXTRA)
        known |= {position: field for field, position in self.fields.items()}
        return {name: known.get(position, IGNORED) for position, name in enumerate(self.names)}


def known(headers: Sequence[str], chosen: Iterable[str] = ()) -> int:
    """How many headers are names of fields or among the chosen ones."""
    names = _RANKS.keys() | {key(header) for header in chosen}
    return sum(key(header) in names for header in headers)


def recognised(headers: Sequence[str], column_map: Mapping[str, str], where: str) -> Columns:
    """What each column of a file is.

    Args:
        headers: The cells of the header.
        column_map: Header to field, `extra` or `ignored`, as chosen by the user; comes before all recognition.
        where: Name of the file, for messages.

    Raises:
        InvalidInput: Two columns for one field, or a choice that names no column or no field.
    """
    names = _unique(headers)
    chosen = _chosen(names, column_map, where)
    fields = _fields(names, chosen, where)
    best: dict[str, tuple[int, list[int]]] = {}
    for position, (field, rank) in _candidates(headers).items():
        if position in chosen or field in fields:
            continue
        top, positions = best.get(field, (rank, []))
        if rank <= top:
            best[field] = (rank, [*positions, position] if rank == top else [position])
    for field, (rank, positions) in best.items():
        if len(positions) > 1 and (rank == 0 or field in _KEYS):
            raise _conflict(field, names[positions[0]], names[positions[1]], where)
        fields[field] = positions[0]
    derived = {position for position, name in enumerate(names) if name in DERIVED and position not in chosen}
    taken = {*fields.values(), *derived, *(position for position, meaning in chosen.items() if meaning == IGNORED)}
    others = [position for position in range(len(names)) if position not in taken]
    nested = next((position for position in others if names[position] == "extra"), None)
    return Columns(names, fields, _keys(names, [position for position in others if position != nested]), nested)


def _candidates(headers: Sequence[str]) -> dict[int, tuple[str, int]]:
    """For each column that has the name of a field: that field and the name's rank."""
    keys = [key(header) for header in headers]
    present = set(keys)
    beside = {word: (field, _LAST - 1) for word, others, field in _BESIDE if others & present}
    meanings = _RANKS | beside
    return {position: meanings[word] for position, word in enumerate(keys) if word in meanings}


def _chosen(names: Sequence[str], column_map: Mapping[str, str], where: str) -> dict[int, str]:
    """Column to meaning as the user chose."""
    chosen: dict[int, str] = {}
    for header, meaning in column_map.items():
        if meaning not in MEANINGS:
            raise InvalidInput(
                f"No field of a lead is called {meaning!r}{_close(meaning, MEANINGS)}.",
                hint=f"Fields: {', '.join(FIELDS)}. A column may be {EXTRA} (kept as it is) or {IGNORED} too.",
            )
        same = [i for i, name in enumerate(names) if name == header] or [
            i for i, name in enumerate(names) if key(name) == key(header)
        ]
        if len(same) != 1:
            raise InvalidInput(
                f"{where} has {'several columns like' if same else 'no column'} {header!r}{_close(header, names)}.",
                hint=f"Its columns: {_listed(names)}.",
            )
        field = "domain" if meaning == "website" else meaning
        if chosen.setdefault(same[0], field) != field:
            raise InvalidInput(
                f"{names[same[0]]!r} of {where} cannot be both {chosen[same[0]]} and {field}.",
                hint="Choose one of them.",
            )
    return chosen


def _fields(names: Sequence[str], chosen: Mapping[int, str], where: str) -> dict[str, int]:
    """Field to column as the user chose."""
    fields: dict[str, int] = {}
    for position, meaning in chosen.items():
        if meaning in fields:
            raise InvalidInput(
                f"{names[fields[meaning]]!r} and {names[position]!r} of {where} cannot both be the {meaning.replace('_', ' ')}.",
                hint="Choose one of them; the other is kept as it is.",
            )
        if meaning in FIELDS:
            fields[meaning] = position
    return fields


def _conflict(field: str, one: str, other: str, where: str) -> InvalidInput:
    return InvalidInput(
        f"{where} has two columns for {field}: {one!r} and {other!r}.",
        hint=f'Choose with --map {field}="{one}", or rename one of them; the other is kept under extra.',
    )


def unidentified(columns: Columns, where: str) -> InvalidInput:
    """The error for a file whose columns do not tell who a lead is.

    Its cells stand on a line of their own: in a file without a header they are somebody's data, and alerts and logs
    take the first line of an error.
    """
    return InvalidInput(
        f"No column of {where} says who a lead is.\nIn its first line it has: {_listed(columns.names)}.",
        hint="Needed is an e-mail address, a profile URL, an id, or a name and a company. Name one in the file, or as "
        '`touchline import` loads it with --map email="HEADER".',
    )


def _close(word: str, words: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, [other for other in words if len(other) < 80], 1)
    return f", did you mean {found[0]!r}?" if found else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"


def _unique(headers: Sequence[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for position, header in enumerate(headers, 1):
        name = header.strip() or f"column {position}"
        names[_free(name, names, " ({})")] = None
    return tuple(names)


def _keys(names: Sequence[str], positions: Iterable[int]) -> dict[str, int]:
    """Keys in `extra` for some columns."""
    keys: dict[str, int] = {}
    for position in positions:
        # Every lead repeats the key: a header as long as a page would make a small file huge.
        plain = re.sub(r"\W+", "_", names[position].lower()).strip("_")[:60] or f"column_{position + 1}"
        keys[_free(plain, keys, "_{}")] = position
    return keys


def _free(name: str, taken: Container[str], form: str) -> str:
    """A name that is not taken, with a number if need be."""
    numbered = (name + form.format(number) for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)
