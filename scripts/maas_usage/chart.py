"""A document's rows as a picture: tokens as bars, the error rate over them, and what is left out.

Nothing is drawn that the document does not say, and a picture is written whole or not at all.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence

from maas_usage import __version__, document, files, handover, validation
from maas_usage.chart_picture import HEIGHT_PX, WIDTH_PX
from maas_usage.chart_rows import moment
from maas_usage.console import Printer, guarded, hand_over
from maas_usage.errors import UsageError, quoted
from maas_usage.parser import Parser
from maas_usage.secrecy import Redactor, refuse_keys_in_arguments

if TYPE_CHECKING:  # heavy, and a usage error needs the standard library alone
    pass

PROGRAM = "maas_usage_chart.py"
NEEDED = ("jsonschema", "matplotlib")
HINT = """Pictures need matplotlib. Once, in the folder that holds SKILL.md:
  python3 -m venv .venv
  .venv/bin/python -m pip install "jsonschema>=4.20,<5" "matplotlib>=3.7,<4\""""
KINDS = (".png", ".svg")
LARGEST_FIGURE = 10**21  # the query tool refuses single figures above 10^18
MOST_ROWS = 800  # a month by hour; beyond it a bar is less than a pixel
NOT_A_DOCUMENT = "This is no JSON document of maas_rest_usage_stats.py: %s."
MAKE_ONE = "Make one: maas_rest_usage_stats.py --format json --by day --last 30d > usage.json"

EXAMPLES = """\
examples:
  python3 scripts/maas_rest_usage_stats.py --demo --format json --by day --last 30d > usage.json
  python3 scripts/%(prog)s usage.json -o usage.png
  python3 scripts/%(prog)s - -o usage.svg --dark < usage.json
"""

Document = Dict[str, Any]


# --- command line ----------------------------------------------------------------------------


def main(argv: Optional[Sequence[str]] = None, script: Optional[str] = None) -> int:
    """Runs one command line and returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda redactor, printer: _run(words, script, redactor, printer), as_json=False)


def _run(words: Sequence[str], script: Optional[str], redactor: Redactor, printer: Printer) -> int:
    refuse_keys_in_arguments(words, redactor)
    given = _parser().parse_args(list(words))
    kind = os.path.splitext(given.output)[1].lower()
    if kind not in KINDS:
        raise UsageError(
            "%s names no kind of picture." % quoted(given.output), "End its name in %s." % " or ".join(KINDS)
        )
    files.refuse_unusable_place(given.output)
    if handover.lacking(NEEDED):
        hand_over(script, words, printer, HINT)
    from maas_usage.chart_picture import DARK, LIGHT, encoded, picture

    answer = read(validation.read(given.document), redactor)
    files.write_whole(given.output, encoded(picture(answer, DARK if given.dark else LIGHT), kind))
    return 0


def _parser() -> Parser:
    result = Parser(
        prog=PROGRAM,
        usage="%(prog)s DOCUMENT|- -o FILE.png|.svg [--dark]",
        description="Draws the rows of a JSON document of maas_rest_usage_stats.py (--format json with --by).",
        epilog=EXAMPLES,
    )
    result.add_argument("document", metavar="DOCUMENT", help="the document, or - for standard input")
    result.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="the picture: .png (%d x %d pixels) or .svg; written whole or not at all" % (WIDTH_PX, HEIGHT_PX),
    )
    result.add_argument("--dark", action="store_true", help="for a dark background")
    result.add_argument("--version", action="version", version="%(prog)s " + __version__)
    return result


# --- bytes -> a document that can be drawn ---------------------------------------------------


def read(content: bytes, redactor: Redactor) -> Document:
    """The document in a file's bytes, every text in it fit to be shown.

    Raises UsageError for anything but a successful, conforming answer with rows.
    """
    try:
        value = validation.load(content)
    except (ValueError, RecursionError):
        raise UsageError(NOT_A_DOCUMENT % ("it is not JSON" if content.strip() else "it is empty"), MAKE_ONE) from None
    members = value if isinstance(value, dict) else {}
    if "checks" in members:
        raise UsageError("This is the answer of --check, which has no usage to draw.", MAKE_ONE)
    if "operation" in members:
        raise UsageError("This is an answer of maas_statistics_api.py, which is not drawn.", MAKE_ONE)
    try:
        found = document.violations(value)
    except RecursionError:
        found = ["it is nested too deeply"]
    if found:
        raise UsageError(NOT_A_DOCUMENT % redactor.clean_foreign(found[0], 200), MAKE_ONE)
    cleaned: Document = redactor.clean_value({name: member for name, member in value.items() if name != "raw"})
    if cleaned["status"] == "error":
        raise UsageError(
            "This document is an error, not an answer (%s)." % cleaned["error"]["code"],
            "It says: %s" % redactor.clean_foreign(cleaned["error"]["message"], 200),
        )
    _refuse_what_cannot_be_drawn(cleaned)
    return cleaned


def _refuse_what_cannot_be_drawn(answer: Document) -> None:
    """What the schema lets pass and the query tool never writes."""
    rows, by = answer["rows"], answer["query"]["group_by"]
    if not rows:
        raise UsageError("The document has no rows to draw.", "Ask again with --by day (or hour).")
    if len(rows) > MOST_ROWS:
        raise UsageError(
            "%d rows are too many for a picture." % len(rows), "Ask again with --by day, or for a shorter window."
        )
    usages = [answer["totals"], *(row["usage"] for row in rows)]
    if any(figure is not None and figure > LARGEST_FIGURE for usage in usages for figure in usage.values()):
        raise UsageError(NOT_A_DOCUMENT % "a figure in it is beyond all measure", MAKE_ONE)
    if by in ("day", "hour") and not all("start" in row for row in rows):
        raise UsageError(NOT_A_DOCUMENT % "rows by %s without their times" % by, MAKE_ONE)
    previous = answer["previous"]
    holders = [*rows, answer["window"], answer["coverage"]] + ([previous["window"]] if previous else [])
    names = ("start", "end", "retained_since", "provisional_since")
    try:
        for holder in holders:
            for name in names:
                if holder.get(name) is not None and moment(holder[name]).year < 1970:
                    raise ValueError
    except ValueError:
        raise UsageError(NOT_A_DOCUMENT % "a time in it does not exist", MAKE_ONE) from None
