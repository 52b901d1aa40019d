"""What the API and the pages do alike with a file that was uploaded: try it, load it, forget it, and have each audited."""

from collections.abc import Mapping

from touchline.app import uploads
from touchline.app.ports import Row
from touchline.app.uploads import Rehearsed, Upload
from touchline.web.visit import Visit


def rehearse(visit: Visit, upload: Upload, campaign: str, until: str, columns: Mapping[str, str]) -> Rehearsed:
    """What an import would do; see `uploads.rehearse`."""
    source = visit.workspace.uploaded(upload, columns)
    with visit.changing("import.try", f"upload:{upload.id}") as change:
        tried = uploads.rehearse(visit.workspace.outside, source, campaign, until)
        change.after = {"campaign": campaign, **tried.counts}
    return tried


def commit(visit: Visit, upload: Upload, campaign: str, until: str, columns: Mapping[str, str]) -> Row:
    """Let a worker load the file; gives the run."""
    workspace = visit.workspace
    source = workspace.uploaded(upload, columns)
    with visit.changing("import.commit", f"upload:{upload.id}") as change:
        run = uploads.commit(
            workspace.outside, workspace.shelf, upload, source, campaign=campaign, until=until, columns=columns
        )
        change.after = {"name": upload.name, "campaign": campaign, "run": run["id"]}
    return run


def forget(visit: Visit, upload: Upload) -> None:
    """Remove the file, where no run loads it."""
    with visit.changing("import.forget", f"upload:{upload.id}"):
        uploads.forget(visit.workspace.shelf, upload)
