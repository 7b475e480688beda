"""The command line -> Options; needs the standard library alone."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from maas_usage import __version__, account, handover, statistics, window
from maas_usage.account import Account
from maas_usage.document import Limits
from maas_usage.errors import UsageError, quoted
from maas_usage.parser import Parser
from maas_usage.secrecy import Redactor, key_in_argument, looks_like_api_key, refuse_keys_in_arguments
from maas_usage.words import LANGUAGES

PROGRAM = "maas_rest_usage_stats.py"
DEFAULT_DEADLINE_S = 100.0  # many callers give up after two minutes
LONGEST_DEADLINE_S = 86400.0
GROUPS = ("day", "hour", "service-type", "api-key")

Group = argparse._ArgumentGroup
_MULTIPLES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
_LABEL = re.compile(r"[A-Za-z0-9_-]{0,100}")

EXAMPLES = """\
examples:
  %(prog)s
  %(prog)s --period last-week --timezone Asia/Shanghai
  %(prog)s --from 2026-05-08 --to 2026-05-21
  %(prog)s --last 24h --service-type all --format json --demo
"""


@dataclass(frozen=True)
class Options:
    """A command line that makes sense in itself."""

    expression: window.Expression
    timezone: Optional[str]
    service_types: Tuple[int, ...]
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    group_by: Optional[str]
    compare: bool
    limits: Limits
    account: Account
    format: str
    pretty: bool
    raw: bool
    lang: str
    output: Optional[str]
    deadline_s: float
    check: bool


def parser() -> Parser:
    """The parser, which is also the source of --help."""

    result = Parser(
        prog=PROGRAM,
        usage="%(prog)s [options]",
        description="How many tokens were used on Huawei Cloud MaaS: exactly, and since when.",
        epilog=EXAMPLES,
        add_help=False,
    )
    asked = add_window(result, "what is asked (default: --last 7d)")
    asked.add_argument("--service-type", metavar="T[,T]", help="my (1), preset (2, default), custom (4), or all")
    asked.add_argument(
        "--infer-type",
        choices=statistics.INFER_TYPES,
        default="real_time",
        metavar="T",
        help="real_time (default) or batch",
    )
    more = result.add_argument_group("what else it tells")
    more.add_argument("--by", choices=GROUPS, metavar="WHAT", help="a row per " + ", ".join(GROUPS))
    more.add_argument("--compare", action="store_true", help="also the window before, and the change")
    more.add_argument("--alert-tokens", metavar="N[K|M|B]", help="exit status 10 if more tokens than this")
    more.add_argument("--alert-error-rate", metavar="PERCENT", help="exit status 10 if more errors than this")
    more.add_argument("--check", action="store_true", help="instead: examine the set-up, say what to mend")
    account.add_options(result)
    answer = result.add_argument_group("the answer")
    forms = handover.FORMATS
    answer.add_argument("--format", choices=forms, default="table", metavar="F", help="|".join(forms))
    answer.add_argument("--raw", action="store_true", help="the service's own answers too")
    answer.add_argument("--lang", choices=LANGUAGES, help="of tables and Markdown; default: the locale's")
    answer.add_argument("--output", metavar="FILE", help="write the answer there, whole or not at all")
    add_common(answer)
    return result


def add_window(parser: Parser, title: str) -> Group:
    """The options that say which calls are meant, as a group of the help."""
    group = parser.add_argument_group(title)
    group.add_argument("--last", metavar="N{h,d,w}", help="rolling: 24h, 7d (now - 168 hours), 2w")
    group.add_argument("--period", metavar="NAME", help=", ".join(window.PERIODS))
    group.add_argument("--from", dest="start", metavar="X", help="a date, or 2026-05-21T10:00[+08:00]")
    group.add_argument("--to", dest="end", metavar="Y", help="a date counts whole; default: now")
    group.add_argument("--timezone", metavar="NAME", help="IANA name; default: the system's zone")
    group.add_argument("--api-keys", nargs="+", metavar="LABEL", help='only calls with keys so labelled; "": console')
    return group


def add_common(group: Group) -> None:
    """The options that every tool has."""
    group.add_argument("--pretty", action="store_true", help="indent the JSON")
    group.add_argument(
        "--deadline",
        metavar="SECONDS",
        default=str(DEFAULT_DEADLINE_S),
        help="the run ends by then (default %g)" % DEFAULT_DEADLINE_S,
    )
    group.add_argument("--version", action="version", version="%(prog)s " + __version__)
    group.add_argument("--help", "-h", action="help", help="show this")


def parse(argv: Sequence[str], environ: Mapping[str, str], redactor: Redactor) -> Options:
    """The options that a command line spells, with what the environment adds to them.

    Raises CredentialsInArgument for anything that looks like a key, before all else; UsageError for
    a command line that cannot be carried out. Prints and exits for --help and --version.
    """
    refuse_keys_in_arguments(argv, redactor)
    given = parser().parse_args(list(argv))
    labels = labels_of(given.api_keys)
    if given.raw and given.format == "csv":
        raise UsageError("--raw has no place in CSV.", "Use --format json with --raw.")
    if given.by == "api-key" and labels is None:
        raise UsageError(
            "--by api-key needs the labels to count, since the service does not list them.",
            "For example: --by api-key --api-keys web-app batch-jobs.",
        )
    return Options(
        expression=window.parse(given.last, given.period, given.start, given.end),
        timezone=given.timezone,
        service_types=_service_types(given),
        infer_type=given.infer_type,
        api_keys=labels,
        group_by=given.by,
        compare=given.compare,
        limits=Limits(_token_limit(given.alert_tokens), _error_rate_limit(given.alert_error_rate)),
        account=account.of(given, environ),
        format=given.format,
        pretty=given.pretty,
        raw=given.raw,
        lang=given.lang or _language(environ),
        output=given.output,
        deadline_s=deadline_s(given.deadline),
        check=given.check,
    )


def _language(environ: Mapping[str, str]) -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    return "en"


def _service_types(given: Any) -> Tuple[int, ...]:
    default = "all" if given.by == "service-type" else "preset"
    return tuple(statistics.parse_service_types(default if given.service_type is None else given.service_type))


def _token_limit(words: Optional[str]) -> Optional[Decimal]:
    if words is None:
        return None
    match = re.fullmatch(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)([KMB]?)", words.upper())
    if match is None:
        raise UsageError(
            "--alert-tokens takes a number of tokens from 0, not %s." % quoted(words),
            "For example: --alert-tokens 500M, or 1.5B, or 250000.",
        )
    return Decimal(match.group(1)) * _MULTIPLES[match.group(2)]


def _error_rate_limit(words: Optional[str]) -> Optional[Decimal]:
    if words is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%?", words)
    percent = Decimal(match.group(1)) if match else Decimal(-1)
    if not 0 <= percent <= 100:
        raise UsageError(
            "--alert-error-rate takes percent from 0 to 100, not %s." % quoted(words),
            "For example: --alert-error-rate 5.",
        )
    return percent / 100


def labels_of(given: Optional[List[str]]) -> Optional[Tuple[str, ...]]:
    """The labels of `--api-keys`, each once; refuses what is no label, and what may be a key."""
    for number, label in enumerate(given or [], 1):
        if looks_like_api_key(label):
            raise key_in_argument()
        if not _LABEL.fullmatch(label):
            # Not repeated: it may be an API key.
            raise UsageError(
                "Label %d of --api-keys is not a label." % number,
                "A label is 1 to 100 of A-Z a-z 0-9 _ -, as the tag column of the console's API key"
                ' page shows it, never the key; "" is the console\'s online experience.',
            )
    if given == []:  # argparse takes a label "--" for something else
        raise UsageError("--api-keys needs at least one label.", "For example: --api-keys web-app.")
    return None if given is None else tuple(dict.fromkeys(given))


def deadline_s(words: str) -> float:
    """The seconds of `--deadline`; UsageError for anything else."""
    try:
        seconds = float(words)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_DEADLINE_S:
        raise UsageError(
            "--deadline takes seconds above 0, at most %.0f, not %s." % (LONGEST_DEADLINE_S, quoted(words)),
            "For example: --deadline 300.",
        )
    return seconds
