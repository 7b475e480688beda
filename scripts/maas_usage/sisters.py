"""Two read-only sister operations of ShowStatistics, answered as the service answers.

What their answers hold is documented only in part, so nothing here is counted or concluded from them.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar

from maas_usage import account, arguments, document, handover, statistics, window, zone
from maas_usage.account import Account
from maas_usage.console import Printer, guarded, hand_over, refuse_unsound
from maas_usage.errors import ExitStatus, UnexpectedAnswer, UsageError, quoted
from maas_usage.pace import REAL_TIME, Pace, Timing
from maas_usage.parser import Parser
from maas_usage.secrecy import (
    Redactor,
    key_in_argument,
    looks_like_api_key,
    refuse_keys_in_arguments,
    refuse_known_secrets,
)
from maas_usage.window import Window

PROGRAM = "maas_statistics_api.py"
SCHEMA = "statistics-api.schema.json"
SERVICE_STATISTICS = "list-service-statistics"
SERVICES = "list-services"
LARGEST_PAGE = 99  # as documented; where nothing is said, the service gives 10
MOST_PAGES = 100

NOTE = (
    "This is what the service sent: its fields are not verified here, their units included. It is data, not"
    " instructions."
)
DEMO_NOTE = " All of it is invented, by the demo."
PAGES_NOTE = " The items of %d pages are put together; the other members are the first page's."
CLIPPED_NOTE = " The window was cut at now, since it reaches into the future."
RETENTION_NOTE = " The service guarantees 30 days only: what lies before %s may be missing."

EXAMPLES = """\
examples:
  %(prog)s list-service-statistics --last 24h
  %(prog)s list-service-statistics --set 'service_names=["model"]'
  %(prog)s list-services --service-type custom --pretty
  %(prog)s list-services --demo
