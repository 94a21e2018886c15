"""From a file's path to an Upload: what the command line reads instead of a request."""

from pathlib import Path

from c2vl_serve.errors import SequenceError
from c2vl_serve.service.bodies import HEAD_BYTES, Upload
from c2vl_serve.skeleton.formats import sniff


def skeleton_upload(file: Path) -> Upload | None:
    """The upload in a skeleton file; None for a video, which is decoded from its path.

    Raises:
        SequenceError: when the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            file_type = sniff(opened.read(HEAD_BYTES))
        if file_type is None:
            return None
        return Upload(data=file.read_bytes(), file_type=file_type, is_body=False)
    except OSError as error:
        raise SequenceError(f"cannot be read: {error.strerror}") from error
