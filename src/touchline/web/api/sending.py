"""The stop for all over the API: one switch above every campaign."""

from typing import Annotated

from pydantic import Field

from touchline.app import campaigns
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Shape
from touchline.web.api.texts import Said
from touchline.web.visit import Visit, needs

routes = router("sending", "/sending")
Reads = Annotated[Visit, needs("campaigns:read")]
Writes = Annotated[Visit, needs("campaigns:write")]


class Sending(Shape):
    """Whether anything may be sent at all."""

    stopped: bool
    reason: str | None = None


class StopReason(Body):
    """Why everything stops."""

    reason: Said = Field(examples=["a wrong price in every mail"])


@routes.get("", summary="Is everything stopped?")
def sending(visit: Reads) -> Sending:
    """The one switch above all campaigns."""
    with visit.store.reading() as unit:
        reason = campaigns.stopped(unit)
    return Sending(stopped=reason is not None, reason=reason)


@routes.post("/stop", summary="Stop everything")
def stop_everything(visit: Writes, body: StopReason) -> Sending:
    """From the moment this answers no sender claims another touch, in any campaign."""
    with visit.changing("sending.stop", "sending", lambda: sending(visit).model_dump()):
        campaigns.stop_all(visit.store, body.reason, visit.now)
    return sending(visit)


@routes.post("/start", summary="Start everything")
def start_everything(visit: Writes) -> Sending:
    """Lift the stop; campaigns that are paused stay paused."""
    with visit.changing("sending.start", "sending", lambda: sending(visit).model_dump()):
        campaigns.start_all(visit.store)
    return sending(visit)