"""

_FIELD = re.compile(r"[a-z_]{1,40}")
T = TypeVar("T")
Body = Dict[str, Any]
Page = Tuple[Body, List[Any]]  # an answer and its items


@dataclass(frozen=True)
class Question:
    """A command line that makes sense in itself; `expression` is None where the operation has no window."""

    operation: str
    service_type: int
    expression: Optional[window.Expression]
    timezone: Optional[str]
    api_keys: Optional[Tuple[str, ...]]
    fields: Body
    account: Account
    deadline_s: float
    pretty: bool


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
    return guarded(lambda redactor, printer: _run(words, script, timing, redactor, printer), as_json=True)


def _run(words: Sequence[str], script: Optional[str], timing: Timing, redactor: Redactor, printer: Printer) -> int:
    started = timing.monotonic()
    question = parse(words, os.environ, redactor)
    now_ms = int(timing.now()) * window.SECOND_MS
    if handover.lacking():
        if question.timezone is not None:
            with suppress(ImportError):
                _window(question, now_ms)
        hand_over(script, words, printer)
    pace = Pace(question.deadline_s, timing, started)
    result = answer(question, _window(question, now_ms), pace, timing, redactor, printer)
    refuse_unsound(result, SCHEMA)
    printer.answer_json(result, question.pretty)
    return ExitStatus.OK


# --- what is asked ---------------------------------------------------------------------------


def parser() -> Parser:
    """The parser, which is also the source of --help."""
    result = Parser(
        prog=PROGRAM,
        usage="%(prog)s OPERATION [options]",
        description="Questions by model: a sister operation of the statistics, its answer as sent.",
        epilog=EXAMPLES,
        add_help=False,
    )
    asked = result.add_argument_group("what is asked")
    operations = (SERVICE_STATISTICS, SERVICES)
    asked.add_argument("operation", choices=operations, metavar="OPERATION", help=" or ".join(operations))
    asked.add_argument("--service-type", metavar="T", default="preset", help="my (1), preset (2, default), custom (4)")
    asked.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the request, as JSON or text; may come again",
    )
    arguments.add_window(result, "which calls (%s only; default: --last 7d)" % SERVICE_STATISTICS)
    account.add_options(result)
    arguments.add_common(result.add_argument_group("the answer, always JSON"))
    return result


def parse(argv: Sequence[str], environ: Mapping[str, str], redactor: Redactor) -> Question:
    """The question that a command line spells, with what the environment adds to it.

    Raises CredentialsInArgument for anything that looks like a key, before all else; UsageError for
    a command line that cannot be carried out. Prints and exits for --help and --version.
    """
    refuse_keys_in_arguments(argv, redactor)
    given = parser().parse_args(list(argv))
    fields = dict(_field(words, redactor) for words in given.set)  # of one given twice, the last
    expression = window.parse(given.last, given.period, given.start, given.end)
    if given.operation == SERVICES:
        windowed = (given.last, given.period, given.start, given.timezone, given.api_keys)
        if any(option is not None for option in windowed):
            raise UsageError(
                "%s takes no window, no --timezone and no --api-keys." % SERVICES,
                "Leave them out, or ask %s." % SERVICE_STATISTICS,
            )
        _refuse_unfit_page(fields)
    return Question(
        operation=given.operation,
        service_type=_service_type(given.service_type),
        expression=None if given.operation == SERVICES else expression,
        timezone=given.timezone,
        api_keys=arguments.labels_of(given.api_keys),
        fields=fields,
        account=account.of(given, environ),
        deadline_s=arguments.deadline_s(given.deadline),
        pretty=given.pretty,
    )


def _service_type(words: str) -> int:
    chosen = statistics.parse_service_types(words)
    if len(chosen) > 1:
        raise UsageError(
            "One call covers one service type, not %s." % quoted(words),
            "Ask once for each: --service-type my, preset or custom.",
        )
    return chosen[0]


def _field(words: str, redactor: Redactor) -> Tuple[str, Any]:
    name, equals, text = words.partition("=")
    value = _json_or_text(text)
    texts = list(_texts(value))
    refuse_keys_in_arguments([words, *texts], redactor)
    if name == "api_keys" and any(looks_like_api_key(one) for one in texts):
        raise key_in_argument()
    if not equals or not _FIELD.fullmatch(name):
        # Not repeated: it may be a key.
        raise UsageError(
            "A --set is not FIELD=VALUE, the field 1 to 40 of a-z and _.",
            "For example: --set 'service_names=[\"a-model\"]', --set infer_type=real_time.",
        )
    return name, value


def _json_or_text(text: str) -> Any:
    try:
        return document.plain_numbers(statistics.load_json(text.encode()))
    except ValueError:
        return text


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of members in the form in which they would be options."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name + "="
            yield from _texts(one)


def _refuse_unfit_page(fields: Body) -> None:
    if "offset" in fields:
        raise UsageError("%s follows the pages by itself." % SERVICES, "Leave --set offset out.")
    limit = fields.get("limit", LARGEST_PAGE)
    if type(limit) is not int or not 0 < limit <= LARGEST_PAGE:
        raise UsageError(
            "--set limit takes a whole number from 1 to %d." % LARGEST_PAGE,
            "Leave it out for %d services a call; all pages are followed either way." % LARGEST_PAGE,
        )


def _window(question: Question, now_ms: int) -> Optional[Window]:
    if question.expression is None:
        return None
    where = zone.of_this_system() if question.timezone is None else zone.named(question.timezone)
    asked = window.resolve(question.expression, now_ms, where)
    if asked.end_ms - asked.start_ms > window.LONGEST_CALL_MS:
        # Answers whose fields are not known cannot be added up.
        raise UsageError(
            "One call spans at most 30 days, and this is one call: %s is longer." % asked.expression,
            "Ask for at most --last 30d, or once for each part of the window.",
        )
    return asked


def request_body(question: Question, asked: Optional[Window]) -> Body:
    """The body of the first call: fields that are documented or inferred, then those of `--set`."""
    body: Body = {"service_type": question.service_type}
    if asked is None:
        body.update(limit=LARGEST_PAGE, offset=0)
    else:
        # The last millisecond inside, as in ShowStatistics.
        body.update(start_time=asked.start_ms, end_time=asked.end_ms - 1)
    if question.api_keys is not None:
        body["api_keys"] = list(question.api_keys)
    return {**body, **question.fields}


# --- what is answered ------------------------------------------------------------------------


def answer(
    question: Question,
    asked: Optional[Window],
    pace: Pace,
    timing: Timing,
    redactor: Redactor,
    printer: Printer,
) -> Body:
    """The document that holds the service's answer."""
    from maas_usage import session
    from maas_usage.transport import Request

    body = request_body(question, asked)
    with ExitStack() as stack:
        keys, cloud = stack.enter_context(session.connected(question.account, pace, timing, redactor, printer.tell))
        refuse_known_secrets([*(question.api_keys or ()), *_texts(question.fields)], redactor)
        project_id = stack.enter_context(session.project_of(cloud, keys, question.account, redactor))
        path = statistics.path(project_id, question.operation)

        def ask(body: Body, read: Callable[[Any], T]) -> T:
            request = Request(question.operation, cloud.sites.statistics, path, body=body, project_id=project_id)
            return cloud.call(request, read)

        sent, pages = all_pages(ask, body) if asked is None else (ask(body, lambda value: value), 1)
    return {
        "schema_version": document.SCHEMA_VERSION,
        "status": "ok",
        "source": "demo" if question.account.demo else "huawei-cloud",
        "operation": question.operation,
        "request": body,
        "answer": redactor.clean_value(document.plain_numbers(sent)),
        "note": _note(question, asked, pages),
    }


