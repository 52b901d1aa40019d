"""Tells people through apprise (e-mail, Slack, webhooks and a hundred others), and a watchdog elsewhere that we are alive."""

import http.client
import logging
import re
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
from apprise.result import AppriseResult, AppriseResultStatus
from pydantic import SecretStr

from touchline.app.alerts import Answer, Notice
from touchline.app.health import Level
from touchline.model.errors import Misconfigured

log = structlog.get_logger(__name__)

PATIENCE = 30
"""Seconds that all channels together have for one message."""

HEARTBEAT_PATIENCE = 10
"""Seconds that the watchdog has for its answer."""

KINDS: dict[Level, NotifyType] = {
    "healthy": NotifyType.SUCCESS,
    "degraded": NotifyType.WARNING,
    "failed": NotifyType.FAILURE,
}


LIBRARY = logging.getLogger("apprise")


class AppriseNotifier:
    """Channels that are told side by side. Their addresses hold passwords and tokens, so they appear in no message of ours.

    Args:
        urls: Addresses as apprise writes them; none means that nobody is told.

    Raises:
        Misconfigured: An address is none that apprise knows; says which one by its place in the list.
    """

    def __init__(self, urls: Sequence[SecretStr]) -> None:
        # The library's own log would name what it was given.
        LIBRARY.setLevel(logging.CRITICAL + 1)
        LIBRARY.propagate = False
        asset = AppriseAsset(app_id="Touchline", app_desc="Touchline", app_url="", storage_mode="memory")
        self._asset, self._channels = asset, Apprise(asset=asset)
        for number, url in enumerate(urls, 1):
            if not self._channels.add(url.get_secret_value()):
                raise Misconfigured(
                    f"alerts.urls: address {number} of {len(urls)} is none that apprise can use.",
                    hint="See https://github.com/caronc/apprise/wiki for how each service is written.",
                )

        for channel in self._channels:
            # Else a service that takes 2,000 characters refuses the whole message. Whoever wrote ?overflow= has chosen.
            vars(channel).setdefault("overflow_mode", OverflowMode.SPLIT)

    def tell(self, notice: Notice) -> bool:
        """True where at least one channel took it: to try again would tell the others twice. Those that did not are logged."""
        if not len(self._channels):
            return False
        outcome = _told(self._channels, notice)
        taken = 0
        for number, channel in enumerate(outcome, 1):
            taken += bool(channel)
            if not channel:
                log.warning("alert.not_taken", channel=number, kind=channel.name, status=channel.status.name.lower())
        return taken > 0

    def each(self, notice: Notice) -> list[Answer]:
        """Tell one channel after the other and say what each has answered."""
        answers = []
        for number, channel in enumerate(self._channels, 1):
            alone = Apprise(asset=self._asset)
            alone.add(channel)
            with _overheard() as said:
                (outcome,) = _told(alone, notice)
            why = "" if outcome else _why(outcome.status, said)
            answers.append(Answer(number, outcome.name, bool(outcome), why))
        return answers


def _told(channels: Apprise, notice: Notice) -> AppriseResult:
    kind = KINDS[notice.level]
    return channels.notify(notice.body, notice.title, notify_type=kind, body_format=NotifyFormat.TEXT, timeout=PATIENCE)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What the library would have logged meanwhile."""
    said: list[str] = []
    ear = logging.Handler()
    ear.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    before = LIBRARY.level
    LIBRARY.addHandler(ear)
    LIBRARY.setLevel(logging.WARNING)
    try:
        yield said
    finally:
        LIBRARY.setLevel(before)
        LIBRARY.removeHandler(ear)


def _why(status: AppriseResultStatus, said: Sequence[str]) -> str:
    """Why a channel did not take a message; what the library says about it names addresses, so only the kind of it is told."""
    if status is AppriseResultStatus.TIMEOUT:
        return f"no answer within {PATIENCE} seconds"
    heard = "\n".join(said)
    if code := re.search(r"\berror=(\d{3})\b", heard):
        return f"its server answered {code[1]}"
    return "no connection to its server" if "onnection error" in heard else "it was refused"


class Heartbeat:
    """Asks the address of a watchdog, which raises the alarm when it is asked no more. The address is a secret.

    Args:
        url: http or https; empty for no watchdog.
    """

    def __init__(self, url: SecretStr) -> None:
        self._url = url.get_secret_value()

    def __call__(self) -> None:
        """Ask once. What goes wrong is logged without the address, and nothing is raised: the watchdog itself tells of it."""
        if not self._url:
            return
        try:
            with urllib.request.urlopen(self._url, timeout=HEARTBEAT_PATIENCE):  # noqa: S310 - settings allow http and https only
                pass
        except (OSError, http.client.HTTPException) as error:
            status = getattr(error, "code", None)
            log.warning("heartbeat.not_taken", status=status, error=type(getattr(error, "reason", error)).__name__)
