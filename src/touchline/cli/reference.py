"""Writes docs/cli.md and docs/configuration.md from the commands, settings and campaign as they are: run it with the folder."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from touchline import settings
from touchline.cli import app
from touchline.model import campaign

COMMANDS_HEAD = """# Commands

Every command takes `--help`. Before the command may stand `--home DIR` (the folder of `touchline.toml`; else `TOUCHLINE_HOME`, else the current folder)
and `--quiet` (no progress bars). With `--json` a command prints one JSON document on standard output. Errors and logs go to standard error;
[exit codes](troubleshooting.md#exit-codes) are stable.
"""

SETTINGS_HEAD = """# Configuration

Settings belong to a workspace and stand in `touchline.toml`. Everything that decides who gets which message belongs to a campaign and stands in its file.

## Settings

A variable wins over the file. Lists in variables are JSON.

"""

SETTINGS_TAIL = """
These stand only in the environment:

| variable | meaning |
|---|---|
| `DATABASE_URL` | the database, before every other place that names it |
| `TOUCHLINE_HOME` | folder of touchline.toml where `--home` does not say |
| `TOUCHLINE_USER` | whose name approvals and verdicts carry; else the login |
| `TOUCHLINE_NOW` | holds the clock at an instant such as `2027-03-10T15:00:00Z`, for rehearsals |

Passwords of mailboxes stand in variables of your choice, which the campaign names.

## The campaign file

TOML. `touchline init` writes a commented example; an unknown key is an error that names the likely right one.
Conditions are explained under [conditions](pipeline.md#conditions), their columns [below](#columns).
"""

COLUMNS_HEAD = """
### Columns

What conditions look at. Templates have the columns of a lead too, `sender.name`, `sender.company`, `snippets.NAME` and, under `extra.`, your own.

| column | kind | meaning |
|---|---|---|
"""

PLACES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", campaign.Campaign),
    ("[sender]", campaign.Sender),
    ("[[mailboxes]]", campaign.Mailbox),
    ("[mailboxes.ramp]", campaign.Ramp),
    ("[window]", campaign.Window),
    ("[[sources]]", campaign.FileSource),
    ("[icp.fit.NAME] and [icp.opportunity.NAME]", campaign.Group),
    ("parts of a group", campaign.Part),
    ("[tiers]", campaign.Tiers),
    ("[[rules]]", campaign.Rule),
    ("[[routes]]", campaign.Route),
    ("[compatibility]", campaign.Compatibility),
    ("[[snippets.NAME]]", campaign.Snippet),
    ("[sequences.NAME]", campaign.Sequence),
    ("[[sequences.NAME.steps]]", campaign.Step),
    ("[[sequences.NAME.steps.variants]]", campaign.Variant),
)
"""Where each part of a campaign stands in its file, in the order of the example."""

MEANINGS: dict[str, str] = {
    "Campaign.name": "Name of the campaign, in commands and in the store.",
    "Campaign.mode": "`review`: every message waits for a yes. `automatic`: it leaves when it is due.",
    "Campaign.timezone": "IANA zone, where no better one is known of a lead.",
    "Campaign.otherwise": "Verdict where no rule matches.",
    "Sender.name": "Who signs.",
    "Sender.company": "Your company, under the signature.",
    "Sender.postal_address": "Stands in every message, as the law wants.",
    "Sender.opt_out": "The visible way out at the end of every message.",
    "Mailbox.address": "Address that messages come from.",
    "Mailbox.name": "Name beside the address.",
    "Mailbox.host": "SMTP server of your provider.",
    "Mailbox.port": "Its port: 587 for starttls, 465 for tls.",
    "Mailbox.security": "`none` is for servers on your own machine.",
    "Mailbox.username": "Login; without it there is none.",
    "Mailbox.password_env": "Name of the variable that holds the password.",
    "Mailbox.daily_cap": "Messages in any 24 hours; 0 stops the mailbox.",
    "Mailbox.ramp": "Warms a new mailbox up: see `[mailboxes.ramp]`.",
    "Ramp.start": "Messages in 24 hours on the day of its first message.",
    "Ramp.step": "How many more on each day after it, up to `daily_cap`.",
    "Window.start": "From this time of the recipient's day.",
    "Window.end": "Until this time of the same day.",
    "Window.days": "Weekdays that are used; weekends never are.",
    "Window.holidays": "True sends on the recipient's public holidays too.",
    "FileSource.kind": "What the files are.",
    "FileSource.path": "File or pattern, relative to touchline.toml; `touchline run` harvests what is new.",
    "Group.cap": "Most points that the group can give.",
    "Group.unknown": "Points where nothing is known of what the parts look at.",
    "Group.parts": "The parts, see below.",
    "Part.name": "What scores call it.",
    "Part.when": "Condition over the lead.",
    "Part.points": "Points where it matches; may be negative.",
    "Tiers.fit": "Least fit score of high and of medium.",
    "Tiers.opportunity": "Least opportunity score of high and of medium.",
    "Tiers.table": "Tiers A to D: rows are fit high, medium, low; columns are opportunity high, medium, low.",
    "Rule.name": "The reason that a verdict shows.",
    "Rule.when": "Condition over the lead, its scores and its address.",
    "Rule.then": "The verdict; the first rule that matches decides.",
    "Route.name": "The reason that a route shows.",
    "Route.when": "Condition over the lead, its scores and its address.",
    "Route.sequence": "Sequence of the prospect; the first route that matches decides.",
    "Compatibility.quiet_days": "No new sequence within so many days of the last message.",
    "Compatibility.blocked_countries": "Countries that are never written to, as two letters.",
    "Compatibility.one_sequence_at_a_time": "A lead is in one active sequence, over all campaigns.",
    "Compatibility.respect_account_replies": "Nobody new at a company where somebody has replied.",
    "Snippet.when": "Condition over the lead; without it the passage fits everybody.",
    "Snippet.text": "The passage, in Liquid; the first that fits is used.",
    "Sequence.language": "Language of the texts; a lead known to read another one stays out.",
    "Sequence.about": "A note to yourself.",
    "Sequence.steps": 'The messages, see below. Or `use = "direct"` alone, for a shipped sequence.',
    "Step.name": "What the outbox and journeys call it.",
    "Step.wait_days": "Days after the message before it.",
    "Step.subject": "Subject, in Liquid; without it the message replies in the thread.",
    "Step.text": "The message, in Liquid; or `text_file`, a file beside the campaign's.",
    "Step.html": "The same as HTML; or `html_file`. Without it, made from the text.",
    "Step.variants": "Alternative texts, see below.",
    "Variant.name": "What the outbox and journeys call it.",
    "Variant.when": "Condition over the lead; variants without one share evenly.",
    "Variant.subject": "As in the step.",
    "Variant.text": "As in the step.",
    "Variant.html": "As in the step.",
}
"""Meaning of every key, by model and field. Tables inside of tables have their own place."""


def commands() -> str:
    """docs/cli.md."""
    return COMMANDS_HEAD + "".join(_commands("touchline", get_command(app)))


def _commands(path: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield "\n".join(["", f"## {path}", "", str(command.help), *_usage(path, command), *_parameters(command), ""])
    else:
        for name, one in inner.items():
            yield from _commands(f"{path} {name}", one)


def _usage(path: str, command: Any) -> list[str]:
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    needed = [f"{p.opts[0]} {_kind(p)}" for p in command.params if p.param_type_name == "option" and p.required]
    return ["", f"`{' '.join([path, *arguments, *needed, '[OPTIONS]'])}`"]


def _argument(parameter: Any) -> str:
    name = parameter.name.upper() + ("..." if parameter.nargs == -1 or parameter.multiple else "")
    return name if parameter.required else f"[{name}]"


def _parameters(command: Any) -> list[str]:
    rows = []
    for p in command.params:
        argument = p.param_type_name == "argument"
        words = p.name.upper() if argument else ", ".join(sorted((*p.opts, *p.secondary_opts), key=len, reverse=True))
        flag = getattr(p, "is_flag", False)
        shown = words if argument or flag else f"{words} {_kind(p)}"
        default = "required" if p.required else "" if flag or p.default in (None, "", []) else f"`{p.default}`"
        rows.append(f"| `{_cell(shown)}` | {default} | {_cell(p.help)} |")
    return ["", "| argument or option | default | meaning |", "|---|---|---|", *rows] if rows else []


def _kind(parameter: Any) -> str:
    """What a value of the parameter looks like."""
    kind = _inner(parameter.type_descriptor.annotation)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if members := getattr(kind, "__members__", None):
        return "|".join(members)
    return {int: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _inner(kind: Any) -> Any:
    """The type behind `T | None` and `list[T]`."""
    if get_origin(kind) in (Union, UnionType, list):
        return _inner(next(one for one in get_args(kind) if one is not NoneType))
    return kind


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def configuration() -> str:
    """docs/configuration.md."""
    tables = "".join(_place(place, model) for place, model in PLACES)
    columns = "".join(f"| `{c.name}` | {c.kind} | {c.doc} |\n" for c in campaign.CHECKED.values())
    return SETTINGS_HEAD + settings.reference() + SETTINGS_TAIL + tables + COLUMNS_HEAD + columns


def _place(place: str, model: type[BaseModel]) -> str:
    title = f"`{place}`" if place.startswith("[") and " " not in place else place.replace("[", "`[").replace("]", "]`")
    about = (model.__doc__ or "").strip().split("\n\n")[0]
    rows = [
        f"| `{name}` | {_default(field)} | {_cell(_meaning(f'{model.__name__}.{name}', field))} |"
        for name, field in model.model_fields.items()
        if f"{model.__name__}.{name}" in MEANINGS or not _is_table(field)
    ]
    head = f"\n### {title or 'At the top'}\n\n{about}\n\n| key | default | meaning |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _meaning(key: str, field: FieldInfo) -> str:
    text = MEANINGS[key]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return text if all(choice in text for choice in choices) else f"{text} One of {', '.join(choices)}."


def _is_table(field: FieldInfo) -> bool:
    """Whether the key is a table of its own, with its own place."""
    kinds = [field.annotation]
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return True
        kinds += get_args(kind)
    return False


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    """A default as one writes it in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    quote = "'" if '"' in str(value) else '"'
    return str(value) if isinstance(value, int) else f"{quote}{value}{quote}"


def main(folder: Path) -> None:
    """Write both files."""
    (folder / "cli.md").write_text(commands(), "utf-8")
    (folder / "configuration.md").write_text(configuration(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
