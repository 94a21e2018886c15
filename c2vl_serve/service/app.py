"""create_app: the service as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service import page, problems
from c2vl_serve.service.keys import ApiKeyGate
from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.limits import BodyGuard
from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.routes import ServiceState, router
from c2vl_serve.service.settings import ServiceSettings, read_settings

logger = logging.getLogger(__name__)

# Seconds that one input takes, until some were measured.
_FIRST_SKELETON = 0.02
_FIRST_VIDEO = 10.0


def create_app(
    settings: ServiceSettings | None = None, recognizer: ActionRecognizer | None = None
) -> FastAPI:
    """The service.

    Args:
        settings: read from the environment where not given.
        recognizer: loaded already; otherwise the settings' bundle is loaded at start-up. A
            bundle that is inconsistent keeps the service from starting; a runtime that is not
            there is told by ``/health/ready``.

    Raises:
        RuntimeUnavailable: when the environment holds a setting that is wrong.
    """
    settings = settings or read_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        poses = PosePool(settings)
        state = _new_state(settings)
        app.state.service = state
        await _load(state, poses, settings, recognizer)
        warming = asyncio.create_task(asyncio.to_thread(poses.warm))
        try:
            yield
        finally:
            state.predictor, state.reason = None, "the service is stopping"
            await asyncio.to_thread(poses.close)
            await asyncio.to_thread(state.videos.close)
            await asyncio.to_thread(state.skeletons.close)
            await warming

    app = FastAPI(
        title="c2vl-serve",
        summary="Recognise what people are doing from their skeletons alone.",
        version=version("c2vl-serve"),
        lifespan=lifespan,
    )
    app.include_router(router)
    page.install(app)
    problems.install(app)
    # The last added is the outermost: no key, no body.
    app.add_middleware(BodyGuard, settings=settings)
    app.add_middleware(ApiKeyGate, keys=[key.get_secret_value() for key in settings.api_keys])
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
    recognizer: ActionRecognizer | None,
) -> None:
    if recognizer is None:
        try:
            recognizer = await asyncio.to_thread(
                ActionRecognizer.load, settings.bundle, provider=settings.provider
            )
        except RuntimeUnavailable as error:
            state.reason = str(error)
            logger.error("not ready: %s", error)
            return
    state.predictor = Predictor(recognizer, poses, settings)
    logger.info(
        "serving bundle=%s runtime=%s", recognizer.bundle.card.identity, recognizer.runtime.name
    )
