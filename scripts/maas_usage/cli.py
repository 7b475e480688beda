"""The way in: arguments -> query -> document -> text. Only this module prints and exits."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import string
import sys
import threading
import traceback
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Dict, Iterator, List, Optional, Sequence

from maas_usage import arguments, credentials, document, handover, window, zone
from maas_usage.arguments import Options
from maas_usage.credentials import Credentials
from maas_usage.errors import (
    ExitStatus,
    InternalError,
    Interrupted,
    PackagesMissing,
    UsageStatsError,
)
from maas_usage.pace import REAL_TIME, Pace, Timing
from maas_usage.secrecy import Redactor, Secret
from maas_usage.statistics import checked_project_id

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


def _run(
    words: Sequence[str],
    script: Optional[str],
    timing: Timing,
    redactor: Redactor,
    printer: Printer,
) -> int:
    pace_started = timing.monotonic()
    options = arguments.parse(words, os.environ, redactor)
    now_ms = int(timing.now()) * window.SECOND_MS
    if script is not None and handover.lacking():
        if options.timezone is not None:
            _refuse_impossible_window(options, now_ms)
        handover.to_better_python(script, list(words), printer.tell)
        raise PackagesMissing(handover.MESSAGE, handover.HINT)
    from maas_usage import render, usage

    where = zone.of_this_system() if options.timezone is None else zone.named(options.timezone)
    asked = window.resolve(options.expression, now_ms, where)
    query = usage.Query(
        region=options.region,
        service_types=options.service_types,
        infer_type=options.infer_type,
        api_keys=options.api_keys,
        timezone=str(where),
    )
    answer = _answer(options, query, asked, timing, pace_started, redactor, printer)
    if options.format == "json":
        text = render.json_line(answer, options.pretty)
    else:
        text = render.table(answer) + (render.raw(answer) if options.raw else "")
    printer.answer(text)
    return ExitStatus.OK


def _refuse_impossible_window(options: Options, now_ms: int) -> None:
    # Without zone data here, the Python that takes over looks again.
    with suppress(ImportError):
        window.resolve(options.expression, now_ms, zone.named(str(options.timezone)))


def _answer(
    options: Options,
    query: Any,
    asked: window.Window,
    timing: Timing,
    started: float,
    redactor: Redactor,
    printer: Printer,
) -> Dict[str, Any]:
    from maas_usage import project, usage
    from maas_usage.cloud import Cloud
    from maas_usage.transport import Sites

    calls = usage.plan(query, asked)
    usage.refuse_impossible_deadline(len(calls) + 1, options.deadline_s)
    pace = Pace(options.deadline_s, timing, started)
    with ExitStack() as stack:
        if options.demo:
            keys = _made_up_keys()
            sites = stack.enter_context(_embedded_endpoint(keys, options, timing))
        else:
            keys = credentials.find(options.credentials_file, os.environ, redactor)
            sites = Sites.of_region(options.region, options.endpoint)
        cloud = Cloud(keys, redactor, sites, pace, timing, printer.tell)
        project_id = options.project_id
        if project_id is None and keys.project_id is not None:
            project_id = checked_project_id(keys.project_id, "The project id in %s" % keys.source)
        if project_id is None:
            project_id = project.look_up(cloud, options.region, redactor)
        answers = usage.run(cloud, pace, query, project_id, calls)
    totals = usage.add_up(answers)
    result = document.answer(
        demo=options.demo,
        query=query,
        project_id=project_id,
        asked=asked,
        totals=totals,
        warnings=document.warnings_of(query, asked, totals, keys.readable_file is not None),
        api_calls=cloud.sends[usage.OPERATION],
    )
    if options.raw:
        result["raw"] = document.raw_member(answers, redactor)
    violations = document.violations(result)
    if violations:
        raise InternalError("The answer does not conform to its own schema: %s." % violations[0], _REPORT_IT)
    return result


# --- the embedded endpoint -------------------------------------------------------------------


def _made_up_keys() -> Credentials:
    def draw(alphabet: str, length: int) -> Secret:
        return Secret("".join(secrets.choice(alphabet) for _ in range(length)))

    return Credentials(
        access_key_id=draw(string.ascii_uppercase + string.digits, 20),
        secret_access_key=draw(string.ascii_letters + string.digits, 40),
        security_token=None,
        project_id=None,
        source="the demo",
    )


@contextmanager
def _embedded_endpoint(keys: Credentials, options: Options, timing: Timing) -> Iterator[Any]:
    from maas_usage import demo
    from maas_usage.transport import Sites

    service = demo.Service(
        access_key_id=keys.access_key_id.reveal(),
        secret_access_key=keys.secret_access_key.reveal(),
        region=options.region,
        project_id=options.project_id or demo.PROJECT_ID,
        clock=timing.now,
    )
    with demo.Endpoint(service) as endpoint:
        yield Sites(iam=endpoint.url, statistics=endpoint.url)


# --- how a run ends --------------------------------------------------------------------------

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
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        """A line for whoever watches; never part of the answer."""
        with self._lock:
            if not self._silent:
                _write(sys.stderr, self._redactor.clean(line) + "\n")

    def silence(self) -> None:
        """From now on `tell` says nothing: a thread left behind must not write while Python ends."""
        with self._lock:
            self._silent = True

    def answer(self, text: str) -> None:
        """The answer, and nothing else, to stdout."""
        _write(sys.stdout, self._redactor.clean(text))

    def failure(self, error: UsageStatsError) -> int:
        """One clear line to stderr, with JSON also a document to stdout; returns the exit status."""
        if os.environ.get(DEBUG) == "1":
            self.tell("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        result = document.failure(error)
        if not isinstance(error, (InternalError, PackagesMissing)) and _violations(result):
            return self.failure(_internal(ValueError("error document")))
        self.tell("%s: %s %s" % (error.code, error.message, error.hint))
        if self._as_json:
            self.answer(json.dumps(result) + "\n")
        return int(error.exit_status)


def _violations(result: Dict[str, Any]) -> List[str]:
    try:
        return document.violations(result)
    except ImportError:
        return []  # usage errors need the standard library alone


def _write(stream: Any, text: str) -> None:
    if stream is None:  # closed by the caller
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
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
