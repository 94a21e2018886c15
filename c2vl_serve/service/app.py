"""create_app: the service as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.recognition.bench import golden_windows
from c2vl_serve.recognition.gallery_store import GalleryStore
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service import embed_routes, gallery_routes, page, problems
from c2vl_serve.service.access import RequestLog
from c2vl_serve.service.admission import Admission
from c2vl_serve.service.batching import Batcher
from c2vl_serve.service.counted import counted
from c2vl_serve.service.engine import engine_for
from c2vl_serve.service.inference import router as inference_router
from c2vl_serve.service.keys import ApiKeyGate
from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.limits import BodyGuard
from c2vl_serve.service.metrics import Metrics
from c2vl_serve.service.metrics import router as metrics_router
from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.rates import RateLimit
from c2vl_serve.service.routes import hot, router
from c2vl_serve.service.settings import ServiceSettings, read_settings
from c2vl_serve.service.spool import remove_leftovers
from c2vl_serve.service.state import ServiceState
from c2vl_serve.service.stream import router as stream_router
from c2vl_serve.service.stream_sessions import StreamSessions
from c2vl_serve.service.tracing import RequestSpans, over_otlp, trace_stages
from c2vl_serve.service.turnstile import Turnstile

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

# Seconds that one input takes, until some were measured.
_FIRST_SKELETON = 0.02
_FIRST_VIDEO = 10.0


def create_app(
    settings: ServiceSettings | None = None,
    recognizer: ActionRecognizer | RuntimeUnavailable | None = None,
    *,
    tracing: "TracerProvider | None" = None,
) -> FastAPI:
    """The service.

    Args:
        settings: read from the environment where not given.
        recognizer: loaded already; otherwise the settings' bundle is loaded at start-up. A
            bundle that is inconsistent keeps the service from starting; a runtime that is not
            there, as found out here or by the caller, is told by ``/health/ready``.
        tracing: where spans go, instead of where ``OTEL_*`` says.

    Raises:
        RuntimeUnavailable: when the environment holds a setting that is wrong, or asks for traces
            and the extra is not installed.
    """
    settings = settings or read_settings()
    if tracing is None and settings.otel:
        tracing = over_otlp()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if num_left := remove_leftovers():
            logger.warning("removed uploads that a killed service left: %d", num_left)
        poses = PosePool(settings)
        state = _new_state(settings)
        app.state.service = state
        app.state.settings = settings
        app.state.streams = StreamSessions(
            most=settings.stream_sessions, grace_seconds=settings.stream_grace_seconds
        )
        app.state.metrics.watch(state, poses)
        await _load(state, poses, settings, recognizer, app.state.metrics)
        warming = asyncio.create_task(asyncio.to_thread(poses.warm))
        try:
            yield
        finally:
            state.predictor, state.reason = None, "the service is stopping"
            if state.batcher is not None:
                await state.batcher.close()
            await asyncio.to_thread(poses.close)
            await asyncio.to_thread(state.videos.close)
            await asyncio.to_thread(state.skeletons.close)
            await warming
            if tracing is not None:
                await asyncio.to_thread(tracing.shutdown)

    app = FastAPI(
        title="c2vl-serve",
        summary="Recognise what people are doing from their skeletons alone.",
        version=version("c2vl-serve"),
        lifespan=lifespan,
    )
    app.state.metrics = Metrics()
    app.state.observers = [app.state.metrics.predicted]
    # Routes are tried in order: the one that is asked all day comes first.
    app.router.routes[:0] = hot.routes
    app.include_router(router)
    app.include_router(embed_routes.router)
    app.include_router(gallery_routes.router)
    app.include_router(stream_router)
    app.include_router(metrics_router)
    app.include_router(inference_router)
    page.install(app)
    problems.install(app)
    # The last added is the outermost: no key, no body; and whatever is refused is counted.
    app.add_middleware(Admission)
    app.add_middleware(BodyGuard, settings=settings)
    app.add_middleware(RateLimit, settings=settings)
    app.add_middleware(ApiKeyGate, keys=[key.get_secret_value() for key in settings.api_keys])
    if tracing is not None:
        app.state.observers.append(partial(trace_stages, tracing))
        app.add_middleware(RequestSpans, provider=tracing)
    app.add_middleware(RequestLog, metrics=app.state.metrics)
    return app


def _new_state(settings: ServiceSettings) -> ServiceState:
    return ServiceState(
        skeletons=Lane(
            "skeleton",
            workers=settings.workers,
            max_wait=settings.max_skeleton_wait,
            first_guess=_FIRST_SKELETON,
        ),
        videos=Lane(
            "video",
            workers=max(1, settings.pose_workers),
            max_wait=settings.max_video_wait,
            first_guess=_FIRST_VIDEO,
        ),
    )


async def _load(
    state: ServiceState,
    poses: PosePool,
    settings: ServiceSettings,
    recognizer: ActionRecognizer | RuntimeUnavailable | None,
    metrics: Metrics,
) -> None:
    if recognizer is None:
        try:
            recognizer = await asyncio.to_thread(
                ActionRecognizer.load, settings.bundle, provider=settings.provider
            )
        except RuntimeUnavailable as error:
            recognizer = error
    if isinstance(recognizer, RuntimeUnavailable):
        state.reason = str(recognizer)
        logger.error("not ready: %s", recognizer)
        return
    recognizer = counted(recognizer, metrics.ran_batch)
    engine = engine_for(recognizer.runtime, workers=settings.workers, max_batch=settings.max_batch)
    await asyncio.to_thread(engine.warm, golden_windows(recognizer.bundle, 1))
    state.batcher = Batcher(
        engine, max_wait=settings.max_skeleton_wait, max_backlog=settings.max_backlog
    )
    state.turnstile = Turnstile(engine.num_workers * engine.max_batch)
    gallery = GalleryStore(settings.gallery_file(recognizer.bundle), recognizer.bundle)
    state.predictor = Predictor(recognizer, poses, settings, gallery)
    logger.info(
        "serving bundle=%s runtime=%s", recognizer.bundle.card.identity, recognizer.runtime.name
    )
