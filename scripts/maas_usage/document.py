"""What a run found out -> the JSON document of the contract, validated before anybody sees it.

Pure but for reading the schema beside the code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from maas_usage import window
from maas_usage.errors import UsageStatsError
from maas_usage.secrecy import Redactor
from maas_usage.statistics import Usage
from maas_usage.window import Window

if TYPE_CHECKING:  # a usage error needs a document, but not the packages that usage needs
    from maas_usage.usage import Answered, Group, Query

SCHEMA_VERSION = "1.0"
ASSETS = Path(__file__).resolve().parents[2] / "assets"
USAGE_SCHEMA = "usage.schema.json"

Document = Dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a guard watches: whole tokens, and errors per request as an exact ratio; None: not watched."""

    tokens: Optional[Decimal] = None
    error_rate: Optional[Decimal] = None


def answer(
    *,
    demo: bool,
    query: Query,
    project_id: str,
    asked: Window,
    totals: Usage,
    rows: Sequence[Tuple[Group, Usage]],
    previous: Optional[Tuple[Window, Optional[Usage]]],
    limits: Limits,
    key_file_readable: bool,
    api_calls: int,
) -> Document:
    """The document of a successful query; `previous` without a usage was not asked for."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "ok",
        "source": "demo" if demo else "huawei-cloud",
        "generated_at": window.rfc3339(asked.now_ms, asked.zone),
        "query": {
            "region": query.region,
            "project_id": project_id,
            "service_types": list(query.service_types),
            "infer_type": query.infer_type,
            "api_keys": None if query.api_keys is None else list(query.api_keys),
            "group_by": query.group_by,
            "compare": query.compare,
        },
        "window": _window(asked),
        "totals": _usage(totals),
        "rows": [_row(group, usage, asked) for group, usage in rows],
        "previous": None if previous is None else _previous(totals, *previous),
        "coverage": _coverage(asked),
        "alerts": _alerts(totals, limits),
        "warnings": _warnings(query, asked, totals, previous, key_file_readable),
        "api_calls": api_calls,
    }


def failure(error: UsageStatsError) -> Document:
    """The document of a run that ended without an answer."""
    return {"schema_version": SCHEMA_VERSION, "status": "error", "error": error.as_member()}


def _usage(usage: Usage) -> Document:
    return {
        "total_tokens": usage.total_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": usage.error_rate,
        "batch_tasks": usage.batch_tasks,
        "batch_inferences": usage.batch_inferences,
    }


def _window(asked: Window) -> Document:
    return {
        "expression": asked.expression,
        "start": window.rfc3339(asked.start_ms, asked.zone),
        "end": window.rfc3339(asked.end_ms, asked.zone),
        "start_ms": asked.start_ms,
        "end_ms": asked.end_ms,
        "timezone": str(asked.zone),
        "includes_now": asked.includes_now,
    }


def _coverage(asked: Window) -> Document:
    kept_since = window.retained_since(asked.now_ms)
    provisional = window.provisional_since(asked)
    return {
        "complete": asked.start_ms >= kept_since,
        "retained_since": window.rfc3339(kept_since, asked.zone),
        "provisional_since": None if provisional is None else window.rfc3339(provisional, asked.zone),
    }


def _row(group: Group, usage: Usage, asked: Window) -> Document:
    row: Document = {"group": group.label, "usage": _usage(usage)}
    if group.bucket is not None:
        row["start"] = window.rfc3339(group.start_ms, asked.zone)
        row["end"] = window.rfc3339(group.end_ms, asked.zone)
        row["partial"] = group.bucket.partial
    return row


def _previous(totals: Usage, before: Window, usage: Optional[Usage]) -> Document:
    return {
        "window": _window(before),
        "totals": None if usage is None else _usage(usage),
        "coverage": _coverage(before),
        "change": None if usage is None else _change(totals, usage),
    }


def _change(now: Usage, before: Usage) -> Document:
    """Each figure's absolute change and its ratio to before; None where it cannot be said."""
    pairs: Dict[str, Tuple[Optional[Fraction], Optional[Fraction]]] = {
        name: (_fraction(figure), _fraction(_usage(before)[name])) for name, figure in _usage(now).items()
    }
    pairs["error_rate"] = (_exact_error_rate(now), _exact_error_rate(before))
    change = {}
    for name, (figure, figure_before) in pairs.items():
        difference = None if figure is None or figure_before is None else figure - figure_before
        ratio = None if difference is None or not figure_before else float(difference / figure_before)
        change[name] = {"absolute": _number(difference), "ratio": ratio}
    return change


