"""Which files a campaign's source names now, in the workspace's folder on this host."""

import glob
import os
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from touchline.app.ports import SourceBatch, SourceFile
from touchline.model.errors import SourceUnavailable


class Absent:
    """A source whose files are not there, which says so when it is asked for them.

    Args:
        error: What is missing.
    """

    def __init__(self, error: SourceUnavailable) -> None:
        self.error = error

    def describe(self) -> SourceFile:
        """Nothing can be said of it.

        Raises:
            SourceUnavailable: Always.
        """
        raise self.error

    def batches(self, offset: int = 0, row: int = 0) -> Iterator[SourceBatch]:
        """Nothing can be read.

        Raises:
            SourceUnavailable: Always.
        """
        del offset, row
        raise self.error


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files that a path or pattern names, in order of name; a pattern in a folder that can be read may name none.

    Raises:
        SourceUnavailable: The file, or the pattern's folder, is not on this host or may not be read.
    """
    parts = PurePosixPath(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    place = folder.joinpath(*parts[:fixed])
    if fixed == len(parts):
        if place.is_file():
            return [place]
        raise _missing(pattern, f"{place} is not there or no file")
    if not place.is_dir() or not os.access(place, os.R_OK | os.X_OK):
        raise _missing(pattern, f"{place} is no folder that this user may read")
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _missing(pattern: str, what: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"The campaign's source {pattern!r} cannot be read on {socket.gethostname()}: {what}.",
        hint="Every host with a worker for the queue `batch` needs the same files at the same place.",
    )
