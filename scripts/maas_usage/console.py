"""Where everything is printed, and how a run ends: no traceback, no key, one line per error."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from maas_usage import credentials, document, handover
from maas_usage.errors import (
    ExitStatus,
    InternalError,
    Interrupted,
    PackagesMissing,
    UsageStatsError,
)
from maas_usage.files import refuse_unusable_place, write_whole
from maas_usage.secrecy import REDACTED, Redactor

DEBUG = "MAAS_USAGE_DEBUG"
# The members of documents that hold sentences, names, or what the service sent.
FREE_TEXT = ("message", "hint", "api_code", "request_id", "expression", "note", "raw", "answer", "request")


def guarded(body: Callable[[Redactor, Printer], int], as_json: bool) -> int:
    """The exit status of `body`; whatever it raises becomes one line, and with JSON a document."""
    redactor = Redactor()
    credentials.learn_environment(os.environ, redactor)
    printer = Printer(redactor, as_json)
    # Libraries' warnings must not reach stderr by themselves: they have not been redacted.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        with _sigterm_raises():
            return body(redactor, printer)
    except (Exception, KeyboardInterrupt, handover.Terminated) as raised:
        with _undisturbed():
            return printer.failure(_as_error(raised))
    finally:
        printer.silence()


def _as_error(raised: BaseException) -> UsageStatsError:
    if isinstance(raised, UsageStatsError):
        return raised
    if isinstance(raised, KeyboardInterrupt):
        return _interrupted(ExitStatus.INTERRUPTED)
    if isinstance(raised, handover.Terminated):
        return _interrupted(ExitStatus.TERMINATED)
    if isinstance(raised, ImportError) and not (raised.name or "").startswith("maas_usage"):
        return PackagesMissing(handover.MESSAGE, handover.HINT)
    return _internal(raised)


REPORT_IT = "This is a defect of the tool: please report it, with the command line and without keys."


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def terminate(_number: int, _frame: Any) -> None:
        raise handover.Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A run that has begun to end is not interrupted again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_proxy_passwords(text: str) -> str:
    """A traceback without any part of the user name and password in a proxy's address.

    A malformed address is cut anywhere by whoever complains of it.
    """
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and "@" in value:
            user_and_password = value.rpartition("@")[0].partition("//")[2] or value.rpartition("@")[0]
            for part in sorted(re.split(r"[/:#?@]", user_and_password), key=len, reverse=True):
                if part:
                    text = text.replace(part, REDACTED)
    return text


def hand_over(script: Optional[str], words: Sequence[str], printer: Printer, hint: str = handover.HINT) -> None:
    """Goes on in a Python that has the packages, and does not return; else raises PackagesMissing."""
    if script is not None:
        handover.to_better_python(script, list(words), printer.tell)
    raise PackagesMissing(handover.MESSAGE, hint)


def refuse_unsound(answer: Dict[str, Any], schema: str = document.USAGE_SCHEMA) -> None:
    """Raises InternalError for a document that does not conform to its schema."""
    violations = document.violations(answer, schema)
    if violations:
        raise InternalError("The answer does not conform to its own schema: %s." % violations[0], REPORT_IT)


def _interrupted(status: ExitStatus) -> Interrupted:
    by_ctrl_c = status == ExitStatus.INTERRUPTED
    error = Interrupted(handover.INTERRUPTED if by_ctrl_c else handover.TERMINATED, handover.HINT_INTERRUPTED)
    error.exit_status = status
    return error


def _internal(error: BaseException) -> InternalError:
    internal = InternalError(
        "The tool itself failed (%s)." % type(error).__name__,
        REPORT_IT + " %s=1 shows where." % DEBUG,
    )
    internal.__cause__ = error
    return internal


class Printer:
    """stdout for the answer, stderr for the rest; nothing leaves without passing the redactor."""

    def __init__(self, redactor: Redactor, as_json: bool) -> None:
        self._redactor = redactor
        self._as_json = as_json
        self._silent = False
        self._bar: Any = None
        self._path: Optional[str] = None
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        """A line for whoever watches; never part of the answer."""
        with self._lock:
            if self._silent:
                return
            line = self._redactor.clean_message(line)
            if self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False)
                return
            with suppress(InternalError):  # a full disk under stderr takes no answer with it
                write(sys.stderr, line + "\n")

    @contextmanager
    def progress(self, calls: int) -> Iterator[Callable[[], None]]:
        """A bar on a terminal's stderr, nothing elsewhere; yields what to call after each call."""
        if calls < 2 or sys.stderr is None or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("calls", total=calls)
            self._bar = bar
            try:
                yield lambda: bar.advance(task)
            finally:
                self._bar = None

    def silence(self) -> None:
        """From now on `tell` says nothing: a thread left behind must not write while Python ends."""
        with self._lock:
            self._silent = True

    def write_to(self, path: str) -> None:
        """The answer will go to a file. Raises UsageError now if that cannot work."""
        refuse_unusable_place(path)
        self._path = path

    def write_to_stdout(self) -> None:
        """What comes goes to stdout, whatever `--output` says: it is an error."""
        self._path = None

    def answer(self, text: str) -> None:
        """The answer, and nothing else, to stdout or to the file."""
        self._put(self._redactor.clean(text))

    def _put(self, text: str) -> None:
        if self._path is None:
            write(sys.stdout, text)
        else:
            write_whole(self._path, text.encode())

    def answer_json(self, result: Dict[str, Any], pretty: bool = False) -> None:
        """A document, in ASCII so that every console and pipe can carry it.

        Only its free text is redacted: a secret that happens to be a word of the format, or a
        figure, must not break the document.
        """
        self._put(json.dumps(self._cleaned(result), indent=2 if pretty else None) + "\n")

    def _cleaned(self, value: Any, free: bool = False) -> Any:
        if isinstance(value, dict):
            return {name: self._cleaned(member, free or name in FREE_TEXT) for name, member in value.items()}
        if isinstance(value, list):
            return [self._cleaned(member, free) for member in value]
        return self._redactor.clean_message(value) if free and isinstance(value, str) else value

    def complain(self, error: UsageStatsError) -> int:
        """One clear line to stderr; returns the exit status."""
        if os.environ.get(DEBUG) == "1":
            told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.tell(_without_proxy_passwords(told))
        self.tell("%s: %s %s" % (error.code, error.message, error.hint))
        return int(error.exit_status)

    def failure(self, error: UsageStatsError) -> int:
        """A complaint, with JSON also a document to stdout; returns the exit status."""
        result = document.failure(error)
        if not isinstance(error, (InternalError, PackagesMissing)) and _violations(result):
            return self.failure(_internal(ValueError("error document")))
        status = self.complain(error)
        if self._as_json:
            self.write_to_stdout()
            with suppress(InternalError):  # the line above was said all the same
                self.answer_json(result)
        return status