def _fraction(figure: Any) -> Optional[Fraction]:
    return None if figure is None else Fraction(figure)


def _exact_error_rate(usage: Usage) -> Optional[Fraction]:
    return Fraction(usage.errors, usage.requests) if usage.requests else None


def _number(exact: Optional[Fraction]) -> Any:
    if exact is None:
        return None
    return int(exact) if exact.denominator == 1 else float(exact)


def _alerts(totals: Usage, limits: Limits) -> List[Document]:
    """The guards that were crossed: a figure beyond its limit, compared exactly."""
    rate = _exact_error_rate(totals)
    alerts: List[Document] = []
    if limits.tokens is not None and totals.total_tokens > limits.tokens:
        alerts.append(
            {"metric": "total_tokens", "limit": _number(Fraction(limits.tokens)), "actual": totals.total_tokens}
        )
    if limits.error_rate is not None and rate is not None and rate > Fraction(limits.error_rate):
        alerts.append(
            {"metric": "error_rate", "limit": _number(Fraction(limits.error_rate)), "actual": totals.error_rate}
        )
    return alerts


def _warnings(
    query: Query,
    asked: Window,
    totals: Usage,
    previous: Optional[Tuple[Window, Optional[Usage]]],
    key_file_readable: bool,
) -> List[Document]:
    kept_since = window.retained_since(asked.now_ms)
    found = []

    def warn(code: str, message: str) -> None:
        found.append({"code": code, "message": message})

    if asked.clipped:
        warn("window_clipped", "The window's end lies in the future: it was cut to now.")
    if asked.end_ms <= kept_since:
        warn(
            "beyond_retention",
            "The service guarantees 30 days only, and the whole window is older: what is missing here"
            " is unknown, and a zero does not mean that nothing was used.",
        )
    elif asked.start_ms < kept_since:
        warn(
            "beyond_retention",
            "The service guarantees 30 days only: what lies before %s may be missing from these"
            " figures." % window.rfc3339(kept_since, asked.zone),
        )
    if previous is not None and previous[1] is None:
        warn(
            "comparison_beyond_retention",
            "The window to compare with begins on %s, before what the service guarantees to keep: it"
            " was not asked for." % window.rfc3339(previous[0].start_ms, asked.zone),
        )
    elif previous is not None and asked.includes_now:
        warn(
            "recent_data_lags",
            "This window reaches up to now, where calls can take two hours to show; the window before"
            " is settled. A decrease may be smaller than it looks.",
        )
    if len(query.service_types) > 1:
        warn(
            "types_may_overlap",
            "Whether calls to custom endpoints are counted under preset services as well is unknown:"
            " the sum over several service types may count some calls twice.",
        )
    if key_file_readable:
        warn(
            "credentials_file_readable",
            "Other users of this machine can read the key file: chmod 600 it.",
        )
    if not (totals.requests or totals.total_tokens or totals.batch_tasks) and asked.end_ms > kept_since:
        warn("no_usage", "No calls are counted here. %s" % _what_else_to_try(query))
    return found


def _what_else_to_try(query: Query) -> str:
    ideas = []
    if len(query.service_types) < 3:
        ideas.append("--service-type all")
    if query.infer_type == "real_time":
        ideas.append("--infer-type batch")
    if query.api_keys is not None:
        ideas.append("leaving out --api-keys (it takes labels, as the console's key page lists them)")
    ideas.append("--last 30d")
    return "Try %s, and check region and project; calls can take two hours to show." % ", ".join(ideas)


def raw_member(answers: Sequence[Answered], redactor: Redactor) -> List[Document]:
    """The service's own answers, one per call, without control characters and secrets."""
    return [
        {
            "request": one.request,
            "http_status": one.http_status,
            "answer": redactor.clean_value(plain_numbers(one.answer)),
        }
        for one in answers
    ]


def plain_numbers(value: Any) -> Any:
    """A JSON value with its Decimals as the JSON numbers they came from; as text where a binary float would differ."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        if value == value.to_integral_value() and value.copy_abs() < 10**18:
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, list):
        return [plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: plain_numbers(item) for name, item in value.items()}
    return value


# --- validation ------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in ASSETS.glob("*.schema.json")}
    registry: Any = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()
    )
    return Draft202012Validator(schemas[schema_name], registry=registry)


def violations(document: Any, schema_name: str = USAGE_SCHEMA) -> List[str]:
    """One line per place where a document departs from a schema of `assets/`; empty if it conforms."""
    errors = _validator(schema_name).iter_errors(document)
    return sorted("%s: %s" % (error.json_path, _shortened(error.message)) for error in errors)


def _shortened(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 200 else line[:199] + "…"
