"""What went wrong, as a program reads it (RFC 9457) or as a person does: a stable code, the request's number and a hint."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from touchline.app.access import TooManyTries
from touchline.model.errors import (
    InvalidInput,
    MailboxUnavailable,
    Misconfigured,
    NotFound,
    Refused,
    StoreUnavailable,
    TouchlineError,
    Transient,
)
from touchline.web import frame
from touchline.web.limits import TooMany
from touchline.web.visit import Forbidden, Unauthenticated, login_url

log = structlog.get_logger(__name__)

KINDS: tuple[tuple[type[TouchlineError], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (InvalidInput, 422, "invalid_input"),
    (Refused, 409, "refused"),
    (Misconfigured, 409, "misconfigured"),
    (StoreUnavailable, 503, "store_unavailable"),
    (MailboxUnavailable, 502, "mailbox_unavailable"),
    (Transient, 503, "unavailable"),
    (TouchlineError, 500, "error"),
)
"""Error of ours -> status and code; the first that fits."""

CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "refused",
    412: "changed_meanwhile",
    413: "too_large",
    415: "unsupported_type",
    422: "invalid_input",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


class Fault(BaseModel):
    """One part of a request that cannot be used."""

    where: str
    message: str


class Problem(BaseModel):
    """What every answer with a status of 400 or more says (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:touchline:problem:not_found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no campaign 'sprng', did you mean 'spring'?",
                    "code": "not_found",
                    "hint": "See them with: touchline campaign list",
                    "request_id": "9f1c2a7be04d5566",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stays what it is from one version to the next."""
    hint: str = ""
    """What to do next."""
    request_id: str
    errors: list[Fault] = []


class Stop(Exception):
    """Ends a request with a problem.

    Args:
        status: Of the answer.
        detail: What is wrong.
        code: A stable word for it.
        hint: What to do next.
        headers: Further headers.
    """

    def __init__(
        self, status: int, detail: str, *, code: str = "", hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code, self.hint = status, detail, code or CODES[status], hint
        self.headers = headers or {}


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": Problem,
        "description": "The request cannot be answered; says why.",
        "content": {"application/problem+json": {}},
    },
    "5XX": {
        "model": Problem,
        "description": "Something is not available now.",
        "content": {"application/problem+json": {}},
    },
}
"""What every operation of the API may answer besides."""


def install(app: FastAPI) -> None:
    """Let every error become a problem."""
    app.add_exception_handler(TouchlineError, _ours)
    app.add_exception_handler(Stop, _stop)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Unauthenticated, _unauthenticated)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(TooMany, _too_many)
    app.add_exception_handler(Exception, _broken)


def of(error: TouchlineError) -> tuple[int, str]:
    """Status and code of an error of ours."""
    return next((status, code) for kind, status, code in KINDS if isinstance(error, kind))


def answer(
    request: Request,
    status: int,
    detail: str,
    *,
    code: str = "",
    hint: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as JSON under /api, as a page elsewhere."""
    problem = Problem(
        type=f"urn:touchline:problem:{code or CODES.get(status, 'error')}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code or CODES.get(status, "error"),
        hint=hint,
        request_id=getattr(request.state, "request_id", ""),
        errors=[Fault(**fault) for fault in errors or []],
    )
    given = getattr(request.state, "headers", {}) | (headers or {})
    if is_api(request) or request.headers.get("hx-request"):
        return JSONResponse(problem.model_dump(), status, given, media_type="application/problem+json")
    return frame.bare(request, "problem.html", problem.model_dump(), status=status, headers=given)


def is_api(request: Request) -> bool:
    """Whether a program is asking."""
    return request.url.path.startswith("/api/")


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TouchlineError)
    status, code = of(error)
    if isinstance(error, TooManyTries):
        seconds = str(int(error.wait.total_seconds()) + 1)
        return answer(request, 429, error.message, hint=error.hint, headers={"Retry-After": seconds})
    if status >= 500:
        log.warning("request.failed", path=request.url.path, code=code, error=error.message)
    headers = {"Retry-After": "5"} if status == 503 else None
    return answer(request, status, error.message, code=code, hint=error.hint, headers=headers)


async def _stop(request: Request, error: Exception) -> Response:
    assert isinstance(error, Stop)
    return answer(request, error.status, error.detail, code=error.code, hint=error.hint, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"where": ".".join(str(part) for part in each["loc"]), "message": each["msg"]} for each in error.errors()]
    first = faults[0]
    return answer(request, 422, f"{first['where']}: {first['message']}.", code="invalid_request", errors=faults)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _unauthenticated(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unauthenticated)
    if is_api(request):
        return answer(request, 401, error.said, headers={"WWW-Authenticate": "Bearer"})
    target = login_url(request)
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


async def _forbidden(request: Request, error: Exception) -> Response:
    assert isinstance(error, Forbidden)
    return answer(request, 403, error.said, hint=error.hint)


async def _too_many(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooMany)
    return answer(request, 429, str(error), headers=error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    # The framework raises it again behind this answer, and the server logs it.
    del error
    return answer(
        request, 500, "Something is wrong on our side.", hint="Look for the request_id in the log of touchline serve."
    )
