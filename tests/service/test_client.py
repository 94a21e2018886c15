"""The Python client against the real application, over a socket and without one."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import uvicorn

from c2vl_serve import (
    AsyncClient,
    Client,
    ClientError,
    SequenceError,
    ServiceBusy,
    ServiceProblem,
    ServiceUnreachable,
    SkeletonSequence,
)
from c2vl_serve.client.answers import Bundle, Enrolled, Prediction
from c2vl_serve.client.calls import pause_before_next
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.formats import write_sequence


@pytest.fixture(scope="module")
def url(recognizer: ActionRecognizer) -> Iterator[str]:
    """Of a real server in a thread."""
    settings = ServiceSettings(pose_workers=0, api_keys="key")
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, recognizer), port=0, log_config=None)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def near(url: str) -> Iterator[Client]:
    with Client(url, api_key="key") as client:
        yield client


def test_every_kind_of_source_gets_the_same_answer(
    near: Client, wave: SkeletonSequence, tmp_path: Path
) -> None:
    path = tmp_path / "wave.npz"
    write_sequence(wave, path)
    expected = near.predict(wave, top_k=2)
    assert isinstance(expected, Prediction)
    assert expected.bundle == "tiny@1.0.0"
    assert len(expected.actions) == 2
    assert expected.timing_ms["total"] > 0
    array: dict[str, Any] = {"layout": "kinect20", "fps": 30.0}
    for answer in (
        near.predict(path, top_k=2),
        near.predict(str(path), top_k=2),
        near.predict(path.read_bytes(), top_k=2),
        near.predict(wave.joints, top_k=2, **array),
        near.predict(wave.joints[:, 0].astype(np.float64), top_k=2, **array),
    ):
        assert (answer.actions, answer.persons) == (expected.actions, expected.persons)
        assert answer.frames == expected.frames


def test_visibility_persons_and_a_layout_of_one_s_own_arrive(near: Client) -> None:
    from dataclasses import replace

    from c2vl_serve.skeleton.layout import KINECT20

    layout = replace(KINECT20, name="mine")
    rng = np.random.default_rng(0)
    sequence = SkeletonSequence(
        joints=rng.normal(size=(20, 2, 20, 3)).astype(np.float32),
        visibility=np.broadcast_to(np.float32([0.5, 1])[:, None], (20, 2, 20)).copy(),
        fps=30.0,
        layout=layout,
        person_ids=(7, 3),
    )
    assert [person.id for person in near.predict(sequence).persons] == [3, 7]


def test_the_card_and_readiness(near: Client, url: str) -> None:
    card = near.bundle()
    assert isinstance(card, Bundle)
    assert card.labels == ("sit down", "stand up", "wave")
    assert card.model_extra is not None
    assert card.model_extra["description"]
    assert near.ready()
    assert not Client("http://127.0.0.1:9").ready()


def test_a_refusal_is_an_error_with_the_service_s_sentence(near: Client, url: str) -> None:
    with pytest.raises(ServiceProblem, match="422: sequence has 19 joints") as caught:
        near.predict(np.zeros((4, 19, 3), np.float32), layout="kinect20", fps=30.0)
    assert caught.value.status == 422
    assert caught.value.request_id
    with pytest.raises(ServiceProblem, match="top_k") as caught:
        near.predict(np.zeros((4, 20, 3), np.float32), layout="kinect20", fps=30.0, top_k=0)
    assert caught.value.errors[0]["parameter"] == "top_k"
    with Client(url) as stranger, pytest.raises(ServiceProblem, match="401: .* API key"):
        stranger.bundle()


def test_what_cannot_be_sent_is_said_at_once(near: Client, tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="neither layout nor fps"):
        near.predict(np.zeros((4, 20, 3), np.float32))
    with pytest.raises(SequenceError, match=r"absent\.npz cannot be read"):
        near.predict(tmp_path / "absent.npz")


def test_nobody_there_is_an_error_with_the_address() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceUnreachable, match=":9 does"):
        client.bundle()


def test_the_same_for_asyncio_over_asgi(
    recognizer: ActionRecognizer, wave: SkeletonSequence
) -> None:
    async def main() -> None:
        app = create_app(ServiceSettings(pose_workers=0), recognizer)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with AsyncClient("http://test", transport=transport) as client:
                assert await client.ready()
                assert (await client.bundle()).name == "tiny"
                many = await asyncio.gather(*[client.predict(wave) for _ in range(4)])
                assert len({answer.actions for answer in many}) == 1
                with pytest.raises(ServiceProblem, match="422"):
                    await client.predict(b"neither video nor skeleton"[:0] or b"{}")

    asyncio.run(main())


def test_embeddings_have_length_1(near: Client, wave: SkeletonSequence) -> None:
    answer = near.embed(wave)
    (person,) = answer.persons
    assert len(person.embedding) == answer.dims
    assert np.linalg.norm(person.embedding) == pytest.approx(1.0, abs=1e-5)
    assert near.embed(wave.joints, layout="kinect20", fps=30.0).persons == answer.persons
    assert answer.bundle == "tiny@1.0.0"


def test_the_gallery_is_kept_over_asgi(
    recognizer: ActionRecognizer, wave: SkeletonSequence, tmp_path: Path
) -> None:
    async def main() -> None:
        settings = ServiceSettings(pose_workers=0, gallery=tmp_path / "gallery.sqlite")
        app = create_app(settings, recognizer)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with AsyncClient("http://test", transport=transport) as client:
                assert (await client.gallery()).actions == ()
                name = "push-up (left & right)"
                assert (await client.enrol(name, wave)).num_examples == 1
                array: dict[str, Any] = {"layout": "kinect20", "fps": 30.0}
                again = await client.enrol(name, wave.joints, **array)
                assert (again.name, again.num_examples) == (name, 2)
                assert again.frames.read == wave.num_frames
                assert (await client.gallery()).actions == (Enrolled(name=name, num_examples=2),)
                assert (await client.predict(wave)).actions[0].label == name
                vectors = (await client.embed(wave)).persons
                assert [person.id for person in vectors] == [0]
                with pytest.raises(ServiceProblem, match="409.*wave"):
                    await client.enrol("wave", wave)
                await client.forget(name)
                assert (await client.gallery()).actions == ()
                with pytest.raises(ServiceProblem, match="404"):
                    await client.forget(name)

    asyncio.run(main())


def test_the_gallery_is_kept_over_a_socket(near: Client, wave: SkeletonSequence) -> None:
    assert near.enrol("greeting", wave).num_examples == 1
    assert near.gallery().actions == (Enrolled(name="greeting", num_examples=1),)
    near.forget("greeting")
    assert near.gallery().actions == ()


def answering(*answers: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-request-timeout"] == "9"
        return left.pop(0)

    return answer


CARD = {"name": "n", "version": "1", "labels": [], "runtime": "r", "providers": []}
BUSY = {"detail": "too busy"}


def of_answers(*answers: httpx.Response, max_wait: float = 30.0) -> Client:
    transport = httpx.MockTransport(answering(*answers))
    return Client("http://test", timeout=9.0, max_wait=max_wait, transport=transport)


def test_busy_services_are_asked_again_when_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    answers = [
        httpx.Response(503, json=BUSY, headers={"Retry-After": "2"}),
        httpx.Response(429, json=BUSY, headers={"Retry-After": "3"}),
        httpx.Response(200, json=CARD),
    ]
    assert of_answers(*answers).bundle().name == "n"
    assert pauses == [2, 3]


def test_pauses_are_bounded_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    answers = [httpx.Response(503, json=BUSY, headers={"Retry-After": "4"})] * 3
    with pytest.raises(ServiceBusy, match="503: too busy"):
        of_answers(*answers, max_wait=10.0).bundle()
    assert pauses == [4, 4]


def test_pauses_grow_where_the_service_does_not_say() -> None:
    for attempt in range(4):
        pause = pause_before_next(httpx.Response(503), attempt)
        assert 0.25 * 2**attempt <= pause <= 0.5 * 2**attempt


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(200)])
def test_something_else_behind_the_address_is_told(answer: httpx.Response) -> None:
    with pytest.raises(ClientError, match="is this a c2vl-serve service"):
        of_answers(answer).bundle()


def test_a_proxy_s_own_page_is_a_problem_too() -> None:
    with pytest.raises(ServiceProblem, match="502: <html>bad gateway"):
        of_answers(httpx.Response(502, text="<html>bad gateway")).bundle()


def test_answers_hold_every_field_that_the_service_promises() -> None:
    from c2vl_serve.client import answers
    from c2vl_serve.service import embed_routes, gallery_routes, schemas

    for module, names in (
        (schemas, ("Action", "Window", "Segment", "Pose", "Person", "Frames", "Prediction")),
        (embed_routes, ("EmbeddedPerson", "Embeddings")),
        (gallery_routes, ("Enrolled", "EnrolledList", "Enrolment")),
    ):
        for name in names:
            promised = set(getattr(module, name).model_fields)
            assert promised <= set(getattr(answers, name).model_fields), name
