import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from touchline.adapters.store import migrate
from touchline.adapters.store.engine import transaction
from touchline.adapters.store.store import Store
from touchline.adapters.store.tables import metadata

REVISIONS = [script.revision for script in ScriptDirectory.from_config(migrate._config()).walk_revisions()]


def schema(connection: Connection) -> set[str]:
    """Every table and index as the database itself spells it, the version table aside."""
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version'"
        return {_sorted_table(sql) for sql in connection.exec_driver_sql(query).scalars()}
    columns = (
        "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    return {*connection.exec_driver_sql(columns).scalars(), *connection.exec_driver_sql(indexes).scalars()}


def _sorted_table(sql: str) -> str:
    """A table without the order of its columns, since one that was added later stands last, and without quotes round its name."""
    if "INDEX" in sql.partition("(")[0]:
        return sql
    head, _, body = sql.partition("(")
    lines = body.rstrip().removesuffix(")").replace("\n", " ").split(", ")
    return f"{head.strip().replace(chr(34), '')} {sorted(part.strip() for part in _clauses(lines))}"


def _clauses(parts: list[str]) -> list[str]:
    """Parts of a list with brackets as one again, such as the columns of a constraint."""
    found = list[str]()
    for part in parts:
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += f", {part}"
        else:
            found.append(part)
    return found


def migrated_to(store: Store, move: Callable[[Connection, str], None], revision: str) -> None:
    with transaction(store.engine) as connection:
        move(connection, revision)


def test_an_empty_database_comes_to_head_and_says_so(empty_url, open_store):
    store = open_store(empty_url)
    assert store.revision() == (None, migrate.head())
    assert store.migrate() == (None, migrate.head())
    assert store.revision() == (migrate.head(), migrate.head())


def test_migrating_again_changes_nothing(store):
    with transaction(store.engine, reading=True) as connection:
        before = schema(connection)
    assert store.migrate() == (migrate.head(), migrate.head())
    with transaction(store.engine, reading=True) as connection:
        assert schema(connection) == before


@pytest.mark.parametrize("revision", REVISIONS)
def test_head_is_reached_from_every_revision(empty_url, open_store, revision):
    store = open_store(empty_url)
    migrated_to(store, migrate.upgrade, revision)
    assert store.revision()[0] == revision
    assert store.migrate() == (revision, migrate.head())


def test_base_is_reached_from_head_and_leaves_no_table(empty_url, open_store):
    store = open_store(empty_url)
    store.migrate()
    migrated_to(store, migrate.downgrade, "base")
    with transaction(store.engine, reading=True) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert store.revision()[0] is None
    assert store.migrate()[1] == migrate.head()


def test_the_migrations_make_the_tables_that_the_queries_know(empty_url, open_store):
    store = open_store(empty_url)
    with transaction(store.engine) as connection:
        metadata.create_all(connection)
        wanted = schema(connection)
        metadata.drop_all(connection)
    store.migrate()
    with transaction(store.engine, reading=True) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        # Alembic compares no conditions of partial indexes, so the databases' own words are compared too.
        assert schema(connection) == wanted
    assert sum(" WHERE " in line for line in wanted) == 12


def test_runs_from_before_there_were_schedules_are_kept_there_and_back(empty_url, open_store):
    store = open_store(empty_url)
    migrated_to(store, migrate.upgrade, "0001")
    old = {
        "id": 7,
        "campaign_id": 1,
        "campaign_version": 2,
        "until": "send",
        "state": "done",
        "counts": "{}",
        "error": None,
    }
    names = ", ".join(old)
    with transaction(store.engine) as connection:
        query = f"INSERT INTO runs ({names}, started_at) VALUES ({', '.join(f':{n}' for n in old)}, '2027-03-09T05:00:00.000000Z')"
        connection.execute(text(query), old)
    store.migrate()
    with store.transaction() as unit:
        (row,) = unit.runs.listed(5)
        assert (row["id"], row["job"], row["state"], row["counts"]) == (7, "run", "done", {})
        assert row["queued_at"] == row["started_at"]
        assert unit.runs.open("run", row["queued_at"]) == 8
    migrated_to(store, migrate.downgrade, "0001")
    with transaction(store.engine, reading=True) as connection:
        assert [dict(row) for row in connection.execute(text(f"SELECT {names} FROM runs")).mappings()] == [old]


def test_a_number_of_a_run_or_a_schedule_never_comes_back(store):
    """The engine would take a new run for one that it has done, the tally for one that it has counted."""
    now = datetime(2027, 3, 9, tzinfo=UTC)
    with store.transaction() as unit:
        first = unit.runs.open("send", now)
        unit.runs.remove([first])
        assert unit.runs.open("send", now) == first + 1
        schedule = unit.schedules.add("mine", "send", 1, {}, now, 10)
        unit.schedules.remove(schedule)
        assert unit.schedules.add("mine", "send", 1, {}, now, 10) == schedule + 1


def test_numbers_of_runs_that_an_older_version_removed_do_not_come_back_either(empty_url, open_store):
    store = open_store(empty_url)
    migrated_to(store, migrate.upgrade, "0003")
    now = datetime(2027, 3, 9, tzinfo=UTC)
    with store.transaction() as unit:
        unit.controls.put("tally", json.dumps({"runs_upto": 41}), now)
        if store.engine.dialect.name == "postgresql":
            unit.connection.exec_driver_sql("SELECT setval('runs_id_seq', 41)")
    store.migrate()
    with store.transaction() as unit:
        assert unit.runs.listed(5) == []
        assert unit.runs.open("send", now) == 42


def test_a_migration_that_fails_leaves_nothing(empty_url, open_store):
    store = open_store(empty_url)
    with transaction(store.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE touches (mine TEXT)")
    with pytest.raises(DBAPIError, match="touches"):
        store.migrate()
    with transaction(store.engine, reading=True) as connection:
        assert inspect(connection).get_table_names() == ["touches"]


def test_two_processes_may_migrate_at_once(empty_url, open_store):
    first, second = open_store(empty_url), open_store(empty_url)
    with ThreadPoolExecutor(2) as threads:
        results = [job.result() for job in (threads.submit(first.migrate), threads.submit(second.migrate))]
    assert sorted(before or "" for before, _ in results) == ["", migrate.head()]


def test_the_revision_that_commands_ask_for_is_alembics_head():
    config = Config()
    config.set_main_option("script_location", migrate.SCRIPTS)
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()
