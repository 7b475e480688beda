"""The query: arguments -> Query -> document -> text."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, Dict, List, Optional, Sequence

from maas_usage import arguments, handover, window, zone
from maas_usage.arguments import Options
from maas_usage.console import Printer, guarded, hand_over, refuse_unsound
from maas_usage.document import Limits
from maas_usage.errors import ExitStatus, PackagesMissing, UsageError
from maas_usage.pace import REAL_TIME, Pace, Timing
from maas_usage.secrecy import Redactor


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
    return guarded(
        lambda redactor, printer: _run(words, script, timing, redactor, printer),
        as_json=handover.wants_json(words),
    )


def _run(words: Sequence[str], script: Optional[str], timing: Timing, redactor: Redactor, printer: Printer) -> int:
    started = timing.monotonic()
    options = arguments.parse(words, os.environ, redactor)
    now_ms = int(timing.now()) * window.SECOND_MS
    lacking = handover.lacking()
    if lacking:
        _refuse_impossible_window(options, now_ms)
        try:
            hand_over(script, words, printer)
        except PackagesMissing:
            if not options.check:  # which says so itself
                raise
    pace = Pace(options.deadline_s, timing, started)
    if options.output is not None:
        printer.write_to(options.output)
    if options.check:
        return _check(options, lacking, pace, timing, redactor, printer)
    from maas_usage import session

    where = zone.of_this_system() if options.timezone is None else zone.named(options.timezone)
    asked = window.resolve(options.expression, now_ms, where)
    if options.limits != Limits() and asked.end_ms <= window.retained_since(now_ms):
        # Exit status 0 would say that nothing was crossed, and nothing is known.
        raise UsageError(
            "There is nothing to guard: the service does not keep %s any more." % asked.expression,
            "It guarantees 30 days: choose a window within them.",
        )
    answer = session.answer(options, asked, pace, timing, redactor, printer)
    refuse_unsound(answer)
    if options.format == "json":
        printer.answer_json(answer, options.pretty)
    else:
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
    if not lacking:
        refuse_unsound(result, check.SCHEMA)
    if findings.error is not None:
        printer.write_to_stdout()
    if options.format == "json":
        printer.answer_json(result, options.pretty)
    else:
        printer.answer("".join("%-8s %-11s %s\n" % (c.status, c.name, c.message) for c in findings.all()))
    if findings.error is None:
        return ExitStatus.OK
    return printer.complain(findings.error)


def _text(answer: Dict[str, Any], options: Options) -> str:
    from maas_usage import render

    if options.format == "csv":
        return render.csv_text(answer)
    if options.format == "markdown":
        text, raw = render.markdown(answer, options.lang), render.raw_markdown
    else:
        colour = options.output is None and sys.stdout is not None and sys.stdout.isatty()
        text, raw = render.table(answer, options.lang, colour and not os.environ.get("NO_COLOR")), render.raw
    return text + (raw(answer, options.lang) if options.raw else "")


def _refuse_impossible_window(options: Options, now_ms: int) -> None:
    if options.timezone is not None:
        # Without zone data here, the Python that takes over looks again.
        with suppress(ImportError):
            window.resolve(options.expression, now_ms, zone.named(options.timezone))
