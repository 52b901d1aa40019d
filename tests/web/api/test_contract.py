"""Every operation of the OpenAPI document is asked with what its schema allows and forbids: none breaks, each answers as it says."""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import openapi
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.schemas import APIOperation

from web.api.conftest import Api
from web.api.test_every_route import Route, Served, furnished

EXAMPLES = int(os.environ.get("TOUCHLINE_CONTRACT_EXAMPLES", "1"))
"""Requests of each operation and kind."""
HOLD = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def _broken_by(operation: APIOperation, mode: GenerationMode, headers: dict[str, str], values: dict[str, Any]) -> str:
    """What is wrong with an operation's answers, or nothing."""
    checks = CHECKS.get_by_names(list(HOLD))
    fixed: dict[str, Any] = {"query": {"seconds": 0}} if operation.path.endswith("/events") else {}
    if mode is GenerationMode.POSITIVE and values:
        fixed["path_parameters"] = values

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, **fixed))
    def ask(case: Case) -> None:
        case.call_and_validate(headers=headers, checks=checks, timeout=30)

    try:
        ask()
    except Unsatisfiable:
        # An operation that takes nothing has nothing that could be wrong.
        return f"{operation.label}: nothing to send" if mode is GenerationMode.POSITIVE else ""
    except BaseExceptionGroup as group:
        return f"{operation.label} ({mode.value}): " + "; ".join(str(error)[:1500] for error in group.exceptions)
    return ""


def test_no_operation_breaks_and_each_answers_as_its_schema_says(api: Api, served: Served) -> None:
    load_all_checks()
    generation = GenerationConfig(deterministic=True)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    with furnished(api, served) as place:
        schema = openapi.from_url(f"{api.client.base_url}/api/v1/openapi.json", config=config)
        wrong = [
            _broken_by(operation, mode, place.headers["owner"], place.values(_route(operation)))
            for operation in (result.ok() for result in schema.get_all_operations())
            for mode in GenerationMode
        ]
    assert [one for one in wrong if one] == []


def _route(operation: APIOperation) -> Route:
    return Route(operation.method.upper(), operation.path, frozenset())
