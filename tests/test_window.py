"""Windows: what the words mean at a given moment in a given zone, and how a window is cut up.

Expected instants are spelled with their offset and counted by `calendar`, never by the module itself.
"""

import calendar
import json
import pkgutil
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maas_usage import statistics, zone
from maas_usage.errors import UsageError
from maas_usage.window import (
    VALID_FORMS,
    Bucket,
    Segment,
    Window,
    days,
    from_ms,
    hours,
    local_date,
    parse,
    previous,
    provisional_since,
    resolve,
    retained_since,
    rfc3339,
    segments,
    start_of_day,
    to_ms,
)

SECOND = 1000
MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000

SHANGHAI = zone.named("Asia/Shanghai")
CHICAGO = zone.named("America/Chicago")
BERLIN = zone.named("Europe/Berlin")
KOLKATA = zone.named("Asia/Kolkata")
LORD_HOWE = zone.named("Australia/Lord_Howe")  # its summer time is half an hour
APIA = zone.named("Pacific/Apia")  # had no 2011-12-30
HAVANA = zone.named("America/Havana")  # 00:00 comes twice
BEIRUT = zone.named("Asia/Beirut")  # 00:00 is skipped
AZORES = zone.named("Atlantic/Azores")  # both
UTC = zone.named("UTC")


def at(text):
    """The instant that a date-time with offset spells."""
    moment = datetime.fromisoformat(text)
    return calendar.timegm(moment.utctimetuple()) * 1000 + moment.microsecond // 1000


THURSDAY = at("2026-05-21T05:32:10+08:00")


def window(now_ms=THURSDAY, where=SHANGHAI, last=None, period=None, start=None, end=None):
    return resolve(parse(last, period, start, end), now_ms, where)


def stretch(*spelled):
    return tuple(at(text) for text in spelled)


def bounds(of):
    return of.start_ms, of.end_ms


def made(start_ms, end_ms, where, now_ms=None):
    return Window("made", start_ms, end_ms, where, end_ms if now_ms is None else now_ms)


class refused:
    """A usage error that says so and shows the valid forms."""

    def __init__(self, why):
        self.raises = pytest.raises(UsageError, match=why)

    def __enter__(self):
        self.caught = self.raises.__enter__()

    def __exit__(self, *failure):
        swallowed = self.raises.__exit__(*failure)
        assert self.caught.value.hint == VALID_FORMS
        assert "\n" not in self.caught.value.message
        return swallowed


def test_the_valid_forms_are_valid():
    for last in re.findall(r"[0-9]+[hdw](?=[|,])", VALID_FORMS):
        assert window(last=last)
    for period in re.search(r"--period ([a-z|-]+)", VALID_FORMS).group(1).split("|"):
        assert window(period=period)
    assert window(start="2026-05-08", end="2026-05-21")
    assert window(start="2026-05-21T10:00+08:00", now_ms=THURSDAY + DAY)
    for form in ("24h|7d|2w", "--from 2026-05-08 [--to 2026-05-21]", "--from 2026-05-21T10:00+08:00"):
        assert form in VALID_FORMS


# --- forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"last": "7d", "period": "today"},
        {"last": "7d", "start": "2026-05-08"},
        {"period": "today", "start": "2026-05-08"},
        {"last": "7d", "period": "today", "start": "2026-05-08"},
        {"last": "7d", "period": "today", "start": "2026-05-08", "end": "2026-05-09"},
    ],
)
def test_two_forms_exclude_each_other(options):
    with refused("exclude each other"):
        window(**options)


@pytest.mark.parametrize("options", [{}, {"last": "7d"}, {"period": "today"}])
def test_to_needs_from(options):
    with refused("--to needs --from"):
        window(end="2026-05-21", **options)


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "last 7d"),
        ({"last": "24h"}, "last 24h"),
        ({"period": "last-week"}, "last-week"),
        ({"start": "2026-05-08"}, "from 2026-05-08"),
        ({"start": "2026-05-08", "end": "2026-05-20T10:00Z"}, "from 2026-05-08 to 2026-05-20T10:00Z"),
    ],
)
def test_a_window_bears_its_words(options, words):
    asked = window(**options)
    assert asked.expression == words
    assert (asked.zone, asked.now_ms) == (SHANGHAI, THURSDAY)


@pytest.mark.parametrize(
    "make",
    [
        lambda: parse("7d", None, None, None),
        lambda: parse(None, "today", None, None),
        lambda: parse(None, None, "2026-05-08", "2026-05-20T10:00"),
        lambda: window(last="7d"),
        lambda: segments(0, DAY, 0)[0],
        lambda: days(window(last="7d"))[0],
    ],
    ids=["rolling", "calendar", "span", "window", "segment", "bucket"],
)
def test_they_are_values(make):
    assert make() == make()
    assert len({make(), make()}) == 1
    with pytest.raises(AttributeError):
        make().start_ms = 1


# --- rolling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last, length",
    [
        ("1h", HOUR),
        ("24h", DAY),
        ("1d", DAY),
        ("7d", 168 * HOUR),
        ("1w", 7 * DAY),
        ("2w", 14 * DAY),
        ("30d", 30 * DAY),
        ("007d", 7 * DAY),
        ("52w", 364 * DAY),
        ("366d", 366 * DAY),
        ("8784h", 366 * DAY),
        (None, 168 * HOUR),
    ],
)
@pytest.mark.parametrize("where", [SHANGHAI, CHICAGO])
def test_rolling_is_elapsed_time_until_now(last, length, where):
    now = at("2026-03-08T12:00:00-05:00")  # the clocks went forward in Chicago this morning
    asked = window(now, where, last=last)
    assert bounds(asked) == (now - length, now)
    assert asked.includes_now and not asked.clipped


@pytest.mark.parametrize(
    "last",
    [
        *("", "0h", "0d", "0w", "000d", "-7d", "+7d", "1.5d", "1e1d", "1_0d", "0000001h", "٧d", "７d"),
        *("7", "d", "7D", "7m", "7dd", "7d2h", "7 d", "7d ", " 7d", "7d\n", "last 7d", "week"),
    ],
)
def test_rolling_takes_whole_numbers_and_three_units(last):
    with refused("whole number above 0"):
        window(last=last)


@pytest.mark.parametrize("last", ["8785h", "367d", "53w", "999999h", "999999d", "999999w"])
def test_rolling_over_366_days(last):
    with refused("at most 366 days"):
        parse(last, None, None, None)


