"""What `touchline init` writes: touchline.toml and an example campaign, never over a file that is there."""

import json
from collections.abc import Iterator
from pathlib import Path

from touchline.adapters import campaign_file
from touchline.settings import FILE


def write(home: Path, *, database_url: str, sender: str, email: str, postal_address: str) -> Iterator[Path]:
    """Write the files that are missing; yields the path of each."""
    home.mkdir(parents=True, exist_ok=True)
    settings = home / FILE
    if not settings.exists():
        settings.write_text(_settings(database_url), "utf-8")
        yield settings
    campaign = home / "campaign.toml"
    if not campaign.exists():
        campaign.write_text(_campaign(sender, email, postal_address), "utf-8")
        yield campaign


def _settings(database_url: str) -> str:
    url = database_url or "sqlite:///touchline.db"
    return f"""# Settings of this Touchline workspace. All keys: docs/configuration.md

database_url = {json.dumps(url)}

# The https address under which `touchline optout-server` can be reached from outside.
# With it, mails carry a one-click opt-out link; without it, people opt out by answering.
# public_url = "https://mail.example.com"

[log]
level = "warning"
"""


def _campaign(sender: str, email: str, postal_address: str) -> str:
    """The example with what is known filled in. JSON strings are TOML strings too (toml.io, 1.0: basic strings)."""
    text = campaign_file.example()
    given = {"name": sender, "postal_address": postal_address}
    head, mark, rest = text.partition("[sender]\n")
    for key, value in given.items():
        if value:
            rest = rest.replace(f'{key} = ""', f"{key} = {json.dumps(value, ensure_ascii=False)}", 1)
    if email:
        start, end = rest.index("# [[mailboxes]]"), rest.index("\n[window]")
        block = "\n".join(line.removeprefix("# ") for line in rest[start:end].splitlines())
        block = block.replace("ada@example.com", email).replace("Ada Example", sender or email)
        rest = rest[:start] + block.replace("smtp.example.com", f"smtp.{email.rpartition('@')[2]}") + "\n" + rest[end:]
    return head + mark + rest
