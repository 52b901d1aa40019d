"""Campaign files: TOML with texts beside it or from the shipped sequences, read to a Campaign and written back."""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import tomli_w

from touchline.model.campaign import Campaign
from touchline.model.cells import clean
from touchline.model.errors import InvalidInput

SHIPPED = "touchline.sequences"
TEXTS = ("text", "html")
LARGEST = 5_000_000
"""Bytes of a campaign file or of a text beside it."""

Reader = Callable[[str, str], str]
"""Gives the text of a file by its name; the second argument is the place that asks, for messages."""


def read(path: Path) -> Campaign:
    """The campaign of a TOML file (toml.io, 1.0; UTF-8), with all its texts in it.

    A step or variant may say `text_file = "hello.liquid"` (or `html_file`) for a file in the folder of the
    campaign file; `[sequences.NAME]` may say `use = "direct"` for a shipped sequence.

    Raises:
        InvalidInput: With the file, the line or key, and what is wrong there.
    """
    document = _toml(_text_of(path), str(path))
    sequences = document.get("sequences")
    if isinstance(sequences, dict):
        document["sequences"] = {
            name: _sequence(body, f"{path}: sequences.{name}", partial(_beside, path.parent))
            for name, body in sequences.items()
        }
    return Campaign.parse(document, str(path))


def of_text(text: str, where: str = "campaign") -> Campaign:
    """The campaign of a text that came without a folder: sequences stand in it, or say `use = "direct"` for a shipped one.

    Raises:
        InvalidInput: With the line or key, and what is wrong there.
    """
    return of_document(_toml(text, where), where)


def of_document(document: Mapping[str, Any], where: str = "campaign") -> Campaign:
    """The same of plain values."""
    if not clean(document):
        raise InvalidInput(f"A text of {where} has a control character.", hint="Type it again.")
    sequences = document.get("sequences")
    if isinstance(sequences, dict):
        whole = {name: _sequence(body, f"{where}: sequences.{name}", _no_file) for name, body in sequences.items()}
        document = {**document, "sequences": whole}
    return Campaign.parse(document, where)


def write(campaign: Campaign) -> str:
    """The campaign as one TOML text, equal for equal campaigns; reading it gives an equal campaign."""
    # The stored form has its tables in the order of their names, so the order of the first file does not show.
    document = Campaign.from_json(campaign.as_json()).as_document()
    return tomli_w.dumps(document, multiline_strings=True)


@cache
def shipped() -> Mapping[str, dict[str, Any]]:
    """The sequences that come with Touchline by name, as they would stand under `[sequences.NAME]`."""
    found = {}
    for folder in sorted(resources.files(SHIPPED).iterdir(), key=lambda entry: entry.name):
        if (description := folder / "sequence.toml").is_file():
            body = tomllib.loads(description.read_text("utf-8"))
            found[folder.name] = _sequence(body, folder.name, partial(_packaged, folder))
    return found


def example() -> str:
    """A commented campaign to start from: it is valid, in review mode, and its obstacles name what to fill in."""
    return (resources.files(SHIPPED) / "campaign.toml").read_text("utf-8")


def _packaged(folder: Traversable, name: str, _place: str) -> str:
    return (folder / name).read_text("utf-8")


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, a number of 5,000 digits, 5,000 brackets
        raise InvalidInput(
            f"{where} is not TOML: {error}", hint="Text stands in quotes, and a table's name in [brackets]."
        ) from None


def _no_file(name: str, place: str) -> str:
    raise InvalidInput(f"{place}: {name} cannot be read from here.", hint='Put the text itself: text = "..."')


def _sequence(body: Any, place: str, text_of: Reader) -> Any:
    """The sequence with its texts in it. What is not of the right shape is left for the campaign's own checks."""
    if not isinstance(body, dict):
        return body
    if "use" in body:
        return _used(body, place)
    steps = body.get("steps")
    return {**body, "steps": _each(steps, f"{place}.steps", text_of)} if isinstance(steps, list) else body


def _used(body: dict[str, Any], place: str) -> dict[str, Any]:
    name = body["use"]
    if others := sorted(body.keys() - {"use"}):
        raise InvalidInput(
            f"{place}: {others[0]!r} cannot stand beside 'use', which takes the shipped sequence as it is",
            hint="To change a shipped sequence, apply and export the campaign, and edit the texts in that file.",
        )
    if not isinstance(name, str) or name not in shipped():
        close = difflib.get_close_matches(str(name), shipped(), 1)
        raise InvalidInput(
            f"{place}: no shipped sequence {name!r}" + (f", did you mean {close[0]!r}?" if close else ""),
            hint=f"Shipped are {', '.join(shipped())}.",
        )
    return shipped()[name]


def _each(messages: list[Any], place: str, text_of: Reader) -> list[Any]:
    """Steps or variants with the texts of their files in place of the files' names."""
    done = []
    for position, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            done.append(message)
            continue
        here = f"{place}[{message.get('name', position)}]"
        whole = {}
        for key, value in message.items():
            wanted = key.removesuffix("_file")
            if key == wanted or wanted not in TEXTS:
                whole[key] = _each(value, f"{here}.variants", text_of) if _is_variants(key, value) else value
            elif wanted in message:
                raise InvalidInput(f"{here} has both {wanted!r} and {key!r}", hint="Keep one of them.")
            elif not isinstance(value, str):
                raise InvalidInput(f"{here}.{key} must be the name of a file, in quotes")
            else:
                whole[wanted] = text_of(value, f"{here}.{key}")
        done.append(whole)
    return done


def _is_variants(key: str, value: object) -> bool:
    return key == "variants" and isinstance(value, list)


def _beside(folder: Path, name: str, place: str) -> str:
    """The text of a file in the campaign's folder, links followed, and of no other file."""
    ways = (PurePosixPath(name), PureWindowsPath(name))
    inside = not any(way.is_absolute() or way.drive or way.root or ".." in way.parts for way in ways)
    if not inside or "\0" in name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise InvalidInput(
            f"{place}: {name!r} is not in the folder of the campaign file",
            hint="Put the text beside the campaign file.",
        )
    return _text_of(folder / name, f"{place}: ")


def _text_of(path: Path, place: str = "") -> str:
    """The text of a UTF-8 file, without the byte order mark that some editors put first."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise InvalidInput(f"{place}{path} is a folder or a device, not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InvalidInput(f"{place}{path} has more than {LARGEST // 1_000_000} MB; it is not a campaign's text")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{place}{path} is not UTF-8: line {line}", hint="Save it again as UTF-8.") from None
    except OSError as error:
        raise InvalidInput(f"{place}{path} cannot be read: {error.strerror}") from None
