"""Column names: what CRMs and people call the columns of a lead, and what happens where two of them mean the same."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.adapters.sources.headers import ALIASES, Columns, recognised
from touchline.model.columns import LEAD
from touchline.model.errors import InvalidInput

APOLLO = (
    "First Name,Last Name,Title,Company,Company Name for Emails,Email,Email Status,Primary Email Source,"
    "Primary Email Verification Source,Email Confidence,Primary Email Catch-all Status,Primary Email Last Verified At,"
    "Seniority,Departments,Contact Owner,Work Direct Phone,Home Phone,Mobile Phone,Corporate Phone,Other Phone,Stage,"
    "Lists,Last Contacted,Account Owner,# Employees,Industry,Keywords,Person Linkedin Url,Website,Company Linkedin Url,"
    "Facebook Url,Twitter Url,City,State,Country,Company Address,Company City,Company State,Company Country,"
    "Company Phone,Technologies,Annual Revenue,Total Funding,Latest Funding,Latest Funding Amount,Last Raised At,"
    "Subsidiary of,Email Sent,Email Open,Email Bounced,Replied,Demoed,Number of Retail Locations,Apollo Contact Id,"
    "Apollo Account Id,Secondary Email,Secondary Email Source,Tertiary Email,Primary Intent Topic,Primary Intent Score,"
    "Secondary Intent Topic"
)
HUBSPOT = (
    "Record ID - Contact,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Contact owner,Associated Company,"
    "Last Activity Date (GMT+2),Lead Status,Create Date,Job Title,Company Name,Website URL,Country/Region,State/Region,"
    "City,Industry,Number of Employees,Time Zone,Preferred language,Lifecycle Stage,LinkedIn URL"
)
SALESFORCE = (
    "Contact ID,First Name,Last Name,Title,Account Name,Department,Email,Phone,Mobile,Mailing City,"
    "Mailing State/Province,Mailing Country,Billing Country,Lead Source,No. of Employees,Account Owner"
)
SALES_TOOL = "firstName,lastName,fullName,jobTitle,companyName,companyDomain,linkedinUrl,email,icebreaker"


def meanings(headers: str, column_map: Mapping[str, str] | None = None) -> dict[str, str]:
    return columns(headers, column_map).meanings()


def columns(headers: str, column_map: Mapping[str, str] | None = None) -> Columns:
    return recognised(headers.split(","), column_map or {}, "leads.csv")


def fields(headers: str, column_map: Mapping[str, str] | None = None) -> dict[str, str]:
    """Field to header."""
    kept = {
        header: field for header, field in meanings(headers, column_map).items() if field not in ("extra", "ignored")
    }
    return {field: header for header, field in kept.items()}


def test_an_apollo_export_is_taken_as_it_is_and_the_persons_own_columns_win() -> None:
    assert fields(APOLLO) == {
        "email": "Email",
        "first_name": "First Name",
        "last_name": "Last Name",
        "title": "Title",
        "seniority": "Seniority",
        "role": "Departments",
        "company": "Company",
        "domain": "Website",
        "industry": "Industry",
        "employees": "# Employees",
        "tech": "Technologies",
        "stage": "Latest Funding",
        "country": "Country",
        "region": "State",
        "city": "City",
        "phone": "Work Direct Phone",
        "profile_url": "Person Linkedin Url",
        "source_key": "Apollo Contact Id",
        "intent": "Primary Intent Topic",
    }
    assert set(meanings(APOLLO).values()) - fields(APOLLO).keys() == {"extra"}


def test_exports_of_hubspot_salesforce_and_sales_tools_are_taken_as_they_are() -> None:
    assert fields(HUBSPOT) == {
        "source_key": "Record ID - Contact",
        "first_name": "First Name",
        "last_name": "Last Name",
        "email": "Email",
        "phone": "Phone Number",
        "title": "Job Title",
        "company": "Company Name",
        "domain": "Website URL",
        "country": "Country/Region",
        "region": "State/Region",
        "city": "City",
        "industry": "Industry",
        "employees": "Number of Employees",
        "timezone": "Time Zone",
        "language": "Preferred language",
        "profile_url": "LinkedIn URL",
    }
    assert fields(SALESFORCE) == {
        "source_key": "Contact ID",
        "first_name": "First Name",
        "last_name": "Last Name",
        "title": "Title",
        "company": "Account Name",
        "role": "Department",
        "email": "Email",
        "phone": "Phone",
        "city": "Mailing City",
        "region": "Mailing State/Province",
        "country": "Mailing Country",
        "employees": "No. of Employees",
    }
    assert fields(SALES_TOOL) == {
        "first_name": "firstName",
        "last_name": "lastName",
        "full_name": "fullName",
        "title": "jobTitle",
        "company": "companyName",
        "domain": "companyDomain",
        "profile_url": "linkedinUrl",
        "email": "email",
    }


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            "Vorname,Name,E-Mail-Adresse,Firma,Mitarbeiterzahl,Branche,Land,Ort,Telefon,Sprache,Abteilung",
            "first_name last_name email company employees industry country city phone language role",
        ),
        (
            "Prénom,Nom,Adresse e-mail,Société,Secteur d'activité,Pays,Ville,Téléphone,Langue,Fonction,Effectif",
            "first_name last_name email company industry country city phone language title employees",
        ),
        (
            "Nombre,Apellidos,Correo electrónico,Empresa,Cargo,País,Ciudad,Teléfono,Idioma,Número de empleados",
            "first_name last_name email company title country city phone language employees",
        ),
        (
            "Nome,Cognome,Indirizzo e-mail,Azienda,Qualifica,Settore,Paese,Città,Telefono,Lingua,Dipendenti",
            "first_name last_name email company title industry country city phone language employees",
        ),
        (
            "Nome,Sobrenome,Endereço de e-mail,Razão social,Função,Setor,País,Cidade,Telefone,Nº de funcionários",
            "first_name last_name email company title industry country city phone employees",
        ),
        (
            "Voornaam,Achternaam,E-mailadres,Bedrijfsnaam,Functie,Land,Plaats,Telefoonnummer,Taal,Aantal medewerkers",
            "first_name last_name email company title country city phone language employees",
        ),
        ("Unternehmensgroesse,Firmengröße (MA)", "employees extra"),
    ],
)
def test_the_common_words_of_six_languages_are_known(headers: str, found: str) -> None:
    assert " ".join(meanings(headers).values()) == found


def test_one_word_means_the_full_name_unless_the_other_half_stands_beside_it() -> None:
    for word in ("Name", "Nom", "Nome", "Nombre", "Naam"):
        assert meanings(f"{word},Firma") == {word: "full_name", "Firma": "company"}


def test_the_company_s_profile_is_never_taken_for_the_persons() -> None:
    assert fields("email,Company Linkedin Url") == {"email": "email"}
    assert fields("LinkedIn,Company LinkedIn,Company LinkedIn URL") == {"profile_url": "LinkedIn"}


def test_a_column_url_is_a_website_and_in_linkedins_own_export_the_profile() -> None:
    assert meanings("email,URL")["URL"] == "domain"
    assert meanings("email,URL,Connected On")["URL"] == "profile_url"


def test_case_spaces_punctuation_and_diacritics_of_a_name_do_not_matter() -> None:
    for header in ("EMAIL", " e-mail ", "E_Mail", "é mail:"):
        assert fields(header) == {"email": header.strip()}


def test_every_column_of_a_lead_that_a_file_can_give_has_names() -> None:
    made_by_harvest = {"base_address", "email_domain", "source", "account", "extra"}
    assert ALIASES.keys() - {"full_name"} == {column.name for column in LEAD} - made_by_harvest
    for name in ALIASES:
        assert meanings(name) == {name: name}


def test_columns_that_harvest_makes_itself_are_ignored_in_an_exported_list() -> None:
    assert meanings("email,base_address,email_domain")["base_address"] == "ignored"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("email,E-Mail", "two columns for email: 'email' and 'E-Mail'"),
        ("Email,Email", "two columns for email: 'Email' and 'Email \\(2\\)'"),
        ("Company,Firma", "two columns for company: 'Company' and 'Firma'"),
        ("Work email,Business email", "two columns for email: 'Work email' and 'Business email'"),
    ],
)
def test_two_equal_columns_for_one_field_are_an_error_that_names_both(headers: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as told:
        columns(headers)
    assert "--map" in told.value.hint
    assert "rename" in told.value.hint


def test_of_two_equal_second_choices_the_first_column_counts_where_no_identity_is_at_stake() -> None:
    assert meanings("email,Mobile,Cell phone") == {"email": "email", "Mobile": "phone", "Cell phone": "extra"}


def test_a_choice_by_the_user_settles_a_conflict_and_wins_over_every_name() -> None:
    assert meanings("email,E-Mail", {"E-Mail": "email"}) == {"email": "extra", "E-Mail": "email"}
    assert meanings("Email,Email", {"Email (2)": "email"}) == {"Email": "extra", "Email (2)": "email"}
    assert meanings("email,Contact,Web", {"contact": "email", "web": "website"}) == {
        "email": "extra",
        "Contact": "email",
        "Web": "domain",
    }


def test_a_column_may_be_kept_as_it_is_or_left_out_whatever_its_name() -> None:
    chosen = {"Phone": "extra", "Notes": "ignored", "City": "ignored", "account": "extra"}
    found = columns("Email,Phone,Notes,City,account,Mobile", chosen)
    assert found.meanings() == {
        "Email": "email", "Phone": "extra", "Notes": "ignored", "City": "ignored", "account": "extra", "Mobile": "phone",
    }  # fmt: skip
    assert list(found.extra) == ["phone", "account"]


def test_of_two_columns_for_one_field_one_may_be_left_out() -> None:
    assert meanings("email,E-Mail", {"E-Mail": "ignored"}) == {"email": "email", "E-Mail": "ignored"}


@pytest.mark.parametrize(
    ("column_map", "message"),
    [
        ({"Emial": "email"}, "no column 'Emial', did you mean 'Email'\\?.*Its columns: 'Email', 'e mail', 'Other'"),
        ({"E.MAIL": "email"}, "several columns like 'E.MAIL'"),
        ({"Other": "emial"}, "No field of a lead is called 'emial', did you mean 'email'\\?.*Fields: email"),
        ({"Other": "tier"}, "No field of a lead is called 'tier'.*extra.*ignored"),
        ({"Email": "city", "Other": "city"}, "'Email' and 'Other' of leads.csv cannot both be the city"),
        ({"Email": "website", "Other": "domain"}, "cannot both be the domain"),
        ({"Other": "city", "OTHER": "ignored"}, "'Other' of leads.csv cannot be both city and ignored"),
    ],
)
def test_a_choice_that_cannot_be_is_an_error_that_names_the_right_word(
    column_map: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        columns("Email,e mail,Other", column_map)


def test_other_columns_get_short_plain_keys_that_differ() -> None:
    found = columns(f"email,Favourite Colour!,favourite colour,,{'x' * 90},Übergröße,extra,?")
    assert list(found.extra) == [
        "favourite_colour",
        "favourite_colour_2",
        "column_4",
        "x" * 60,
        "übergröße",
        "column_8",
    ]
    assert found.nested == 6
    assert found.names[3] == "column 4"


def test_a_list_of_many_columns_is_named_in_part() -> None:
    with pytest.raises(InvalidInput, match="'c19' and 5 more"):
        columns(",".join(f"c{n}" for n in range(25)), {"zzz": "email"})


@pytest.mark.parametrize(
    ("headers", "identifying"),
    [
        ("email", True),
        ("LinkedIn", True),
        ("Record ID", True),
        ("Last name,Company", True),
        ("Full name,Website", True),
        ("First name,Last name", False),
        ("Company,Website,Country", False),
    ],
)
def test_a_lead_needs_an_address_a_profile_a_key_or_a_name_with_a_company(headers: str, *, identifying: bool) -> None:
    assert columns(headers).identifying is identifying


@given(st.lists(st.text(max_size=8) | st.sampled_from(["email", "Name", "extra", "URL", "Stage"]), max_size=9))
def test_every_column_has_exactly_one_meaning_and_its_own_name(headers: list[str]) -> None:
    try:
        found = recognised(headers, {}, "leads.csv")
    except InvalidInput:
        return
    assert len(set(found.names)) == len(headers)
    nested = [] if found.nested is None else [found.nested]
    used = sorted([*found.fields.values(), *found.extra.values(), *nested])
    assert used == list(range(len(headers)))
    assert list(found.meanings()) == list(found.names)
