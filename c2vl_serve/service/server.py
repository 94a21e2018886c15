"""serve: the application on a socket, with uvicorn, this service's deadlines, and a drain."""

import gc
import logging
import math
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from c2vl_serve.service.deadlines import protocol_class
from c2vl_serve.service.logs import logging_config
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.stream_messages import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

# Seconds that an unused connection is kept. Whoever sends in the moment in which it is closed gets
# a reset; load balancers let go after 60 s, so that it is they who close.
_KEEP_ALIVE = 75
_STREAM_QUEUE = 8  # messages of a stream that are read ahead; beyond, its client has to wait


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve until told to stop, then finish what is in progress; exit status 0."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_class(settings.header_seconds),
        lifespan="on",
        log_config=logging_config(settings.log_format),
        access_log=False,  # ours says more, and no paths
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.finish_seconds)),
        timeout_keep_alive=_KEEP_ALIVE,
        ws_max_size=2 * MAX_MESSAGE_BYTES,  # a message a little too long is still told why
        ws_max_queue=_STREAM_QUEUE,
    )
    server = DrainingServer(config, app, drain_seconds=settings.drain_seconds)
    server.run()
    if not server.started:
        raise SystemExit(1)


class DrainingServer(uvicorn.Server):
    """Tells the world that it stops before it does.

    On SIGTERM ``/health/ready`` turns 503, new work gets 503 with ``Retry-After`` and
    ``Connection: close``, and what is in progress goes on. The port stays open for
    ``drain_seconds``, as whoever sends the traffic (a load balancer, Kubernetes' endpoints)
    needs some time to notice. SIGINT, or a second signal, closes the port at once.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._num_signals = 0
        self._closes_at = math.inf  # on the monotonic clock

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain; unlike uvicorn's own, it does not end the process by the signal."""
        self._num_signals += 1
        state = getattr(self._app.state, "service", None)
        if state is not None:
            state.is_draining = True
        if self._num_signals > 2:
            self.force_exit = True
        elif self._num_signals == 2 or sig != signal.SIGTERM or not self.started:
            self.should_exit = True
        else:
            logger.info("draining for %g s", self._drain_seconds)
            self._closes_at = time.monotonic() + self._drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what was loaded until now is kept out of every later search for garbage."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to close the port."""
        if time.monotonic() >= self._closes_at:
            self.should_exit = True
        return await super().on_tick(counter)
