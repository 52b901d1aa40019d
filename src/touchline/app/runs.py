"""A run: the whole pipeline of one campaign, as far as asked, with counts that are kept."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from touchline.app.claims import Post
from touchline.app.imports import import_source
from touchline.app.pipeline import Outside, judge_pending
from touchline.app.ports import Row, Source, StoredCampaign
from touchline.app.sending import may_send, send_due
from touchline.model.errors import TouchlineError
from touchline.stages import reaches

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RunResult:
    """What a run did, stage by stage."""

    run_id: int
    campaign: str
    version: int
    until: str
    imports: list[dict[str, Any]] = field(default_factory=list)
    judged: int = 0
    sending: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run(
    outside: Outside,
    name: str,
    *,
    until: str,
    limit: int | None,
    sources: Callable[[StoredCampaign], Iterable[Source]],
    post: Callable[[StoredCampaign], Post],
) -> RunResult:
    """Harvest new files of the campaign's sources, judge what has work to do, and send what is due.

    Args:
        until: Last stage to run.
        limit: At most so many rows harvested, prospects judged and messages sent.
        sources: Opens the campaign's sources.
        post: Prepares sending.

    Raises:
        TouchlineError: The run failed; what was done is kept, and the next run goes on from there.
    """
    with outside.store.transaction() as unit:
        stored = unit.campaigns.get(name)
        now = outside.clock.now()
        begun = {"campaign_id": stored.id, "campaign_version": stored.version, "until": until}
        run_id = unit.runs.open("run", now, **begun, state="running", started_at=now)
        assert run_id is not None
    result = RunResult(run_id, name, stored.version, until)
    logged = log.bind(run=run_id, campaign=name)
    logged.info("run.started", until=until, version=stored.version)
    try:
        _stages(outside, stored, result, limit, sources, post)
    except (TouchlineError, KeyboardInterrupt) as error:
        _finish(outside, result, "failed", str(error) or type(error).__name__)
        logged.error("run.failed", error=str(error))
        raise
    _finish(outside, result, "done", None)
    logged.info("run.done", judged=result.judged, sending=result.sending)
    return result


def _stages(
    outside: Outside,
    stored: StoredCampaign,
    result: RunResult,
    limit: int | None,
    sources: Callable[[StoredCampaign], Iterable[Source]],
    post: Callable[[StoredCampaign], Post],
) -> None:
    name, until = result.campaign, result.until
    for source in sources(stored):
        # Leads of a source run on to `nurture` in memory and are written once; sending reads the ledger.
        upto = "nurture" if reaches(until, "send") else until
        imported = import_source(outside, source, name, until=upto, limit=limit, skip_known=True)
        if not imported.already:
            result.imports.append(asdict(imported))
    if reaches(until, "score"):
        result.judged = judge_pending(outside, stored, "nurture" if reaches(until, "send") else until, limit)
    if reaches(until, "send"):
        may_send(stored)
        sender = post(stored)
        result.sending = dict(sorted(send_due(sender, stored, limit).items()))
        result.notes = sorted(set(sender.notes))


def _finish(outside: Outside, result: RunResult, state: str, error: str | None) -> None:
    counts = {"imports": result.imports, "judged": result.judged, "sending": result.sending}
    with outside.store.transaction() as unit:
        now = outside.clock.now()
        unit.runs.set(result.run_id, state=state, counts=counts, finished_at=now, error=error)


def history(outside: Outside, limit: int) -> list[Row]:
    """Runs, newest first."""
    with outside.store.reading() as unit:
        return unit.runs.listed(limit)
