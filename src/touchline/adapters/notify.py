"""Tells people through apprise (e-mail, Slack, webhooks and a hundred others), and a watchdog elsewhere that we are alive."""

import http.client
import logging
import urllib.request
from collections.abc import Sequence

import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
from pydantic import SecretStr

from touchline.app.alerts import Notice
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


class AppriseNotifier:
    """Channels that are told side by side. Their addresses hold passwords and tokens, so they appear in no message of ours.

    Args:
        urls: Addresses as apprise writes them; none means that nobody is told.

    Raises:
        Misconfigured: An address is none that apprise knows; says which one by its place in the list.
    """

    def __init__(self, urls: Sequence[SecretStr]) -> None:
        # The library's own log would name what it was given.
        logger = logging.getLogger("apprise")
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        asset = AppriseAsset(app_id="Touchline", app_desc="Touchline", app_url="", storage_mode="memory")
        self._channels = Apprise(asset=asset)
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
        outcome = self._channels.notify(
            notice.body,
            notice.title,
            notify_type=KINDS[notice.level],
            body_format=NotifyFormat.TEXT,
            timeout=PATIENCE,
        )
        taken = 0
        for number, channel in enumerate(outcome, 1):
            taken += bool(channel)
            if not channel:
                log.warning("alert.not_taken", channel=number, kind=channel.name, status=channel.status.name.lower())
        return taken > 0


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
