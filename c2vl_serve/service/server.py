"""serve: the application on a socket, with uvicorn and this service's deadlines."""

import uvicorn
from fastapi import FastAPI

from c2vl_serve.service.deadlines import protocol_class
from c2vl_serve.service.logs import logging_config
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
        log_config=logging_config(settings.log_format),
        access_log=False,  # ours says more, and no paths
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
