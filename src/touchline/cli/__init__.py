"""The command line: parses, calls the application, prints. Exit codes follow sysexits.h and stay what they are."""

import sys
from typing import Annotated

import typer

from touchline.cli import campaign, demo, health, leads, operate, outbox, people, schedule, suppress, work
from touchline.cli.context import State, plain_lines

app = typer.Typer(
    name="touchline",
    help="Find the people a business should talk to, and start the conversation accountably.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(campaign.app, name="campaign")
app.add_typer(leads.imports, name="imports")
app.add_typer(leads.app, name="leads")
app.add_typer(outbox.app, name="outbox")
app.add_typer(work.runs, name="runs")
app.add_typer(schedule.app, name="schedule")
app.add_typer(suppress.app, name="suppress")
app.add_typer(people.user, name="user")
app.add_typer(people.key, name="key")
app.add_typer(people.audit, name="audit")
for command in (*operate.COMMANDS, *leads.COMMANDS, *work.COMMANDS, health.health, demo.demo):
    app.command(name=command.__name__.removesuffix("_").replace("_", "-"))(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from touchline import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        str, typer.Option(help="Folder of touchline.toml; else TOUCHLINE_HOME, else the current one.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Find the people a business should talk to, and start the conversation accountably."""
    del version
    context.obj = State(home=home, quiet=quiet)


def _check_arguments(arguments: list[str]) -> None:
    """Bytes of an argument that are no text in this locale would fail deep inside the database driver."""
    from touchline.model.errors import InvalidInput

    for number, argument in enumerate(arguments, 1):
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise InvalidInput(f"Argument {number} is not text in UTF-8.", hint="Rename the file, or type it again.")


def main() -> None:
    """Run the command line. The one place that catches: an error becomes one clear message and an exit code."""
    from touchline.model.errors import TouchlineError

    try:
        _check_arguments(sys.argv[1:])
        app()
    except TouchlineError as error:
        # What is wrong may quote the user's file, and a file may hold anything.
        first, *more = plain_lines(error.message).split("\n")
        print("\n  ".join((f"touchline: {first}", *more)), file=sys.stderr)
        if error.hint:
            print(f"  {plain_lines(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (head, a pager) has seen enough. Keep Python from complaining at exit.
        sys.stderr.close()
        sys.exit(0)
