"""Which stretch of time is asked about: words + now + zone -> Window -> segments and buckets.

Pure: `now_ms` and the zone are given, nothing is read from the machine. All instants are Unix
milliseconds; every stretch is half-open, `[start, end)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import List, Optional, Tuple, Union

from maas_usage.errors import UsageError, quoted

SECOND_MS = 1000
HOUR_MS = 3600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
RETENTION_MS = 30 * DAY_MS  # what the service guarantees to keep
LONGEST_CALL_MS = 30 * DAY_MS  # what one call may span
LONGEST_WINDOW = timedelta(days=366)
PROVISIONAL_MS = 2 * HOUR_MS  # call data can arrive this late

PERIODS = ("today", "yesterday", "this-week", "last-week", "this-month", "last-month")
SO_FAR = ("today", "this-week", "this-month")  # they end now
DEFAULT_LAST = "7d"
VALID_FORMS = (
    "Valid: --last 24h|7d|2w, --period %s, --from 2026-05-08 [--to 2026-05-21],"
    " --from 2026-05-21T10:00+08:00." % "|".join(PERIODS)
)

_UNIT_MS = {"h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_LAST = re.compile(r"([0-9]{1,6})([hdw])")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DATE_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,3}))?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EARLIEST_YEAR = 2000


@dataclass(frozen=True)
class Rolling:
    """The `--last` form: `length_ms` of elapsed time until now."""

    words: str
    length_ms: int


@dataclass(frozen=True)
class Calendar:
    """The `--period` form: one of PERIODS."""

    words: str


@dataclass(frozen=True)
class Span:
    """The `--from/--to` form; a `date` is a whole day, a `datetime` an exact instant."""

    words: str
    start: Union[date, datetime]
    end: Union[date, datetime, None]


Expression = Union[Rolling, Calendar, Span]


@dataclass(frozen=True)
class Window:
    """A stretch of time with a name and a zone; `clipped` tells that an end beyond now was cut."""

    expression: str
    start_ms: int
    end_ms: int
    zone: tzinfo
    now_ms: int
    clipped: bool = False

    @property
    def includes_now(self) -> bool:
        """Whether the window reaches up to now."""
        return self.end_ms == self.now_ms


@dataclass(frozen=True)
class Segment:
    """A part of a window that one call may ask for; `expired` lies wholly before the retention."""

    start_ms: int
    end_ms: int
    expired: bool


@dataclass(frozen=True)
class Bucket:
    """A day or an hour of a window, cut to the window; `partial` tells that some was cut off."""

    label: str
    start_ms: int
    end_ms: int
    partial: bool


# --- words -> Expression ---------------------------------------------------------------------


def parse(last: Optional[str], period: Optional[str], start: Optional[str], end: Optional[str]) -> Expression:
    """The expression that the options spell; none of them is `--last 7d`.

    Needs neither zone nor now. Raises UsageError for two forms at once, words of no valid form,
    dates that do not exist and ends that come before their start in every zone.
    """
    if sum(option is not None for option in (last, period, start)) > 1:
        raise _usage("--last, --period and --from exclude each other.")
    if end is not None and start is None:
        raise _usage("--to needs --from.")
    if period is not None:
        if period not in PERIODS:
            raise _usage("Unknown --period %s." % quoted(period))
        return Calendar(period)
    if start is not None:
        return _parse_span(start, end)
    return _parse_last(DEFAULT_LAST if last is None else last)


def _parse_last(words: str) -> Rolling:
    match = _LAST.fullmatch(words)
    if match is None or int(match.group(1)) == 0:
        raise _usage("--last takes a whole number above 0 and a unit h, d or w, not %s." % quoted(words))
    length_ms = int(match.group(1)) * _UNIT_MS[match.group(2)]
    _refuse_over_366_days(timedelta(milliseconds=length_ms))
    return Rolling("last %s" % words, length_ms)


def _parse_span(start: str, end: Optional[str]) -> Span:
    first = _parse_moment("--from", start)
    if end is None:
        return Span("from %s" % start, first, None)
    last = _parse_moment("--to", end)
    if _comes_before_in_every_zone(last, first):
        raise _usage("--to %s lies before --from %s, or leaves nothing between." % (end, start))
    return Span("from %s to %s" % (start, end), first, last)


def _comes_before_in_every_zone(end: Union[date, datetime], start: Union[date, datetime]) -> bool:
    if isinstance(start, datetime) and isinstance(end, datetime):
        both_alike = (start.tzinfo is None) == (end.tzinfo is None)
        return both_alike and end <= start
    if isinstance(start, datetime) or isinstance(end, datetime):
        return False  # resolve() sees it
    return end < start


def _parse_moment(option: str, words: str) -> Union[date, datetime]:
    try:
        if _DATE.fullmatch(words):
            moment: Union[date, datetime] = date(*map(int, words.split("-")))
        else:
            moment = _parse_date_time(words)
    except (ValueError, OverflowError):
        raise _usage("%s %s is not a date or date-time that exists." % (option, quoted(words))) from None
    if moment.year < _EARLIEST_YEAR or moment.year == date.max.year:
        raise _usage("%s %s is out of any sensible range." % (option, quoted(words)))
    return moment


def _parse_date_time(words: str) -> datetime:
    match = _DATE_TIME.fullmatch(words)
    if match is None:
        raise ValueError(words)
    parts = match.groupdict()
    day = date(*map(int, parts["date"].split("-")))
    naive = datetime(
        day.year,
        day.month,
        day.day,
        int(parts["hour"]),
        int(parts["minute"]),
        int(parts["second"] or 0),
        int((parts["fraction"] or "0").ljust(3, "0")) * 1000,
    )
    offset = parts["offset"]
    if offset is None:
        return naive
    if offset == "Z":
        return naive.replace(tzinfo=timezone.utc)
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if minutes > 59:
        raise ValueError(words)
    distance = timedelta(hours=hours, minutes=minutes)
    return naive.replace(tzinfo=timezone(-distance if offset[0] == "-" else distance))


# --- Expression + now + zone -> Window -------------------------------------------------------


def resolve(expression: Expression, now_ms: int, zone: tzinfo) -> Window:
    """The window that an expression means at `now_ms` (whole seconds) in a zone.

    An end beyond now is cut to now. Raises UsageError for windows that are empty, lie in the
    future or span more than 366 days, and for wall-clock times that do not exist or come twice.
    """
    clipped = False
    if isinstance(expression, Rolling):
        start_ms, end_ms = now_ms - expression.length_ms, now_ms
    elif isinstance(expression, Calendar):
        start_ms, end_ms = _period(expression.words, now_ms, zone)
    else:
        start_ms = _instant(expression.start, zone, end=False)
        end_ms = now_ms if expression.end is None else _instant(expression.end, zone, end=True)
        if end_ms <= start_ms:
            raise _usage("%s: the end is not after the start." % expression.words)
        if end_ms > now_ms:
            end_of_today = start_of_day(local_date(now_ms, zone) + timedelta(days=1), zone)
            clipped = end_ms != end_of_today
            end_ms = now_ms
        _refuse_over_366_days(_shortest_length(start_ms, end_ms, zone))
    if end_ms <= start_ms:
        raise _usage("%s: nothing of it has passed yet." % expression.words)
    return Window(expression.words, start_ms, end_ms, zone, now_ms, clipped)


def _period(name: str, now_ms: int, zone: tzinfo) -> Tuple[int, int]:
    today = local_date(now_ms, zone)
    monday = today - timedelta(days=today.weekday())
    first_of_month = today.replace(day=1)
    first_of_last_month = (first_of_month - timedelta(days=1)).replace(day=1)
    dates = {
        "today": (today, None),
        "yesterday": (today - timedelta(days=1), today),
        "this-week": (monday, None),
        "last-week": (monday - timedelta(days=7), monday),
        "this-month": (first_of_month, None),
        "last-month": (first_of_last_month, first_of_month),
    }
    first, after = dates[name]
    return start_of_day(first, zone), now_ms if after is None else start_of_day(after, zone)


def _instant(moment: Union[date, datetime], zone: tzinfo, end: bool) -> int:
    if not isinstance(moment, datetime):
        return start_of_day(moment + timedelta(days=1) if end else moment, zone)
    if moment.tzinfo is not None:
        return to_ms(moment)
    early, late = (to_ms(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early == late:
        return early
    # Clocks go forward: fold 0 reads the offset before the gap and lands behind fold 1.
    trouble = "does not exist" if early > late else "comes twice"
    raise _usage(
        "%s %s in %s, where the clocks change then: add an offset, as in %s."
        % (moment.isoformat(), trouble, zone, from_ms(early, zone).isoformat())
    )


def _shortest_length(start_ms: int, end_ms: int, zone: tzinfo) -> timedelta:
    """Elapsed or wall-clock length: 366 whole dates are not over 366 days for an hour of summer time."""
    wall = from_ms(end_ms, zone).replace(tzinfo=None) - from_ms(start_ms, zone).replace(tzinfo=None)
    return min(wall, timedelta(milliseconds=end_ms - start_ms))


def _refuse_over_366_days(length: timedelta) -> None:
    if length > LONGEST_WINDOW:
        raise _usage("A window spans at most 366 days (the service keeps 30).")


def _usage(message: str) -> UsageError:
    return UsageError(message, VALID_FORMS)


# --- the window before -----------------------------------------------------------------------


def previous(expression: Expression, asked: Window) -> Window:
    """The window that a comparison sets beside this one.

    Calendar periods: the one before, as much of it as has passed of this one, to the same
    wall-clock moment and never past its end. Whole dates: as many whole dates. All else: the same
    elapsed time just before. Raises UsageError where a change of clocks leaves nothing of it.
    """
    if isinstance(expression, Calendar):
        start_ms, end_ms = _period_before(expression.words, asked)
    elif isinstance(expression, Span) and _ends_with_a_whole_date(expression, asked):
        first, last = local_date(asked.start_ms, asked.zone), local_date(asked.end_ms - 1, asked.zone)
        count = (last - first) + timedelta(days=1)
        start_ms, end_ms = start_of_day(first - count, asked.zone), asked.start_ms
    else:
        start_ms, end_ms = 2 * asked.start_ms - asked.end_ms, asked.start_ms
    if end_ms <= start_ms:
        raise _usage("There is nothing to compare %s with yet." % asked.expression)
    return Window("before %s" % asked.expression, start_ms, end_ms, asked.zone, asked.now_ms)


def _ends_with_a_whole_date(expression: Span, asked: Window) -> bool:
    dates = not isinstance(expression.start, datetime) and not isinstance(expression.end, datetime)
    return dates and expression.end is not None and asked.end_ms == _instant(expression.end, asked.zone, end=True)


def _period_before(name: str, asked: Window) -> Tuple[int, int]:
    zone = asked.zone
    first = local_date(asked.start_ms, zone)
    unit = name.split("-")[-1]
    if unit == "week":
        first_before = first - timedelta(days=7)
    elif unit == "month":
        first_before = (first - timedelta(days=1)).replace(day=1)
    else:
        first_before = first - timedelta(days=1)
    if name not in SO_FAR:  # not includes_now: last month may end right now
        return start_of_day(first_before, zone), asked.start_ms
    midnight = datetime(first.year, first.month, first.day)
    passed = from_ms(asked.now_ms, zone).replace(tzinfo=None) - midnight
    midnight_before = datetime(first_before.year, first_before.month, first_before.day)
    moment_ms = to_ms((midnight_before + passed).replace(tzinfo=zone))
    return start_of_day(first_before, zone), min(moment_ms, asked.start_ms)


# --- instants and local dates ----------------------------------------------------------------


def to_ms(moment: datetime) -> int:
    """An aware datetime as Unix milliseconds, exactly."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(instant_ms: int, zone: tzinfo) -> datetime:
    """Unix milliseconds as a datetime of the zone."""
    return (_EPOCH + timedelta(milliseconds=instant_ms)).astimezone(zone)


