"""The page Suppression: who must get nothing, whether somebody is among them, and adding to them."""

import csv
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, TextIO, cast

import polars as pl
from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from touchline.adapters.exports import write_suppressions
from touchline.adapters.sources import encoding
from touchline.app import counts, suppression
from touchline.app.suppression import KINDS, Suppressed
from touchline.model.columns import fold_text
from touchline.model.errors import InvalidInput
from touchline.web import frame
from touchline.web.api.texts import LINES, ONE_LINE
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/suppression", "Suppression", "ban", "suppressions:read", 70)

Reads = Annotated[Visit, needs("suppressions:read")]
Writes = Annotated[Visit, needs("suppressions:write")]
Word = Annotated[str, Form(max_length=500, pattern=ONE_LINE)]

SHOWN = 50
MOST = 10_000
"""Values that can be typed at once."""
LARGEST = 50_000_000
"""Bytes of a file of suppressions."""
IN_MEMORY = 1 << 20


@routes.get("/suppression")
def page(
    visit: Reads,
    value: Annotated[str, Query(max_length=500, pattern=ONE_LINE)] = "",
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
) -> Response:
    """The list, and what is known of one value."""
    return _page(visit, {"after": after, "value": value.strip(), "verdict": _verdict(visit, value.strip())})


@routes.get("/suppression/count")
def count(visit: Reads) -> Response:
    """How many there are, for the line under the list."""
    found, _ = counts.suppressions(visit.site.counts, visit.store)
    return PlainTextResponse("many" if found is None else f"{found:,}")


@routes.post("/suppression")
def add(
    visit: Writes,
    values: Annotated[str, Form(max_length=1_000_000, pattern=LINES)] = "",
    kind: Word = "",
    reason: Word = "",
) -> Response:
    """Suppress what was typed: all of it, or nothing where one line cannot be used."""
    typed = [line.strip() for line in values.splitlines() if line.strip()]
    unusable = [
        one
        for one in typed
        if kind not in ("", *KINDS) or suppression.normal(kind or suppression.guess(one), one) is None
    ]
    error = ""
    if not typed:
        error = "Write an address or a domain, one a line."
    elif len(typed) > MOST:
        error = f"These are {len(typed):,} lines; at most {MOST:,} can be typed. Upload them as a file."
    elif unusable:
        shown = ", ".join(repr(one[:60]) for one in unusable[:5])
        error = f"Nothing is suppressed: {shown} cannot be {kind or 'an address or a domain'}."
    if error:
        return _page(visit, {"typed": values, "kind": kind, "reason": reason, "error": error}, status=422)
    entries = [(kind or None, one, reason.strip() or "added by hand") for one in typed]
    done = _suppress(visit, entries, visit.caller.name, {"values": typed[:100], "entries": len(typed)})
    return frame.done(visit.request, "/suppression", _said(done))


@routes.post("/suppression/file")
def add_file(visit: Writes, file: Annotated[UploadFile, File()]) -> Response:
    """Suppress what a file lists, and say which of its lines could not be used."""
    name = "".join(char for char in file.filename or "a file" if char.isprintable())[:200]
    try:
        entries = _entries(file, name)
    except InvalidInput as error:
        return _page(visit, {"file_error": str(error)}, status=422)
    done = _suppress(visit, entries, f"file {name}", {"file": name, "entries": len(entries)})
    if done.rejected:
        return _page(visit, {"done": done, "said": _said(done)})
    return frame.done(visit.request, "/suppression", _said(done))


@routes.get("/suppression.csv")
def export(visit: Reads) -> Response:
    """All of them as CSV that imports again."""
    file = SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115 - closed by its reader
    with visit.store.reading() as unit:
        write_suppressions(unit.suppressions.listed, cast("TextIO", file))
    headers = {"Content-Disposition": 'attachment; filename="suppression.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(_parts(file), media_type="text/csv", headers=headers)


def _parts(file: SpooledTemporaryFile[str]) -> Iterator[str]:
    with file:
        file.seek(0)
        while part := file.read(IN_MEMORY):
            yield part


def _page(visit: Visit, more: dict[str, Any], status: int = 200) -> Response:
    after = more.get("after", 0)
    with visit.store.reading() as unit:
        rows = unit.suppressions.listed(after, SHOWN + 1)
    total, _ = counts.suppressions(visit.site.counts, visit.store)
    values = {
        "rows": rows[:SHOWN],
        "following": rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        "total": total,
        "after": 0,
        "value": "",
        "verdict": None,
        "typed": "",
        "kind": "",
        "reason": "",
        "error": "",
        "file_error": "",
        "done": None,
        "said": "",
    }
    return frame.page(visit, "suppression.html", values | more, status=status)


def _verdict(visit: Visit, value: str) -> dict[str, Any] | None:
    """Whether an address, a domain or an account gets nothing, and why; a domain's parents count as well."""
    if not value:
        return None
    kind = suppression.guess(value)
    text = suppression.normal(kind, value)
    asked = {
        "identity": "asked",
        "base_address": text if kind == "address" else None,
        "email_domain": (text or "").rpartition("@")[2] or None,
        "account": (text or "").rpartition("@")[2] if kind == "address" else text or fold_text(value),
    }
    batch = pl.DataFrame([asked], schema=dict.fromkeys(asked, pl.String))
    with visit.store.reading() as unit:
        found = unit.suppressions.matching(batch)
    return {
        "value": value,
        "known": text is not None or kind != "address",
        "why": found["why"][0] if found.height else None,
    }


def _entries(file: UploadFile, name: str) -> list[tuple[str | None, str, str]]:
    content = file.file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InvalidInput(f"{name} is larger than {LARGEST // 10**6} MB.", hint="Split it and upload the parts.")
    spelt = encoding.found(content[: encoding.SAMPLE], name)
    body = content[spelt.bom :]
    text = body.decode(spelt.name, "replace") if spelt.wide else spelt.text(body)
    try:
        return suppression.entries_of(text, name)
    except csv.Error as error:
        raise InvalidInput(f"{name} is no list: {error}.", hint="Give one value a line, or CSV.") from None


def _suppress(
    visit: Visit, entries: list[tuple[str | None, str, str]], source: str, told: dict[str, Any]
) -> Suppressed:
    with visit.changing("suppression.add", "suppressions") as change:
        with visit.store.transaction() as unit:
            done = suppression.suppress(unit, entries, source, visit.now)
        change.after = told | {"new": done.new, "touches_cancelled": done.touches_cancelled}
    return done


def _said(done: Suppressed) -> str:
    unusable = f", {len(done.rejected):,} cannot be used" if done.rejected else ""
    return (
        f"{done.new:,} new, {done.already:,} known already{unusable}. "
        f"{done.touches_cancelled:,} planned messages are cancelled."
    )
