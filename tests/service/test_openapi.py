"""Schemathesis over the whole OpenAPI: what the schema allows is answered as it says, what it forbids is refused.

``/events`` never ends; its tests are beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import made_stages
import pytest
import schemathesis
import served
import tiny
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from hpsearch.service.auth import Role

EXAMPLES = 3  # of each operation
SLOW = ("POST /hp/api/v1/commands", "GET /hp/api/v1/searches/{search}/report")  # seconds each, with tests of their own
_OURS = {"search": "tiny", "stage": 1}  # what is there, where a path asks for it
_SETTINGS: Any = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service over a database in which a stage has run; nobody works on its jobs."""
    folder = tmp_path_factory.mktemp("openapi")
    made_stages.searched(folder, trials={"count": 8})
    tiny.write(folder)
    with served.client(folder / "made.db", Role.ADMIN, studies=folder) as client:
        yield client


@pytest.fixture(scope="module")
def operations(client: TestClient) -> dict[str, Any]:
    """Every operation of the schema, by its method and path."""
    app: Any = client.app
    document = json.loads(json.dumps(app.openapi()))
    del document["components"]["securitySchemes"]  # the token is ours, and not to be made up
    for operation in (of for path in document["paths"].values() for of in path.values()):
        operation.pop("security", None)
    schema: Any = schemathesis.openapi.from_dict(document).exclude(path="/hp/api/v1/events")
    # A schema cannot say which values go together, and what there is.
    schema.config.checks.positive_data_acceptance.expected_statuses = ["2xx", "401", "404", "409", "422"]
    return {of.ok().label: of.ok() for of in schema.get_all_operations()}


def send(client: TestClient, case: Any) -> Any:
    """Send what schemathesis has made, with our token."""
    wanted = case.as_transport_kwargs(base_url=served.ADDRESS)
    del wanted["cookies"]
    if isinstance(wanted.get("data"), bytes):
        wanted["content"] = wanted.pop("data")
    return client.request(**wanted)


def tried(operations: dict[str, Any], mode: GenerationMode, check: Callable[[Any], None], **ours: Any) -> list[str]:
    """Check cases of all operations; return what is wrong."""
    wrong = []
    for label, operation in operations.items():
        known = {of.name: ours[of.name] for of in operation.path_parameters if of.name in ours}
        try:
            made: Any = given(operation.as_strategy(mode, path_parameters=known or None))
            _SETTINGS(made(check))()
        except (Failure, FailureGroup) as failure:
            causes = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
            wrong += [f"{label}: {cause}" for cause in causes]
        except Unsatisfiable:  # nothing can be wrong with it
            assert mode is GenerationMode.NEGATIVE
    return wrong


@pytest.mark.parametrize("mode", GenerationMode)
def test_requests_are_answered_as_the_schema_says(
    client: TestClient, operations: dict[str, Any], mode: GenerationMode
) -> None:
    def check(case: Any) -> None:
        case.validate_response(send(client, case))

    if mode is GenerationMode.NEGATIVE:
        assert tried(operations, mode, check) == []
    else:
        quick = {label: of for label, of in operations.items() if label not in SLOW}
        assert tried(quick, mode, check, **_OURS) == []


def test_without_a_token_nothing_is_answered(client: TestClient, operations: dict[str, Any]) -> None:
    nobody = TestClient(client.app, base_url=served.ADDRESS)
    everybody = ("GET /healthz", "GET /readyz", "POST /hp/api/v1/session")
    guarded = {label: of for label, of in operations.items() if label not in everybody}
    assert len(guarded) == len(operations) - len(everybody)

    def check(case: Any) -> None:
        answer = send(nobody, case)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])

    assert tried(guarded, GenerationMode.POSITIVE, check) == []
