"""Uploaded files on the disk: each under a random name, beside it what is known of it."""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from touchline.app.uploads import Upload
from touchline.model.errors import NotFound, StoreUnavailable

NAME = re.compile(r"[0-9a-f]{32}")
UNUSED = timedelta(days=1)
"""How long a file is kept that nobody imports."""


@dataclass(slots=True)
class Incoming:
    """A file that is being uploaded."""

    shelf: "Shelf"
    stream: BinaryIO
    upload: Upload

    def keep(self, name: str) -> Upload:
        """All of it has come.

        Args:
            name: As its sender calls it.
        """
        self.stream.flush()
        self.upload = replace(self.upload, name=_shown(name), bytes=self.stream.tell())
        self.shelf.note(self.upload)
        return self.upload


class Shelf:
    """The folder of uploads.

    Args:
        folder: Made when the first file comes.
        days: So long a file stays after it was uploaded: a run that loads it may be tried again.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self._folder, self._days = folder, timedelta(days=days)

    @contextmanager
    def keeping(self, by: str, now: datetime) -> Iterator["Incoming"]:
        """A new file to write and then to `keep`; it goes where the block ends before that.

        Raises:
            StoreUnavailable: The disk does not take it.
        """
        key = secrets.token_hex(16)
        path = self._folder / f"{key}.csv"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._sweep(now)
            with path.open("xb") as file:
                yield Incoming(self, file, Upload(key, "", 0, now, by))
        except OSError as error:
            raise StoreUnavailable(
                f"The file cannot be kept: {error.strerror}.", hint="Free some space, then upload it again."
            ) from error
        finally:
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)

    def note(self, upload: Upload) -> None:
        """Write down what is known of a file."""
        text = json.dumps(asdict(upload) | {"at": upload.at.isoformat()})
        # A worker may read it at any time.
        part = self._folder / f".{upload.id}.{secrets.token_hex(4)}"
        part.write_text(text, "utf-8")
        part.replace(self._folder / f"{upload.id}.json")

    def find(self, key: str) -> Upload:
        """What is known of a file.

        Raises:
            NotFound: There is none.
        """
        if NAME.fullmatch(key):
            try:
                values = json.loads((self._folder / f"{key}.json").read_text("utf-8"))
                return Upload(**values | {"at": datetime.fromisoformat(values["at"])})
            except FileNotFoundError:
                pass
        raise NotFound("There is no such upload; files that nobody imports go after a day.", hint="Upload it again.")

    def path(self, upload: Upload) -> Path:
        """Where the file is."""
        return self._folder / f"{upload.id}.csv"

    def listed(self) -> list[Upload]:
        """Every file, the oldest first."""
        found = [self.find(path.stem) for path in self._folder.glob("*.json") if NAME.fullmatch(path.stem)]
        return sorted(found, key=lambda upload: upload.at)

    def remove(self, upload: Upload) -> None:
        """Forget a file."""
        for ending in ("csv", "json"):
            (self._folder / f"{upload.id}.{ending}").unlink(missing_ok=True)

    def _sweep(self, now: datetime) -> None:
        for upload in self.listed():
            if now - upload.at > (UNUSED if upload.run is None else self._days):
                self.remove(upload)
        for path in self._folder.glob("*.csv"):
            # One without a note is being written now, or its writer died over it.
            if (
                not path.with_suffix(".json").exists()
                and now.timestamp() - path.stat().st_mtime > UNUSED.total_seconds()
            ):
                path.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """A file name as people see it: without folders, and fit for a line."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(char for char in last if char.isprintable())[:200].strip()
    return printable or "upload.csv"