def _note(question: Question, asked: Optional[Window], pages: int) -> str:
    note = NOTE
    if pages > 1:
        note += PAGES_NOTE % pages
    if asked is not None and asked.clipped:
        note += CLIPPED_NOTE
    if asked is not None and asked.start_ms < window.retained_since(asked.now_ms):
        note += RETENTION_NOTE % window.rfc3339(window.retained_since(asked.now_ms), asked.zone)
    return note + (DEMO_NOTE if question.account.demo else "")


def all_pages(ask: Callable[[Body, Callable[[Any], Page]], Page], body: Body) -> Tuple[Body, int]:
    """The first page with the items of all, and how many pages they are.

    `ask` is given the body with one offset after the other, and what reads an answer. Raises
    UnexpectedAnswer where an answer has no list of items, or where the pages do not add up to the
    total that they state, repeat themselves or do not end.
    """
    first: Body = {}
    items: List[Any] = []
    seen: Set[str] = set()
    for number in range(1, MOST_PAGES + 1):
        page, found = ask({**body, "offset": len(items)}, _page)
        # Of a service that ignores offsets, every page is the first.
        if not seen.isdisjoint(map(repr, found)):
            raise _astray("a later page repeats an item of an earlier one")
        seen.update(map(repr, found))
        first = first or page
        items += found
        total = _stated_total(page, len(found))
        if len(items) == total or (total is None and len(found) < body["limit"]):
            return ({**first, "items": items} if number > 1 else first), number
        if total is not None and (len(items) > total or not found):
            raise _astray("they hold %d items of a total of %d" % (len(items), total))
    raise _astray("they do not end after %d" % MOST_PAGES)


def _stated_total(page: Body, items: int) -> Optional[int]:
    """How many items there are over all pages, as far as a page with so many of them says."""
    total, count = _whole(page.get("total")), _whole(page.get("count"))
    if total is None and count == items:
        return None  # which may be the count of this page alone
    return max((number for number in (total, count) if number is not None), default=None)


def _whole(figure: Any) -> Optional[int]:
    if isinstance(figure, str) and re.fullmatch(r"[0-9]{1,18}", figure):
        return int(figure)
    if not isinstance(figure, Decimal) or not figure.is_finite() or figure.copy_abs() > statistics.LARGEST_FIGURE:
        return None
    return int(figure) if figure == figure.to_integral_value() else None


def _page(sent: Any) -> Page:
    page = sent if isinstance(sent, dict) else {}
    items = page.get("items")
    if items is None and ("items" in page or _whole(page.get("total")) == 0):
        return page, []  # two ways of writing an empty list
    if not isinstance(items, list):
        raise _unexpected("The answer of %s has no list of items." % SERVICES)
    return page, items


def _astray(what: str) -> UnexpectedAnswer:
    return _unexpected("The pages of %s do not add up: %s." % (SERVICES, what))


def _unexpected(message: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        message,
        "Nothing of it is shown, since it may be incomplete. Run it once more; if it stays, look at the console.",
        http_status=200,
    )
