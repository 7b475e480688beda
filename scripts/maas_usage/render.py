"""A document of the contract as text: table, Markdown, CSV. Pure: it knows the document alone."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime, timedelta
from typing import Any, Dict, Iterator, List, Optional, Tuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maas_usage.words import approximately, expression, say, warning

WIDTH = 80
LONGEST_BAR = 16
SHORTEST_BAR = 3
SHORTEST_NAME = 12
_COLUMNS = ("tokens", "requests", "errors", "error_rate")
# For consoles that cannot encode these.
PLAIN_FORMS = str.maketrans({"█": "#", "▏": "|", "◄": "<", "…": "...", "→": "->", "（": "(", "）": ")"})

_FIGURES = (
    "total_tokens",
    "prompt_tokens",
    "completion_tokens",
    "requests",
    "errors",
    "error_rate",
    "batch_tasks",
    "batch_inferences",
)
Document = Dict[str, Any]


def csv_text(document: Document) -> str:
    """RFC 4180: a header, then a line per row, or one line `total` where there are none."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("source", "group", "start", "end", "partial", *_FIGURES))
    asked = document["window"]
    total = {"group": "total", "usage": document["totals"]}
    for row in document["rows"] or [total]:
        usage = _known(row, document)
        figures = ["" if usage[name] is None else usage[name] for name in _FIGURES]
        start, end = row.get("start", asked["start"]), row.get("end", asked["end"])
        partial = "true" if row.get("partial") else "false"
        writer.writerow((document["source"], _harmless(row["group"]), start, end, partial, *figures))
    return out.getvalue()


def _harmless(label: str) -> str:
    """A label that no spreadsheet takes for a formula."""
    return "'" + label if label.startswith(("-", "=", "+", "@")) else label


# --- table -----------------------------------------------------------------------------------


def table(document: Document, lang: str, colour: bool = False) -> str:
    """The answer for a person at a terminal, 80 columns wide."""
    grid, width = _rows(document, lang) if document["rows"] else (_figures(document, lang), WIDTH)
    console = Console(
        file=io.StringIO(),
        width=max(WIDTH, width),  # wider only where figures need it
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        _environ={},  # what the terminal can do was decided by the caller
    )
    if document["source"] == "demo":
        _line(console, say(lang, "demo"), "yellow")
    _line(console, _in_one_sentence(document, lang), "bold")
    for line in _scope(document, lang):
        _line(console, line)
    console.print()
    console.print(grid)
    console.print()
    for line in _said_of_rows(document, lang):
        _line(console, line)
    for line in _comparison(document, lang):
        _line(console, line)
    for line in _alerts(document, lang):
        _line(console, line, "bold red")
    for line in _notes(document, lang):
        _line(console, say(lang, "note", text=line))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), width=WIDTH)


def _figures(document: Document, lang: str) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0), pad_edge=True)
    grid.add_column()
    grid.add_column(justify="right")
    for name, value in _shown_totals(document):
        grid.add_row("  " + say(lang, name), _figure(name, value))
    return grid


def _rows(document: Document, lang: str) -> Tuple[Table, int]:
    """The rows as a grid, and how many columns wide it is."""
    rows = document["rows"]
    worst = _worst(rows)
    most = max(row["usage"]["total_tokens"] for row in rows)
    names = [_group(row, document, lang) + ("*" if row.get("partial") else "") for row in rows]
    names.append(say(lang, "total"))
    figures = [_figures_of(row, document) for row in [*rows, {"usage": document["totals"]}]]
    headings = [say(lang, name) for name in (document["query"]["group_by"], *_COLUMNS)]
    mark = "◄ %s" % say(lang, "worst") if worst is not None else ""

    # No figure is ever cut: what room they leave goes to the names, and then to the bars.
    widths = [max(cell_len(line[i]) for line in [headings[1:], *figures]) for i in range(len(_COLUMNS))]
    room = WIDTH - sum(widths) - 2 * len(widths) - (cell_len(mark) + 2 if mark else 0)
    name_width = min(max(map(cell_len, [headings[0], *names])), max(SHORTEST_NAME, room))
    bar_width = min(LONGEST_BAR, room - name_width - 2)

    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="", show_edge=False)
    grid.add_column(headings[0], width=name_width, overflow="fold")
    for number, (heading, width) in enumerate(zip(headings[1:], widths)):
        grid.add_column(heading, justify="right", no_wrap=True, width=width)
        if number == 0 and bar_width >= SHORTEST_BAR:
            grid.add_column("", no_wrap=True, width=bar_width)
    if mark:
        grid.add_column("", no_wrap=True, width=cell_len(mark))
    for name, line, row in zip(names, figures, [*rows, None]):
        is_worst = row is not None and row is worst
        bar = [] if bar_width < SHORTEST_BAR else [_bar(row["usage"]["total_tokens"], most, bar_width) if row else ""]
        style = "red" if is_worst else "bold" if row is None else ""
        marks = [mark if is_worst else ""] if mark else []
        grid.add_row(name, line[0], *bar, *line[1:], *marks, style=style)
    return grid, WIDTH - room + name_width + 2


