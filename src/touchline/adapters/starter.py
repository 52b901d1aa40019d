"""What `touchline init` writes: touchline.toml and an example campaign, checked first, never over a file that is there."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from touchline.adapters import campaign_file
from touchline.model.campaign import Campaign
from touchline.model.errors import InvalidInput, Misconfigured, Refused
from touchline.settings import Settings

CAMPAIGN = "campaign.toml"
DEFAULT_URL: str = Settings.model_fields["database_url"].default


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person says of themselves; each may be empty."""

    sender: str = ""
    email: str = ""
    postal_address: str = ""
    offer: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files that are to be written, and nothing written yet.

    Attributes:
        settings: The workspace as its files will have it.
        texts: Text by path, without the files that are there already.
        missing: What the new campaign lacks for sending, one sentence each.
    """

    settings: Settings
    texts: dict[Path, str]
    missing: list[str]

    def write(self) -> None:
        """Write the files.

        Raises:
            Misconfigured: The folder cannot be written.
        """
        for path, text in self.texts.items():
            try:
                path.write_text(text, "utf-8")
            except OSError as error:
                raise _unwritable(path, error) from None


def prepare(settings: Settings, answers: Answers, database_url: str) -> Prepared:
    """The files that a workspace lacks; makes its folder, since the database goes there first.

    Raises:
        InvalidInput: An answer cannot stand in a campaign.
        Refused: touchline.toml or the environment names another database than `database_url`.
        Misconfigured: The folder cannot be made.
    """
    home = settings.home
    campaign = campaign_of(answers)
    texts = {}
    elsewhere = settings.database_url != DEFAULT_URL
    if database_url and database_url != settings.database_url:
        if elsewhere or settings.file.exists():
            raise Refused(
                f"{settings.file} or DATABASE_URL names another database already.",
                hint="Change it there: nothing is written over.",
            )
        settings = settings.model_copy(update={"database_url": database_url})
    if not settings.file.exists():
        # An address from the environment stays there: it may hold a password.
        texts[settings.file] = _settings(database_url or ("" if elsewhere else DEFAULT_URL))
    missing = []
    if not (home / CAMPAIGN).exists():
        texts[home / CAMPAIGN] = campaign
        missing = _checked(campaign).obstacles()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(home, error) from None
    return Prepared(settings, texts, missing)


def _unwritable(path: Path, error: OSError) -> Misconfigured:
    return Misconfigured(
        f"{path} cannot be written: {error.strerror}.", hint="Give a folder that this user may write to, with --home."
    )


def _settings(database_url: str) -> str:
    database = f"database_url = {json.dumps(database_url)}" if database_url else "# DATABASE_URL names the database."
    return f"""# Settings of this Touchline workspace. All keys: docs/configuration.md

{database}

# The https address under which `touchline optout-server` can be reached from outside.
# With it, mails carry a one-click opt-out link; without it, people opt out by answering.
# public_url = "https://mail.example.com"

[log]
level = "warning"
"""


def campaign_of(answers: Answers) -> str:
    """The example campaign with what is known filled in."""
    text = campaign_file.example()
    for table, key, value in (
        ("[sender]", "name", answers.sender),
        ("[sender]", "postal_address", answers.postal_address),
        ("[[snippets.offer]]", "text", answers.offer),
        ("[[snippets.proof]]", "text", answers.proof),
    ):
        if value.strip():
            head, mark, rest = text.partition(f"\n{table}")
            text = head + mark + rest.replace(f'\n{key} = ""', f"\n{key} = {_quoted(value)}", 1)
    return _with_mailbox(text, answers) if answers.email.strip() else text


def _with_mailbox(text: str, answers: Answers) -> str:
    """The example's mailbox, no longer a comment."""
    start, end = text.index("# [[mailboxes]]"), text.index("\n[window]")
    email = answers.email.strip()
    block = "\n".join(line.removeprefix("# ") for line in text[start:end].splitlines())
    for shown, value in (
        ("ada@example.com", email),
        ("Ada Example", answers.sender.strip() or email),
        ("smtp.example.com", f"smtp.{email.rpartition('@')[2]}"),
    ):
        block = block.replace(f'"{shown}"', _quoted(value))
    return text[:start] + block + "\n" + text[end:]


def _quoted(value: str) -> str:
    """One line as a TOML string: JSON's escapes are among TOML's (toml.io, 1.0: basic strings)."""
    return json.dumps(" ".join(value.split()), ensure_ascii=False).replace("\x7f", "\\u007F")


def _checked(text: str) -> Campaign:
    """The campaign, or what is wrong with an answer in it."""
    document = tomllib.loads(text)
    document["sequences"] = {name: campaign_file.shipped()[body["use"]] for name, body in document["sequences"].items()}
    try:
        return Campaign.parse(document, "campaign.toml")
    except InvalidInput as error:
        raise InvalidInput(error.message, hint="Give another answer; nothing was written.") from None
