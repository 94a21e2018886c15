"""From a request's content type and bytes to an Upload: one of the four body forms, whole."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from c2vl_serve.service.headers import header, media_type
from c2vl_serve.service.problems import Problem
from c2vl_serve.service.spool import SPOOLED, Spool
from c2vl_serve.skeleton.formats import FileType, sniff

JSON = "application/json"
NPY = "application/x-npy"
MULTIPART = "multipart/form-data"
VIDEO = "video/"
ACCEPTED = f"{JSON}, {NPY}, {MULTIPART}, video/*"

HEAD_BYTES = 4096  # of a file, by which its type is found
_MAX_FIELDS = 16  # of a multipart body; one is used
_MAX_FIELD_BYTES = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What a client sent.

    Attributes:
        data: the content; empty where it lies in a file.
        file_type: of a skeleton; None for a video.
        is_body: the content is the request's body itself, not a file within it.
        path: where a large video lies until the request is answered.
    """

    data: bytes
    file_type: FileType | None
    is_body: bool = True
    path: Path | None = None

    @property
    def source(self) -> bytes | Path:
        """Of a video: its content, or where it lies."""
        return self.path or self.data


async def read_upload(request: Request) -> Upload:
    """Read the body in whichever of the four forms its Content-Type names.

    Raises:
        Problem: 415 for another type, 400 for a body that is empty or not what it says,
            422 for a form without exactly one file.
    """
    check_encoding(request)
    kind = media_type(request.scope)
    if kind == MULTIPART:
        return await _read_form(request)
    if kind == JSON:
        return Upload(data=await _read_body(request), file_type="json")
    if kind == NPY:
        return Upload(data=await _read_body(request), file_type="npy")
    if kind.startswith(VIDEO):
        return await _read_video(request)
    content_type = header(request.scope, b"content-type") or "missing"
    raise Problem(
        415,
        f"the Content-Type is {content_type[:60]!r}; send one of {ACCEPTED} "
        "(with curl: -F file=@PATH for any file)",
        headers={"Accept-Post": ACCEPTED},
    )


def check_encoding(request: Request) -> None:
    """Refuse compressed bodies: a small one may be a very large one.

    Raises:
        Problem: 415.
    """
    encoding = header(request.scope, b"content-encoding") or "identity"
    if encoding.lower() != "identity":
        raise Problem(
            415, f"the Content-Encoding is {encoding[:20]!r}; send the body as it is, unpacked"
        )


async def _read_body(request: Request) -> bytes:
    data = await request.body()
    if not data:
        raise _empty()
    return data


async def _read_video(request: Request) -> Upload:
    spool = Spool(getattr(request.state, SPOOLED))
    async for part in request.stream():
        spool.write(part)
    return _video(spool)


def _video(spool: Spool, *, is_body: bool = True) -> Upload:
    content = spool.content()
    if isinstance(content, Path):
        return Upload(data=b"", file_type=None, is_body=is_body, path=content)
    if not content:
        raise _empty()
    return Upload(data=content, file_type=None, is_body=is_body)


def _empty() -> Problem:
    return Problem(400, "the body is empty; send a skeleton or a video, see /docs")


async def _read_form(request: Request) -> Upload:
    try:
        async with request.form(
            max_files=2, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        ) as form:
            return await _of_file(_the_file(form.multi_items()), request)
    except HTTPException as error:
        raise Problem(
            400,
            f"the multipart body cannot be read: {error.detail} Send one file, as curl does "
            "with -F file=@PATH",
        ) from error


async def _of_file(file: UploadFile, request: Request) -> Upload:
    """A skeleton's content, or a video as it lies in the form's own file."""
    head = await file.read(HEAD_BYTES)
    if not head:
        raise _bad_form("the file is empty (0 bytes); send a video or a skeleton file")
    file_type = sniff(head)
    await file.seek(0)
    if file_type is not None:
        return Upload(data=await file.read(), file_type=file_type, is_body=False)
    spool = Spool(getattr(request.state, SPOOLED))
    await asyncio.to_thread(spool.copy, file.file)
    return _video(spool, is_body=False)


def _the_file(items: list[tuple[str, UploadFile | str]]) -> UploadFile:
    """The one part that should be there: a file called ``file``."""
    for name, value in items:
        if name != "file":
            raise _bad_form(
                f"the form has a field {name[:40]!r}; send only 'file', and the rest in the query "
                "(?layout=ntu25&fps=30)"
            )
        if not isinstance(value, UploadFile):
            raise _bad_form("the field 'file' is text without a file name; send -F file=@PATH")
    if len(items) != 1:
        raise _bad_form(f"the form has {len(items)} files; send exactly one, as -F file=@PATH")
    file = items[0][1]
    assert isinstance(file, UploadFile)
    return file


def _bad_form(detail: str) -> Problem:
    return Problem(422, detail, errors=[{"pointer": "#/file", "detail": detail}])
