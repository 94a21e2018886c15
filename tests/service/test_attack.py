"""Attacks: a corpus of bad requests, and requests drawn from the description of the API."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.python.asgi import get_client
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings

from .bad_bodies import bad_requests
from .test_predict import SKELETON

BAD = bad_requests()
# Refused where bodies are not what they say; videos are turned off on this service.
REFUSED = {400, 408, 413, 415, 422}
MOST_MEMORY = 96 * 2**20  # bytes; for the bombs, 100 MiB unpacked


def test_the_corpus_is_large() -> None:
    assert len(BAD) >= 200


# A form that is not closed leaves its half-read file to the garbage collector, in Starlette.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_a_sentence(client: TestClient, name: str) -> None:
    answer = client.post("/predict", **BAD[name])
    assert answer.status_code in REFUSED, answer.text[:200]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert len(problem["detail"].split()) >= 4, problem
    assert len(answer.content) < 4000
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("name", [name for name in BAD if "bomb" in name or "huge" in name])
def test_it_costs_little_memory(client: TestClient, name: str) -> None:
    request = BAD[name]
    tracemalloc.start()
    try:
        client.post("/predict", **request)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_the_service_is_well_afterwards(client: TestClient) -> None:
    assert client.post("/predict", json=SKELETON).status_code == 200


def test_every_damaged_video_gets_an_answer(recognizer: ActionRecognizer, data_dir: Path) -> None:
    from c2vl_serve.errors import RuntimeUnavailable
    from c2vl_serve.pose import find_pose_model

    try:
        find_pose_model()
    except RuntimeUnavailable as error:
        pytest.skip(f"no pose model: {error}")
    with TestClient(create_app(ServiceSettings(pose_workers=1), recognizer)) as client:
        for path in sorted((data_dir / "videos" / "edge").iterdir()):
            answer = client.post("/predict", files={"file": (path.name, path.read_bytes())})
            assert answer.status_code in (200, 422), path.name
            if answer.status_code == 422:
                assert len(answer.json()["detail"].split()) >= 4


def test_requests_from_the_description_get_answers_that_it_describes(
    recognizer: ActionRecognizer,
) -> None:
    app = create_app(ServiceSettings(pose_workers=0), recognizer)
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    with get_client(app) as session:
        for operation in described.get_all_operations():
            _attack(operation.ok(), session)


def _attack(operation: Any, session: Any) -> None:
    """Send what hypothesis draws from an operation's description; the seed is fixed."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=15,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attack(case: schemathesis.Case) -> None:
        response = case.call(session=session)
        # Videos are turned off here, which is a described 503; any other 5xx is a fault.
        assert response.status_code < 500 or response.status_code == 503
        case.validate_response(
            response,
            checks=[
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    attack()
