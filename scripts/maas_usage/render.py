"""A document of the contract as text for people. Pure: it knows the document, not the network."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any, Dict, List

from rich.console import Console
from rich.table import Table

WIDTH = 80
DEMO_MARK = "DEMO DATA: invented figures, not your account."

_TYPE_NAMES = {1: "my services", 2: "preset services", 4: "custom endpoints"}
_FIGURES = (
    ("Total tokens", "total_tokens"),
    ("Prompt tokens", "prompt_tokens"),
    ("Completion tokens", "completion_tokens"),
    ("Requests", "requests"),
    ("Errors", "errors"),
    ("Error rate", "error_rate"),
    ("Batch tasks", "batch_tasks"),
    ("Batch inferences", "batch_inferences"),
)


def table(document: Dict[str, Any]) -> str:
    """The answer for a person at a terminal, 80 columns wide, without colour."""
    parts = [_heading(document), _figures(document), _foot(document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def json_line(document: Dict[str, Any], pretty: bool) -> str:
    """The document as JSON in ASCII, so that every console and pipe can carry it."""
    return json.dumps(document, indent=2 if pretty else None) + "\n"


def _heading(document: Dict[str, Any]) -> str:
    query, asked = document["query"], document["window"]
    lines = [DEMO_MARK] if document["source"] == "demo" else []
    lines.append(_in_one_sentence(document))
    lines.append(
        "%s: %s to %s, %s" % (asked["expression"], _clock(asked["start"]), _clock_end(asked), asked["timezone"])
    )
    types = " + ".join("%s (%d)" % (_TYPE_NAMES[t], t) for t in query["service_types"])
    lines.append("%s, %s, %s" % (types, query["infer_type"], query["region"]))
    if query["api_keys"] is not None:
        labels = ", ".join(label or '"" (online experience)' for label in query["api_keys"])
        lines.append("only calls made with: %s" % labels)
    return "\n".join(_wrap(line) for line in lines)


def _in_one_sentence(document: Dict[str, Any]) -> str:
    tokens = document["totals"]["total_tokens"]
    if document["window"]["end_ms"] <= _ms(document["coverage"]["retained_since"]):
        return "No figure: the service does not keep this window any more."
    at_least = "" if document["coverage"]["complete"] else "At least "
    return "%s%s tokens%s" % (at_least, _grouped(tokens), _about(tokens))


def _about(tokens: int) -> str:
    for size, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if tokens >= size:
            return " (about %.3g %s)" % (tokens / size, name) if tokens < 1000 * size else ""
    return ""


def _figures(document: Dict[str, Any]) -> str:
    grid = Table.grid(padding=(0, 3))
    grid.add_column()
    grid.add_column(justify="right")
    batch = document["query"]["infer_type"] == "batch"
    for name, member in _FIGURES:
        if batch or not member.startswith("batch"):
            grid.add_row(name, _figure(member, document["totals"][member]))
    return _text(grid, indent="  ")


def _figure(member: str, value: Any) -> str:
    if value is None:
        return "-"
    return "%.2f%%" % (value * 100) if member == "error_rate" else _grouped(value)


def _foot(document: Dict[str, Any]) -> str:
    totals, coverage = document["totals"], document["coverage"]
    notes = [warning["message"] for warning in document["warnings"]]
    if totals["prompt_tokens"] + totals["completion_tokens"] != totals["total_tokens"]:
        notes.append("The total is the service's own; prompt and completion need not add up to it.")
    if coverage["provisional_since"] is not None:
        notes.append(
            "What came after %s may still grow: calls can take two hours to show."
            % _clock(coverage["provisional_since"])
        )
    return "\n".join(_wrap("Note: %s" % note) for note in notes)


def raw(document: Dict[str, Any]) -> str:
    """The service's own answers, one line a call, to stand below a table."""
    lines = ["The service's own answers, one per call:"]
    lines += [json.dumps(item) for item in document["raw"]]
    return "\n" + "\n".join(lines) + "\n"


# --- pieces ----------------------------------------------------------------------------------


def _grouped(number: int) -> str:
    return f"{number:,}"


def _clock(instant: str) -> str:
    moment = datetime.fromisoformat(instant)
    seconds = "%H:%M" if moment.second == 0 else "%H:%M:%S"
    return moment.strftime("%Y-%m-%d " + seconds)


def _clock_end(asked: Dict[str, Any]) -> str:
    """The end as people say it: midnight is the end of the day before, now is now."""
    end = datetime.fromisoformat(asked["end"])
    if asked["includes_now"]:
        return "now (%s)" % _clock(asked["end"])
    if (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0):
        return "the end of %s" % (end.date() - timedelta(days=1)).isoformat()
    return _clock(asked["end"])


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def _wrap(line: str) -> str:
    console = _console()
    return "\n".join(
        str(part).rstrip()
        for part in console.render_str(line, markup=False, highlight=False, emoji=False).wrap(console, WIDTH)
    )


def _text(renderable: Any, indent: str) -> str:
    console = _console()
    console.print(renderable)
    lines: List[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join((indent + line).rstrip() for line in lines)


def _console() -> Console:
    return Console(file=io.StringIO(), width=WIDTH - 2, color_system=None, legacy_windows=False)
