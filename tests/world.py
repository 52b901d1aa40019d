"""A whole installation for a test: a workspace, a database, DNS and SMTP servers on loopback, and the command line."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from touchline.sim.dns_server import KINDS, DnsServer
from touchline.sim.smtp_server import SmtpServer

HERE = Path(__file__).parent
TUESDAY = "2027-03-09T05:00:00Z"
WEDNESDAY = "2027-03-10T15:00:00Z"
MONDAY = "2027-03-15T15:00:00Z"


class Zygote:
    """The warm process behind `World.run`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "ready"

    def run(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: Path,
        *,
        killed_after: float | None = None,
        largest_file: int | None = None,
        unprivileged: bool = False,
    ) -> "Done":
        """One command: killed after so many seconds, with no file growing beyond so many bytes, or as no more than the files' owner."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        out, err = self.scratch / "out.txt", self.scratch / "err.txt"
        request: dict[str, object] = {"argv": argv, "env": env, "cwd": str(cwd), "out": str(out), "err": str(err)}
        request |= {"killed_after": killed_after, "largest_file": largest_file, "unprivileged": unprivileged}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        code, seconds, peak = json.loads(self.process.stdout.readline())
        return Done(argv, code, out.read_text("utf-8"), err.read_text("utf-8"), seconds, peak)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@dataclass(frozen=True)
class Done:
    """One finished command."""

    argv: list[str]
    code: int
    out: str
    err: str
    seconds: float
    peak: int
    """The most memory that it held, in KiB."""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class World:
    """One installation."""

    home: Path
    database_url: str
    zygote: Zygote
    smtp: SmtpServer
    dns: DnsServer
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")}
        return kept | {
            "TOUCHLINE_HOME": str(self.home),
            "DATABASE_URL": self.database_url,
            "TOUCHLINE_SECRET": "test",
            "TOUCHLINE_USER": "tester",
            "TOUCHLINE_DNS__NAMESERVERS": json.dumps([f"127.0.0.1:{self.dns.port}"]),
            "TOUCHLINE_DNS__TIMEOUT": "1",
            "TOUCHLINE_SMTP__TIMEOUT": "2",
            "TOUCHLINE_BATCH_ROWS": "40",
            "TOUCHLINE_NOW": TUESDAY,
            **self.extra,
        }

    def run(
        self,
        *argv: str,
        now: str = TUESDAY,
        code: int | None = 0,
        killed_after: float | None = None,
        largest_file: int | None = None,
        unprivileged: bool = False,
        **variables: str,
    ) -> Done:
        """One command; asserts its exit code unless `code` is None. For what may befall it see `Zygote.run`."""
        done = self.zygote.run(
            list(argv),
            self.environment | {"TOUCHLINE_NOW": now} | variables,
            self.home,
            killed_after=killed_after,
            largest_file=largest_file,
            unprivileged=unprivileged,
        )
        assert code is None or done.code == code, f"{argv} gave {done.code}:\n{done.out}\n{done.err}"
        return done

    def set_up(self, campaign: str = "", **values: object) -> None:
        """Database and campaign."""
        self.run("init", "--yes")
        self.apply(campaign, **values)

    def apply(self, campaign: str = "", **values: object) -> None:
        """The test campaign, with some of its values changed."""
        text = campaign or CAMPAIGN
        given = {"smtp_port": self.smtp.port, "mode": "automatic", "cap": 1000, "name": "spring"} | values
        (self.home / "test.toml").write_text(Template(text).substitute(given), "utf-8")
        self.run("campaign", "apply", "test.toml")

    def leads(self, count: int, start: int = 0, name: str = "leads.csv") -> Path:
        """A file of plain leads in Berlin, one a company."""
        path = self.home / name
        lines = ["Email,First Name,Last Name,Title,Company,Employees,Country"]
        lines += [
            f"ann{i}@firm{i % 7}.com,Ann{chr(97 + i % 26)},Lee,Chief Technology Officer,Firm {i % 7},120,Germany"
            for i in range(start, start + count)
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    def delivered(self) -> Counter[str]:
        """How often each Message-ID was taken, by the mail server's own log."""
        log = self.home / "smtp.log"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return Counter(json.loads(line)["message_id"] for line in lines)


def zone(name: str) -> Any:
    """Firms take mail; nobody else exists."""
    return KINDS["mx" if name.startswith("firm") else "nxdomain"]


CAMPAIGN = """
name = "$name"
mode = "$mode"
timezone = "Europe/Berlin"
otherwise = "qualified"

[sender]
name = "Mara"
company = "Quillmast"
postal_address = "1 Example Row, Dublin"

[[mailboxes]]
address = "mara@quillmast.example"
name = "Mara Ellin"
host = "127.0.0.1"
port = $smtp_port
security = "none"
daily_cap = $cap

[icp.fit.size]
cap = 60
parts = [{ name = "50 to 500", when = "employees BETWEEN 50 AND 500", points = 60 }]

[icp.opportunity.seniority]
cap = 60
parts = [{ name = "decides", when = "seniority = 'c_level'", points = 60 }]

[[rules]]
name = "too small"
when = "employees < 10"
then = "rejected"

[[routes]]
name = "everyone"
when = "fit >= 0"
sequence = "short"

[sequences.short]
[[sequences.short.steps]]
name = "hello"
wait_days = 0
subject = "Hello {{ first_name | default: 'there' }}"
text = "Hi {{ first_name | default: 'there' }},\\n\\nhow does {{ company | default: 'your team' }} do it?\\n\\nMara"

[[sequences.short.steps]]
name = "again"
wait_days = 3
text = "Hi {{ first_name | default: 'there' }},\\n\\nsomething else.\\n\\nMara"
"""