# --- periods ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now, period, start, end",
    [
        ("2026-05-21T05:32:10", "today", "2026-05-21", None),
        ("2026-05-21T05:32:10", "yesterday", "2026-05-20", "2026-05-21"),
        ("2026-05-21T05:32:10", "this-week", "2026-05-18", None),
        ("2026-05-21T05:32:10", "last-week", "2026-05-11", "2026-05-18"),
        ("2026-05-21T05:32:10", "this-month", "2026-05-01", None),
        ("2026-05-21T05:32:10", "last-month", "2026-04-01", "2026-05-01"),
        # A week begins on Monday: first and last second of one.
        ("2026-05-18T00:00:01", "this-week", "2026-05-18", None),
        ("2026-05-18T00:00:01", "last-week", "2026-05-11", "2026-05-18"),
        ("2026-05-24T23:59:59", "this-week", "2026-05-18", None),
        ("2026-05-24T23:59:59", "last-week", "2026-05-11", "2026-05-18"),
        # Months of every length, and years.
        ("2026-03-31T12:00:00", "last-month", "2026-02-01", "2026-03-01"),
        ("2028-03-01T00:00:01", "last-month", "2028-02-01", "2028-03-01"),
        ("2028-02-29T23:59:59", "this-month", "2028-02-01", None),
        ("2028-02-29T23:59:59", "last-month", "2028-01-01", "2028-02-01"),
        ("2026-01-01T00:00:01", "last-month", "2025-12-01", "2026-01-01"),
        ("2026-01-01T00:00:01", "yesterday", "2025-12-31", "2026-01-01"),
        ("2026-01-01T00:00:01", "this-week", "2025-12-29", None),
        ("2026-01-01T00:00:01", "last-week", "2025-12-22", "2025-12-29"),
        ("2026-12-31T23:59:59", "this-month", "2026-12-01", None),
        # One second after midnight, today is a second long.
        ("2026-05-21T00:00:01", "today", "2026-05-21", None),
        # At midnight sharp the closed ones are whole.
        ("2026-06-01T00:00:00", "yesterday", "2026-05-31", "2026-06-01"),
        ("2026-06-01T00:00:00", "last-week", "2026-05-25", "2026-06-01"),
        ("2026-06-01T00:00:00", "last-month", "2026-05-01", "2026-06-01"),
    ],
)
def test_periods(now, period, start, end):
    now_ms = at(now + "+08:00")
    asked = window(now_ms, period=period)
    assert bounds(asked) == (at(start + "T00:00+08:00"), now_ms if end is None else at(end + "T00:00+08:00"))
    assert asked.includes_now == (asked.end_ms == now_ms)
    assert not asked.clipped


@pytest.mark.parametrize("period", ["today", "this-week", "this-month"])
def test_a_period_that_begins_right_now_is_empty(period):
    with refused("%s: nothing of it has passed yet" % period):
        window(at("2026-06-01T00:00:00+08:00"), period=period)  # a Monday


@pytest.mark.parametrize("period", ["", "tomorrow", "Today", "today ", "last week", "this_week", "next-week", "year"])
def test_unknown_periods(period):
    with refused("Unknown --period '%s'" % period):
        window(period=period)


@pytest.mark.parametrize(
    "where, now, period, length",
    [
        (CHICAGO, "2026-03-09T12:00-05:00", "yesterday", 23 * HOUR),
        (CHICAGO, "2026-11-02T12:00-06:00", "yesterday", 25 * HOUR),
        (CHICAGO, "2026-03-10T12:00-05:00", "last-week", 7 * DAY - HOUR),
        (CHICAGO, "2026-04-10T12:00-05:00", "last-month", 31 * DAY - HOUR),
        (CHICAGO, "2026-12-10T12:00-06:00", "last-month", 30 * DAY + HOUR),
        (BERLIN, "2026-03-30T12:00+02:00", "yesterday", 23 * HOUR),
        (BERLIN, "2026-10-26T12:00+01:00", "yesterday", 25 * HOUR),
        (LORD_HOWE, "2026-10-05T12:00+11:00", "yesterday", 23 * HOUR + 30 * MINUTE),
        (LORD_HOWE, "2026-04-06T12:00+10:30", "yesterday", 24 * HOUR + 30 * MINUTE),
        (APIA, "2011-12-31T12:00+14:00", "today", 12 * HOUR),
    ],
)
def test_periods_follow_the_clocks_of_the_zone(where, now, period, length):
    asked = window(at(now), where, period=period)
    assert asked.end_ms - asked.start_ms == length


def test_the_same_moment_is_another_date_elsewhere():
    now = at("2026-06-01T03:00+08:00")
    assert bounds(window(now, SHANGHAI, period="last-month")) == stretch(
        "2026-05-01T00:00+08:00", "2026-06-01T00:00+08:00"
    )
    assert bounds(window(now, CHICAGO, period="last-month")) == stretch(
        "2026-04-01T00:00-05:00", "2026-05-01T00:00-05:00"
    )


# --- from and to -----------------------------------------------------------------------------

LATER = at("2026-11-24T05:32:10+08:00")


@pytest.mark.parametrize(
    "start, end, expected",
    [
        ("2026-05-08", "2026-05-21", ("2026-05-08T00:00+08:00", "2026-05-22T00:00+08:00")),
        ("2026-05-21", "2026-05-21", ("2026-05-21T00:00+08:00", "2026-05-22T00:00+08:00")),
        ("2026-02-28", "2026-02-28", ("2026-02-28T00:00+08:00", "2026-03-01T00:00+08:00")),
        ("2025-12-31", "2025-12-31", ("2025-12-31T00:00+08:00", "2026-01-01T00:00+08:00")),
        ("2026-05-08", "2026-05-21T00:00", ("2026-05-08T00:00+08:00", "2026-05-21T00:00+08:00")),
        ("2026-05-08T23:59:59.999", "2026-05-08", ("2026-05-08T23:59:59.999+08:00", "2026-05-09T00:00+08:00")),
        ("2026-05-08T10:00", "2026-05-08T10:00:00.001", ("2026-05-08T10:00+08:00", "2026-05-08T10:00:00.001+08:00")),
        ("2026-05-08 10:00", "2026-05-08 10:01:02", ("2026-05-08T10:00+08:00", "2026-05-08T10:01:02+08:00")),
        ("2026-05-08T10:00", None, ("2026-05-08T10:00+08:00", "2026-11-24T05:32:10+08:00")),
        ("2026-05-08", None, ("2026-05-08T00:00+08:00", "2026-11-24T05:32:10+08:00")),
        ("2026-05-08T10:00Z", "2026-05-08T10:00-01:00", ("2026-05-08T10:00+00:00", "2026-05-08T11:00+00:00")),
        # A time without offset is the zone's, whatever the other end says.
        ("2026-05-08T10:00", "2026-05-08T02:00:00.001Z", ("2026-05-08T10:00+08:00", "2026-05-08T10:00:00.001+08:00")),
        ("2026-05-08T01:59:59Z", "2026-05-08T10:00", ("2026-05-08T09:59:59+08:00", "2026-05-08T10:00+08:00")),
        ("2026-05-08T16:30Z", "2026-05-09", ("2026-05-09T00:30+08:00", "2026-05-10T00:00+08:00")),
    ],
)
def test_from_and_to(start, end, expected):
    asked = window(LATER, start=start, end=end)
    assert bounds(asked) == stretch(*expected)
    assert not asked.clipped
    assert asked.includes_now == (end is None)


