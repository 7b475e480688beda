"""The way in: arguments -> query -> document -> text. Only this module prints and exits."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from maas_usage import arguments, credentials, document, handover, window, zone
from maas_usage.arguments import Options
from maas_usage.errors import (
    ExitStatus,
    InternalError,
    Interrupted,
    PackagesMissing,
    UsageStatsError,
)
from maas_usage.files import refuse_unusable_place, write_whole
from maas_usage.pace import REAL_TIME, Pace, Timing
from maas_usage.secrecy import Redactor

DEBUG = "MAAS_USAGE_DEBUG"


def main(
    argv: Optional[Sequence[str]] = None,
    script: Optional[str] = None,
    timing: Timing = REAL_TIME,
) -> int:
    """Runs one command line and returns its exit status.

    `script` is the path to run again in a Python that has the packages; without it there is no
    hand-over.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    redactor = Redactor()
    credentials.learn_environment(os.environ, redactor)
    printer = Printer(redactor, as_json=handover.wants_json(words))
    # Libraries' warnings must not reach stderr by themselves: they have not been redacted.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        with _sigterm_raises():
            return _run(words, script, timing, redactor, printer)
    except UsageStatsError as error:
        return printer.failure(error)
    except KeyboardInterrupt:
        return printer.failure(_interrupted(ExitStatus.INTERRUPTED))
    except _Terminated:
        return printer.failure(_interrupted(ExitStatus.TERMINATED))
    except ImportError as error:
        if (error.name or "").startswith("maas_usage"):
            return printer.failure(_internal(error))
        return printer.failure(PackagesMissing(handover.MESSAGE, handover.HINT))
    except Exception as error:
        return printer.failure(_internal(error))
    finally:
        printer.silence()


def _run(words: Sequence[str], script: Optional[str], timing: Timing, redactor: Redactor, printer: Printer) -> int:
    started = timing.monotonic()
    options = arguments.parse(words, os.environ, redactor)
    now_ms = int(timing.now()) * window.SECOND_MS
    lacking = handover.lacking()
    if lacking:
        _refuse_impossible_window(options, now_ms)
        if script is not None:
            handover.to_better_python(script, list(words), printer.tell)
        if not options.check:
            raise PackagesMissing(handover.MESSAGE, handover.HINT)
    pace = Pace(options.deadline_s, timing, started)
    if options.output is not None:
        printer.write_to(options.output)
    if options.check:
        return _check(options, lacking, pace, timing, redactor, printer)
    from maas_usage import session

    where = zone.of_this_system() if options.timezone is None else zone.named(options.timezone)
    asked = window.resolve(options.expression, now_ms, where)
    answer = session.answer(options, asked, pace, timing, redactor, printer)
    if document.violations(answer):
        raise _unsound(answer)
    printer.answer(_text(answer, options))
    if options.format == "csv":  # it has no place for them
        for warning in answer["warnings"]:
            printer.tell("%s: %s" % (warning["code"], warning["message"]))
    return ExitStatus.GUARD_CROSSED if answer["alerts"] else ExitStatus.OK


def _check(
    options: Options, lacking: List[str], pace: Pace, timing: Timing, redactor: Redactor, printer: Printer
) -> int:
    from maas_usage import check

    findings = check.Findings()
    check.of_python(findings, lacking)
    if not lacking:
        from maas_usage import session

        session.examine(findings, options, pace, timing, redactor, printer)
    result = findings.as_document()
    if not lacking and document.violations(result, check.SCHEMA):
        raise _unsound(result, check.SCHEMA)
    if options.format == "json":
        printer.answer(json.dumps(result, indent=2 if options.pretty else None) + "\n")
    else:
        printer.answer("".join("%-8s %-11s %s\n" % (c.status, c.name, c.message) for c in findings.all()))
    if findings.error is None:
        return ExitStatus.OK
    return printer.complain(findings.error)


def _text(answer: Dict[str, Any], options: Options) -> str:
    from maas_usage import render

    if options.format == "json":
        return render.json_text(answer, options.pretty)
    if options.format == "csv":
        return render.csv_text(answer)
    if options.format == "markdown":
        text = render.markdown(answer, options.lang)
    else:
        colour = options.output is None and sys.stdout is not None and sys.stdout.isatty()
        text = render.table(answer, options.lang, colour and not os.environ.get("NO_COLOR"))
    return text + (render.raw(answer, options.lang) if options.raw else "")


def _refuse_impossible_window(options: Options, now_ms: int) -> None:
    if options.timezone is not None:
        # Without zone data here, the Python that takes over looks again.
        with suppress(ImportError):
            window.resolve(options.expression, now_ms, zone.named(options.timezone))


# --- how a run ends --------------------------------------------------------------------------


def _unsound(answer: Dict[str, Any], schema: str = document.USAGE_SCHEMA) -> InternalError:
    first = document.violations(answer, schema)[0]
    return InternalError("The answer does not conform to its own schema: %s." % first, _REPORT_IT)


_REPORT_IT = "This is a defect of the tool: please report it, with the command line and without keys."


class _Terminated(BaseException):
    pass


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def terminate(_number: int, _frame: Any) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(status: ExitStatus) -> Interrupted:
    error = Interrupted(
        "Interrupted by %s." % ("Ctrl-C" if status == ExitStatus.INTERRUPTED else "SIGTERM"),
        "Nothing was changed anywhere: run it again when it suits.",
    )
    error.exit_status = status
    return error


def _internal(error: BaseException) -> InternalError:
    internal = InternalError(
        "The tool itself failed (%s)." % type(error).__name__,
        _REPORT_IT + " %s=1 shows where." % DEBUG,
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
            line = self._redactor.clean(line)
            if self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False)
            else:
                _write(sys.stderr, line + "\n")

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

    def answer(self, text: str) -> None:
        """The answer, and nothing else, to stdout or to the file."""
        cleaned = self._redactor.clean(text)
        if self._path is None:
            _write(sys.stdout, cleaned)
        else:
            write_whole(self._path, cleaned)

    def complain(self, error: UsageStatsError) -> int:
        """One clear line to stderr; returns the exit status."""
        if os.environ.get(DEBUG) == "1":
            self.tell("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        self.tell("%s: %s %s" % (error.code, error.message, error.hint))
        return int(error.exit_status)

    def failure(self, error: UsageStatsError) -> int:
        """A complaint, with JSON also a document to stdout; returns the exit status."""
        result = document.failure(error)
        if not isinstance(error, (InternalError, PackagesMissing)) and _violations(result):
            return self.failure(_internal(ValueError("error document")))
        status = self.complain(error)
        if self._as_json:  # to stdout, whatever --output says
            _write(sys.stdout, self._redactor.clean(json.dumps(result)) + "\n")
        return status


def _violations(result: Dict[str, Any]) -> List[str]:
    try:
        return document.violations(result)
    except ImportError:
        return []  # usage errors need the standard library alone


def _encodable(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _write(stream: Any, text: str) -> None:
    if stream is None:  # closed by the caller
        return
    try:
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


if __name__ == "__main__":
    sys.exit(main())