def local_date(instant_ms: int, zone: tzinfo) -> date:
    """The date that the zone's calendars show at an instant."""
    return from_ms(instant_ms, zone).date()


def start_of_day(day: date, zone: tzinfo) -> int:
    """The first instant of a local date, also where the clocks skip or repeat midnight."""
    # fold=0 reads a skipped midnight with the offset before the change, which is the change itself.
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=zone, fold=0))


def rfc3339(instant_ms: int, zone: tzinfo) -> str:
    """An instant with its offset, to the second, or to the millisecond where it has any."""
    return from_ms(instant_ms, zone).isoformat(timespec="milliseconds" if instant_ms % SECOND_MS else "seconds")


# --- Window -> segments, buckets, coverage ---------------------------------------------------


def retained_since(now_ms: int) -> int:
    """The earliest instant that the service guarantees to keep."""
    return now_ms - RETENTION_MS


def provisional_since(window: Window) -> Optional[int]:
    """Since when the figures of a window may still grow, or None."""
    youngest_settled_ms = window.now_ms - PROVISIONAL_MS
    if window.end_ms <= youngest_settled_ms:
        return None
    return max(window.start_ms, youngest_settled_ms)


def segments(start_ms: int, end_ms: int, retained_since_ms: int) -> List[Segment]:
    """Consecutive stretches of at most 30 days that tile `[start, end)`, cut at the retention."""
    result: List[Segment] = []
    while start_ms < end_ms:
        stop_ms = min(end_ms, start_ms + LONGEST_CALL_MS)
        if start_ms < retained_since_ms < stop_ms:
            stop_ms = retained_since_ms
        result.append(Segment(start_ms, stop_ms, expired=stop_ms <= retained_since_ms))
        start_ms = stop_ms
    return result


