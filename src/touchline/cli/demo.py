"""`touchline demo`: the whole pipeline on a seeded market, through the installed command line and real servers on loopback."""

from pathlib import Path
from typing import Annotated

import typer

CAMPAIGN = "cloud-costs"
SENDERS = ("quillmast.example", "mail.quillmast.example")
# A Tuesday, a Wednesday and the Monday after, in a week without public holidays in most of Europe.
# The clock stands still at these instants, so that the same seed gives the same bytes on any day.
MORNING, AFTERNOON, NEXT_WEEK = "2027-03-09T05:00:00Z", "2027-03-10T15:00:00Z", "2027-03-15T15:00:00Z"


def demo(
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 7,
    leads: Annotated[int, typer.Option(min=200, max=100_000, help="Rows in the file.")] = 2_000,
    home: Annotated[Path, typer.Option(help="Folder for the demo's database, files and mails; made anew.")] = Path(
        "touchline-demo"
    ),
    serve: Annotated[bool, typer.Option("--serve", help="Then open it in the browser's pages, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the pages; 0 takes a free one.")] = 8025,
) -> None:
    """Show the whole pipeline on made-up leads: nothing leaves this machine."""
    from touchline.sim.dns_server import DnsServer, zone_from_file
    from touchline.sim.market import market
    from touchline.sim.smtp_server import SmtpServer

    folder = _fresh(home.absolute())
    made = market(seed, leads)
    made.write_csv(folder / "leads.csv")
    made.write_suppressions(folder / "suppressed.csv")
    made.write_zone(folder / "zone.txt")
    with (folder / "zone.txt").open("a", encoding="utf-8") as zone:
        zone.write("".join(f"{domain} mx\n" for domain in SENDERS))
    with (
        DnsServer(zone_from_file(folder / "zone.txt")) as dns,
        SmtpServer(log=folder / "smtp.log", mail_dir=folder / "mail", keep=False) as smtp,
    ):
        _campaign_file(folder, smtp.port)
        stage = Stage(folder, dns.port, seed)
        _show(stage)
        if serve:
            stage.serve(port)


def _fresh(folder: Path) -> Path:
    """An empty folder; only one that an earlier demo made is emptied."""
    import shutil

    from touchline.model.errors import Refused

    marker = folder / ".touchline-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise Refused(f"{folder} holds something that is not a demo.", hint="Give another folder: --home DIR")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "mail").mkdir(parents=True)
    marker.write_text("Made by `touchline demo`, which removes this folder when it runs again.\n")
    return folder


def _campaign_file(folder: Path, port: int) -> None:
    from importlib import resources
    from string import Template

    text = (resources.files("touchline.sim") / "campaign.toml").read_text("utf-8")
    (folder / "campaign.toml").write_text(Template(text).safe_substitute(smtp_port=port), "utf-8")