@pytest.mark.parametrize(
    "words, instant",
    [
        ("2026-05-21", "2026-05-21T00:00+08:00"),
        ("2024-02-29", "2024-02-29T00:00+08:00"),
        ("2000-01-01", "2000-01-01T00:00+08:00"),
        ("2000-01-01T00:00Z", "2000-01-01T00:00+00:00"),
        ("2026-05-21T10:00", "2026-05-21T10:00+08:00"),
        ("2026-05-21 10:00", "2026-05-21T10:00+08:00"),
        ("2026-05-21T00:00", "2026-05-21T00:00+08:00"),
        ("2026-05-21T23:59", "2026-05-21T23:59+08:00"),
        ("2026-05-21T10:00:00", "2026-05-21T10:00:00+08:00"),
        ("2026-05-21T10:20:59", "2026-05-21T10:20:59+08:00"),
        ("2026-05-21T10:00:00.5", "2026-05-21T10:00:00.500+08:00"),
        ("2026-05-21T10:00:00.05", "2026-05-21T10:00:00.050+08:00"),
        ("2026-05-21T10:00:00.007", "2026-05-21T10:00:00.007+08:00"),
        ("2026-05-21T10:00:00.999", "2026-05-21T10:00:00.999+08:00"),
        ("2026-05-21T10:00Z", "2026-05-21T10:00+00:00"),
        ("2026-05-21T10:00+00:00", "2026-05-21T10:00+00:00"),
        ("2026-05-21T10:00-00:00", "2026-05-21T10:00+00:00"),
        ("2026-05-21T10:00+08:00", "2026-05-21T10:00+08:00"),
        ("2026-05-21T10:00-05:30", "2026-05-21T15:30+00:00"),
        ("2026-05-21T10:00+05:45", "2026-05-21T04:15+00:00"),
        ("2026-05-21T10:00+12:59", "2026-05-20T21:01+00:00"),
        ("2026-05-21T10:00+23:59", "2026-05-20T10:01+00:00"),
        ("2026-05-21T10:00-23:59", "2026-05-22T09:59+00:00"),
        ("2026-05-21T10:00:01.5-05:30", "2026-05-21T15:30:01.500+00:00"),
    ],
)
def test_a_moment_is_the_instant_that_it_spells(words, instant):
    start_ms = at(instant)
    assert window(start_ms + SECOND, start=words).start_ms == start_ms


NO_MOMENTS = {
    "no such date": ["2026-02-29", "2026-02-30", "2026-04-31", "2026-13-01", "2026-00-10", "2026-05-00", "2026-05-32"],
    "no such year": ["0000-01-01", "-2026-05-21", "12026-05-21"],
    "no such time": ["2026-05-21T24:00", "2026-05-21T25:00", "2026-05-21T10:60", "2026-05-21T10:00:60"],
    "no such time on no such date": ["2026-02-30T10:00", "2026-02-30T10:00Z"],
    "no such offset": ["2026-05-21T10:00+24:00", "2026-05-21T10:00-24:00", "2026-05-21T10:00+08:60"],
    "dates in other notations": [
        "2026-5-1",
        "20260521",
        "2026/05/21",
        "21-05-2026",
        "26-05-21",
        "2026-W21-4",
        "2026-05",
    ],
    "times in other notations": ["2026-05-21T10", "2026-05-21T1:00", "2026-05-21T10:00.5", "2026-05-21t10:00", "10:00"],
    "offsets in other notations": ["2026-05-21T10:00+8", "2026-05-21T10:00+0800", "2026-05-21T10:00z"],
    "zones": ["2026-05-21T10:00CST", "2026-05-21T10:00[Asia/Shanghai]", "2026-05-21T10:00\u221208:00"],
    "fractions": [
        "2026-05-21T10:00:00.",
        "2026-05-21T10:00:00.1234",
        "2026-05-21T10:00:00.0123",
        "2026-05-21T10:00:00,5",
    ],
    "blanks": ["2026-05-21 ", " 2026-05-21", "2026-05-21\n", "2026-05-21  10:00", "2026-05-21T10:00 Z", "2026-05-21T"],
    "other words": ["", " ", "now", "today", "1779292800000", "２０２６-05-21", "２０２６-05-21T10:00"],
}


@pytest.mark.parametrize("words", [words for group in NO_MOMENTS.values() for words in group])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_what_is_no_moment(option, words):
    with refused("%s .* is not a date or date-time that exists" % option):
        parse(None, None, *((words, None) if option == "--from" else ("2026-01-01", words)))


@pytest.mark.parametrize(
    "words", ["1999-12-31", "1999-12-31T23:59:59Z", "1970-01-01", "0001-01-01", "9999-01-01", "9999-12-31T23:59-12:00"]
)
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_moments_beyond_any_sense(option, words):
    with refused("%s '%s' is out of any sensible range" % (option, words)):
        parse(None, None, *((words, None) if option == "--from" else ("2026-01-01", words)))


def test_an_end_in_the_last_sensible_year():
    assert window(start="2026-05-21", end="9998-12-31").end_ms == THURSDAY


def test_long_words_are_not_repeated_whole():
    with pytest.raises(UsageError) as caught:
        parse(None, None, "x" * 300, None)
    assert "x" * 61 not in caught.value.message


@pytest.mark.parametrize(
    "start, end",
    [
        ("2026-05-21", "2026-05-20"),
        ("2026-05-21T10:00", "2026-05-21T10:00"),
        ("2026-05-21T10:00", "2026-05-21T09:59:59.999"),
        ("2026-05-21T10:00+08:00", "2026-05-21T02:00Z"),
        ("2026-05-21T10:00+08:00", "2026-05-21T09:00+08:00"),
    ],
)
def test_what_is_reversed_in_every_zone_needs_none_to_be_refused(start, end):
    with refused("lies before"):
        parse(None, None, start, end)


@pytest.mark.parametrize(
    "start, end",
    [
        ("2026-05-21", "2026-05-21T00:00"),
        ("2026-05-21", "2026-05-20T23:59"),
        ("2026-05-21T00:00", "2026-05-20"),
        ("2026-05-21T10:00", "2026-05-21T02:00Z"),
        ("2026-05-21T02:00Z", "2026-05-21T10:00"),
        ("2026-05-20T16:00Z", "2026-05-20"),
    ],
)
def test_what_is_empty_in_this_zone(start, end):
    with refused("the end is not after the start"):
        window(LATER, start=start, end=end)


def test_a_zone_decides_which_moment_comes_first():
    expression = parse(None, None, "2026-05-21T10:00", "2026-05-21T02:30Z")
    assert bounds(resolve(expression, LATER, SHANGHAI)) == stretch("2026-05-21T10:00+08:00", "2026-05-21T10:30+08:00")
    with refused("the end is not after the start"):
        resolve(expression, LATER, CHICAGO)


@pytest.mark.parametrize(
    "start, end, why",
    [
        ("2026-05-22", "2026-05-23", "nothing of it has passed yet"),
        ("2026-05-21T05:32:10", "2026-05-22", "nothing of it has passed yet"),
        ("2026-05-21T05:32:10.001", "2026-05-21", "nothing of it has passed yet"),
        ("2026-05-22", None, "the end is not after the start"),
        ("2026-05-21T05:32:10", None, "the end is not after the start"),
    ],
)
def test_the_future_has_no_usage(start, end, why):
    with refused("from %s.*: %s" % (start, why)):
        window(start=start, end=end)


