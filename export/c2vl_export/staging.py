"""Write a folder beside its place and rename it there: nothing half-written, nothing lost."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from c2vl_serve.errors import BundleError


@contextmanager
def staged(folder: Path, *, mark: str, replace: bool) -> Iterator[Path]:
    """A new folder that becomes ``folder`` when the block ends without an error.

    Args:
        folder: where it will be.
        mark: a file that tells such a folder from others; only one that has it is replaced.
        replace: whether an existing one may be.

    Raises:
        BundleError: when the place is taken or cannot be written to.
    """
    check_place(folder, mark=mark, replace=replace)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield beside
        beside.chmod(0o755)
        _put(beside, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_place(folder: Path, *, mark: str, replace: bool) -> None:
    """Refuse a place that is taken, before any work is done.

    Raises:
        BundleError: when something is there that must not or may not be replaced.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if not (folder / mark).is_file():
        raise BundleError(
            f"{folder} exists and has no {mark}, so it is not ours to replace; "
            "choose another folder"
        )
    if not replace:
        raise BundleError(f"{folder} exists already; replace it with --force or choose another")


def _put(beside: Path, folder: Path) -> None:
    """Rename into place; the old folder goes only once the new one is there."""
    if not folder.exists():
        beside.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> BundleError:
    what = error.strerror or str(error)
    return BundleError(
        f"cannot write {folder}: {what}; free space or rights there, or choose another folder"
    )
