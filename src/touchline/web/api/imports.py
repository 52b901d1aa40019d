"""Imports over the API: upload a file, see its columns, try it, load it by a run, and read what was set aside."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from touchline.app import imports, uploads
from touchline.app.ports import Row
from touchline.app.uploads import Upload
from touchline.model.cells import neutral
from touchline.model.errors import InvalidInput
from touchline.web import incoming, uploaded
from touchline.web.api import cursors
from touchline.web.api.etags import tagged
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, DryRun, Followed, Limit, Page, Shape, place_of
from touchline.web.api.texts import Line, Number
from touchline.web.visit import Visit, needs

routes = router("imports", "/imports")
SAMPLED = 50
"""Rows that samples are taken from."""
SAMPLES = 3
SAMPLE_CHARS = 80
BATCH = 1_000
Outcome = Annotated[Literal["duplicate", "suppressed", "rejected"] | None, Query(description="Only these.")]
Stage = Literal["harvest", "score", "qualify", "route", "nurture"]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Of an upload.")]


class Counts(Shape):
    """Rows by what became of them."""

    new: int
    updated: int
    duplicate: int
    suppressed: int
    rejected: int


class Import(Shape):
    """One load of a file into a campaign."""

    id: int
    campaign: str
    name: str = Field(examples=["spring-fair.csv"])
    state: Literal["running", "done", "unfinished", "failed"] = Field(
        description="`unfinished`: it has stood still for half an hour; the same file, loaded again, goes on where it stopped."
    )
    rows: int
    counts: Counts
    bytes: int
    error: str | None
    started_at: datetime
    moved_at: datetime = Field(description="When its last batch was stored.")
    finished_at: datetime | None


class Reason(Shape):
    """How often a reason set a row aside."""

    outcome: str
    reason: str | None
    rows: int


class Detail(Import):
    """An import with its reasons."""

    reasons: list[Reason]


class Aside(Shape):
    """A row that became no lead."""

    row: int = Field(description="Its number in the file, from 1, the header not counted.")
    outcome: str
    reason: str | None
    identity: str | None = Field(description="The lead that it is about.")
    raw: str | None = Field(description="Its text, or its cells as JSON: at most 2,000 characters.")


class Column(Shape):
    """One column of a file."""

    header: str
    meaning: str = Field(description="A field of a lead; `extra`: kept as it is; `ignored`.", examples=["email"])
    samples: list[str]


class Uploaded(Shape):
    """A file that was uploaded."""

    id: str = Field(examples=["0f8fad5bd9cb469fa165708767722fe3"])
    name: str
    bytes: int
    at: datetime
    by: str
    columns: list[Column]
    problem: str | None = Field(description="Why it cannot be read as it is.")
    hint: str | None
    campaign: str | None
    run: int | None = Field(description="The run that loads it.")
    import_: int | None = Field(None, alias="import", serialization_alias="import", description="What it became.")


class Order(Body):
    """What to do with an upload."""

    upload: str = Field(pattern="^[0-9a-f]{32}$", examples=["0f8fad5bd9cb469fa165708767722fe3"])
    campaign: Line = Field(min_length=1, examples=["spring"])
    until: Stage = Field("nurture", description="New leads run on to this stage and are written once.")
    columns: dict[Line, Line] = Field(
        default_factory=dict,
        max_length=200,
        description="Header to field, to `extra` (keep it as it is) or to `ignored`, where recognition is wrong.",
        examples=[{"Work mail": "email", "Internal note": "ignored"}],
    )


class Rehearsed(Shape):
    """What an import would do; nothing of it was kept."""

    rows: int = Field(description="Rows that were tried.")
    whole: bool = Field(description="These are all of the file.")
    counts: Counts
    reasons: list[Reason]
    aside: list[Aside] = Field(description="The first rows that would become no lead.")
    already: int | None = Field(description="The import by which this very content was loaded before.")
    columns: list[Column]


@routes.get("", summary="List imports")
def list_(visit: Annotated[Visit, needs("imports:read")], limit: Limit = 50, cursor: Cursor = None) -> Page[Import]:
    """The newest first."""
    before = cursors.unpack(visit.workspace.secret, "imports", cursor)
    rows = imports.listed(visit.workspace.outside, limit + 1, before)
    following = cursors.pack(visit.workspace.secret, "imports", rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(items=[_import(row) for row in rows[:limit]], next=following)


def _import(row: Row) -> Import:
    return Import.model_validate(row | {"counts": row})


async def _upload(request: Request, visit: Annotated[Visit, needs("imports:write")]) -> Uploaded:
    """The part called `file` holds a CSV file, of at most 2 GB, with a line of column names."""
    incoming.check_length(request)
    shelf = visit.workspace.shelf
    with shelf.keeping(visit.caller.name, visit.now) as file:
        name = await incoming.receive(request, file.stream)
        upload = await run_in_threadpool(file.keep, name)
    return await run_in_threadpool(_told, visit, upload)


routes.add_api_route(
    "/uploads",
    _upload,
    methods=["POST"],
    status_code=201,
    summary="Upload a file",
    # A repeated upload does no harm, and a key would have its bytes read twice.
    route_class_override=APIRoute,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                }
            },
        }
    },
)


@routes.get("/uploads/{upload}", summary="Read one upload")
def get_upload(visit: Annotated[Visit, needs("imports:read")], upload: Id) -> Uploaded:
    """Its columns as they are recognised, and what has become of it. A file that nobody imports goes after a day."""
    return _told(visit, visit.workspace.shelf.find(upload))


@routes.delete("/uploads/{upload}", status_code=204, summary="Forget an upload")
def forget(visit: Annotated[Visit, needs("imports:write")], upload: Id) -> None:
    """Only where no run loads it."""
    uploaded.forget(visit, visit.workspace.shelf.find(upload))


def _told(visit: Visit, upload: Upload) -> Uploaded:
    problem = hint = None
    columns: list[Column] = []
    try:
        columns = _columns(visit, upload, upload.columns)
    except InvalidInput as error:
        problem, hint = error.message, error.hint
    became = uploads.import_of(visit.store, upload)
    given = {name: getattr(upload, name) for name in ("id", "name", "bytes", "at", "by", "campaign", "run")}
    return Uploaded.model_validate(given | {"columns": columns, "problem": problem, "hint": hint, "import": became})


def _columns(visit: Visit, upload: Upload, chosen: dict[str, str]) -> list[Column]:
    found = visit.workspace.uploaded(upload, chosen).columns(SAMPLED)
    return [
        Column(header=header, meaning=meaning, samples=[text[:SAMPLE_CHARS] for text in samples[:SAMPLES]])
        for header, meaning, samples in found
    ]


@routes.post(
    "",
    status_code=202,
    summary="Import an upload, or try to",
    responses={200: {"model": Rehearsed, "description": "What would happen, with `dry_run`."}},
)
def commit(
    visit: Annotated[Visit, needs("imports:write")], body: Order, response: Response, dry_run: DryRun = False
) -> Followed | Rehearsed:
    """A worker loads the file: follow the run. A dry run tries the first 50,000 rows, without DNS."""
    upload = visit.workspace.shelf.find(body.upload)
    if dry_run:
        tried = uploaded.rehearse(visit, upload, body.campaign, body.until, body.columns)
        response.status_code = 200
        columns = _columns(visit, upload, body.columns)
        shown = {name: getattr(tried, name) for name in ("rows", "whole", "counts", "reasons", "aside", "already")}
        return Rehearsed.model_validate(shown | {"columns": columns})
    run = uploaded.commit(visit, upload, body.campaign, body.until, body.columns)
    return Followed(run=run["id"], follow=place_of(run["id"]))


@routes.get("/{number}", summary="Read one import")
def get(request: Request, response: Response, visit: Annotated[Visit, needs("imports:read")], number: Number) -> Detail:
    """With how often each reason set a row aside."""
    row, reasons = imports.shown(visit.workspace.outside, number)
    with visit.store.reading() as unit:
        campaign = unit.campaigns.by_id(row["campaign_id"]).campaign.name
    found = Detail.model_validate(row | {"campaign": campaign, "counts": row, "reasons": reasons})
    tagged(request, response, found.model_dump())
    return found


@routes.get("/{number}/rows", summary="List rows that were set aside")
def rows(
    visit: Annotated[Visit, needs("imports:read")],
    number: Number,
    outcome: Outcome = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Aside]:
    """Duplicates, suppressed and rejected rows, in the order of the file."""
    kind = f"imports/{number}/{outcome}"
    after = cursors.unpack(visit.workspace.secret, kind, cursor) or 0
    imports.shown(visit.workspace.outside, number)
    with visit.store.reading() as unit:
        found = unit.imports.set_aside(number, outcome, after, limit + 1)
    following = cursors.pack(visit.workspace.secret, kind, found[limit - 1]["row"]) if len(found) > limit else None
    return Page(items=[Aside.model_validate(row) for row in found[:limit]], next=following)


@routes.get(
    "/{number}/rows.csv",
    summary="Rows that were set aside as CSV",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "One line a row."}},
)
def rows_as_csv(
    visit: Annotated[Visit, needs("imports:read")], number: Number, outcome: Outcome = None
) -> StreamingResponse:
    """The same as a file that a spreadsheet can open and cannot run."""
    imports.shown(visit.workspace.outside, number)
    name = f"import-{number}-{outcome or 'set-aside'}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(aside_as_csv(visit, number, outcome), media_type="text/csv", headers=headers)


def aside_as_csv(visit: Visit, key: int, outcome: str | None) -> Iterator[str]:
    """Rows of an import that were set aside, as the text of a CSV file, a part at a time."""
    after, names = 0, ("row", "outcome", "reason", "identity", "raw")
    yield ",".join(names) + "\n"
    while True:
        with visit.store.reading() as unit:
            found = unit.imports.set_aside(key, outcome, after, BATCH)
        if not found:
            return
        text = io.StringIO()
        cells = ([neutral(c) if isinstance(c, str) else c for c in (row[name] for name in names)] for row in found)
        csv.writer(text, lineterminator="\n").writerows(cells)
        yield text.getvalue()
        after = found[-1]["row"]
