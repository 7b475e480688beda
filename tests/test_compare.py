"""`--compare`: which window is the one before, what of it is asked for, and how the change is told."""

import json
from datetime import datetime
from fractions import Fraction

import pytest
from conftest import (
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    PROJECTS,
    ZONE,
    Clock,
    account,
    as_words,
    ask,
    ask_json,
    counted,
    refused,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import json_reply

NOW = "2026-11-24T05:32:10"
RETAINED_MS = NOW_MS - 30 * DAY_MS
FIGURES = (
    "total_tokens",
    "prompt_tokens",
    "completion_tokens",
    "requests",
    "errors",
    "error_rate",
    "batch_tasks",
    "batch_inferences",
)


def instant(text):
    """Unix milliseconds of a date-time with an offset."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def codes(document):
    return [warning["code"] for warning in document["warnings"]]


def whole(form, stretch):
    """Start and end of a stretch such as `11-17 05:32:10 / 11-24 00:00`, in full, as a document has them."""
    moments = (form % moment.replace(" ", "T") for moment in stretch.split(" / "))
    return tuple(datetime.fromisoformat(moment).isoformat() for moment in moments)


def bounds(window):
    assert (instant(window["start"]), instant(window["end"])) == (window["start_ms"], window["end_ms"])
    return window["start"], window["end"]


def answer(tokens=0, requests=0, errors=0, prompt=0, completion=0, tasks=0, inferences=0):
    """The service's answer with these figures, tokens as whole tokens."""
    thousands = ["%d.%03d" % divmod(figure, 1000) for figure in (tokens, prompt, completion)]
    batch = [json.dumps(figure) for figure in (tasks, inferences)]
    return json_reply(
        200,
        '{"total_token": %s, "total_prompt_token": %s, "total_completion_token": %s, "total_request_count": %d,'
        ' "total_error_count": %d, "total_completion_tasks": %s, "total_infer_count": %s}'
        % (*thousands, requests, errors, *batch),
    )


def ledger(request):
    """A service in which every millisecond is a call of one token."""
    if request.method == "GET":
        return PROJECTS
    asked = json.loads(request.body.decode("ascii"))
    calls = asked["end_time"] + 1 - asked["start_time"]
    return answer(tokens=calls, requests=calls)


def of_service(start_ms, end_ms, types=(2,), labels=None):
    """Tokens, requests and errors that the service itself counts at start_ms <= t < end_ms."""
    found = [0, 0, 0]
    for number in types:
        asked = {"service_type": number, "infer_type": "real_time", "start_time": start_ms, "end_time": end_ms - 1}
        figures = counted(asked if labels is None else {**asked, "api_keys": list(labels)})
        found[0] += int(figures["total_token"] * 1000)
        found[1] += int(figures["total_request_count"])
        found[2] += int(figures["total_error_count"])
    return tuple(found)


def main_figures(usage):
    return usage["total_tokens"], usage["requests"], usage["errors"]


# --- which window ----------------------------------------------------------------------------

SHANGHAI = [
    # words, now, this window, the one before; all of it in Shanghai
    ("", NOW, "11-17 05:32:10 / 11-24 05:32:10", "11-10 05:32:10 / 11-17 05:32:10"),
    ("--last 24h", NOW, "11-23 05:32:10 / 11-24 05:32:10", "11-22 05:32:10 / 11-23 05:32:10"),
    ("--last 2w", NOW, "11-10 05:32:10 / 11-24 05:32:10", "10-27 05:32:10 / 11-10 05:32:10"),
    ("--last 45d", NOW, "10-10 05:32:10 / 11-24 05:32:10", "08-26 05:32:10 / 10-10 05:32:10"),
    ("--period today", NOW, "11-24 00:00 / 11-24 05:32:10", "11-23 00:00 / 11-23 05:32:10"),
    ("--period today", "2026-11-24T00:00:01", "11-24 00:00 / 11-24 00:00:01", "11-23 00:00 / 11-23 00:00:01"),
    ("--period yesterday", NOW, "11-23 00:00 / 11-24 00:00", "11-22 00:00 / 11-23 00:00"),
    ("--period yesterday", "2026-11-24T00:00:00", "11-23 00:00 / 11-24 00:00", "11-22 00:00 / 11-23 00:00"),
    # The week so far, from Monday on.
    ("--period this-week", NOW, "11-23 00:00 / 11-24 05:32:10", "11-16 00:00 / 11-17 05:32:10"),
    ("--period this-week", "2026-11-23T09:00:00", "11-23 00:00 / 11-23 09:00", "11-16 00:00 / 11-16 09:00"),
    ("--period this-week", "2026-11-29T23:59:59", "11-23 00:00 / 11-29 23:59:59", "11-16 00:00 / 11-22 23:59:59"),
    ("--period last-week", NOW, "11-16 00:00 / 11-23 00:00", "11-09 00:00 / 11-16 00:00"),
    # The month so far; months have lengths of their own.
    ("--period this-month", NOW, "11-01 00:00 / 11-24 05:32:10", "10-01 00:00 / 10-24 05:32:10"),
    ("--period this-month", "2026-03-31T12:00:00", "03-01 00:00 / 03-31 12:00", "02-01 00:00 / 03-01 00:00"),
    ("--period this-month", "2026-03-28T12:00:00", "03-01 00:00 / 03-28 12:00", "02-01 00:00 / 02-28 12:00"),
    ("--period this-month", "2026-03-29T00:00:01", "03-01 00:00 / 03-29 00:00:01", "02-01 00:00 / 03-01 00:00"),
    ("--period this-month", "2026-12-31T23:00:00", "12-01 00:00 / 12-31 23:00", "11-01 00:00 / 12-01 00:00"),
    ("--period last-month", NOW, "10-01 00:00 / 11-01 00:00", "09-01 00:00 / 10-01 00:00"),
    ("--period last-month", "2026-03-15T12:00:00", "02-01 00:00 / 03-01 00:00", "01-01 00:00 / 02-01 00:00"),
    # Whole dates: as many whole dates.
    ("--from 2026-11-20 --to 2026-11-22", NOW, "11-20 00:00 / 11-23 00:00", "11-17 00:00 / 11-20 00:00"),
    ("--from 2026-11-23 --to 2026-11-23", NOW, "11-23 00:00 / 11-24 00:00", "11-22 00:00 / 11-23 00:00"),
    (
        "--from 2026-03-01 --to 2026-03-31",
        "2026-04-02T12:00:00",
        "03-01 00:00 / 04-01 00:00",
        "01-29 00:00 / 03-01 00:00",
    ),
    # Cut at now, or not whole: the same length.
    ("--from 2026-11-23", NOW, "11-23 00:00 / 11-24 05:32:10", "11-21 18:27:50 / 11-23 00:00"),
    ("--from 2026-11-23 --to 2026-11-24", NOW, "11-23 00:00 / 11-24 05:32:10", "11-21 18:27:50 / 11-23 00:00"),
    ("--from 2026-11-23 --to 2026-11-30", NOW, "11-23 00:00 / 11-24 05:32:10", "11-21 18:27:50 / 11-23 00:00"),
    ("--from 2026-11-20T10:00 --to 2026-11-20T18:00", NOW, "11-20 10:00 / 11-20 18:00", "11-20 02:00 / 11-20 10:00"),
    ("--from 2026-11-20T10:00 --to 2026-11-20", NOW, "11-20 10:00 / 11-21 00:00", "11-19 20:00 / 11-20 10:00"),
    ("--from 2026-11-20 --to 2026-11-20T18:00", NOW, "11-20 00:00 / 11-20 18:00", "11-19 06:00 / 11-20 00:00"),
    ("--from 2026-11-20T00:00 --to 2026-11-22T00:00", NOW, "11-20 00:00 / 11-22 00:00", "11-18 00:00 / 11-20 00:00"),
]


@pytest.mark.parametrize(
    "words, now, this, before", SHANGHAI, ids=["%s at %s" % (row[0], row[1][5:]) for row in SHANGHAI]
)
def test_the_window_before(words, now, this, before):
    now_ms = instant(now + "+08:00")
    told = ask_json(ledger, *words.split(), "--compare", clock=Clock(now_ms // 1000))
    document = told.document
    assert told.status == 0 and document["query"]["compare"] is True
    assert bounds(document["window"]) == whole("2026-%s+08:00", this)
    previous = document["previous"]
    assert bounds(previous["window"]) == whole("2026-%s+08:00", before)
    assert (previous["window"]["timezone"], previous["window"]["includes_now"]) == (ZONE, False)
    # What is asked for is counted whole and apart.
    assert document["totals"]["total_tokens"] == document["window"]["end_ms"] - document["window"]["start_ms"]
    kept = previous["window"]["start_ms"] >= now_ms - 30 * DAY_MS
    assert (previous["totals"] is None) is not kept
    if kept:
        lasted_ms = previous["window"]["end_ms"] - previous["window"]["start_ms"]
        assert previous["totals"]["total_tokens"] == lasted_ms
        change = previous["change"]["total_tokens"]
        assert change["absolute"] == document["totals"]["total_tokens"] - lasted_ms
        assert change["ratio"] == float(Fraction(change["absolute"], lasted_ms))


NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
CHANGES = [
    # Clocks go back on November 1st: today has had an hour more, or the day before has.
    (NEW_YORK, "--period today", "11-01T12:00-05:00", "10-31T00:00-04:00 / 10-31T12:00-04:00", 13, 12),
    (NEW_YORK, "--period today", "11-02T12:00-05:00", "11-01T00:00-04:00 / 11-01T12:00-05:00", 12, 13),
    (NEW_YORK, "--period today", "11-01T01:30-04:00", "10-31T00:00-04:00 / 10-31T01:30-04:00", 1.5, 1.5),
    (NEW_YORK, "--period today", "11-01T01:30-05:00", "10-31T00:00-04:00 / 10-31T01:30-04:00", 2.5, 1.5),
    (NEW_YORK, "--period yesterday", "11-02T12:00-05:00", "10-31T00:00-04:00 / 11-01T00:00-04:00", 25, 24),
    (NEW_YORK, "--period yesterday", "11-03T12:00-05:00", "11-01T00:00-04:00 / 11-02T00:00-05:00", 24, 25),
    (NEW_YORK, "--period this-week", "11-01T12:00-05:00", "10-19T00:00-04:00 / 10-25T12:00-04:00", 157, 156),
    (NEW_YORK, "--period this-week", "11-03T12:00-05:00", "10-26T00:00-04:00 / 10-27T12:00-04:00", 36, 36),
    (NEW_YORK, "--period last-week", "11-03T12:00-05:00", "10-19T00:00-04:00 / 10-26T00:00-04:00", 169, 168),
    (
        NEW_YORK,
        "--from 2026-11-01 --to 2026-11-02",
        "11-03T12:00-05:00",
        "10-30T00:00-04:00 / 11-01T00:00-04:00",
        49,
        48,
    ),
    # Rolling is elapsed time, whatever the clocks do.
    (NEW_YORK, "--last 24h", "11-02T12:00-05:00", "10-31T13:00-04:00 / 11-01T12:00-05:00", 24, 24),
    # Clocks go forward on March 29th.
    (BERLIN, "--period today", "03-29T12:00+02:00", "03-28T00:00+01:00 / 03-28T12:00+01:00", 11, 12),
    (BERLIN, "--period today", "03-30T12:00+02:00", "03-29T00:00+01:00 / 03-29T12:00+02:00", 12, 11),
    (BERLIN, "--from 2026-03-30 --to 2026-03-31", "04-02T12:00+02:00", "03-28T00:00+01:00 / 03-30T00:00+02:00", 48, 47),
]


@pytest.mark.parametrize("zone, words, now, before, hours, hours_before", CHANGES)
def test_the_window_before_where_the_clocks_change(zone, words, now, before, hours, hours_before):
    clock = Clock(instant("2026-" + now) // 1000)
    document = ask_json(ledger, *words.split(), "--compare", "--timezone", zone, clock=clock).document
    assert document["totals"]["total_tokens"] == hours * HOUR_MS
    assert bounds(document["previous"]["window"]) == whole("2026-%s", before)
    assert document["previous"]["totals"]["total_tokens"] == hours_before * HOUR_MS


@settings(max_examples=12, deadline=None)
@given(hours=st.integers(1, 360))
def test_rolling_windows_lie_side_by_side(hours):
    document = ask_json(account(), "--last", "%dh" % hours, "--compare").document
    this, before = document["window"], document["previous"]["window"]
    assert before["end_ms"] == this["start_ms"]
    assert before["end_ms"] - before["start_ms"] == this["end_ms"] - this["start_ms"] == hours * HOUR_MS
    assert main_figures(document["totals"]) == of_service(this["start_ms"], this["end_ms"])
    assert main_figures(document["previous"]["totals"]) == of_service(before["start_ms"], before["end_ms"])


# --- what is asked of the service ------------------------------------------------------------

ALL = ("--service-type", "all")


@pytest.mark.parametrize(
    "words, calls",
    [
        (("--last", "7d"), 2),
        (("--last", "7d", *ALL), 6),
        (("--last", "7d", "--by", "service-type"), 6),
        # The window before is counted as a whole, whatever the rows of this one are.
        (("--period", "yesterday", "--by", "day"), 2),
        (("--period", "last-week", "--by", "day"), 8),
        (("--last", "3h", "--by", "hour"), 5),
        (("--last", "7d", "--by", "api-key", "--api-keys", "web-app", "ci"), 4),
        (("--last", "7d", "--api-keys", "web-app", "ci"), 2),
    ],
    ids=as_words,
)
def test_both_windows_are_counted_by_the_service(words, calls):
    told = ask_json(account(), *words, "--compare")
    document = told.document
    assert (told.status, document["api_calls"], len(told.statistics)) == (0, calls, calls)
    assert len({json.dumps(body, sort_keys=True) for body in told.bodies}) == calls
    query, this, before = document["query"], document["window"], document["previous"]["window"]
    for window, totals in ((this, document["totals"]), (before, document["previous"]["totals"])):
        expected = of_service(window["start_ms"], window["end_ms"], query["service_types"], query["api_keys"])
        assert main_figures(totals) == expected
    plain = ask_json(account(), *words).document
    assert (plain["totals"], plain["rows"], plain["previous"]) == (document["totals"], document["rows"], None)
    assert plain["query"]["compare"] is False


@pytest.mark.parametrize(
    "words", [(), ("--by", "service-type"), ("--by", "api-key", "--api-keys", "web-app", "ci")], ids=as_words
)
@pytest.mark.parametrize("last", ["361h", "45d"])
def test_a_window_before_that_is_not_kept_whole_is_not_sent(words, last):
    told = ask_json(account(), "--last", last, "--compare", *words)
    document = told.document
    assert told.status == 0
    assert document["previous"]["totals"] is document["previous"]["change"] is None
    assert "comparison_beyond_retention" in codes(document) and "recent_data_lags" not in codes(document)
    assert document["previous"]["coverage"]["complete"] is False
    plain = ask_json(account(), "--last", last, *words)
    assert len(told.statistics) == len(plain.statistics) == document["api_calls"]
    assert told.bodies[0]["start_time"] == document["window"]["start_ms"]
    assert document["totals"] == plain.document["totals"]


@pytest.mark.parametrize("words", ["--period this-month", "--period last-month", "--from 2026-10-26 --to 2026-11-23"])
def test_calendars_and_dates_before_the_retention_are_not_sent_either(words):
    told = ask_json(account(), *words.split(), "--compare")
    assert told.document["previous"]["totals"] is None
    assert min(body["start_time"] for body in told.bodies) == told.document["window"]["start_ms"]


def test_a_window_before_that_begins_with_the_retention_is_kept():
    document = ask_json(account(), "--last", "15d", "--compare").document
    previous = document["previous"]
    assert previous["window"]["start_ms"] == RETAINED_MS
    assert main_figures(previous["totals"]) == of_service(RETAINED_MS, RETAINED_MS + 15 * DAY_MS)
    assert previous["coverage"] == {
        "complete": True,
        "retained_since": "2026-10-25T05:32:10+08:00",
        "provisional_since": None,
    }
    assert codes(document) == ["recent_data_lags"]


def test_a_window_before_may_be_provisional_too():
    previous = ask_json(None, "--demo", "--last", "1h", "--compare").document["previous"]
    assert previous["coverage"]["provisional_since"] == previous["window"]["start"]
    previous = ask_json(None, "--demo", "--last", "2h", "--compare").document["previous"]
    assert previous["coverage"]["provisional_since"] is None


@pytest.mark.parametrize(
    "words, lags",
    [
        ("--last 7d", True),
        ("--last 1h", True),
        ("--period today", True),
        ("--period this-week", True),
        ("--from 2026-11-20", True),
        ("--from 2026-11-22 --to 2026-11-24", True),
        ("--from 2026-11-22 --to 2026-11-30", True),
        ("--from 2026-11-23T00:00 --to 2026-11-24T05:32:10", True),
        ("--from 2026-11-23T00:00 --to 2026-11-24T05:32:09", False),
        ("--period yesterday", False),
        ("--period last-week", False),
        ("--from 2026-11-20 --to 2026-11-22", False),
    ],
)
def test_recent_data_lag_only_where_the_window_includes_now(words, lags):
    compared = ask_json(account(), *words.split(), "--compare").document
    assert compared["window"]["includes_now"] is lags
    assert ("recent_data_lags" in codes(compared)) is lags


def test_recent_data_lag_only_in_a_comparison():
    assert ask_json(account(), "--last", "7d").document["warnings"] == []


# --- the change ------------------------------------------------------------------------------


def change_of(this, before):
    """The change that is told where the service answers these figures for this window and for the one before."""

    def app(request):
        if request.method == "GET":
            return PROJECTS
        asked = json.loads(request.body.decode("ascii"))
        return answer(**(this if asked["start_time"] == NOW_MS - DAY_MS else before))

    told = ask_json(app, "--last", "24h", "--compare")
    assert told.status == 0 and len(told.statistics) == 2
    change = told.document["previous"]["change"]
    assert set(change) == set(FIGURES)
    return change


@pytest.mark.parametrize(
    "this, before, absolute, ratio",
    [
        (0, 0, 0, None),
        (5, 0, 5, None),
        (0, 5, -5, -1.0),
        (5, 5, 0, 0.0),
        (7000, 3500, 3500, 1.0),
        (3500, 7000, -3500, -0.5),
        (105, 100, 5, 0.05),
        (2, 3, -1, -1 / 3),
        # Beyond what a binary float can tell apart.
        (10**18 + 1, 10**18, 1, 1e-18),
        (10**21, 10**21 - 1, 1, float(Fraction(1, 10**21 - 1))),
        (10**21 - 1, 10**21, -1, -1e-21),
        (1, 10**21, 1 - 10**21, -1.0),
        (10**21, 3, 10**21 - 3, float(Fraction(10**21 - 3, 3))),
    ],
)
def test_the_change_is_exact(this, before, absolute, ratio):
    change = change_of({"tokens": this}, {"tokens": before})["total_tokens"]
    assert change == {"absolute": absolute, "ratio": ratio}
    assert type(change["absolute"]) is int


def test_each_figure_has_its_change():
    change = change_of(
        dict(tokens=20, prompt=12, completion=6, requests=8, errors=2, tasks=3, inferences=9),
        dict(tokens=10, prompt=8, completion=8, requests=4, errors=2, tasks=2, inferences=0),
    )
    assert change == {
        "total_tokens": {"absolute": 10, "ratio": 1.0},
        "prompt_tokens": {"absolute": 4, "ratio": 0.5},
        "completion_tokens": {"absolute": -2, "ratio": -0.25},
        "requests": {"absolute": 4, "ratio": 1.0},
        "errors": {"absolute": 0, "ratio": 0.0},
        "error_rate": {"absolute": -0.25, "ratio": -0.5},
        "batch_tasks": {"absolute": 1, "ratio": 0.5},
        "batch_inferences": {"absolute": 9, "ratio": None},
    }


@pytest.mark.parametrize(
    "this, before, absolute, ratio",
    [
        ((2, 3), (1, 3), 1 / 3, 1.0),
        ((1, 3), (1, 3), 0, 0.0),
        ((2, 6), (1, 3), 0, 0.0),
        ((1, 10), (0, 10), 0.1, None),
        ((0, 10), (1, 10), -0.1, -1.0),
        # Of binary floats the difference would be 0.19999999999999998.
        ((3, 10), (1, 10), 0.2, 2.0),
        ((7, 10), (6, 10), 0.1, float(Fraction(1, 6))),
        ((0, 0), (1, 10), None, None),
        ((1, 10), (0, 0), None, None),
        ((0, 0), (0, 0), None, None),
    ],
)
def test_the_change_of_the_error_rate_is_that_of_the_exact_rates(this, before, absolute, ratio):
    change = change_of(*({"errors": errors, "requests": requests} for errors, requests in (this, before)))
    assert change["error_rate"] == {"absolute": absolute, "ratio": ratio}


@pytest.mark.parametrize("this, before", [(None, 3), (3, None), (None, None)])
def test_the_change_of_what_is_unknown_is_unknown(this, before):
    change = change_of({"tasks": this}, {"tasks": before})
    assert change["batch_tasks"] == {"absolute": None, "ratio": None}
    assert change["batch_inferences"] == {"absolute": 0, "ratio": None}


def test_by_label_the_change_is_that_of_the_labels_together():
    words = ("--last", "7d", "--by", "api-key", "--api-keys", "web-app", "ci")
    document = ask_json(account(), *words, "--compare").document
    this = of_service(NOW_MS - 7 * DAY_MS, NOW_MS, labels=("web-app", "ci"))
    before = of_service(NOW_MS - 14 * DAY_MS, NOW_MS - 7 * DAY_MS, labels=("web-app", "ci"))
    change = document["previous"]["change"]["total_tokens"]
    assert change == {"absolute": this[0] - before[0], "ratio": float(Fraction(this[0] - before[0], before[0]))}
    assert [row["group"] for row in document["rows"]] == ["web-app", "ci"]


# --- a comparison that fails -----------------------------------------------------------------


@pytest.mark.parametrize(
    "failure, status", [(refused(503), 7), (refused(400), 7), (refused(403), 4)], ids=["503", "400", "403"]
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_window_before_that_fails_fails_the_query(failure, status, form):
    def app(request):
        if request.method == "GET":
            return PROJECTS
        asked = json.loads(request.body.decode("ascii"))
        return answer(tokens=123_456_789) if asked["start_time"] == NOW_MS - DAY_MS else failure

    told = ask(app, "--last", "24h", "--compare", "--format", form)
    assert told.status == status
    assert told.error if form == "json" else told.out == ""
    assert "123456789" not in told.said and "123,456,789" not in told.said


@pytest.mark.parametrize(
    "words, now, zone",
    [
        # The day before today was skipped.
        ("--period today", "2011-12-31T10:00:00+14:00", "Pacific/Apia"),
        ("--from 2011-12-31 --to 2011-12-31", "2012-01-01T00:00:00+14:00", "Pacific/Apia"),
    ],
)
def test_nothing_to_compare_with_is_a_usage_error(words, now, zone):
    clock = Clock(instant(now) // 1000)
    told = ask_json(ledger, *words.split(), "--compare", "--timezone", zone, clock=clock)
    assert (told.status, told.error["code"]) == (2, "usage")
    assert "compare" in told.error["message"]
    assert told.connects == []
