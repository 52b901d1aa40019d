"""`touchline health`: how things stand, as words, JSON and exit code, and whether alerts reach people."""

from typing import TYPE_CHECKING, Annotated

import typer

from touchline.cli.context import Json, plain, print_json, workspace

if TYPE_CHECKING:
    from touchline.app.alerts import Answer
    from touchline.app.health import Health
    from touchline.wiring import Workspace


def health(
    context: typer.Context,
    json: Json = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Tell what is new, as a worker does; for cron on another machine.")
    ] = False,
    notify_test: Annotated[
        bool, typer.Option("--notify-test", help="Only send a test message to every alerts.urls.")
    ] = False,
) -> None:
    """Say how things stand, with reasons and what to do; exit code 0 healthy, 1 degraded, 2 failed."""
    from dataclasses import asdict

    from touchline.app.health import LEVELS

    ws = workspace(context)
    if notify_test:
        _test(ws, json=json)
        return
    if notify:
        _look(ws)
    found = ws.health()
    if json:
        print_json({"health": found.level, "scopes": found.scopes, "findings": [asdict(one) for one in found.findings]})
    else:
        _print(found)
    if found.level != "healthy":
        raise typer.Exit(LEVELS.index(found.level))


def _look(ws: "Workspace") -> None:
    from datetime import timedelta

    from touchline.model.errors import StoreUnavailable

    # The next look is another process, which would be as patient as this one.
    at_once = timedelta(0)
    try:
        _ = ws.store  # is set up
    except StoreUnavailable as error:
        ws.watch.away(error, ws.clock.now(), at_once)
        raise
    ws.watch.look(ws.clock.now(), ws.free_bytes(), at_once)


def _print(found: "Health") -> None:
    print(f"{found.level:<9} overall")
    for scope, level in found.scopes.items():
        print(f"{level:<9} {plain(scope)}")
        for finding in found.findings:
            if finding.scope == scope:
                print(f"{'':<9}   {plain(finding.reason)}\n{'':<9}   -> {plain(finding.hint)}")


def _test(ws: "Workspace", *, json: bool) -> None:
    from touchline.app.alerts import Notice
    from touchline.model.errors import Misconfigured, Transient

    if not ws.settings.alerts.urls:
        raise Misconfigured("There is nobody to tell.", hint='Set in touchline.toml: [alerts] urls = ["mailto://..."]')
    answers = ws.watch.notifier.each(Notice("Touchline test", "This is a test: alerts reach you here.", "healthy"))
    if json:
        print_json({"channels": [_answer(one) for one in answers]})
    else:
        for one in answers:
            print(f"{one.number}  {plain(one.kind)}: {'taken' if one.taken else f'not taken, {one.why}'}")
    if refused := sum(not one.taken for one in answers):
        raise Transient(
            f"{refused} of {len(answers)} did not take the test message.",
            hint="The numbers are those of alerts.urls. Compare with https://github.com/caronc/apprise/wiki.",
        )


def _answer(one: "Answer") -> dict[str, object]:
    found: dict[str, object] = {"number": one.number, "kind": one.kind, "taken": one.taken}
    return found if one.taken else found | {"why": one.why}
