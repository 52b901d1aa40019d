"""One frozen Settings from touchline.toml and the environment; everything else gets values, never variables."""

import difflib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from touchline.model.errors import Misconfigured

FILE = "touchline.toml"
MASK = "***"

WEB_THREADS = 40
"""Requests that one process works on at once, at the utmost; each has one transaction."""
OF_A_RUN = 2
"""Transactions of one run at once: a batch is read while the one before is stored."""
OF_A_WORKER = 5
"""Transactions of a worker besides: its sign of life, its look at schedules, a run that looks after health or history."""


def _quiet(value: str) -> str:
    if value and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value) is None:
        raise ValueError(f"{value!r} is not a time of day such as 22:00-07:00")
    if value and value[:5] == value[6:]:
        raise ValueError(f"{value!r} ends when it begins; leave it empty for no quiet hours")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # no such zone, or a text that cannot be the name of one
        raise ValueError(f"{value!r} is not an IANA zone such as Europe/Berlin") from None
    return value


def _web(value: SecretStr) -> SecretStr:
    address = value.get_secret_value()
    if address and re.fullmatch(r"https?://[^\s/]+(/\S*)?", address) is None:
        # The value is a secret and stays out of the message.
        raise ValueError("it is not an address such as https://hc-ping.com/your-check")
    return value


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


class Alerts(Part):
    """Who is told when something is wrong."""

    urls: tuple[SecretStr, ...] = Field(
        (),
        description="Where alerts go, as addresses of [apprise](https://github.com/caronc/apprise), such as "
        "`mailto://user:password@example.com`; they are never shown.",
    )
    heartbeat: Annotated[SecretStr, AfterValidator(_web)] = Field(
        SecretStr(""),
        description="Address of a service such as healthchecks.io that tells you when nobody asks it any more; it is asked "
        "(GET) each minute while nothing has failed, and never shown.",
    )
    repeat_hours: Annotated[float, Field(gt=0, le=720)] = Field(
        24.0, description="Hours after which an alert that is still open is told again."
    )
    quiet: Annotated[str, AfterValidator(_quiet)] = Field(
        "", description="Hours without alerts, such as `22:00-07:00`; what is still wrong then is told afterwards."
    )
    zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="IANA zone of the quiet hours.")
    urgent_breaks_quiet: bool = Field(True, description="What has failed is told in quiet hours too.")


class Worker(Part):
    """How work runs by itself."""

    tick_seconds: Annotated[float, Field(ge=0.05, le=60)] = Field(
        5.0, description="Seconds between two looks at schedules, other workers and health."
    )
    beat_seconds: Annotated[float, Field(ge=0.05, le=20)] = Field(
        10.0, description="Seconds between two signs of life of a worker."
    )
    take_over_seconds: Annotated[float, Field(ge=0.5, le=3600)] = Field(
        45.0, description="Seconds without a sign of life after which other workers take a worker's runs over."
    )
    batch_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Runs that harvest and judge at once, in one worker."
    )
    send_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Runs that send at once, in one worker."
    )
    batch_total: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Runs that harvest and judge at once, in all workers together; 0 is any number."
    )
    send_total: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Runs that send at once, in all workers together; 0 is any number."
    )
    batch_per_minute: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="Runs that may begin to harvest or judge within a minute; 0 is any number."
    )
    send_per_minute: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="Runs that may begin to send within a minute; 0 is any number."
    )
    run_hours: Annotated[float, Field(gt=0, le=720)] = Field(
        24.0, description="Hours after which a run ends between two batches; the next one goes on."
    )
    batch_minutes: Annotated[float, Field(gt=0, le=1440)] = Field(
        60.0,
        description="Minutes after which a batch is taken for hung: its worker stops with exit code 75, and whoever "
        "starts next goes on.",
    )
    stop_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        25.0, description="Seconds that a worker which is told to stop gives the batch under way."
    )

    @model_validator(mode="after")
    def _patient(self) -> Self:
        if self.take_over_seconds < 2 * self.beat_seconds:
            raise ValueError("take_over_seconds must be twice beat_seconds at least, or the living are taken for dead")
        return self

    @model_validator(mode="after")
    def _together(self) -> Self:
        for queue in ("batch", "send"):
            total, own = getattr(self, f"{queue}_total"), getattr(self, f"{queue}_concurrency")
            if 0 < total < own:
                raise ValueError(
                    f"{queue}_total is {total}, which is less than the {own} of one worker alone ({queue}_concurrency)"
                )
        return self


class Serve(Part):
    """Where `touchline serve` listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8025, description="Port to listen on; 0 takes a free one.")
    requests_per_minute: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        6_000, description="Requests of one person or key within a minute; 0 is any number."
    )


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
    history_days: Annotated[int, Field(ge=30, le=3650)] = Field(
        30, description="Days that runs and closed alerts are kept, 30 at least; of older runs the totals stay."
    )
    dns: Dns = Dns()
    smtp: Smtp = Smtp()
    log: Log = Log()
    alerts: Alerts = Alerts()
    worker: Worker = Worker()
    serve: Serve = Serve()

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
    def connections(self) -> int:
        """How many transactions one process may have open: `serve` is a worker and answers requests."""
        runs = self.worker.batch_concurrency + self.worker.send_concurrency
        return WEB_THREADS + OF_A_RUN * runs + OF_A_WORKER

    @property
    def file(self) -> Path:
        """Path of touchline.toml, which may not exist."""
        return self.home / FILE


def shown(settings: Settings) -> list[dict[str, Any]]:
    """Every key as people may see it: `key`, `value`, `default`, `meaning`, `variable`; secrets are masked."""
    values = settings.model_dump(mode="json")
    found = []
    for name, field in keys().items():
        table, _, key = name.rpartition(".")
        value = values[table][key] if table else values[key]
        found.append(
            {
                "key": name,
                "value": _masked(name, value),
                "default": _plain(field.default),
                "meaning": field.description,
                "variable": _variable(name),
            }
        )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return list(value) if isinstance(value, tuple) else value


def _masked(name: str, value: Any) -> Any:
    if name == "database_url":
        return re.sub(
            r"(://[^:/@]*):[^@]*@|(password=)[^&]*", lambda m: f"{m[1]}:{MASK}@" if m[1] else m[2] + MASK, value
        )
    if name == "alerts.urls":
        return [MASK] * len(value)
    return MASK if name in ("secret", "alerts.heartbeat") and value else value


def _variable(name: str) -> str:
    return f"TOUCHLINE_{name.upper().replace('.', '__')}"


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
    default = _plain(field.default)
    shown = json.dumps(default) if isinstance(default, str | bool) else str(default)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    meaning = f"{field.description} One of {', '.join(choices)}." if choices else field.description
    return f"| `{name}` | `{shown}` | {meaning} | `{_variable(name)}` |"