def test_the_last_millisecond_before_now():
    asked = window(start="2026-05-21T05:32:09.999")
    assert bounds(asked) == (THURSDAY - 1, THURSDAY)


@pytest.mark.parametrize(
    "end, clipped",
    [
        ("2026-05-20", None),
        ("2026-05-21T05:32:09.999", None),
        ("2026-05-21T05:32:10", None),
        ("2026-05-21T05:32:10.001", True),
        ("2026-05-21", False),  # the end of today: what anybody means who asks until today
        ("2026-05-22T00:00", False),
        ("2026-05-21T16:00Z", False),
        ("2026-05-21T23:59:59.999", True),
        ("2026-05-22T00:00:00.001", True),
        ("2026-05-20T23:59-12:00", True),
        ("2026-05-22", True),
        ("2027-05-21", True),
    ],
)
def test_an_end_beyond_now_is_clipped(end, clipped):
    asked = window(start="2026-05-08", end=end)
    assert asked.clipped is (clipped is True)
    assert asked.includes_now == (clipped is not None or end == "2026-05-21T05:32:10")
    assert (asked.end_ms == THURSDAY) == asked.includes_now
    assert asked.end_ms <= THURSDAY


@pytest.mark.parametrize(
    "where, now, today",
    [
        (CHICAGO, "2026-03-08T00:30-06:00", "2026-03-08"),
        (CHICAGO, "2026-11-01T23:30-06:00", "2026-11-01"),
        (BEIRUT, "2026-03-28T12:00+02:00", "2026-03-28"),  # ends where 00:00 is skipped
        (HAVANA, "2026-10-31T12:00-04:00", "2026-10-31"),  # ends where 00:00 comes twice
    ],
)
def test_the_end_of_today_is_that_of_the_zone(where, now, today):
    asked = window(at(now), where, start="2026-01-01", end=today)
    assert (asked.end_ms, asked.clipped) == (at(now), False)


# --- 366 days --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where, start, end",
    [
        (SHANGHAI, "2025-05-21", "2026-05-21"),
        (SHANGHAI, "2025-05-21T00:00Z", "2026-05-22T00:00Z"),
        (SHANGHAI, "2027-03-01", "2028-02-29"),
        # 366 dates, and an hour more than 366 days: dates count.
        (BERLIN, "2025-10-25", "2026-10-25"),
        (BERLIN, "2025-10-25T00:00", "2026-10-26T00:00"),
        # 366 days, and an hour more on the wall: days count.
        (BERLIN, "2025-03-29T00:00", "2026-03-30T01:00"),
    ],
)
def test_366_days_are_allowed(where, start, end):
    asked = window(at("2028-12-01T00:00+00:00"), where, start=start, end=end)
    assert asked.end_ms - asked.start_ms >= 366 * DAY


@pytest.mark.parametrize(
    "where, start, end",
    [
        (SHANGHAI, "2025-05-20", "2026-05-21"),
        (SHANGHAI, "2025-05-21T00:00Z", "2026-05-22T00:00:00.001Z"),
        (SHANGHAI, "2025-05-20T23:59:59.999Z", "2026-05-22T00:00Z"),
        (SHANGHAI, "2027-02-28", "2028-02-29"),
        (BERLIN, "2025-10-24", "2026-10-25"),
        (BERLIN, "2025-10-25T00:00", "2026-10-26T00:00:00.001"),
        (BERLIN, "2025-03-29T00:00", "2026-03-30T01:00:00.001"),
        (SHANGHAI, "2000-01-01", "2028-01-01"),
    ],
)
def test_more_than_366_days_are_not(where, start, end):
    with refused("at most 366 days"):
        window(at("2028-12-01T00:00+00:00"), where, start=start, end=end)


def test_366_days_until_now():
    now = at("2026-05-21T05:32:10+00:00")
    asked = window(now, UTC, start="2025-05-20T05:32:10")
    assert asked.end_ms - asked.start_ms == 366 * DAY
    with refused("at most 366 days"):
        window(now, UTC, start="2025-05-20T05:32:09.999")
    assert window(now, UTC, start="2025-05-21", end="2028-01-01").end_ms == now


# --- clocks that change ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "where, words, trouble, suggestion",
    [
        (CHICAGO, "2026-03-08T02:00", "does not exist", "2026-03-08T03:00:00-05:00"),
        (CHICAGO, "2026-03-08T02:30", "does not exist", "2026-03-08T03:30:00-05:00"),
        (CHICAGO, "2026-03-08T02:59:59.999", "does not exist", "2026-03-08T03:59:59.999000-05:00"),
        (CHICAGO, "2026-11-01T01:00", "comes twice", "2026-11-01T01:00:00-05:00"),
        (CHICAGO, "2026-11-01T01:59:59.999", "comes twice", "2026-11-01T01:59:59.999000-05:00"),
        (BERLIN, "2026-03-29T02:30", "does not exist", "2026-03-29T03:30:00+02:00"),
        (BERLIN, "2026-10-25T02:30", "comes twice", "2026-10-25T02:30:00+02:00"),
        (LORD_HOWE, "2026-10-04T02:00", "does not exist", "2026-10-04T02:30:00+11:00"),
        (LORD_HOWE, "2026-10-04T02:29", "does not exist", "2026-10-04T02:59:00+11:00"),
        (LORD_HOWE, "2026-04-05T01:30", "comes twice", "2026-04-05T01:30:00+11:00"),
        (HAVANA, "2026-11-01T00:00", "comes twice", "2026-11-01T00:00:00-04:00"),
        (BEIRUT, "2026-03-29T00:00", "does not exist", "2026-03-29T01:00:00+03:00"),
        (APIA, "2011-12-30T12:00", "does not exist", "2011-12-31T12:00:00+14:00"),
    ],
)
@pytest.mark.parametrize("end", [False, True], ids=["from", "to"])
def test_a_wall_clock_time_that_names_no_single_instant(where, words, trouble, suggestion, end):
    written = words.replace("T02:59:59.999", "T02:59:59.999000").replace("T01:59:59.999", "T01:59:59.999000")
    day = words[:10]
    options = {"start": "%s-01-01" % day[:4], "end": words} if end else {"start": words}
    now = at(day + "T00:00+00:00") + 20 * DAY
    with refused("%s(:00)? %s in %s, .* as in %s" % (written, trouble, where, re.escape(suggestion))):
        window(now, where, **options)


