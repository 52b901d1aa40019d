"""One frozen Settings from touchline.toml and the environment; everything else gets values, never variables."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from touchline.model.errors import Misconfigured

FILE = "touchline.toml"


class Part(BaseModel):
    """Base of a table in touchline.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dns(Part):
    """How mail domains are looked up."""

    nameservers: tuple[str, ...] = Field((), description="Name servers as `ip` or `ip:port`; empty uses the system's.")
    timeout: Annotated[float, Field(gt=0, le=60)] = Field(
        5.0, description="Seconds to wait for one answer; no answer means unknown, not invalid."
    )
    concurrency: Annotated[int, Field(ge=1, le=2000)] = Field(200, description="Questions under way at once.")
    keep_days: Annotated[int, Field(ge=0, le=365)] = Field(
        14, description="Days that an answer is kept before the domain is asked again."
    )


class Smtp(Part):
    """How mail servers are spoken to."""

    timeout: Annotated[float, Field(gt=0, le=600)] = Field(
        60.0, description="Seconds to wait for one answer of the server."
    )
    ca_file: str = Field("", description="Extra certificate authority (PEM file), for a mail server of your own.")


class Log(Part):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="The least level that is written."
    )
    format: Literal["console", "json"] = Field("console", description="For people or for machines.")


class Settings(BaseSettings):
    """Settings of one workspace."""

    model_config = SettingsConfigDict(env_prefix="TOUCHLINE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    home: Path = Field(Path(), exclude=True, description="Folder of touchline.toml.")
    database_url: str = Field(
        "sqlite:///touchline.db",
        description="`sqlite:///file`, relative to touchline.toml, or `postgresql://user@host/name`. DATABASE_URL overrides it.",
    )
    public_url: str = Field(
        "",
        description="Public https address of `touchline optout-server`; with it, mails carry a one-click opt-out link.",
    )
    batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] = Field(50_000, description="Leads per transaction.")
    secret: str = Field(
        "",
        description="Key that signs opt-out links and names messages; empty uses the one kept in the database.",
    )
    dns: Dns = Dns()
    smtp: Smtp = Smtp()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls with it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        del dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @property
    def file(self) -> Path:
        """Path of touchline.toml, which may not exist."""
        return self.home / FILE


def load(home: Path | None = None) -> Settings:
    """Settings of the workspace in `home`, else in TOUCHLINE_HOME, else in the current folder.

    Raises:
        Misconfigured: touchline.toml or a variable cannot be used; says which key and why.
    """
    folder = (home or Path(os.environ.get("TOUCHLINE_HOME") or ".")).absolute()
    values = _read(folder / FILE)
    if "home" in values:
        raise Misconfigured(
            f"{folder / FILE}: 'home' cannot stand in the file that it names.", hint="Use --home or TOUCHLINE_HOME."
        )
    if url := os.environ.get("DATABASE_URL"):
        values["database_url"] = url
    try:
        # The folder is decided here; a variable that names it must not win over an option of the command line.
        return Settings(**values).model_copy(update={"home": folder})
    except SettingsError as error:  # a variable that should hold JSON and does not
        raise Misconfigured(f"TOUCHLINE_* variables: {error}.", hint='Lists are JSON, such as ["127.0.0.1"].') from None
    except ValidationError as error:
        first = error.errors()[0]
        place, known = ".".join(str(part) for part in first["loc"]), keys()
        close = difflib.get_close_matches(place, known, 1, 0.5)
        meant = f", did you mean {close[0]!r}?" if close else "."
        said = f"unknown key {place!r}{meant}" if first["type"] == "extra_forbidden" else f"{place}: {first['msg']}."
        raise Misconfigured(
            f"{folder / FILE} or TOUCHLINE_* variables: {said}", hint=f"Keys: {', '.join(known)}."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read: {error}.", hint="Make it a UTF-8 text file that this user may read."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not valid TOML: {error}.", hint="Correct that line.") from None


def keys() -> dict[str, FieldInfo]:
    """Every key of touchline.toml in order, those of tables as `table.key`."""
    found: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Part):
            found |= {f"{name}.{key}": inner for key, inner in type(field.default).model_fields.items()}
        elif name != "home":
            found[name] = field
    return found


def reference() -> str:
    """The settings as Markdown: one table, generated for docs/configuration.md."""
    lines = ["| key | default | meaning | variable |", "|---|---|---|---|"]
    return "\n".join(lines + [_row(name, field) for name, field in keys().items()]) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    shown = f'"{default}"' if isinstance(default, str) else str(default)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    meaning = f"{field.description} One of {', '.join(choices)}." if choices else field.description
    return f"| `{name}` | `{shown}` | {meaning} | `TOUCHLINE_{name.upper().replace('.', '__')}` |"
