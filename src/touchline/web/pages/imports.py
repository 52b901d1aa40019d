"""The page Import: upload a file, see its columns, try it, load it by a run, and read what was set aside."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from touchline.adapters.sources.headers import EXTRA, FIELDS, IGNORED
from touchline.app import imports, runs, uploads
from touchline.app.uploads import Upload
from touchline.model.errors import InvalidInput, NotFound, Refused, TouchlineError
from touchline.web import frame, incoming, problems, uploaded
from touchline.web.api.imports import SAMPLE_CHARS, SAMPLED, SAMPLES, aside_as_csv
from touchline.web.api.texts import ONE_LINE, Number
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/import", "Import", "file-import", "imports:read", 40)

Reads = Annotated[Visit, needs("imports:read")]
Writes = Annotated[Visit, needs("imports:write")]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Word = Annotated[str, Form(max_length=300, pattern=ONE_LINE)]
Campaign = Annotated[str, Query(max_length=200, pattern=ONE_LINE)]
Outcome = Annotated[Literal["", "duplicate", "suppressed", "rejected"], Query()]

SHOWN = 50
ASIDE = ("duplicate", "suppressed", "rejected")
STAGES = (
    ("nurture", "plan their first message"),
    ("route", "choose their sequence"),
    ("qualify", "decide who is contacted"),
    ("score", "score them"),
    ("harvest", "only keep them"),
)
KEYS = ("email", "full_name", "company")
"""What can be named by hand where no column tells who a lead is."""


@routes.get("/import")
def page(
    visit: Reads, campaign: Campaign = "", before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
) -> Response:
    """A file to upload, those that wait for a decision, and what was imported."""
    rows = imports.listed(visit.workspace.outside, SHOWN + 1, before)
    with visit.store.reading() as unit:
        names = unit.campaigns.names()
    values = {
        "rows": rows[:SHOWN],
        "following": rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        "before": before,
        "campaigns": names,
        "campaign": campaign,
        "waiting": [one for one in reversed(visit.workspace.shelf.listed()) if one.run is None],
        "largest": incoming.LARGEST,
    }
    return frame.page(visit, "import.html", values)


@routes.post("/import")
async def receive(request: Request, visit: Writes) -> Response:
    """Keep the file and show what is in it."""
    incoming.check_length(request)
    given = (await request.form()).get("campaign")
    with visit.workspace.shelf.keeping(visit.caller.name, visit.now) as file:
        name = await incoming.receive(request, file.stream)
        upload = await run_in_threadpool(file.keep, name)
    await run_in_threadpool(_told, visit, upload)
    return frame.done(request, _path(upload, given if isinstance(given, str) else ""), f"{upload.name} is uploaded.")


def _told(visit: Visit, upload: Upload) -> None:
    with visit.changing("import.upload", f"upload:{upload.id}") as change:
        change.after = {"name": upload.name, "bytes": upload.bytes}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has chosen for an upload.

    Attributes:
        until: Stage to which new leads run on.
        column: `field=header` of each column that is not to be as it was recognised.
        named: Field and header, typed where no column tells who a lead is.
    """

    campaign: str = ""
    until: str = "nurture"
    column: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Header to what it becomes."""
        pairs = [(header, field) for field, sign, header in (one.partition("=") for one in self.column) if sign]
        return dict(pairs) | {header: field for field, header in self.named if header}


def _choice(
    campaign: Word = "",
    until: Word = "nurture",
    column: Annotated[list[str] | None, Form()] = None,
    email: Word = "",
    full_name: Word = "",
    company: Word = "",
) -> Choice:
    named = zip(KEYS, (email, full_name, company), strict=True)
    return Choice(campaign, until, tuple(one for one in column or () if one), tuple(named))


Chosen = Annotated[Choice, Depends(_choice)]


@routes.get("/import/uploads/{upload}")
def look(visit: Reads, upload: Id, campaign: Campaign = "") -> Response:
    """One file: its columns before it is loaded, its progress while it is, its import afterwards."""
    found = visit.workspace.shelf.find(upload)
    if found.run is None:
        return _form(visit, found, Choice(campaign))
    try:
        run, _ = runs.shown(visit.workspace.outside, found.run)
    except NotFound:  # runs are forgotten in time, imports are not
        run = {"id": found.run, "state": "done", "error": None}
    became = uploads.import_of(visit.store, found)
    if became is not None and run["state"] not in runs.OPEN:
        return RedirectResponse(f"/import/{became}", 303)
    return frame.page(visit, "import_run.html", {"upload": found, "run": run, "goes_on": run["state"] in runs.OPEN})


@routes.post("/import/uploads/{upload}/try")
def rehearse(visit: Writes, upload: Id, choice: Chosen) -> Response:
    """What an import would do, with nothing of it kept."""
    found = visit.workspace.shelf.find(upload)
    try:
        _check(choice)
        tried = uploaded.rehearse(visit, found, choice.campaign, choice.until, choice.columns)
    except (InvalidInput, NotFound, Refused) as error:
        return _form(visit, found, choice, error=error)
    return _form(visit, found, choice, tried=tried)


@routes.post("/import/uploads/{upload}/commit")
def commit(visit: Writes, upload: Id, choice: Chosen) -> Response:
    """Let a worker load the file."""
    found = visit.workspace.shelf.find(upload)
    try:
        _check(choice)
        run = uploaded.commit(visit, found, choice.campaign, choice.until, choice.columns)
    except (InvalidInput, NotFound, Refused) as error:
        return _form(visit, found, choice, error=error)
    return frame.done(visit.request, _path(found), f"Run {run['id']} loads {found.name}.")


@routes.post("/import/uploads/{upload}/forget")
def forget(visit: Writes, upload: Id) -> Response:
    """Remove a file that nobody wants imported."""
    found = visit.workspace.shelf.find(upload)
    uploaded.forget(visit, found)
    return frame.done(visit.request, "/import", f"{found.name} is forgotten.")


@routes.get("/import/{number}")
def detail(
    visit: Reads, number: Number, outcome: Outcome = "", after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0
) -> Response:
    """One import: what became of its rows, and those that became no lead."""
    row, reasons = imports.shown(visit.workspace.outside, number)
    with visit.store.reading() as unit:
        campaign = unit.campaigns.by_id(row["campaign_id"]).campaign.name
        rows = unit.imports.set_aside(number, outcome or None, after, SHOWN + 1)
    of_file = (one for one in visit.workspace.shelf.listed() if one.fingerprint == row["fingerprint"])
    values = {
        "row": row,
        "campaign": campaign,
        "reasons": reasons,
        "rows": rows[:SHOWN],
        "following": rows[SHOWN - 1]["row"] if len(rows) > SHOWN else None,
        "after": after,
        "outcome": outcome,
        "aside": ASIDE,
        "run": next((one.run for one in of_file if one.campaign == campaign), None),
        "leads": "/leads?" + urlencode({"where": f"import_id = {number}"}),
    }
    return frame.page(visit, "import_detail.html", values)


@routes.get("/import/{number}/rows.csv")
def rows_as_csv(visit: Reads, number: Number, outcome: Outcome = "") -> Response:
    """The rows that became no lead, as a file that a spreadsheet can open and cannot run."""
    imports.shown(visit.workspace.outside, number)
    name = f"import-{number}-{outcome or 'set-aside'}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(aside_as_csv(visit, number, outcome or None), media_type="text/csv", headers=headers)


def _check(choice: Choice) -> None:
    if not choice.campaign:
        raise InvalidInput("No campaign is chosen.", hint="Say which campaign the leads are for.")


def _form(
    visit: Visit,
    upload: Upload,
    choice: Choice,
    *,
    error: TouchlineError | None = None,
    tried: uploads.Rehearsed | None = None,
) -> Response:
    """The file's columns, and what an attempt has said."""
    problem, columns = None, []
    try:
        columns = _columns(visit, upload, choice)
    except InvalidInput as fault:
        problem = fault
    with visit.store.reading() as unit:
        names = unit.campaigns.names()
    values = {
        "upload": upload,
        "choice": choice,
        "columns": columns,
        "meanings": [(field, field.replace("_", " ")) for field in FIELDS]
        + [(EXTRA, "kept as it is"), (IGNORED, "ignored")],
        "named": dict(choice.named),
        "campaigns": names,
        "stages": STAGES,
        "error": error if problem is None or str(problem) != str(error) else None,
        "problem": problem,
        "tried": tried,
    }
    return frame.page(visit, "import_upload.html", values, status=problems.of(error)[0] if error else 200)


def _columns(visit: Visit, upload: Upload, choice: Choice) -> list[dict[str, Any]]:
    """Each column with its meaning and samples; where the choice contradicts itself, as they are recognised."""
    chosen = choice.columns
    try:
        found = visit.workspace.uploaded(upload, choice.columns).columns(SAMPLED)
    except InvalidInput:
        found = visit.workspace.uploaded(upload, {}).columns(SAMPLED)
    return [
        {
            "header": header,
            "meaning": meaning,
            "chosen": chosen.get(header, ""),
            "samples": [text[:SAMPLE_CHARS] for text in samples[:SAMPLES]],
        }
        for header, meaning, samples in found
    ]


def _path(upload: Upload, campaign: str = "") -> str:
    return f"/import/uploads/{upload.id}" + (f"?campaign={quote(campaign, safe='')}" if campaign else "")