@pytest.mark.parametrize(
    "where, words, instant",
    [
        (CHICAGO, "2026-03-08T01:59:59.999", "2026-03-08T01:59:59.999-06:00"),
        (CHICAGO, "2026-03-08T03:00", "2026-03-08T03:00-05:00"),
        (CHICAGO, "2026-03-08T02:30-06:00", "2026-03-08T03:30-05:00"),
        (CHICAGO, "2026-11-01T00:59:59.999", "2026-11-01T00:59:59.999-05:00"),
        (CHICAGO, "2026-11-01T02:00", "2026-11-01T02:00-06:00"),
        (CHICAGO, "2026-11-01T01:30-05:00", "2026-11-01T01:30-05:00"),
        (CHICAGO, "2026-11-01T01:30-06:00", "2026-11-01T01:30-06:00"),
        (LORD_HOWE, "2026-10-04T02:30", "2026-10-04T02:30+11:00"),
        (LORD_HOWE, "2026-04-05T01:29:59.999", "2026-04-05T01:29:59.999+11:00"),
        (LORD_HOWE, "2026-04-05T02:00", "2026-04-05T02:00+10:30"),
        (SHANGHAI, "2026-03-08T02:30", "2026-03-08T02:30+08:00"),
        (BERLIN, "2026-03-08T02:30", "2026-03-08T02:30+01:00"),
        # A bare date is never ambiguous: the day begins with its first instant.
        (HAVANA, "2026-11-01", "2026-11-01T00:00-04:00"),
        (BEIRUT, "2026-03-29", "2026-03-29T01:00+03:00"),
    ],
)
def test_a_wall_clock_time_beside_a_change(where, words, instant):
    assert window(at(instant) + 10 * DAY, where, start=words).start_ms == at(instant)
    before = window(at(instant) + 10 * DAY, where, start="%s-01-01" % words[:4], end=words)
    assert before.end_ms == at(instant) if "T" in words else before.end_ms > at(instant)


@pytest.mark.parametrize(
    "where, start, end, length",
    [
        (CHICAGO, "2026-03-08", "2026-03-08", 23 * HOUR),
        (CHICAGO, "2026-11-01", "2026-11-01", 25 * HOUR),
        (CHICAGO, "2026-03-08T00:00", "2026-03-09T00:00", 23 * HOUR),
        (CHICAGO, "2026-03-01", "2026-03-31", 31 * DAY - HOUR),
        (BERLIN, "2026-03-29", "2026-03-29", 23 * HOUR),
        (BERLIN, "2026-10-25", "2026-10-25", 25 * HOUR),
        (LORD_HOWE, "2026-10-04", "2026-10-04", 23 * HOUR + 30 * MINUTE),
        (BEIRUT, "2026-03-29", "2026-03-29", 23 * HOUR),
        (HAVANA, "2026-11-01", "2026-11-01", 25 * HOUR),
        (SHANGHAI, "2026-03-08", "2026-03-08", DAY),
    ],
)
def test_dates_on_which_the_clocks_change(where, start, end, length):
    asked = window(at("2026-12-01T00:00+00:00"), where, start=start, end=end)
    assert asked.end_ms - asked.start_ms == length


# --- instants and dates ----------------------------------------------------------------------

IANA = sorted(set(pkgutil.get_data("tzdata", "zones").decode().split()) - {"Factory"})
FIRST_MS, LAST_MS = at("2020-01-01T00:00+00:00"), at("2038-01-01T00:00+00:00")
zones = st.sampled_from(IANA)
instants = st.integers(FIRST_MS, LAST_MS)
moving = st.sampled_from([SHANGHAI, CHICAGO, BERLIN, KOLKATA, LORD_HOWE, HAVANA, BEIRUT, AZORES, UTC])


