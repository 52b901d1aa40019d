"""What a workspace's database says, read beside the commands and without touching it, to be held against the mail server's log."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Table, select

from touchline.adapters.store import tables
from touchline.adapters.store.store import Store, Unit
from world import World

Row = dict[str, Any]


@contextmanager
def _reading(world: World) -> Iterator[Unit]:
    """The store as it is; of a SQLite file a copy, so that what a crash left is found by the next command and not by us."""
    with TemporaryDirectory() as folder:
        if world.database_url.startswith("sqlite"):
            name = world.database_url.removeprefix("sqlite:///")
            copy = Path(folder, name)
            copy.parent.mkdir(exist_ok=True)
            for kept in (name, f"{name}-wal"):
                if (world.home / kept).exists():
                    shutil.copy(world.home / kept, copy.parent)
        store = Store(world.database_url, Path(folder))
        try:
            with store.reading() as unit:
                yield unit
        finally:
            store.close()


@dataclass(frozen=True)
class Books:
    """Everything that was ever written down of leads, prospects, touches, imports and suppressions."""

    leads: list[Row]
    prospects: list[Row]
    touches: list[Row]
    imports: list[Row]
    suppressions: list[Row]

    @classmethod
    def of(cls, world: World) -> "Books":
        def rows(table: Table) -> list[Row]:
            query = select(table).order_by(*table.primary_key.columns)
            return [dict(row) for row in unit.connection.execute(query).mappings()]

        with _reading(world) as unit:
            return cls(*(rows(getattr(tables, name)) for name in cls.__dataclass_fields__))

    def messages(self, *states: str) -> set[str]:
        """Message-IDs of the touches in these states; without any, of all."""
        return {row["message_id"] for row in self.touches if not states or row["state"] in states}

    def decisions(self) -> list[Row]:
        """What was decided and planned, without keys and times of writing."""
        people = {lead["id"]: lead["identity"] for lead in self.leads}
        planned = {row["prospect_id"]: (row["message_id"], row["state"], row["due_at"]) for row in self.touches}
        hidden = ("id", "lead_id", "created_at", "updated_at")
        found = [
            {k: v for k, v in row.items() if k not in hidden}
            | {"identity": people[row["lead_id"]], "touch": planned.get(row["id"])}
            for row in self.prospects
        ]
        return sorted(found, key=lambda row: str(row["identity"]))

    def check(self, batch: int, size: int) -> None:
        """What holds at any moment, whatever died: whole batches, and every lead once, with its prospect and its touch.

        Args:
            batch: Rows a transaction.
            size: Rows a file.
        """
        for row in self.imports:
            assert row["rows"] == row["new"], "each row of ours is a new lead"
            assert row["rows"] % batch == 0 or row["rows"] == size, "a batch was half-written"
        assert len({row["identity"] for row in self.leads}) == len(self.leads) == sum(r["new"] for r in self.imports)
        assert sorted(row["lead_id"] for row in self.prospects) == [row["id"] for row in self.leads]
        enrolled = {row["id"] for row in self.prospects if row["state"] in ("enrolled", "finished")}
        assert enrolled == {row["prospect_id"] for row in self.touches if row["step"] == 1}
        assert len(self.messages()) == len(self.touches)


def check_mail(world: World, books: Books) -> None:
    """What is sent by the books was taken by the server, and whatever it took beyond that is on its way or of unknown fate."""
    delivered = world.delivered()
    assert set(delivered.values()) <= {1}, "a message was taken twice"
    assert books.messages("sent") <= delivered.keys()
    assert delivered.keys() <= books.messages("sent", "sending", "uncertain")
