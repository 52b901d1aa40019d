"""Raw cells of any source as leads with the declared columns and types, each with the reason why it is none, if so."""

import polars as pl

from touchline.model.columns import LEAD, lead_schema
from touchline.stages.normalise import company, contact, names, numbers, phones, places, text, titles

FIELDS = tuple(column.name for column in LEAD)


def normalise(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """Leads from raw text, one row for each row given, in the same order.

    Args:
        rows: String columns, any of the names of `model.columns.LEAD` (the columns that harvest works out itself are
            ignored: base_address, email_domain, source, account), and beside them, all optional: `full_name`; `extra`,
            a JSON object; `row`, a number for people (from 1 where missing); `fault`, a reason of the source why the row
            cannot be used; `raw`, the row as it came.
        source: Kind of source, the same for all rows.

    Returns:
        `row`, `raw` and `reason`, then exactly the columns and types of `lead_schema()`. The reason is null for a lead,
        else the source's fault, `bad_address` (an address that is none, and no other key), or `no_identity` (neither
        address, profile nor source key). An address that is none does not stop a lead that has another key.
    """
    cells = _Cells(rows)
    found = {"source": pl.Series([source.strip().lower()], dtype=pl.String).new_from_index(0, rows.height)}
    found |= _keys(cells)
    found["first_name"], found["last_name"] = names.names(cells["first_name"], cells["last_name"], cells["full_name"])
    found |= _work(cells)
    found |= _place(cells)
    found |= _company(cells, found["email_domain"])
    found["phone"] = phones.phone(cells["phone"], found["country"])
    found["extra"] = text.extras(cells["extra"])
    leads = pl.DataFrame({name: found[name].alias(name) for name in FIELDS}).cast(pl.Schema(lead_schema()))
    row = rows["row"].cast(pl.Int64) if "row" in rows.columns else pl.int_range(1, rows.height + 1, eager=True)
    return leads.select(
        row.alias("row"),
        cells["raw"].alias("raw"),
        _reason(cells["fault"], cells["email"]).alias("reason"),
        *FIELDS,
    )


class _Cells:
    """Columns of a frame by name, all null where the frame has none."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows
        self.nothing = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)

    def __getitem__(self, name: str) -> pl.Series:
        return self.rows[name].cast(pl.String) if name in self.rows.columns else self.nothing


def _keys(cells: _Cells) -> dict[str, pl.Series]:
    email = contact.email(cells["email"])
    return {
        "email": email,
        "base_address": contact.base(email),
        "email_domain": contact.host(email),
        "profile_url": contact.profile_url(cells["profile_url"]),
        "source_key": contact.key(cells["source_key"]),
    }


def _work(cells: _Cells) -> dict[str, pl.Series]:
    title = text.clean(cells["title"])
    return {
        "title": title,
        "seniority": titles.seniority(cells["seniority"], title),
        "role": titles.role(cells["role"], title),
        "budget": numbers.budget(cells["budget"]),
        "timeline_months": numbers.timeline(cells["timeline_months"]),
        "intent": text.tags(cells["intent"]),
    }


def _place(cells: _Cells) -> dict[str, pl.Series]:
    return {
        "country": places.country(cells["country"]),
        "region": text.clean(cells["region"]),
        "city": text.clean(cells["city"]),
        "timezone": places.timezone(cells["timezone"]),
        "language": places.language(cells["language"]),
    }


def _company(cells: _Cells, email_domains: pl.Series) -> dict[str, pl.Series]:
    name = company.company(cells["company"])
    domain = company.domain(cells["domain"], email_domains)
    return {
        "company": name,
        "domain": domain,
        "account": company.account(domain, name),
        "industry": text.code(cells["industry"]),
        "employees": numbers.employees(cells["employees"]),
        "tech": text.tags(cells["tech"]),
        "stage": text.code(cells["stage"]),
    }


def _reason(fault: pl.Series, email: pl.Series) -> pl.Expr:
    """Why a row is no lead; null where it is one."""
    given = text.clean(email)
    known = pl.any_horizontal(pl.col("base_address", "profile_url", "source_key").is_not_null())
    bad = pl.when(given.is_not_null()).then(pl.lit("bad_address")).otherwise(pl.lit("no_identity"))
    return pl.coalesce(fault, pl.when(~known).then(bad))
