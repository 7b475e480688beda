"""What a picture says about the rows of a document: bars, the worst one, headings, labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from maas_usage.chart_text import NORMAL, cut
from maas_usage.words import approximately, say

Document = Dict[str, Any]
Tick = Tuple[int, str]


@dataclass(frozen=True)
class Bar:
    """One row: its name, its figures, and why they may not be the last word."""

    name: str
    start: Optional[datetime]
    prompt: int
    completion: int
    total: int
    requests: int
    errors: int
    error_rate: Optional[float]
    partial: bool
    provisional: bool
    perhaps_missing: bool

    @property
    def hatch(self) -> str:
        """`/` for partial, a backslash for provisional, both for both."""
        return ("////" if self.partial else "") + ("\\\\\\\\" if self.provisional else "")


def bars(answer: Document) -> List[Bar]:
    """The rows of a document, in its order."""
    retained_since = moment(answer["coverage"]["retained_since"])
    provisional_since = answer["coverage"]["provisional_since"]
    result = []
    for row in answer["rows"]:
        usage = row["usage"]
        start, end = (moment(row[name]) if name in row else None for name in ("start", "end"))
        result.append(
            Bar(
                name=_name(row, start, answer["query"]["group_by"]),
                start=start,
                prompt=int(usage["prompt_tokens"]),
                completion=int(usage["completion_tokens"]),
                total=int(usage["total_tokens"]),
                requests=int(usage["requests"]),
                errors=int(usage["errors"]),
                error_rate=usage["error_rate"],
                partial=row.get("partial", False),
                provisional=end is not None and provisional_since is not None and end > moment(provisional_since),
                perhaps_missing=start is not None and start < retained_since,
            )
        )
    return result


def worst(rows: Sequence[Bar]) -> Optional[int]:
    """The number of the row with the highest error rate, if there are several rows and any error."""
    with_errors = [number for number, row in enumerate(rows) if row.error_rate]
    if len(rows) < 2 or not with_errors:
        return None
    return max(with_errors, key=lambda number: rows[number].error_rate or 0)


def worst_date(rows: Sequence[Bar]) -> Optional[range]:
    """The rows of the local date with the highest error rate, if hours of more than two dates have any error.

    A single hour can be the worst for one unlucky call in three; a day says more.
    """
    dates: Dict[date, List[int]] = {}
    for number, row in enumerate(rows):
        if row.start is not None:
            dates.setdefault(row.start.date(), []).append(number)
    by_rate = {
        _rate(rows[numbers[0] : numbers[-1] + 1]): range(numbers[0], numbers[-1] + 1)
        for numbers in reversed(list(dates.values()))
    }
    if not 2 < len(dates) < len(rows) or not max(by_rate):
        return None
    return by_rate[max(by_rate)]


def _rate(rows: Sequence[Bar]) -> Fraction:
    return Fraction(sum(row.errors for row in rows), sum(row.requests for row in rows) or 1)


def worst_said(rows: Sequence[Bar], number: int) -> str:
    """Which row is worst; before it, which date, where rows are hours."""
    row, of_date = rows[number], worst_date(rows)
    said = "%s, %s (%s of %s)" % (
        cut(row.name, 260, NORMAL),
        _percent(row.error_rate or 0),
        f"{row.errors:,}",
        _count(row.requests, "request"),
    )
    if of_date is None:
        return "worst: " + said
    on_it = [rows[one] for one in of_date]
    day = "%s, %s" % (_day(on_it[0].start), _percent(float(_rate(on_it)))) if on_it[0].start else ""
    return "worst day: %s · worst hour: %s" % (day, said)


def _name(row: Document, start: Optional[datetime], by: Optional[str]) -> str:
    if start is not None and by == "day":
        return _day(start)
    if start is not None and by == "hour":
        return "%s %s" % (_day(start), start.strftime("%H:%M"))
    if by == "service-type":
        return {"my": "my services", "preset": "preset services", "custom": "custom endpoints"}.get(
            row["group"], str(row["group"])
        )
    group: str = row["group"]
    return group or "(console)"


def headline(answer: Document) -> str:
    coverage, tokens = answer["coverage"], int(answer["totals"]["total_tokens"])
    if moment(answer["window"]["end"]) <= moment(coverage["retained_since"]):
        return say("en", "no_figure").rstrip(".")
    size = approximately("en", tokens)
    about = say("en", "about", size=size) if size else ""
    said = say("en", "tokens_said", figure=f"{tokens:,}", about=about)
    return said if coverage["complete"] else say("en", "at_least", said=said)


def subtitles(answer: Document) -> Iterator[str]:
    query, asked, totals = answer["query"], answer["window"], answer["totals"]
    yield "%s: %s, %s" % (asked["expression"], _span(asked), asked["timezone"])
    types = " + ".join(say("en", "type_%d" % number) for number in query["service_types"])
    scope = [types, say("en", query["infer_type"]), query["region"]]
    if query["api_keys"] is not None:
        shown = [cut(label or "(console)", 160, NORMAL) for label in query["api_keys"][:3]]
        more = len(query["api_keys"]) - len(shown)
        scope.append("keys: %s" % ", ".join(shown) + (" and %d more" % more if more else ""))
    yield "%s%s · %s" % (_count(totals["requests"], "request"), _failed(totals), "; ".join(scope))
    previous = answer["previous"]
    if previous is not None:
        yield "Before (%s): %s" % (_span(previous["window"]), _change(previous))


def _failed(totals: Document) -> str:
    if totals["error_rate"] is None:
        return ""
    return ", %s failed (%s)" % (f"{int(totals['errors']):,}", _percent(totals["error_rate"]))


def _change(previous: Document) -> str:
    if previous["totals"] is None:
        return "not kept any more, no comparison"
    tokens = int(previous["totals"]["total_tokens"])
    said = "%s tokens" % (approximately("en", tokens) or f"{tokens:,}")
    ratio = None if previous["change"] is None else previous["change"]["total_tokens"]["ratio"]
    if ratio is None:
        return said
    return "%s; now %.1f%% %s" % (said, abs(ratio) * 100, "less" if ratio < 0 else "more")


def notes(answer: Document, rows: Sequence[Bar]) -> Iterator[str]:
    totals, coverage = answer["totals"], answer["coverage"]
    for alert in answer["alerts"]:
        shown = _percent if alert["metric"] == "error_rate" else "{:,}".format
        name = say("en", alert["metric"])
        yield say("en", "alert", name=name, actual=shown(alert["actual"]), limit=shown(alert["limit"]))
    for warning in answer["warnings"]:
        if warning["code"] != "credentials_file_readable":  # no business of whoever sees the picture
            yield warning["message"]
    if totals["prompt_tokens"] + totals["completion_tokens"] != totals["total_tokens"]:
        yield say("en", "not_the_sum")
    if coverage["provisional_since"] is not None:
        yield say("en", "provisional", time=_clock(coverage["provisional_since"]))


def _span(asked: Document) -> str:
    """A window as people say it: whole dates without clock times, midnight as the end of the day before."""
    start, end = moment(asked["start"]), moment(asked["end"])
    if asked["includes_now"]:
        said = say("en", "now", time=_clock(asked["end"]))
    elif _is_midnight(end):
        said = say("en", "end_of", day=(end.date() - timedelta(days=1)).isoformat())
        if _is_midnight(start):
            return "%s to %s" % (start.date().isoformat(), said)
    else:
        said = _clock(asked["end"])
    return "%s to %s" % (_clock(asked["start"]), said)


def moment(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


def _clock(instant: str) -> str:
    return moment(instant).strftime("%Y-%m-%d %H:%M")


def _day(moment: datetime) -> str:
    return "%s %d %s" % (moment.strftime("%a"), moment.day, moment.strftime("%b"))


def _percent(ratio: float) -> str:
    return "%.2f%%" % (ratio * 100)


def _count(number: int, noun: str) -> str:
    return "%s %s%s" % (f"{int(number):,}", noun, "" if number == 1 else "s")


# --- labels of the rows ---


def ticks(rows: Sequence[Bar], by: Optional[str], width_px: float) -> List[Tick]:
    """Which rows bear a label, and which, so that labels stay apart on an axis `width_px` long."""
    each_px = width_px / len(rows)
    if by == "day":
        return _day_ticks(rows, each_px)
    if by == "hour":
        return _hour_ticks(rows, each_px)
    step = -int(-14 // each_px)  # upright labels need a line's height each
    return [(number, row.name) for number, row in enumerate(rows) if number % step == 0]


def _day_ticks(rows: Sequence[Bar], each_px: float) -> List[Tick]:
    starts = [(number, row.start) for number, row in enumerate(rows) if row.start is not None]
    if each_px >= 30:
        months = {number for number, start in starts if number == 0 or start.day == 1}
        return [
            (number, "%s\n%d%s" % (start.strftime("%a"), start.day, start.strftime("\n%b") if number in months else ""))
            for number, start in starts
        ]
    if each_px * 7 >= 56:
        mondays = [(number, start) for number, start in starts if start.weekday() == 0]
        return [(number, "%d %s" % (start.day, start.strftime("%b"))) for number, start in mondays]
    return [(number, start.strftime("%b\n%Y")) for number, start in starts if start.day == 1]


def _hour_ticks(rows: Sequence[Bar], each_px: float) -> List[Tick]:
    starts = [(number, row.start) for number, row in enumerate(rows) if row.start is not None]
    step = next((hours for hours in (1, 2, 3, 6, 12, 24) if hours * each_px >= 44), None)
    if step is None:
        every = -int(-56 // (24 * each_px))
        dates = _firsts_of_dates(starts)
        return [(number, _date_lines(start)) for number, start in dates[::every]]
    marked = [(number, start) for number, start in starts if start.minute == 0 and start.hour % step == 0]
    firsts = {number for number, _ in _firsts_of_dates(marked)}
    return [
        (number, start.strftime("%H:%M") + ("\n" + _date_lines(start) if number in firsts else ""))
        for number, start in marked
    ]


def _firsts_of_dates(starts: Sequence[Tuple[int, datetime]]) -> List[Tuple[int, datetime]]:
    result: List[Tuple[int, datetime]] = []
    for number, start in starts:
        if not result or result[-1][1].date() != start.date():
            result.append((number, start))
    return result


def _date_lines(start: datetime) -> str:
    return "%s\n%d %s" % (start.strftime("%a"), start.day, start.strftime("%b"))
