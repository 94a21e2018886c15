"""From a request's content type and bytes to an Upload: one of the four body forms, whole."""

from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from c2vl_serve.service.headers import header, media_type
from c2vl_serve.service.problems import Problem
from c2vl_serve.skeleton.formats import FileType, sniff

JSON = "application/json"
NPY = "application/x-npy"
MULTIPART = "multipart/form-data"
VIDEO = "video/"
ACCEPTED = f"{JSON}, {NPY}, {MULTIPART}, video/*"

_MAX_FIELDS = 16  # of a multipart body; one is used
_MAX_FIELD_BYTES = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What a client sent.

    Attributes:
        data: the content.
        file_type: of a skeleton; None for a video.
        is_body: the content is the request's body itself, not a file within it.
    """

    data: bytes
    file_type: FileType | None
    is_body: bool = True


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
        return Upload(data=await _read_body(request), file_type=None)
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
        raise Problem(400, "the body is empty; send a skeleton or a video, see /docs")
    return data


async def _read_form(request: Request) -> Upload:
    try:
        async with request.form(
            max_files=2, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        ) as form:
            data = await _the_file(form.multi_items()).read()
    except HTTPException as error:
        raise Problem(
            400,
            f"the multipart body cannot be read: {error.detail} Send one file, as curl does "
            "with -F file=@PATH",
        ) from error
    if not data:
        raise _bad_form("the file is empty (0 bytes); send a video or a skeleton file")
    return Upload(data=data, file_type=sniff(data), is_body=False)


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
