"""Searches that people keep, in the store."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from touchline.adapters.store.tables import views


class Views:
    """Rows of `views`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def listed(self, page: str) -> list[dict[str, Any]]:
        """Those of a page, in order of name."""
        rows = self.connection.execute(select(views).where(views.c.page == page).order_by(views.c.name)).mappings()
        return [{**row, "query": json.loads(row["query"])} for row in rows]

    def count(self) -> int:
        """How many there are."""
        return int(self.connection.execute(select(func.count()).select_from(views)).scalar_one())

    def exists(self, name: str) -> bool:
        """Whether the name is taken."""
        return self.connection.execute(select(views.c.id).where(views.c.name == name)).first() is not None

    def add(self, name: str, page: str, query: dict[str, Any], by: str, now: datetime) -> int:
        """Keep one; gives its key."""
        values = {"name": name, "page": page, "query": json.dumps(query), "created_by": by, "created_at": now}
        return int(self.connection.execute(insert(views).returning(views.c.id), values).scalar_one())

    def remove(self, name: str) -> bool:
        """Forget one; False where there is none."""
        return self.connection.execute(delete(views).where(views.c.name == name)).rowcount > 0