class Stage:
    """Runs the installed command line in the demo's folder, with the demo's servers in its environment."""

    def __init__(self, folder: Path, dns_port: int, seed: int) -> None:
        import os
        import shutil
        import sys

        self.folder = folder
        beside = Path(sys.executable).with_name("touchline")
        self.program = str(beside) if beside.exists() else shutil.which("touchline") or "touchline"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TOUCHLINE_") and k != "DATABASE_URL"}
        self.environment = inherited | {
            "TOUCHLINE_HOME": str(folder),
            "TOUCHLINE_SECRET": f"demo {seed}",
            "TOUCHLINE_USER": "you",
            "TOUCHLINE_DNS__NAMESERVERS": f'["127.0.0.1:{dns_port}"]',
            "TOUCHLINE_DNS__TIMEOUT": "0.5",
            "COLUMNS": "130",
        }

    def run(self, *arguments: str, now: str = MORNING, shown: bool = True) -> str:
        """One command; gives what it printed. A failure ends the demo with the command's own message."""
        import shlex
        import subprocess

        if shown:
            print(f"\n$ touchline {shlex.join(arguments)}", flush=True)
        done = subprocess.run(  # noqa: S603 - our own program with our own arguments
            [self.program, *arguments],
            env=self.environment | {"TOUCHLINE_NOW": now},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise typer.Exit(_failed(arguments, done.stderr, done.returncode))
        if shown:
            print(done.stdout.rstrip(), flush=True)
        return done.stdout

    def serve(self, port: int) -> None:
        """The pages on what is there now, its clock running on from the demo's last day."""
        import subprocess

        _title("The pages: open the link, make yourself the owner, look around; Ctrl-C ends it")
        command = [self.program, "serve", "--port", str(port)]
        environment = self.environment | {"TOUCHLINE_NOW": f"{NEXT_WEEK}+"}
        with subprocess.Popen(command, env=environment, cwd=self.folder) as served:  # noqa: S603 - as above
            try:
                served.wait()
            except KeyboardInterrupt:
                served.wait()

    def one_of_each_tier(self, *tiers: str) -> list[str]:
        """Addresses of the first qualified prospects of these tiers."""
        import json

        found: dict[str, str] = {}
        where = ("--where", "verdict = 'qualified'", "--limit", "500")
        for lead in json.loads(self.run("leads", "list", "-c", CAMPAIGN, *where, "--json", shown=False)):
            found.setdefault(lead["tier"], lead["email"])
        return [found[tier] for tier in tiers if tier in found]


def _failed(arguments: tuple[str, ...], error: str, code: int) -> int:
    import sys

    print(f"touchline {' '.join(arguments)} failed:\n{error}", file=sys.stderr)
    return code


def _show(stage: Stage) -> None:
    _title("Set up")
    stage.run("init", "--yes")
    stage.run("campaign", "apply", "campaign.toml")
    stage.run("suppress", "import", "suppressed.csv")
    _title("Harvest: every row of the file is accounted for")
    stage.run("import", "leads.csv", "--campaign", CAMPAIGN)
    _title("Score, qualify, route, nurture: nothing is sent yet")
    stage.run("run", "--campaign", CAMPAIGN, "--until", "nurture")
    stage.run("campaign", "show", CAMPAIGN)
    _title("Three scores taken apart")
    for address in stage.one_of_each_tier("a", "b", "d"):
        stage.run("explain", address)
    _title("Review: nothing leaves without a yes")
    stage.run("outbox", "list", "--limit", "3")
    stage.run("outbox", "approve", "--all", "--campaign", CAMPAIGN)
    _title("Send, the next afternoon: real SMTP to a server on this machine")
    stage.run("run", "--campaign", CAMPAIGN, now=AFTERNOON)
    _title("The Monday after: follow-ups are approved and leave in the thread of the first message")
    stage.run("outbox", "approve", "--all", "--campaign", CAMPAIGN, now=NEXT_WEEK)
    stage.run("run", "--campaign", CAMPAIGN, now=NEXT_WEEK)
    thread = _thread(stage.folder / "mail")
    if thread:
        _title("One journey")
        stage.run("explain", thread[0]["To"].addresses[0].addr_spec, now=NEXT_WEEK)
        _title("Two of the delivered messages")
        for mail in thread:
            _print_mail(mail)
    _title("Is everything in order?")
    stage.run("doctor", now=NEXT_WEEK)
    _farewell(stage.folder)


def _thread(mails: Path) -> list:  # type: ignore[type-arg]  # EmailMessage would cost every command its import
    """A first message and the follow-up that answers it."""
    from email.parser import BytesParser
    from email.policy import default

    parsed = [BytesParser(policy=default).parsebytes(path.read_bytes()) for path in mails.glob("*.eml")]
    # The two mailboxes send side by side, so the order of arrival is not the same in every run.
    parsed.sort(key=lambda mail: str(mail["Message-ID"]))
    firsts = {mail["Message-ID"]: mail for mail in parsed if not mail["In-Reply-To"]}
    followed = [mail for mail in parsed if mail["In-Reply-To"] in firsts]
    if followed:
        return [firsts[followed[0]["In-Reply-To"]], followed[0]]
    return parsed[:2]


def _print_mail(mail) -> None:  # type: ignore[no-untyped-def]  # as above
    print("-" * 72)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "List-Unsubscribe"):
        if mail[name]:
            print(f"{name}: {mail[name]}")
    print()
    print(mail.get_body(("plain",)).get_content().rstrip())


def _title(text: str) -> None:
    print(f"\n=== {text} ===", flush=True)


def _farewell(folder: Path) -> None:
    count = len(list((folder / "mail").glob("*.eml")))
    print(f"\n{count} messages reached the mail server on this machine, and nothing left it.")
    print(f"Database: {folder / 'touchline.db'}")
    print(f"Mails:    {folder / 'mail'}")
    print(f"Look around: touchline --home {folder} campaign show {CAMPAIGN}")
    print("In a browser: touchline demo --serve")