def offset(instant_ms, where):
    return datetime.fromtimestamp(instant_ms // 1000, where).utcoffset()


@lru_cache(maxsize=None)
def changes(name):
    """The instants, to the second, at which the clocks of a zone change."""
    where = zone.named(name)
    found = []
    for begin in range(FIRST_MS, LAST_MS, 7 * DAY):
        low, high = begin, begin + 7 * DAY
        if offset(low, where) == offset(high, where):
            continue
        while high - low > SECOND:
            middle = (low + high) // 2 // SECOND * SECOND
            low, high = (middle, high) if offset(middle, where) == offset(low, where) else (low, middle)
        found.append(high)
    return found


@st.composite
def zone_and_date(draw):
    """Any date, but often one on which something happens."""
    name = draw(zones)
    moments = changes(name)
    if moments and draw(st.integers(0, 4)):
        day = datetime.fromtimestamp(draw(st.sampled_from(moments)) // 1000, zone.named(name)).date()
        return name, day + timedelta(days=draw(st.integers(-1, 1)))
    return name, draw(st.dates(date(2020, 1, 1), date(2037, 12, 31)))


@settings(max_examples=250, deadline=None)
@given(zone_and_date())
@example(("Asia/Beirut", date(2026, 3, 29)))
@example(("America/Havana", date(2026, 11, 1)))
@example(("Antarctica/Vostok", date(2023, 12, 18)))
@example(("America/Scoresbysund", date(2025, 10, 26)))
@example(("Africa/Cairo", date(2026, 10, 30)))
def test_a_day_begins_with_the_first_instant_of_its_date(sample):
    name, day = sample
    where = zone.named(name)
    start_ms = start_of_day(day, where)

    def date_at(instant_ms):
        return datetime.fromtimestamp(instant_ms / 1000, where).date()

    assert date_at(start_ms) == day
    assert date_at(start_ms - 1) < day
    assert all(date_at(start_ms - quarter * 15 * MINUTE) < day for quarter in range(1, 27 * 4))


@settings(max_examples=100, deadline=None)
@given(instants, zones)
def test_instants_survive_the_way_through_a_zone(instant_ms, name):
    where = zone.named(name)
    there = from_ms(instant_ms, where)
    assert there.tzinfo is where
    assert to_ms(there) == instant_ms
    assert at(rfc3339(instant_ms, where)) == instant_ms


@pytest.mark.parametrize(
    "instant, where, text",
    [
        ("2026-05-21T00:00+08:00", SHANGHAI, "2026-05-21T00:00:00+08:00"),
        ("2026-05-21T00:00+08:00", UTC, "2026-05-20T16:00:00+00:00"),
        ("2026-05-21T00:00+08:00", CHICAGO, "2026-05-20T11:00:00-05:00"),
        ("2026-05-21T00:00+08:00", KOLKATA, "2026-05-20T21:30:00+05:30"),
        ("2026-05-21T00:00:00.001+08:00", SHANGHAI, "2026-05-21T00:00:00.001+08:00"),
        ("2026-05-21T00:00:00.999+08:00", SHANGHAI, "2026-05-21T00:00:00.999+08:00"),
        ("2026-05-21T00:00:00.500+08:00", SHANGHAI, "2026-05-21T00:00:00.500+08:00"),
        ("2026-05-21T00:00:01+08:00", SHANGHAI, "2026-05-21T00:00:01+08:00"),
        ("2026-11-01T01:30-05:00", CHICAGO, "2026-11-01T01:30:00-05:00"),
        ("2026-11-01T01:30-06:00", CHICAGO, "2026-11-01T01:30:00-06:00"),
    ],
)
def test_rfc3339(instant, where, text):
    assert rfc3339(at(instant), where) == text


def test_the_epoch():
    assert to_ms(datetime(1970, 1, 1, 0, 0, 1, 2000, tzinfo=timezone.utc)) == 1002
    assert from_ms(-1, UTC).isoformat() == "1969-12-31T23:59:59.999000+00:00"


def test_local_dates():
    midnight = at("2026-05-21T00:00+08:00")
    assert local_date(midnight, SHANGHAI) == date(2026, 5, 21)
    assert local_date(midnight - 1, SHANGHAI) == date(2026, 5, 20)
    assert local_date(midnight, CHICAGO) == date(2026, 5, 20)


# --- coverage --------------------------------------------------------------------------------


def test_the_service_keeps_30_days():
    assert retained_since(THURSDAY) == THURSDAY - 2_592_000_000


@pytest.mark.parametrize(
    "start, end, since",
    [
        (-10 * HOUR, 0, -2 * HOUR),
        (-HOUR, 0, -HOUR),
        (-2 * HOUR, 0, -2 * HOUR),
        (-2 * HOUR - 1, 0, -2 * HOUR),
        (-10 * HOUR, -2 * HOUR + 1, -2 * HOUR),
        (-10 * HOUR, -2 * HOUR, None),
        (-10 * HOUR, -5 * HOUR, None),
        (-HOUR, -HOUR // 2, -HOUR),
    ],
)
def test_the_last_two_hours_are_provisional(start, end, since):
    asked = made(THURSDAY + start, THURSDAY + end, SHANGHAI, THURSDAY)
    assert provisional_since(asked) == (None if since is None else THURSDAY + since)


# --- segments --------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    start_ms=instants,
    length=st.one_of(st.integers(1, 400 * DAY), st.integers(1, 14).map(lambda n: n * 30 * DAY)),
    kept=st.one_of(st.integers(-400 * DAY, 800 * DAY), st.integers(-2, 14).map(lambda n: n * 30 * DAY)),
    jitter=st.integers(-1, 1),
)
def test_segments_tile_a_window(start_ms, length, kept, jitter):
    end_ms, kept_since = start_ms + length, start_ms + kept + jitter
    parts = segments(start_ms, end_ms, kept_since)
    assert [part.start_ms for part in parts] == [start_ms] + [part.end_ms for part in parts[:-1]]
    assert parts[-1].end_ms == end_ms
    for part in parts:
        assert 0 < part.end_ms - part.start_ms <= 30 * DAY
        assert part.end_ms <= kept_since or part.start_ms >= kept_since
        assert part.expired == (part.end_ms <= kept_since)
    before = max(0, min(kept_since, end_ms) - start_ms)
    assert len(parts) == -(-before // (30 * DAY)) + -(-(length - before) // (30 * DAY)), "as few calls as possible"


@pytest.mark.parametrize(
    "start, end, kept, expected",
    [
        (0, 0, 0, []),
        (5, 4, 0, []),
        (0, 30 * DAY, 0, [Segment(0, 30 * DAY, False)]),
        (0, 30 * DAY, 30 * DAY, [Segment(0, 30 * DAY, True)]),
        (0, 30 * DAY + 1, 0, [Segment(0, 30 * DAY, False), Segment(30 * DAY, 30 * DAY + 1, False)]),
        (0, 45 * DAY, 15 * DAY, [Segment(0, 15 * DAY, True), Segment(15 * DAY, 45 * DAY, False)]),
        (7, 10, 8, [Segment(7, 8, True), Segment(8, 10, False)]),
        (7, 10, 10, [Segment(7, 10, True)]),
        (7, 10, 7, [Segment(7, 10, False)]),
    ],
)
def test_segments(start, end, kept, expected):
    assert segments(start, end, kept) == expected


# Calls at whole milliseconds; what they used in thousand tokens.
usages = st.lists(st.tuples(st.integers(0, 100 * DAY), st.decimals(0, 9999, places=3)), max_size=30)


def answer(events, body, end_counts=True):
    inside = [
        tokens
        for moment_ms, tokens in events
        if body["start_time"] <= moment_ms < body["end_time"] + (1 if end_counts else 0)
    ]
    figures = {"total_token": sum(inside, Decimal(0)), "total_prompt_token": sum(inside, Decimal(0)) / 2}
    text = ", ".join('"%s": %s' % pair for pair in figures.items())
    counts = {"total_completion_token": 0, "total_request_count": len(inside), "total_error_count": 0}
    text = "{%s, %s" % (text, json.dumps(counts)[1:])
    return statistics.usage_of(statistics.load_json(text.encode()))


def asked_in_parts(events, parts, end_counts=True):
    bodies = [
        statistics.request_body(
            service_type=2,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            infer_type="real_time",
            timezone="UTC",
            api_keys=None,
        )
        for part in parts
    ]
    return statistics.add_up(answer(events, body, end_counts) for body in bodies)


@settings(max_examples=100, deadline=None)
@given(
    events=usages,
    start=st.integers(0, 50 * DAY),
    length=st.integers(1, 50 * DAY),
    kept=st.integers(0, 100 * DAY),
    data=st.data(),
)
def test_totals_do_not_depend_on_how_a_window_is_cut(events, start, length, kept, data):
    end = start + length
    whole = segments(start, end, kept)
    # Calls right at the seams are the ones that could count twice, or never.
    seams = st.sampled_from([part.start_ms for part in whole] + [end])
    events = events + [(data.draw(seams) + data.draw(st.integers(-1, 1)), Decimal("0.125")) for _ in range(5)]
    inside = [tokens for moment_ms, tokens in events if start <= moment_ms < end]

    total = asked_in_parts(events, whole)
    assert (total.total_tokens, total.requests) == (sum(inside, Decimal(0)) * 1000, len(inside))
    by_day = days(made(start, end, data.draw(moving)))
    for parts in (by_day, [part for day in by_day for part in segments(day.start_ms, day.end_ms, kept)]):
        by_parts = asked_in_parts(events, parts)
        assert (by_parts.total_tokens, by_parts.requests) == (total.total_tokens, total.requests)
    # Should the service leave out `end_time` itself, still nothing counts twice.
    assert asked_in_parts(events, whole, end_counts=False).requests <= len(inside)


# --- days ------------------------------------------------------------------------------------


@st.composite
def windows(draw, longest):
    where = draw(moving)
    start_ms = draw(instants)
    if draw(st.booleans()):
        start_ms = draw(st.sampled_from(changes(str(where)) or [start_ms])) + draw(st.integers(-2, 2)) * DAY
    if draw(st.booleans()):
        start_ms = start_of_day(local_date(start_ms, where), where)
    length = draw(st.one_of(st.integers(1, longest), st.integers(1, longest // HOUR).map(lambda n: n * HOUR)))
    return made(start_ms, start_ms + length, where)


def assert_tiles(buckets, of):
    assert [bucket.start_ms for bucket in buckets] == [of.start_ms] + [bucket.end_ms for bucket in buckets[:-1]]
    assert buckets[-1].end_ms == of.end_ms
    assert all(bucket.start_ms < bucket.end_ms for bucket in buckets)
    assert len({bucket.label for bucket in buckets}) == len(buckets)


@settings(max_examples=200, deadline=None)
@given(windows(40 * DAY))
def test_days_tile_a_window(asked):
    buckets = days(asked)
    assert_tiles(buckets, asked)
    first = local_date(asked.start_ms, asked.zone)
    assert [bucket.label for bucket in buckets] == [
        (first + timedelta(days=n)).isoformat() for n in range(len(buckets))
    ]
    for bucket in buckets:
        for instant_ms in (bucket.start_ms, bucket.end_ms - 1):
            assert from_ms(instant_ms, asked.zone).date().isoformat() == bucket.label
    assert not any(bucket.partial for bucket in buckets[1:-1])
    for edge, instant_ms in ((buckets[0], asked.start_ms - 1), (buckets[-1], asked.end_ms)):
        if from_ms(instant_ms, asked.zone).date().isoformat() == edge.label:
            assert edge.partial


@pytest.mark.parametrize(
    "where, start, end, expected",
    [
        (SHANGHAI, "2026-05-20T00:00+08:00", "2026-05-21T00:00+08:00", [("2026-05-20", 24, False)]),
        (SHANGHAI, "2026-05-20T01:00+08:00", "2026-05-21T00:00+08:00", [("2026-05-20", 23, True)]),
        (SHANGHAI, "2026-05-20T00:00+08:00", "2026-05-20T23:00+08:00", [("2026-05-20", 23, True)]),
        (SHANGHAI, "2026-05-20T05:00+08:00", "2026-05-20T06:00+08:00", [("2026-05-20", 1, True)]),
        (
            SHANGHAI,
            "2026-05-19T22:00+08:00",
            "2026-05-21T01:00+08:00",
            [("2026-05-19", 2, True), ("2026-05-20", 24, False), ("2026-05-21", 1, True)],
        ),
        (
            CHICAGO,
            "2026-03-07T00:00-06:00",
            "2026-03-10T00:00-05:00",
            [("2026-03-07", 24, False), ("2026-03-08", 23, False), ("2026-03-09", 24, False)],
        ),
        (
            CHICAGO,
            "2026-10-31T00:00-05:00",
            "2026-11-03T00:00-06:00",
            [("2026-10-31", 24, False), ("2026-11-01", 25, False), ("2026-11-02", 24, False)],
        ),
        (BERLIN, "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", [("2026-03-29", 23, False)]),
        (BERLIN, "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", [("2026-10-25", 25, False)]),
        (LORD_HOWE, "2026-10-04T00:00+10:30", "2026-10-05T00:00+11:00", [("2026-10-04", 23.5, False)]),
        (LORD_HOWE, "2026-04-05T00:00+11:00", "2026-04-06T00:00+10:30", [("2026-04-05", 24.5, False)]),
        (HAVANA, "2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00", [("2026-11-01", 25, False)]),
        (HAVANA, "2026-11-01T00:00-05:00", "2026-11-02T00:00-05:00", [("2026-11-01", 24, True)]),
        # A date that the zone skipped has no row.
        (
            APIA,
            "2011-12-29T00:00-10:00",
            "2012-01-01T00:00+14:00",
            [("2011-12-29", 24, False), ("2011-12-31", 24, False)],
        ),
    ],
)
def test_days(where, start, end, expected):
    asked = made(at(start), at(end), where)
    buckets = days(asked)
    assert_tiles(buckets, asked)
    assert [(b.label, (b.end_ms - b.start_ms) / HOUR, b.partial) for b in buckets] == expected


@pytest.mark.parametrize("cut", [(1, 0), (0, 1)])
def test_a_day_without_a_millisecond_is_partial(cut):
    start_ms, end_ms = at("2026-05-20T00:00+08:00") + cut[0], at("2026-05-21T00:00+08:00") - cut[1]
    assert days(made(start_ms, end_ms, SHANGHAI)) == [Bucket("2026-05-20", start_ms, end_ms, True)]


# --- hours -----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(windows(5 * DAY))
def test_hours_tile_a_window(asked):
    buckets = hours(asked)
    assert_tiles(buckets, asked)
    for bucket in buckets:
        begin_ms = at(bucket.label)
        assert rfc3339(begin_ms, asked.zone) == bucket.label
        assert begin_ms <= bucket.start_ms < bucket.end_ms <= begin_ms + HOUR
        assert bucket.label[14:19] == "00:00" or asked.zone is LORD_HOWE
    for whole in buckets[1:-1]:
        assert not whole.partial
        assert at(whole.label) == whole.start_ms
        assert from_ms(whole.end_ms, asked.zone).minute == 0 or asked.zone is LORD_HOWE
    assert buckets[0].partial or at(buckets[0].label) == asked.start_ms


def test_an_hour_that_comes_twice_has_two_names():
    buckets = hours(made(*stretch("2026-11-01T00:00-05:00", "2026-11-02T00:00-06:00"), CHICAGO))
    assert [b.label for b in buckets[:4]] == [
        "2026-11-01T00:00:00-05:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:00:00-06:00",
        "2026-11-01T02:00:00-06:00",
    ]
    assert [b.end_ms - b.start_ms for b in buckets] == [HOUR] * 25
    assert not any(b.partial for b in buckets)


def test_an_hour_that_is_skipped_has_no_row():
    buckets = hours(made(*stretch("2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"), BERLIN))
    assert [b.label[11:] for b in buckets[:4]] == [
        "00:00:00+01:00",
        "01:00:00+01:00",
        "03:00:00+02:00",
        "04:00:00+02:00",
    ]
    assert [b.end_ms - b.start_ms for b in buckets] == [HOUR] * 23


@pytest.mark.parametrize(
    "where, start, end, expected",
    [
        (
            SHANGHAI,
            "2026-05-21T10:15+08:00",
            "2026-05-21T12:30+08:00",
            [
                ("2026-05-21T10:00:00+08:00", 45, True),
                ("2026-05-21T11:00:00+08:00", 60, False),
                ("2026-05-21T12:00:00+08:00", 30, True),
            ],
        ),
        (SHANGHAI, "2026-05-21T10:15+08:00", "2026-05-21T10:16+08:00", [("2026-05-21T10:00:00+08:00", 1, True)]),
        (SHANGHAI, "2026-05-21T10:00+08:00", "2026-05-21T11:00+08:00", [("2026-05-21T10:00:00+08:00", 60, False)]),
        (
            KOLKATA,
            "2026-05-21T04:00+00:00",
            "2026-05-21T06:00+00:00",
            [
                ("2026-05-21T09:00:00+05:30", 30, True),
                ("2026-05-21T10:00:00+05:30", 60, False),
                ("2026-05-21T11:00:00+05:30", 30, True),
            ],
        ),
        # Half an hour is skipped: the hour of 02 is what is left of it.
        (
            LORD_HOWE,
            "2026-10-04T01:00+10:30",
            "2026-10-04T04:00+11:00",
            [
                ("2026-10-04T01:00:00+10:30", 60, False),
                ("2026-10-04T02:30:00+11:00", 30, False),
                ("2026-10-04T03:00:00+11:00", 60, False),
            ],
        ),
        # Half an hour comes twice.
        (
            LORD_HOWE,
            "2026-04-05T00:00+11:00",
            "2026-04-05T03:00+10:30",
            [
                ("2026-04-05T00:00:00+11:00", 60, False),
                ("2026-04-05T01:00:00+11:00", 60, False),
                ("2026-04-05T01:30:00+10:30", 30, False),
                ("2026-04-05T02:00:00+10:30", 60, False),
            ],
        ),
        # The second of two hours alone.
        (CHICAGO, "2026-11-01T01:30-06:00", "2026-11-01T02:00-06:00", [("2026-11-01T01:00:00-06:00", 30, True)]),
        (CHICAGO, "2026-11-01T01:30-05:00", "2026-11-01T01:45-05:00", [("2026-11-01T01:00:00-05:00", 15, True)]),
    ],
)
def test_hours(where, start, end, expected):
    asked = made(at(start), at(end), where)
    buckets = hours(asked)
    assert_tiles(buckets, asked)
    assert [(b.label, (b.end_ms - b.start_ms) / MINUTE, b.partial) for b in buckets] == expected


# --- the window before -----------------------------------------------------------------------


def before(now, where=SHANGHAI, **options):
    expression = parse(*(options.get(name) for name in ("last", "period", "start", "end")))
    return previous(expression, resolve(expression, at(now), where))


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"last": "24h"}, ("2026-05-19T05:32:10+08:00", "2026-05-20T05:32:10+08:00")),
        ({"last": "2w"}, ("2026-04-23T05:32:10+08:00", "2026-05-07T05:32:10+08:00")),
        ({"period": "today"}, ("2026-05-20T00:00+08:00", "2026-05-20T05:32:10+08:00")),
        ({"period": "yesterday"}, ("2026-05-19T00:00+08:00", "2026-05-20T00:00+08:00")),
        ({"period": "this-week"}, ("2026-05-11T00:00+08:00", "2026-05-14T05:32:10+08:00")),
        ({"period": "last-week"}, ("2026-05-04T00:00+08:00", "2026-05-11T00:00+08:00")),
        ({"period": "this-month"}, ("2026-04-01T00:00+08:00", "2026-04-21T05:32:10+08:00")),
        ({"period": "last-month"}, ("2026-03-01T00:00+08:00", "2026-04-01T00:00+08:00")),
        ({"start": "2026-05-08", "end": "2026-05-20"}, ("2026-04-25T00:00+08:00", "2026-05-08T00:00+08:00")),
        ({"start": "2026-05-20", "end": "2026-05-20"}, ("2026-05-19T00:00+08:00", "2026-05-20T00:00+08:00")),
        # Not whole dates, or not whole any more: the same length just before.
        ({"start": "2026-05-20"}, ("2026-05-18T18:27:50+08:00", "2026-05-20T00:00+08:00")),
        ({"start": "2026-05-20", "end": "2026-05-21"}, ("2026-05-18T18:27:50+08:00", "2026-05-20T00:00+08:00")),
        ({"start": "2026-05-20T10:00", "end": "2026-05-20"}, ("2026-05-19T20:00+08:00", "2026-05-20T10:00+08:00")),
        ({"start": "2026-05-20", "end": "2026-05-20T10:00"}, ("2026-05-19T14:00+08:00", "2026-05-20T00:00+08:00")),
    ],
)
def test_the_window_before(options, expected):
    earlier = before("2026-05-21T05:32:10+08:00", **options)
    assert bounds(earlier) == stretch(*expected)
    assert (earlier.zone, earlier.now_ms, earlier.clipped) == (SHANGHAI, THURSDAY, False)
    assert earlier.expression.startswith("before ")


@pytest.mark.parametrize(
    "now, where, options, expected",
    [
        # Never past the end of the period before.
        (
            "2026-03-31T12:00+08:00",
            SHANGHAI,
            {"period": "this-month"},
            ("2026-02-01T00:00+08:00", "2026-03-01T00:00+08:00"),
        ),
        (
            "2026-05-31T12:00+08:00",
            SHANGHAI,
            {"period": "this-month"},
            ("2026-04-01T00:00+08:00", "2026-05-01T00:00+08:00"),
        ),
        (
            "2026-01-15T12:00+08:00",
            SHANGHAI,
            {"period": "this-month"},
            ("2025-12-01T00:00+08:00", "2025-12-15T12:00+08:00"),
        ),
        # A closed period is compared with a whole one, at midnight sharp too.
        (
            "2026-05-21T00:00+08:00",
            SHANGHAI,
            {"period": "yesterday"},
            ("2026-05-19T00:00+08:00", "2026-05-20T00:00+08:00"),
        ),
        (
            "2026-05-18T00:00+08:00",
            SHANGHAI,
            {"period": "last-week"},
            ("2026-05-04T00:00+08:00", "2026-05-11T00:00+08:00"),
        ),
        (
            "2026-05-01T00:00+08:00",
            SHANGHAI,
            {"period": "last-month"},
            ("2026-03-01T00:00+08:00", "2026-04-01T00:00+08:00"),
        ),
        (
            "2026-03-01T00:00+08:00",
            SHANGHAI,
            {"period": "last-month"},
            ("2026-01-01T00:00+08:00", "2026-02-01T00:00+08:00"),
        ),
        # The same moment on the wall, the day after the clocks changed and on that day.
        ("2026-03-09T12:00-05:00", CHICAGO, {"period": "today"}, ("2026-03-08T00:00-06:00", "2026-03-08T12:00-05:00")),
        ("2026-03-08T12:00-05:00", CHICAGO, {"period": "today"}, ("2026-03-07T00:00-06:00", "2026-03-07T12:00-06:00")),
        ("2026-11-01T12:00-06:00", CHICAGO, {"period": "today"}, ("2026-10-31T00:00-05:00", "2026-10-31T12:00-05:00")),
        (
            "2026-03-10T12:00-05:00",
            CHICAGO,
            {"period": "this-week"},
            ("2026-03-02T00:00-06:00", "2026-03-03T12:00-06:00"),
        ),
        (
            "2026-03-09T12:00-05:00",
            CHICAGO,
            {"period": "yesterday"},
            ("2026-03-07T00:00-06:00", "2026-03-08T00:00-06:00"),
        ),
        (
            "2026-03-31T12:00-05:00",
            CHICAGO,
            {"start": "2026-03-08", "end": "2026-03-08"},
            ("2026-03-07T00:00-06:00", "2026-03-08T00:00-06:00"),
        ),
        (
            "2026-03-31T12:00-05:00",
            CHICAGO,
            {"start": "2026-03-09", "end": "2026-03-10"},
            ("2026-03-07T00:00-06:00", "2026-03-09T00:00-05:00"),
        ),
        ("2026-03-09T12:00-05:00", CHICAGO, {"last": "24h"}, ("2026-03-07T11:00-06:00", "2026-03-08T12:00-05:00")),
    ],
)
def test_the_window_before_on_awkward_days(now, where, options, expected):
    assert bounds(before(now, where, **options)) == stretch(*expected)


@pytest.mark.parametrize("options", [{"period": "today"}, {"start": "2011-12-31", "end": "2011-12-31"}])
def test_a_day_that_never_was_compares_with_nothing(options):
    with refused("nothing to compare"):
        before("2012-01-01T00:00+14:00" if "end" in options else "2011-12-31T10:00+14:00", APIA, **options)
