"""`touchline suppress`: who must get nothing."""

from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.context import Json, plain, print_json, print_table, workspace

app = typer.Typer(help="Addresses, domains and accounts that must get nothing.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    values: Annotated[list[str], typer.Argument(help="Addresses or domains.")],
    kind: Annotated[str, typer.Option(help="address, domain or account; guessed if not given.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept with it.")] = "added by hand",
    json: Json = False,
) -> None:
    """Suppress addresses or domains at once, in every campaign."""
    _suppress(context, [(kind or None, value, reason) for value in values], "person", json)


@app.command(name="import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV with the columns kind, value, reason; or one value a line.")],
    json: Json = False,
) -> None:
    """Suppress everything in FILE."""
    from touchline.app.suppression import entries_of
    from touchline.model.errors import InvalidInput

    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.", hint="Give a UTF-8 text file.") from None
    _suppress(context, entries_of(text, str(file)), f"file {file.name}", json)


def _suppress(context: typer.Context, entries: list[tuple[str | None, str, str]], source: str, json: bool) -> None:
    from dataclasses import asdict

    from touchline.app.suppression import suppress

    ws = workspace(context)
    with ws.store.transaction() as unit:
        done = suppress(unit, entries, source, ws.clock.now())
    if json:
        print_json(asdict(done))
        return
    print(
        f"{done.rows} entries: {done.new} new, {done.already} known already, {len(done.rejected)} rejected; "
        f"{done.touches_cancelled} planned touches cancelled"
    )
    for row, value, reason in done.rejected:
        print(f"  entry {row} {plain(value)!r}: {reason}")


@app.command(name="list")
def list_(context: typer.Context, limit: int = 50, after: int = 0, json: Json = False) -> None:
    """List suppressions."""
    with workspace(context).store.reading() as unit:
        rows = unit.suppressions.listed(after, limit)
    if json:
        print_json(rows)
        return
    columns = ["id", "kind", "value", "reason", "source", "at"]
    print_table(columns, [[row[c] for c in columns] for row in rows])
    if len(rows) == limit:
        print(f"More: --after {rows[-1]['id']}")


@app.command()
def export(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")] = None,
) -> None:
    """Write every suppression as CSV that imports again."""
    from touchline.adapters.exports import opened, write_suppressions

    with workspace(context).store.reading() as unit, opened(output) as stream:
        count = write_suppressions(unit.suppressions.listed, stream)
    if output is not None:
        print(f"{count} suppressions written to {plain(output)}")