def _violations(result: Dict[str, Any]) -> List[str]:
    try:
        return document.violations(result)
    except (ImportError, UnicodeError):
        # Usage errors need the standard library alone. (A folder that the locale cannot spell keeps
        # some Pythons from importing what is written in Rust.)
        return []


def _encodable(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def write(stream: Any, text: str) -> None:
    """Text to a stream, whatever its encoding; a reader that has gone is no failure.

    Raises InternalError where the text cannot be written.
    """
    if stream is None:  # closed by the caller
        return
    try:
        if "\r\n" in text and hasattr(stream, "reconfigure"):
            stream.reconfigure(newline="")  # CSV has line ends of its own
        try:
            stream.write(text)
        except UnicodeEncodeError:
            from maas_usage.render import PLAIN_FORMS

            encoding = stream.encoding or "ascii"
            text = "".join(c if _encodable(c, encoding) else c.translate(PLAIN_FORMS) for c in text)
            stream.write(text.encode(encoding, errors="replace").decode(encoding))
        stream.flush()
    except OSError as error:
        # What is left in the buffer would raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):  # a reader that has seen enough is no failure
            raise InternalError(
                "The answer could not be written: %s." % error.strerror,
                "Free the place it goes to, or send it elsewhere, and run it again.",
            ) from None