def _figures_of(row: Document, document: Document) -> List[str]:
    usage = _known(row, document)
    return [_figure(figure, usage[figure]) for figure in ("total_tokens", "requests", "errors", "error_rate")]


def _bar(tokens: int, most: int, width: int) -> str:
    cells = round(width * tokens / most) if most else 0
    return "█" * cells or ("▏" if tokens else "")


# --- Markdown --------------------------------------------------------------------------------


def markdown(document: Document, lang: str) -> str:
    """The answer ready to paste: figure first, then table, window, coverage and warnings."""
    lines = ["**%s**" % _in_one_sentence(document, lang), ""]
    if document["source"] == "demo":
        lines = ["> **%s**" % say(lang, "demo"), "", *lines]
    if document["rows"]:
        lines += _markdown_rows(document, lang)
    else:
        lines += ["| %s | %s |" % (say(lang, "figure"), say(lang, "value")), "| --- | ---: |"]
        lines += ["| %s | %s |" % (say(lang, n), _figure(n, v)) for n, v in _shown_totals(document)]
    lines.append("")
    details = [*_scope(document, lang), *_said_of_rows(document, lang), *_comparison(document, lang)]
    lines += ["- %s" % _markdown_safe(line.strip()) for line in details]
    lines += ["- **%s**" % _markdown_safe(line) for line in _alerts(document, lang)]
    lines += ["- %s" % _markdown_safe(say(lang, "note", text=line)) for line in _notes(document, lang)]
    return "\n".join(lines) + "\n"


def _markdown_rows(document: Document, lang: str) -> List[str]:
    names = ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors", "error_rate")
    headings = [say(lang, document["query"]["group_by"]), *(say(lang, name) for name in names)]
    lines = ["| %s |" % " | ".join(headings), "| --- |" + " ---: |" * len(names)]
    worst = _worst(document["rows"])
    total = {"group": None, "usage": document["totals"]}
    for row in [*document["rows"], total]:
        group = say(lang, "total") if row["group"] is None else _group(row, document, lang)
        group = _markdown_safe(group) + (r"\*" if row.get("partial") else "")
        usage = _known(row, document)
        figures = [_figure(name, usage[name]) for name in names]
        if row is worst:
            figures[-1] = "**%s** (%s)" % (figures[-1], say(lang, "worst"))
        lines.append("| %s |" % " | ".join([group, *figures]))
    return lines


def _markdown_safe(text: str) -> str:
    """Labels may hold `_` and lines may begin with `*`, which would read as emphasis."""
    return text.replace("_", r"\_") if not text.startswith("*") else r"\%s" % text


# --- what both say ---------------------------------------------------------------------------


def _in_one_sentence(document: Document, lang: str) -> str:
    tokens = _known({"usage": document["totals"]}, document)["total_tokens"]
    if tokens is None:
        return say(lang, "no_figure")
    size = approximately(lang, tokens)
    about = say(lang, "about", size=size) if size else ""
    said = say(lang, "tokens_said", figure=_grouped(tokens), about=about)
    return said if document["coverage"]["complete"] else say(lang, "at_least", said=said)


def _scope(document: Document, lang: str) -> Iterator[str]:
    query, asked = document["query"], document["window"]
    yield say(
        lang,
        "window",
        expression=expression(lang, asked["expression"]),
        start=_clock(asked["start"]),
        end=_end(asked, lang),
        zone=asked["timezone"],
    )
    types = " + ".join(say(lang, "type_%d" % number) for number in query["service_types"])
    yield say(lang, "scope", types=types, infer=say(lang, query["infer_type"]), region=query["region"])
    if query["api_keys"] is not None:
        labels = ", ".join(label or say(lang, "console") for label in query["api_keys"])
        yield say(lang, "labels", labels=labels)


def _said_of_rows(document: Document, lang: str) -> Iterator[str]:
    worst = _worst(document["rows"])
    if any(row.get("partial") for row in document["rows"]):
        yield say(lang, "partial")
    if worst is not None:
        usage = worst["usage"]
        yield say(
            lang,
            "worst_said",
            group=_group(worst, document, lang),
            rate=_figure("error_rate", usage["error_rate"]),
            errors=_grouped(usage["errors"]),
            requests=_grouped(usage["requests"]),
        )


def _comparison(document: Document, lang: str) -> Iterator[str]:
    previous = document["previous"]
    if previous is None:
        return
    span = {"start": _clock(previous["window"]["start"]), "end": _end(previous["window"], lang)}
    if previous["totals"] is None:
        yield say(lang, "not_compared", **span)
        return
    yield say(lang, "compared", **span)
    for name in ("total_tokens", "requests", "errors", "error_rate"):
        yield "  " + _change(name, document["totals"][name], previous["totals"][name], previous["change"][name], lang)


