"""ShowStatistics: what is asked, and what its answer means as exact whole numbers.

Pure. The service counts tokens in thousands with up to three decimals; here they are whole tokens.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Dict, Iterable, List, Optional, Sequence

from maas_usage.errors import UnexpectedAnswer, UsageError, quoted

OPERATION = "ShowStatistics"
DEEPEST_NESTING = 100
LARGEST_FIGURE = Decimal(10) ** 18

# In this order everywhere. 3 is in the documentation, but the service refuses it.
SERVICE_TYPES = {"my": 1, "preset": 2, "custom": 4}
SERVICE_TYPE_NAMES = {number: name for name, number in SERVICE_TYPES.items()}
INFER_TYPES = ("real_time", "batch")
# It becomes part of a path, so nothing else gets through.
PROJECT_ID = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class Usage:
    """What one stretch of time used: whole tokens, calls, and batch figures where they are known."""

    total_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    errors: int = 0
    batch_tasks: Optional[int] = None
    batch_inferences: Optional[int] = None

    @property
    def error_rate(self) -> Optional[float]:
        """Errors per request, 0 to 1; None where there were no requests."""
        return self.errors / self.requests if self.requests else None


def add_up(usages: Iterable[Usage]) -> Usage:
    """The exact sum; a batch figure that any part lacks is unknown in the sum too."""
    parts = list(usages)
    return Usage(
        total_tokens=sum(part.total_tokens for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        requests=sum(part.requests for part in parts),
        errors=sum(part.errors for part in parts),
        batch_tasks=_sum_if_all_known([part.batch_tasks for part in parts]),
        batch_inferences=_sum_if_all_known([part.batch_inferences for part in parts]),
    )


def _sum_if_all_known(figures: Sequence[Optional[int]]) -> Optional[int]:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if figures and len(known) == len(figures) else None


def parse_service_types(words: str) -> List[int]:
    """The service types that `--service-type` names, each once, in the order my, preset, custom.

    Raises UsageError for any other word, and for 3 with the reason.
    """
    if words.strip().lower() == "all":
        return list(SERVICE_TYPES.values())
    chosen = set()
    for word in words.lower().split(","):
        word = word.strip()
        number = SERVICE_TYPES.get(word, int(word) if word in ("1", "2", "4") else None)
        if number is None:
            raise UsageError(
                "Service type 3 stands in the documentation for custom endpoints, but the service"
                " refuses it: custom endpoints are 4."
                if word == "3"
                else "Unknown --service-type %s." % quoted(word),
                "Valid: 1 or my, 2 or preset, 4 or custom, several with commas, or all.",
            )
        chosen.add(number)
    return sorted(chosen)


def checked_project_id(project_id: str, source: str) -> str:
    """The project id, if it can be one; else UsageError naming its source."""
    if not PROJECT_ID.fullmatch(project_id):
        raise UsageError(
            "%s is not a project id: %s." % (source, quoted(project_id)),
            "A project id is 32 of a-z and 0-9, as My Credentials > API Credentials lists it; it is"
            " neither the account id nor the enterprise project id.",
        )
    return project_id


def path(project_id: str, operation: str = "show-statistics") -> str:
    """The path of an operation of the statistics group in a project."""
    return "/v1/%s/maas/monitoring/%s" % (project_id, operation)


def request_body(
    *,
    service_type: int,
    start_ms: int,
    end_ms: int,
    infer_type: str,
    timezone: str,
    api_keys: Optional[Sequence[str]],
) -> Dict[str, Any]:
    """The request for `[start_ms, end_ms)` of one service type.

    `end_time` is the last millisecond inside, so that neighbouring calls share none: whether the
    service counts `end_time` itself is unknown.
    """
    body: Dict[str, Any] = {
        "service_type": service_type,
        "start_time": start_ms,
        "end_time": end_ms - 1,
        "timezone": timezone,
        "infer_type": infer_type,
    }
    if api_keys is not None:
        body["api_keys"] = list(api_keys)
    return body


# --- the answer ------------------------------------------------------------------------------


def load_json(text: bytes) -> Any:
    """JSON with every number as an exact Decimal.

    Raises ValueError for anything else, a member that comes twice included.
    """
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=Decimal,
            object_pairs_hook=unique_members,
        )
    except RecursionError:
        value, too_deep = None, True
    else:
        # Some Pythons parse deeper than any of them could walk through afterwards.
        too_deep = _deeper_than(DEEPEST_NESTING, value)
    if too_deep:
        raise ValueError("too deeply nested")
    return value


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _number(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except InvalidOperation:  # an exponent beyond even Decimal's range
        return Decimal("NaN")


def unique_members(pairs: List[Any]) -> Dict[str, Any]:
    """The members of a JSON object; ValueError where one comes twice, since only one could be true."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def usage_of(answer: Any) -> Usage:
    """The usage that an answer of ShowStatistics states.

    Raises UnexpectedAnswer, naming the figure, where one of the five main figures is not a number
    from 0 to 10^18, or where there are more errors than requests; further members are ignored.
    """
    if not isinstance(answer, dict):
        raise _unexpected("the answer is not a JSON object")
    usage = Usage(
        total_tokens=_tokens(answer, "total_token"),
        prompt_tokens=_tokens(answer, "total_prompt_token"),
        completion_tokens=_tokens(answer, "total_completion_token"),
        requests=_count(answer, "total_request_count"),
        errors=_count(answer, "total_error_count"),
        batch_tasks=_optional_count(answer, "total_completion_tasks"),
        batch_inferences=_optional_count(answer, "total_infer_count"),
    )
    if usage.errors > usage.requests:
        raise _unexpected("total_error_count is above total_request_count")
    return usage


def _tokens(answer: Dict[str, Any], name: str) -> int:
    thousands = _figure(answer, name)
    with localcontext() as context:
        # Enough digits to multiply exactly: the only rounding is the last one.
        context.prec = len(thousands.as_tuple().digits) + 25
        return int((thousands * 1000).to_integral_value(rounding=ROUND_HALF_EVEN))


def _count(answer: Dict[str, Any], name: str) -> int:
    figure = _figure(answer, name)
    if figure != figure.to_integral_value():
        raise _unexpected("%s is not a whole number" % name)
    return int(figure)


def _optional_count(answer: Dict[str, Any], name: str) -> Optional[int]:
    return None if answer.get(name) is None else _count(answer, name)


def _figure(answer: Dict[str, Any], name: str) -> Decimal:
    if name not in answer:
        raise _unexpected("%s is missing" % name)
    figure = answer[name]
    if not isinstance(figure, Decimal):  # a boolean, null, text, a list, an object
        raise _unexpected("%s is not a number" % name)
    if not figure.is_finite():
        raise _unexpected("%s is not finite" % name)
    if figure < 0:
        raise _unexpected("%s is negative" % name)
    if figure > LARGEST_FIGURE:
        raise _unexpected("%s is above 10^18" % name)
    return figure


def _unexpected(what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        "The service answered with figures that cannot be right: %s." % what,
        "No figure can be taken from this answer, so none is shown. See what the service sent on"
        " the console, and report it if it stays.",
    )