def days(window: Window) -> List[Bucket]:
    """The local dates of a window, without gaps; the first and last may be partial."""
    result: List[Bucket] = []
    day = local_date(window.start_ms, window.zone)
    while True:
        start_ms = start_of_day(day, window.zone)
        if start_ms >= window.end_ms:
            return result
        next_day = day + timedelta(days=1)
        stop_ms = start_of_day(next_day, window.zone)
        if stop_ms > start_ms:  # a date that a zone skipped whole has no row
            result.append(_cut(day.isoformat(), start_ms, stop_ms, window))
        day = next_day


def hours(window: Window) -> List[Bucket]:
    """The clock hours of a window, without gaps, each named by its start with offset.

    Where the clocks change by less than an hour, one of them is shorter or longer than 60 minutes.
    """
    result: List[Bucket] = []
    # From midnight on, since going back from the middle of an hour could cross a change of clocks.
    start_ms = start_of_day(local_date(window.start_ms, window.zone), window.zone)
    while start_ms < window.end_ms:
        stop_ms = start_ms + HOUR_MS - _into_the_hour(start_ms, window.zone)
        if stop_ms > window.start_ms:
            result.append(_cut(rfc3339(start_ms, window.zone), start_ms, stop_ms, window))
        start_ms = stop_ms
    return result


def _into_the_hour(instant_ms: int, zone: tzinfo) -> int:
    local = from_ms(instant_ms, zone)
    return (local.minute * 60 + local.second) * SECOND_MS + local.microsecond // 1000


def _cut(label: str, start_ms: int, stop_ms: int, window: Window) -> Bucket:
    inside = max(start_ms, window.start_ms), min(stop_ms, window.end_ms)
    return Bucket(label, *inside, partial=inside != (start_ms, stop_ms))
