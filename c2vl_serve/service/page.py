"""The page at `/`: static files, with headers that keep a browser from fetching anything else."""

from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

PAGE = "/"
FILES = "/static"
FOLDER = Path(__file__).with_name("static")

HEADERS = {
    # Nothing from elsewhere; blob: is the clip that was chosen, which stays in the browser.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Asked for again each time, answered with 304: an updated service has an updated page.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """Static files that carry :data:`HEADERS`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file; a missing one is a problem, as everywhere."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await super().__call__(scope, receive, send_with_headers)


def install(app: FastAPI) -> None:
    """Serve the page at ``/`` and its files under ``/static``."""
    app.mount(FILES, PageFiles(directory=FOLDER))
    app.add_api_route(PAGE, _page, methods=["GET", "HEAD"], include_in_schema=False)


def _page() -> FileResponse:
    return FileResponse(FOLDER / "index.html", headers=HEADERS)
