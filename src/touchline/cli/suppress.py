"""`touchline suppress`: who must get nothing."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from touchline.cli.context import After, Json, Limit, plain, print_json, print_table, workspace

app = typer.Typer(help="Addresses, domains and accounts that must get nothing.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    values: Annotated[list[str], typer.Argument(help="Addresses or domains.")],
    kind: Annotated[
        Literal["address", "domain", "account"] | None, typer.Option(help="What they are; guessed if not given.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with it.")] = "added by hand",
    json: Json = False,
) -> None:
    """Suppress addresses or domains at once, in every campaign."""
    from touchline.app.suppression import guess, normal
    from touchline.model.errors import InvalidInput

    # What a person typed is not data: half of a list that looks done is worse than none of it.
    unusable = [value for value in values if normal(kind or guess(value), value) is None]
    if unusable:
        raise InvalidInput(
            f"Nothing is suppressed: {', '.join(map(repr, unusable))} cannot be {kind or 'an address or a domain'}.",
            hint="Write ada@example.com, example.com, or --kind account NAME.",
        )
    _suppress(context, [(kind, value, reason) for value in values], "person", json)


@app.command(name="import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV with the columns kind, value, reason; or one value a line.")],
    json: Json = False,
) -> None:
    """Suppress everything in FILE."""
    import csv

    from touchline.app.suppression import entries_of
    from touchline.model.errors import InvalidInput

    try:
        entries = entries_of(_text_of(file), str(file))
    except csv.Error as error:
        raise InvalidInput(f"{file} is no list: {error}.", hint="Give one value a line, or CSV.") from None
    _suppress(context, entries, f"file {file.name}", json)


def _text_of(file: Path) -> str:
    from touchline.adapters.sources.encoding import SAMPLE, found
    from touchline.model.errors import InvalidInput

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", hint="Give a text file.") from None
    spelt = found(content[:SAMPLE], file.name)
    return content[spelt.bom :].decode(spelt.name, "replace") if spelt.wide else spelt.text(content[spelt.bom :])


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
def list_(context: typer.Context, limit: Limit = 50, after: After = 0, json: Json = False) -> None:
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
