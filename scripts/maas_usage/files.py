"""A file written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from maas_usage.errors import InternalError, UsageError, quoted


def refuse_unusable_place(path: str) -> None:
    """Raises UsageError where a file cannot be written, before any work is done for it."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise _unusable(path, "its folder does not exist")
    if os.path.isdir(path):
        raise _unusable(path, "it is a folder")
    if os.path.exists(path) and not os.path.isfile(path):
        raise _unusable(path, "it is no regular file")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unusable(path, error.strerror or "its folder cannot be written") from None


def _unusable(path: str, reason: str) -> UsageError:
    return UsageError(
        "The file %s cannot be written: %s." % (quoted(path), reason), "Name a file in a folder that can be written."
    )


def write_whole(path: str, content: bytes) -> None:
    """Writes beside the place and moves the file there in one step.

    Raises InternalError where that fails; what stood there before then still does.
    """
    target = os.path.realpath(path)  # a symbolic link stays one
    descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".maas-usage-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        os.chmod(beside, _mode(target))
        os.replace(beside, target)
    except OSError as error:
        raise InternalError(
            "The answer could not be written: %s." % (error.strerror or type(error).__name__),
            "Free the place it goes to, or name another, and run it again.",
        ) from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
