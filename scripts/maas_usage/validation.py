"""A kept document against its schema: silent and 0, or 1 and a line per violation."""

from __future__ import annotations

import json
import sys
from typing import Any, List, NoReturn, Optional, Sequence

from maas_usage import __version__, document, handover
from maas_usage.console import Printer, guarded, hand_over
from maas_usage.errors import UsageError, quoted
from maas_usage.parser import Parser
from maas_usage.secrecy import Redactor, refuse_keys_in_arguments
from maas_usage.statistics import unique_members

NEEDED = ("jsonschema",)
_SCHEMA_BY_MEMBER = {"checks": "check.schema.json", "operation": "statistics-api.schema.json"}


def main(argv: Optional[Sequence[str]] = None, script: Optional[str] = None) -> int:
    """Runs one command line and returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda redactor, printer: _run(words, script, redactor, printer), as_json=False)


def _run(words: Sequence[str], script: Optional[str], redactor: Redactor, printer: Printer) -> int:
    refuse_keys_in_arguments(words, redactor)
    parser = Parser(
        prog="validate_document.py",
        usage="%(prog)s [FILE|-]",
        description="Checks a kept JSON document of these scripts: silent and 0, or 1 and a line per violation.",
    )
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: -, standard input")
    parser.add_argument("--version", action="version", version="%(prog)s " + __version__)
    path = parser.parse_args(list(words)).file
    if handover.lacking(NEEDED):
        hand_over(script, words, printer)
    found = violations(read(path))
    # The file may be anything, a file of keys included.
    printer.answer("".join(redactor.clean_foreign(line) + "\n" for line in found))
    return 1 if found else 0


def read(path: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; UsageError where there are none."""
    if path == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("Nothing is piped in.", "Name a FILE, or pipe a document in.")
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as opened:
            return opened.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise UsageError("%s cannot be read: %s." % (quoted(path), reason), "Name a kept document.") from None


def load(content: bytes) -> Any:
    """The JSON value of a kept file; ValueError or RecursionError where it is none."""
    # PowerShell redirects in UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return json.loads(content.decode(encoding), object_pairs_hook=unique_members, parse_constant=_no_constant)


def violations(content: bytes) -> List[str]:
    """One line per place where the bytes depart from the schema of their kind; empty if they conform."""
    try:
        value = load(content)
    except (ValueError, RecursionError) as error:
        return ["$: not JSON: %s" % (str(error) or type(error).__name__)]
    members = value if isinstance(value, dict) else {}
    schema = next((s for member, s in _SCHEMA_BY_MEMBER.items() if member in members), document.USAGE_SCHEMA)
    return document.violations(value, schema)


def _no_constant(name: str) -> NoReturn:
    raise ValueError("%s is no JSON number" % name)
