"""A file written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from maas_usage.errors import InternalError, UsageError, quoted


def refuse_unusable_place(path: str) -> None:
    """Raises UsageError where a file cannot be written, before any work is done for it."""
    target = os.path.realpath(path)
    try:
        if not path:
            raise OSError(0, "it has no name")
        if os.path.islink(target):
            raise OSError(0, "it is a link to itself")
        if os.path.exists(target) and not os.path.isfile(target):
            raise OSError(0, "it is a folder" if os.path.isdir(target) else "it is no regular file")
        with suppress(FileNotFoundError):
            os.stat(target)  # a name that is too long
        if not os.path.isdir(os.path.dirname(target)):
            raise OSError(0, "its folder does not exist")
        with tempfile.TemporaryFile(dir=os.path.dirname(target)):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be one"
        raise UsageError(
            "The file %s cannot be written: %s." % (quoted(path), reason),
            "Name a file in a folder that can be written.",
        ) from None


def write_whole(path: str, content: bytes) -> None:
    """Writes beside the place and moves the file there in one step.

    Raises InternalError where that fails; what stood there before then still does.
    """
    target = os.path.realpath(path)  # a symbolic link stays one
    beside = None
    try:
        descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".maas-usage-")
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
        if beside is not None:
            with suppress(FileNotFoundError):
                os.unlink(beside)


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
