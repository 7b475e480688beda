"""What a run found out -> the JSON document of the contract, validated before anybody sees it.

Pure but for reading the schema beside the code.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from maas_usage import window
from maas_usage.errors import UsageStatsError
from maas_usage.secrecy import Redactor
from maas_usage.statistics import Usage
from maas_usage.window import Window

if TYPE_CHECKING:  # a usage error needs a document, but not the packages that usage needs
    from maas_usage.usage import Answered, Query

SCHEMA_VERSION = "1.0"
ASSETS = Path(__file__).resolve().parents[2] / "assets"
USAGE_SCHEMA = "usage.schema.json"

Document = Dict[str, Any]


def answer(
    *,
    demo: bool,
    query: Query,
    project_id: str,
    asked: Window,
    totals: Usage,
    warnings: Sequence[Document],
    api_calls: int,
) -> Document:
    """The document of a successful query."""
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
        "window": window_member(asked),
        "totals": usage_member(totals),
        "rows": [],
        "previous": None,
        "coverage": coverage_member(asked),
        "alerts": [],
        "warnings": list(warnings),
        "api_calls": api_calls,
    }


def failure(error: UsageStatsError) -> Document:
    """The document of a run that ended without an answer."""
    return {"schema_version": SCHEMA_VERSION, "status": "error", "error": error.as_member()}


def usage_member(usage: Usage) -> Document:
    """A USAGE of the contract: whole tokens, calls, and the ratio of errors."""
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


def window_member(asked: Window) -> Document:
    """A window of the contract, in RFC 3339 and in Unix milliseconds."""
    return {
        "expression": asked.expression,
        "start": window.rfc3339(asked.start_ms, asked.zone),
        "end": window.rfc3339(asked.end_ms, asked.zone),
        "start_ms": asked.start_ms,
        "end_ms": asked.end_ms,
        "timezone": str(asked.zone),
        "includes_now": asked.includes_now,
    }


def coverage_member(asked: Window) -> Document:
    """Since when the answer can be trusted, and since when it may still grow."""
    kept_since = window.retained_since(asked.now_ms)
    provisional = window.provisional_since(asked)
    return {
        "complete": asked.start_ms >= kept_since,
        "retained_since": window.rfc3339(kept_since, asked.zone),
        "provisional_since": None if provisional is None else window.rfc3339(provisional, asked.zone),
    }


def warnings_of(query: Query, asked: Window, totals: Usage, key_file_readable: bool) -> List[Document]:
    """What the reader of the answer must know besides its figures."""
    kept_since = window.retained_since(asked.now_ms)
    found = []

    def warn(code: str, message: str) -> None:
        found.append({"code": code, "message": message})

    if asked.clipped:
        warn("window_clipped", "The window's end lies in the future: it was cut to now.")
    if asked.end_ms <= kept_since:
        warn(
            "beyond_retention",
            "The service guarantees 30 days only, and the whole window is older: nothing can be said"
            " about it, and a zero here does not mean that nothing was used.",
        )
    elif asked.start_ms < kept_since:
        warn(
            "beyond_retention",
            "The service guarantees 30 days only: what lies before %s may be missing from these"
            " figures." % window.rfc3339(kept_since, asked.zone),
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
            "answer": redactor.clean_value(_plain(one.answer)),
        }
        for one in answers
    ]


def _plain(value: Any) -> Any:
    """Decimals as the JSON numbers they came from; as text where a binary float would differ."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        if value == value.to_integral_value() and abs(value) < 10**18:
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


# --- validation ------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((ASSETS / schema_name).read_text(encoding="utf-8")))


def violations(document: Any, schema_name: str = USAGE_SCHEMA) -> List[str]:
    """One line per place where a document departs from a schema of `assets/`; empty if it conforms."""
    errors = _validator(schema_name).iter_errors(document)
    return sorted("%s: %s" % (error.json_path, _shortened(error.message)) for error in errors)


def _shortened(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 200 else line[:199] + "…"
