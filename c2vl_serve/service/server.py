"""serve: the application on a socket, with uvicorn and this service's deadlines."""

import copy
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

from c2vl_serve.service.deadlines import protocol_class
from c2vl_serve.service.settings import ServiceSettings

_DRAIN_SECONDS = 30  # for requests in progress, once told to stop


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve until told to stop (SIGINT, SIGTERM), then finish what is in progress."""
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_class(settings.header_seconds),
        lifespan="on",
        log_config=_logging(),
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _logging() -> dict[str, Any]:
    """Uvicorn's own, with this package's messages in the same stream and form."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["c2vl_serve"] = {
        "handlers": ["default"],
        "level": "INFO",
        "propagate": False,
    }
    return config
