"""From an upload to the network's outputs: what is read where, and the queue before the network.

A short skeleton is read on the event loop, in less time than a thread takes to be woken. A long
one is read in a thread, and a video by the pose workers; from then on all stand in one queue.
"""

import asyncio

from starlette.requests import Request

from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.service.bodies import Upload
from c2vl_serve.service.peers import has_left
from c2vl_serve.service.predictor import Answer, Asked, Decoded
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.state import ServiceState
from c2vl_serve.service.turnstile import Place

# What is read on the event loop: at most some 5 ms of it.
_SMALL_BODY = 128 * 1024  # bytes
_SHORT_SECONDS = 20.0  # of all persons together


async def predict(
    state: ServiceState, upload: Upload, query: PredictQuery, request: Request
) -> Answer:
    """The answer to an upload.

    Raises:
        Problem: not ready, too busy, too late, or the body cannot be read.
        SequenceError: the input cannot be used.
    """
    begun = asyncio.get_running_loop().time()
    with await _place(state, upload, request) as place:
        asked = await ask(state, upload, query, request, place)
        outputs, milliseconds = await run(state, asked, request, place)
    answer = state.ready().answer(asked, outputs, query, inference_ms=milliseconds)
    total = 1e3 * (asyncio.get_running_loop().time() - begun)
    answer["timing_ms"]["total"] = round(total, 3)
    return answer


async def ask(
    state: ServiceState,
    upload: Upload,
    query: PredictQuery,
    request: Request,
    place: Place | None = None,
) -> Asked:
    """The upload as windows that wait for the network; a long one gives its place up.

    Raises:
        Problem: not ready, too busy, too late, or the body cannot be read.
        SequenceError: the input cannot be used.
        LabelError: the query asks for labels that are not known.
    """
    predictor = state.ready()
    if query.labels is not None:
        predictor.judge(query)  # unknown labels are refused before any work
    deadline = request.state.deadline
    if upload.file_type is None:
        return await state.videos.run(
            lambda abandoned: predictor.ask(
                predictor.watch(upload.source, query, abandoned), query
            ),
            receive=request.receive,
            deadline=deadline,
        )
    if _is_small(upload):
        decoded = predictor.decode(upload, query)
        if _is_short(decoded, query):
            return predictor.ask(decoded, query)
        if place is not None:
            place.leave()
        return await state.skeletons.run(
            lambda _: predictor.ask(decoded, query), receive=request.receive, deadline=deadline
        )
    return await state.skeletons.run(
        lambda _: predictor.ask(predictor.decode(upload, query), query),
        receive=request.receive,
        deadline=deadline,
    )


async def run(
    state: ServiceState, asked: Asked, request: Request, place: Place | None = None
) -> tuple[Outputs, float]:
    """What the network says about the windows, and the milliseconds that it took.

    The place is given up when the network begins.

    Raises:
        Problem: not ready, too busy or too late.
    """
    inputs = asked.prepared.inputs
    if len(inputs) == 0:
        return state.ready().recognizer.run(inputs), 0.0
    return await state.queue().run(
        inputs,
        receive=request.receive,
        deadline=request.state.deadline,
        started=None if place is None else place.leave,
        has_left=has_left(request.scope),
    )


async def _place(state: ServiceState, upload: Upload, request: Request) -> Place:
    if not _is_small(upload):
        return Place()
    return await state.turnstile.enter(
        receive=request.receive,
        deadline=request.state.deadline,
        has_left=has_left(request.scope),
    )


def _is_small(upload: Upload) -> bool:
    return upload.is_body and upload.file_type is not None and len(upload.data) <= _SMALL_BODY


def _is_short(decoded: Decoded, query: PredictQuery) -> bool:
    sequence = decoded.sequence
    if sequence is None:
        return True
    seconds = sequence.duration * min(sequence.num_persons, query.persons)
    return query.window is None and query.stride is None and seconds <= _SHORT_SECONDS