def _change(name: str, now: Any, before: Any, change: Dict[str, Any], lang: str) -> str:
    values = {"name": say(lang, name), "figure": _figure(name, now), "before": _figure(name, before)}
    if name == "error_rate":
        return say(lang, "rate_change", **values)
    if not change["absolute"]:
        return say(lang, "same", **values)
    if change["ratio"] is None:
        return say(lang, "from_none", **values)
    return say(
        lang, "more" if change["absolute"] > 0 else "fewer", ratio="%.1f%%" % abs(change["ratio"] * 100), **values
    )


def _alerts(document: Document, lang: str) -> Iterator[str]:
    for alert in document["alerts"]:
        actual, limit = _told_apart(alert["metric"], alert["actual"], alert["limit"])
        yield say(lang, "alert", name=say(lang, alert["metric"]), actual=actual, limit=limit)


def _told_apart(name: str, actual: Any, limit: Any) -> Tuple[str, str]:
    """Two figures that differ, with as many decimal places as it takes to see that."""
    if name != "error_rate":
        return _grouped(actual), _grouped(limit)
    shown = ("", "")
    for places in range(2, 16):
        shown = ("%.*f%%" % (places, actual * 100), "%.*f%%" % (places, limit * 100))
        if shown[0] != shown[1]:
            break
    return shown


def _notes(document: Document, lang: str) -> Iterator[str]:
    totals, coverage = document["totals"], document["coverage"]
    for member in document["warnings"]:
        yield warning(lang, member, _clock(coverage["retained_since"]))
    if totals["prompt_tokens"] + totals["completion_tokens"] != totals["total_tokens"]:
        yield say(lang, "not_the_sum")
    if coverage["provisional_since"] is not None:
        yield say(lang, "provisional", time=_clock(coverage["provisional_since"]))


def raw(document: Document, lang: str) -> str:
    """The service's own answers, one line a call, to stand below a table."""
    return "\n%s\n%s\n" % (say(lang, "raw"), _raw_lines(document))


def raw_markdown(document: Document, lang: str) -> str:
    """The same as code, in a fence that no text in it can close."""
    lines = _raw_lines(document)
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", lines))]))
    return "\n%s\n\n%sjson\n%s\n%s\n" % (say(lang, "raw"), fence, lines, fence)


def _raw_lines(document: Document) -> str:
    return "\n".join(json.dumps(item) for item in document["raw"])


# --- pieces ----------------------------------------------------------------------------------


def _shown_totals(document: Document) -> Iterator[Tuple[str, Any]]:
    for name in _FIGURES:
        if document["query"]["infer_type"] == "batch" or not name.startswith("batch"):
            yield name, _known({"usage": document["totals"]}, document)[name]


def _known(row: Document, document: Document) -> Document:
    """A row's usage, all None where it is zero for a time that is not kept: that is no zero of the user's."""
    usage: Document = row["usage"]
    kept_since = _moment(document["coverage"]["retained_since"])
    # A day or hour that is kept in part says nothing by a zero; a whole window does for what is kept.
    gone = _moment(row["start"]) < kept_since if "start" in row else _moment(document["window"]["end"]) <= kept_since
    return dict.fromkeys(usage) if gone and not any(usage.values()) else usage


def _worst(rows: List[Document]) -> Optional[Document]:
    """The row with the highest error rate, if there is more than one row and any error at all."""
    candidates = [row for row in rows if row["usage"]["error_rate"]]
    if len(rows) < 2 or not candidates:
        return None
    return max(candidates, key=lambda row: row["usage"]["error_rate"])


def _group(row: Document, document: Document, lang: str) -> str:
    group: str = row["group"]
    by = document["query"]["group_by"]
    if by == "day":
        weekdays = say(lang, "weekdays").split()
        return "%s %s" % (group, weekdays[_moment(row["start"]).weekday()])
    if by == "hour":
        # With the offset, since the hour at which clocks go back comes twice.
        return _moment(group).strftime("%m-%d %H:%M") + group[-6:]
    if by == "service-type":
        return say(lang, "type_%d" % {"my": 1, "preset": 2, "custom": 4}[group])
    return group or say(lang, "console")


def _grouped(number: Any) -> str:
    return f"{number:,}"


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return "%.2f%%" % (value * 100) if name == "error_rate" else _grouped(value)


def _moment(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def _clock(instant: str) -> str:
    moment = _moment(instant)
    if moment.microsecond:
        return moment.strftime("%Y-%m-%d %H:%M:%S.") + "%03d" % (moment.microsecond // 1000)
    return moment.strftime("%Y-%m-%d %H:%M" if moment.second == 0 else "%Y-%m-%d %H:%M:%S")


def _end(asked: Document, lang: str) -> str:
    """The end as people say it: midnight is the end of the day before, now is now."""
    end = _moment(asked["end"])
    if asked["includes_now"]:
        return say(lang, "now", time=_clock(asked["end"]))
    if (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0):
        return say(lang, "end_of", day=(end.date() - timedelta(days=1)).isoformat())
    return _clock(asked["end"])
