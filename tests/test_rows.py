"""`--by`: rows without gaps that add up exactly, from calls that are made once each, side by side."""

import functools
import json
import re
import threading
import time
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from conftest import (
    DAY_MS,
    HOUR_MS,
    KEYS,
    NOW_MS,
    NOW_S,
    PROJECT_ID,
    PROJECTS,
    ZONE,
    Clock,
    account,
    as_words,
    ask,
    ask_json,
    counted,
    figures,
    last_line,
    on_stage,
    refused,
    service,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import Cut, json_reply

RETAINED_MS = NOW_MS - 30 * DAY_MS
SUMMED = {
    "total_tokens": "total_token",
    "prompt_tokens": "total_prompt_token",
    "completion_tokens": "total_completion_token",
    "requests": "total_request_count",
    "errors": "total_error_count",
    "batch_tasks": "total_completion_tasks",
    "batch_inferences": "total_infer_count",
}
TYPES = {"my": 1, "preset": 2, "custom": 4}


@pytest.fixture(autouse=True)
def nobody_else_asks():
    """Calls that a failed query left behind in this process would go on at another test's stage."""
    wait_for_calls_left_behind()
    yield
    wait_for_calls_left_behind()


def wait_for_calls_left_behind():
    give_up_s = time.monotonic() + 5
    while time.monotonic() < give_up_s and any(
        getattr(getattr(thread, "_target", None), "__module__", "").startswith("maas_usage.")
        for thread in threading.enumerate()
    ):
        time.sleep(0.005)


def instant(text):
    """Unix milliseconds of a date-time with an offset."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def clock_at(text):
    return Clock(instant(text) // 1000)


def spans(document):
    return [(instant(row["start"]), instant(row["end"])) for row in document["rows"]]


def names(document):
    return [row["group"] for row in document["rows"]]


def partial(document):
    return [row["partial"] for row in document["rows"]]


def codes(document):
    return [warning["code"] for warning in document["warnings"]]


def assert_tiles(document):
    """The rows fill the window from its start to its end, and none has a twin."""
    bounds = spans(document)
    assert bounds[0][0] == document["window"]["start_ms"]
    assert bounds[-1][1] == document["window"]["end_ms"]
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]
    assert all(start < end for start, end in bounds)
    assert len(set(names(document))) == len(bounds)


def assert_adds_up(document):
    totals, rows = document["totals"], [row["usage"] for row in document["rows"]]
    for name in SUMMED:
        assert totals[name] == sum(row[name] for row in rows), name
    for usage in [totals, *rows]:
        assert usage["error_rate"] == (usage["errors"] / usage["requests"] if usage["requests"] else None)


def of_service(start_ms, end_ms, types=(2,), infer_type="real_time", labels=None):
    """The usage that the service itself counts at start_ms <= t < end_ms."""
    usage = dict.fromkeys(SUMMED, 0)
    for number in types:
        asked = {"service_type": number, "infer_type": infer_type, "start_time": start_ms, "end_time": end_ms - 1}
        answer = counted(asked if labels is None else {**asked, "api_keys": list(labels)})
        for name, member in SUMMED.items():
            figure = answer[member] * (1000 if member.endswith("token") else 1)
            assert figure == int(figure)
            usage[name] += int(figure)
    usage["error_rate"] = usage["errors"] / usage["requests"] if usage["requests"] else None
    return usage


def ledger(request):
    """A service in which every millisecond is a call of one token, and every thousandth of them fails."""
    if request.method == "GET":
        return PROJECTS
    asked = json.loads(request.body.decode("ascii"))
    start_ms, end_ms = asked["start_time"], asked["end_time"] + 1
    calls = end_ms - start_ms
    tokens = "%d.%03d" % divmod(calls, 1000)
    failed = -(-end_ms // 1000) - -(-start_ms // 1000)
    return json_reply(
        200,
        '{"total_request_count": %d, "total_error_count": %d, "total_token": %s, "total_prompt_token": %s,'
        ' "total_completion_token": 0, "total_completion_tasks": 0, "total_infer_count": 0}'
        % (calls, failed, tokens, tokens),
    )


# --- exact sums ------------------------------------------------------------------------------

LABELS = ("--api-keys", "web-app", "ci", "batch-jobs", "")
ALL = ("--service-type", "all")
ROWS = [
    (("--last", "10d"), "day", 11),
    (("--last", "10d", *ALL), "day", 33),
    (("--period", "last-week", "--service-type", "my,custom"), "day", 14),
    (("--from", "2026-11-20T10:00:00.001", "--to", "2026-11-22T10:00:00.999"), "day", 3),
    (("--last", "3d", "--infer-type", "batch"), "day", 4),
    (("--last", "3d", *LABELS), "day", 4),
    (("--last", "24h"), "hour", 25),
    (("--last", "7d"), "hour", 169),
    (("--last", "1h", *ALL), "hour", 6),
    (("--last", "7d", *ALL), "service-type", 3),
    (("--last", "7d", "--service-type", "custom"), "service-type", 1),
    (("--last", "7d", *LABELS), "api-key", 4),
    (("--last", "7d", *LABELS, *ALL), "api-key", 12),
    (("--last", "7d", *LABELS, "--infer-type", "batch"), "api-key", 4),
]


@pytest.mark.parametrize("words, by, calls", ROWS, ids=["%s %s %d" % (row[1], row[0][1], row[2]) for row in ROWS])
def test_rows_are_what_the_service_counts_and_add_up(words, by, calls):
    told = ask_json(account(), *words, "--by", by)
    document = told.document
    assert (told.status, told.err) == (0, "")
    query, window = document["query"], document["window"]
    for row in document["rows"]:
        start_ms, end_ms = window["start_ms"], window["end_ms"]
        types, labels = query["service_types"], query["api_keys"]
        if by in ("day", "hour"):
            start_ms, end_ms = instant(row["start"]), instant(row["end"])
        elif by == "service-type":
            types = [TYPES[row["group"]]]
        else:
            labels = [row["group"]]
        assert row["usage"] == of_service(start_ms, end_ms, types, query["infer_type"], labels), row["group"]
    assert_adds_up(document)
    if by in ("day", "hour"):
        assert_tiles(document)
    else:
        assert all({"start", "end", "partial"}.isdisjoint(row) for row in document["rows"])
    assert document["query"]["group_by"] == by
    # The same question in one piece has the same answer.
    plain = ask_json(account(), *words)
    assert plain.document["totals"] == document["totals"]
    assert (plain.document["rows"], plain.document["query"]["group_by"]) == ([], None)
    # Each call was made, and none of them twice.
    assert len(told.bodies) == document["api_calls"] == calls
    assert len({json.dumps(body, sort_keys=True) for body in told.bodies}) == calls


@settings(max_examples=15, deadline=None)
@given(
    start=st.integers(0, 29 * DAY_MS),
    length=st.integers(1, 30 * HOUR_MS),
    by=st.sampled_from(["day", "hour"]),
    zone=st.sampled_from([ZONE, "America/New_York", "Asia/Kathmandu", "Pacific/Chatham", "UTC"]),
)
def test_any_window_in_any_zone_adds_up(start, length, by, zone):
    start_ms, end_ms = RETAINED_MS + start, min(RETAINED_MS + start + length, NOW_MS)
    spelled = [
        (datetime(1970, 1, 1) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"
        for ms in (start_ms, end_ms)
    ]
    words = ("--from", spelled[0], "--to", spelled[1], "--timezone", zone)
    document = ask_json(account(), *words, "--by", by).document
    assert (document["window"]["start_ms"], document["window"]["end_ms"]) == (start_ms, end_ms)
    assert_tiles(document)
    assert_adds_up(document)
    assert document["totals"] == of_service(start_ms, end_ms)


def test_calls_of_rows_tile_the_window():
    told = ask_json(ledger, "--last", "3d", "--by", "hour")
    bodies = told.bodies
    assert bodies[0]["start_time"] == NOW_MS - 3 * DAY_MS
    assert bodies[-1]["end_time"] == NOW_MS - 1
    assert [body["end_time"] + 1 for body in bodies[:-1]] == [body["start_time"] for body in bodies[1:]]
    assert told.document["totals"]["total_tokens"] == 3 * DAY_MS
    assert {body["timezone"] for body in bodies} == {ZONE}


def test_rows_without_calls_are_there():
    told = ask_json(None, "--demo", "--last", "3d", "--by", "day", environ={"MAAS_USAGE_DEMO_TROUBLE": "no-usage"})
    document = told.document
    assert len(document["rows"]) == 4
    assert_tiles(document)
    for row in document["rows"]:
        assert row["usage"] == {**dict.fromkeys(SUMMED, 0), "error_rate": None}
    assert codes(document) == ["no_usage"]


def test_an_unknown_batch_figure_of_one_row_is_unknown_in_the_total():
    def app(request):
        if request.method == "GET":
            return PROJECTS
        body = json.loads(request.body.decode("ascii"))
        known = body["service_type"] != 2
        return json_reply(200, figures(total_infer_count=7 if known else None, total_completion_tasks=3))

    document = ask_json(app, "--last", "1h", "--by", "service-type").document
    assert [row["usage"]["batch_inferences"] for row in document["rows"]] == [7, None, 7]
    assert document["totals"]["batch_inferences"] is None
    assert document["totals"]["batch_tasks"] == 9


def test_raw_answers_one_per_call_in_the_order_of_the_rows():
    told = ask_json(account(), "--last", "3d", "--by", "day", *ALL, "--raw")
    asked = [(item["request"]["start_time"], item["request"]["service_type"]) for item in told.document["raw"]]
    assert asked == sorted(asked) and len(asked) == 12
    assert [item["http_status"] for item in told.document["raw"]] == [200] * 12
    first = told.document["raw"][1]
    assert (
        first["answer"]["total_request_count"]
        == of_service(first["request"]["start_time"], first["request"]["end_time"] + 1)["requests"]
    )


# --- days, hours and their names -------------------------------------------------------------

MIDNIGHT = "2026-11-24T00:00+08:00"
ON_THE_HOUR = "2026-11-24T05:00+08:00"


@pytest.mark.parametrize(
    "words, now, flags",
    [
        ("--last 3d --by day", None, [True, False, False, True]),
        ("--last 24h --by day", None, [True, True]),
        ("--last 1h --by day", None, [True]),
        ("--last 3d --by day", MIDNIGHT, [False, False, False]),
        ("--period today --by day", None, [True]),
        ("--period yesterday --by day", None, [False]),
        ("--period last-week --by day", None, [False] * 7),
        ("--period this-week --by day", None, [False, True]),
        ("--from 2026-11-20 --to 2026-11-22 --by day", None, [False] * 3),
        ("--from 2026-11-20 --to 2026-11-24 --by day", None, [False] * 4 + [True]),
        ("--from 2026-11-22 --to 2026-11-30 --by day", None, [False, False, True]),
        ("--from 2026-11-20T10:00 --to 2026-11-20T18:00 --by day", None, [True]),
        ("--from 2026-11-20T00:00 --to 2026-11-21T00:00 --by day", None, [False]),
        ("--from 2026-11-20T00:00:00.001 --to 2026-11-21T00:00 --by day", None, [True]),
        ("--from 2026-11-20T00:00 --to 2026-11-21T00:00:00.001 --by day", None, [False, True]),
        ("--last 3h --by hour", None, [True, False, False, True]),
        ("--last 3h --by hour", ON_THE_HOUR, [False, False, False]),
        ("--period yesterday --by hour", None, [False] * 24),
        ("--period today --by hour", None, [False] * 5 + [True]),
        ("--from 2026-11-20T10:15 --to 2026-11-20T10:45 --by hour", None, [True]),
        ("--from 2026-11-20T10:15 --to 2026-11-20T11:00 --by hour", None, [True]),
    ],
)
def test_the_first_and_the_last_row_may_be_partial_and_say_so(words, now, flags):
    document = ask_json(ledger, *words.split(), clock=clock_at(now) if now else None).document
    assert partial(document) == flags
    assert_tiles(document)


def test_rows_are_named_by_local_date_and_by_hour_with_offset():
    document = ask_json(None, "--demo", "--last", "2d", "--by", "day").document
    assert names(document) == ["2026-11-22", "2026-11-23", "2026-11-24"]
    assert [row["start"] for row in document["rows"]] == [
        "2026-11-22T05:32:10+08:00",
        "2026-11-23T00:00:00+08:00",
        "2026-11-24T00:00:00+08:00",
    ]
    assert document["rows"][-1]["end"] == "2026-11-24T05:32:10+08:00"
    document = ask_json(None, "--demo", "--last", "2h", "--by", "hour").document
    # The name is that of the whole hour, the start that of its part in the window.
    assert names(document) == ["2026-11-24T0%d:00:00+08:00" % hour for hour in (3, 4, 5)]
    assert document["rows"][0]["start"] == "2026-11-24T03:32:10+08:00"


def test_the_same_hours_are_other_days_elsewhere():
    words = ("--demo", "--last", "48h", "--by", "day")
    here = ask_json(None, *words).document
    there = ask_json(None, *words, "--timezone", "America/New_York").document
    assert names(there) == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert here["totals"] == there["totals"]
    assert [row["usage"] for row in here["rows"]] != [row["usage"] for row in there["rows"]]


@pytest.mark.parametrize(
    "zone, now, words, hours",
    [
        ("America/New_York", "2026-11-03T12:00-05:00", "--from 2026-10-31 --to 2026-11-02", [24, 25, 24]),
        ("America/New_York", "2026-11-01T12:00-05:00", "--period today", [13]),
        ("America/New_York", "2026-11-02T12:00-05:00", "--period yesterday", [25]),
        ("America/New_York", "2026-11-02T12:00-05:00", "--last 2d", [11, 25, 12]),
        ("America/New_York", "2026-11-08T12:00-05:00", "--period last-week", [24] * 6 + [25]),
        ("Europe/Berlin", "2026-04-05T12:00+02:00", "--from 2026-03-28 --to 2026-03-30", [24, 23, 24]),
        ("Europe/Berlin", "2026-03-29T12:00+02:00", "--period today", [11]),
        ("Europe/Berlin", "2026-03-30T00:00+02:00", "--last 23h", [23]),
        # Half an hour.
        ("Australia/Lord_Howe", "2026-04-08T12:00+10:30", "--from 2026-04-04 --to 2026-04-06", [24, 24.5, 24]),
        # Midnight itself does not exist.
        ("America/Santiago", "2026-09-10T12:00-03:00", "--from 2026-09-05 --to 2026-09-07", [24, 23, 24]),
        # Midnight itself comes twice.
        ("America/Havana", "2026-11-05T12:00-05:00", "--from 2026-10-31 --to 2026-11-02", [24, 25, 24]),
        # A date that the zone skipped has no row.
        ("Pacific/Apia", "2012-01-05T12:00+14:00", "--from 2011-12-29 --to 2011-12-31", [24, 24]),
    ],
)
def test_days_are_the_zones_own(zone, now, words, hours):
    told = ask_json(ledger, *words.split(), "--by", "day", "--timezone", zone, clock=clock_at(now))
    document = told.document
    assert told.status == 0
    assert_tiles(document)
    assert_adds_up(document)
    assert [row["usage"]["total_tokens"] for row in document["rows"]] == [hour * HOUR_MS for hour in hours]
    assert document["totals"]["total_tokens"] == document["window"]["end_ms"] - document["window"]["start_ms"]
    assert all(datetime.fromisoformat(row["start"]).date().isoformat() == row["group"] for row in document["rows"])


def test_an_hour_that_comes_twice_has_two_rows():
    words = ("--from", "2026-11-01", "--to", "2026-11-01", "--by", "hour", "--timezone", "America/New_York")
    document = ask_json(account(), *words).document
    assert names(document)[:4] == [
        "2026-11-01T00:00:00-04:00",
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ]
    assert len(document["rows"]) == 25 and not any(partial(document))
    assert_tiles(document)
    assert_adds_up(document)
    for row, (start_ms, end_ms) in zip(document["rows"], spans(document)):
        assert end_ms - start_ms == HOUR_MS
        assert row["usage"] == of_service(start_ms, end_ms)


def test_an_hour_that_is_skipped_has_no_row():
    words = ("--from", "2026-03-29", "--to", "2026-03-29", "--by", "hour", "--timezone", "Europe/Berlin")
    document = ask_json(ledger, *words, clock=clock_at("2026-04-05T12:00+02:00")).document
    assert names(document)[1:3] == ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]
    assert len(document["rows"]) == 23
    assert {row["usage"]["total_tokens"] for row in document["rows"]} == {HOUR_MS}


def test_hours_of_half_an_hours_change_add_up():
    words = ("--from", "2026-04-05", "--to", "2026-04-05", "--by", "hour", "--timezone", "Australia/Lord_Howe")
    document = ask_json(ledger, *words, clock=clock_at("2026-04-08T12:00+10:30")).document
    assert_tiles(document)
    assert_adds_up(document)
    assert document["totals"]["total_tokens"] == 24.5 * HOUR_MS


# --- labels and types ------------------------------------------------------------------------


def test_a_label_given_twice_counts_once():
    labels = ("--api-keys", "web-app", "ci", "web-app", "ci", "ci")
    told = ask_json(account(), "--by", "api-key", *labels)
    assert names(told.document) == told.document["query"]["api_keys"] == ["web-app", "ci"]
    assert [body["api_keys"] for body in told.bodies] in ([["web-app"], ["ci"]], [["ci"], ["web-app"]])
    once = ask_json(account(), "--api-keys", "web-app", "ci").document["totals"]
    assert told.document["totals"] == ask_json(account(), *labels).document["totals"] == once


def test_labels_stand_in_the_order_in_which_they_are_given():
    document = ask_json(None, "--demo", "--by", "api-key", "--api-keys", "web-app", "", "batch-jobs", "_x").document
    assert names(document) == ["web-app", "", "batch-jobs", "_x"]
    assert document["rows"][-1]["usage"] == {**dict.fromkeys(SUMMED, 0), "error_rate": None}


def test_a_label_may_begin_with_a_hyphen():
    told = ask_json(account(), "--by", "api-key", "--api-keys=-x")
    assert names(told.document) == ["-x"]
    assert [body["api_keys"] for body in told.bodies] == [["-x"]]


def test_the_label_of_the_online_experience_is_empty():
    told = ask_json(account(), "--by", "api-key", "--api-keys", "")
    assert [body["api_keys"] for body in told.bodies] == [[""]]
    assert names(told.document) == [""]
    assert told.document["totals"] == of_service(NOW_MS - 7 * DAY_MS, NOW_MS, labels=[""])
    assert told.document["totals"]["requests"] > 0


@pytest.mark.parametrize(
    "words, types",
    [
        ((), [1, 2, 4]),
        (("--service-type", "all"), [1, 2, 4]),
        (("--service-type", "preset"), [2]),
        (("--service-type", "custom,my"), [1, 4]),
        (("--service-type", "4,2"), [2, 4]),
    ],
)
def test_service_types_are_all_unless_some_are_named(words, types):
    told = ask_json(account(), "--by", "service-type", *words)
    document = told.document
    assert document["query"]["service_types"] == types
    assert [TYPES[name] for name in names(document)] == types
    assert sorted(body["service_type"] for body in told.bodies) == types
    assert ("types_may_overlap" in codes(document)) == (len(types) > 1)


@pytest.mark.parametrize("by", ["day", "hour"])
def test_other_rows_count_preset_services_unless_others_are_named(by):
    document = ask_json(None, "--demo", "--last", "2h", "--by", by).document
    assert document["query"]["service_types"] == [2]


@pytest.mark.parametrize(
    "words, about",
    [
        (("--by", "api-key"), "label"),
        (("--by", "api-key", "--api-keys"), "--api-keys"),
        (("--by",), "--by"),
        (("--by", "week"), "week"),
        (("--by", ""), "--by"),
        (("--by", "days"), "days"),
        (("--by", "day,hour"), "day,hour"),
    ],
)
def test_rows_of_what_cannot_be(words, about):
    told = ask_json(account(), *words)
    assert (told.status, told.error["code"]) == (2, "usage")
    assert about in told.error["message"]
    assert told.connects == []


@pytest.mark.parametrize(
    "words, member, both",
    [
        (("--api-keys", "web-app", "--api-keys", "ci"), "api_keys", ["web-app", "ci"]),
        (("--by", "api-key", "--api-keys", "web-app", "--api-keys=ci"), "api_keys", ["web-app", "ci"]),
        (("--service-type", "my", "--service-type", "preset"), "service_types", [1, 2]),
    ],
    ids=as_words,
)
def test_of_two_that_are_asked_for_none_is_dropped_in_silence(words, member, both):
    told = ask_json(account(), *words)
    assert told.status == 2 or told.document["query"][member] == both


@pytest.mark.parametrize("words", ["--last 7d --last 1d", "--period today --period yesterday"])
def test_two_windows_are_a_usage_error_of_the_same_form_too(words):
    told = ask_json(account(), *words.split())
    assert (told.status, told.connects) == (2, [])


# --- calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, now, calls",
    [
        ("--last 30d --by day", None, 31),
        ("--last 10d --by day", MIDNIGHT, 10),
        ("--last 24h --by hour", ON_THE_HOUR, 24),
        ("--last 10d --by day --compare", None, 12),
        ("--last 45d --by service-type", None, 6),
        ("--last 61d", None, 3),
    ],
)
def test_how_many_calls_are_made(words, now, calls):
    clock = Clock() if now is None else clock_at(now)
    told = ask_json(account(clock=clock.now), *words.split(), clock=clock)
    assert told.status == 0
    assert len(told.statistics) == told.document["api_calls"] == calls
    assert len({request.body for request in told.statistics}) == calls
    assert len(told.look_ups) == 1


def test_calls_run_side_by_side_but_not_more_than_eight():
    def slowly(request):
        time.sleep(0.1)
        return ledger(request)

    began = time.monotonic()
    told = ask_json(slowly, "--last", "30d", "--by", "day", alone=True)
    took_s = time.monotonic() - began
    assert told.document["totals"]["total_tokens"] == 30 * DAY_MS
    assert 1 < told.in_flight_peak <= 8
    # Look-up, first call, and thirty by eight: 6 times 0.1 s where one after another they take 3.2 s.
    assert took_s < 2


@functools.lru_cache(maxsize=None)
def starts_of(words):
    return [body["start_time"] for body in ask_json(account(), *words).bodies]


def failing(nth, answer, words):
    """The invented account, but that the nth call in the order of the windows always gets another answer."""
    starts, sound = starts_of(words), account()
    assert len(set(starts)) == len(starts)

    def app(request):
        if request.method == "POST" and json.loads(request.body.decode("ascii"))["start_time"] == starts[nth - 1]:
            return answer
        return sound(request)

    return app


LAST_24H = ("--last", "24h", "--by", "hour")
FAILURES = {
    "503": (refused(503), 7, "service_error", 4),
    "400": (refused(400), 7, "bad_request", 1),
    "401": (refused(401, "APIGW.0301", "ak not exist"), 3, "credentials_rejected", 1),
    "403": (refused(403), 4, "permission_denied", 1),
    "429": (refused(429, Retry_After="90"), 5, "throttled", 1),
    "bad figure": (json_reply(200, figures(total_token=None)), 7, "unexpected_answer", 1),
    "cut": (Cut(b"{" + b" " * 100, 50), 6, "network", 4),
}


@pytest.mark.parametrize("name", FAILURES)
def test_one_failed_call_fails_the_query(name):
    answer, status, code, sends = FAILURES[name]
    told = ask_json(failing(17, answer, LAST_24H), *LAST_24H, alone=True)
    assert (told.status, told.error["code"]) == (status, code)
    assert set(told.document) == {"schema_version", "status", "error"}
    assert [body["start_time"] for body in told.bodies].count(starts_of(LAST_24H)[16]) == sends


@pytest.mark.parametrize("nth, form", [(1, "table"), (17, "markdown"), (25, "csv"), (17, "json")])
def test_of_a_failed_query_nothing_is_printed(nth, form):
    told = ask(failing(nth, FAILURES["400"][0], LAST_24H), *LAST_24H, "--format", form, alone=True)
    assert told.status == 7
    if form == "json":
        assert told.error["code"] == "bad_request"
    else:
        assert told.out == ""
    assert last_line(told.err).startswith("bad_request: ")
    whole = of_service(NOW_MS - DAY_MS, NOW_MS)
    assert str(whole["total_tokens"]) not in told.said
    assert "{:,}".format(whole["requests"]) not in told.said


@pytest.mark.parametrize("by", ["service-type", "api-key"])
def test_one_failed_group_fails_the_query(by):
    sound = account()

    def app(request):
        body = json.loads(request.body.decode("ascii")) if request.method == "POST" else {}
        fails = body.get("service_type") == 4 or body.get("api_keys") == ["ci"]
        return refused(503) if fails else sound(request)

    words = ("--by", by, *(("--api-keys", "web-app", "ci") if by == "api-key" else ()))
    told = ask_json(app, *words, alone=True)
    assert (told.status, told.error["code"]) == (7, "service_error")


def test_a_call_that_fails_once_is_made_again_and_counted_once():
    sound, failed = account(), []

    def app(request):
        if request.method == "POST" and len(failed) < 3:
            failed.append(request)
            return refused(503)
        return sound(request)

    told = ask_json(app, *LAST_24H)
    assert told.status == 0
    assert told.document["totals"] == of_service(NOW_MS - DAY_MS, NOW_MS)
    assert told.document["api_calls"] == len(told.statistics) == 28
    assert len({request.body for request in told.statistics}) == 25


# --- what cannot finish ----------------------------------------------------------------------


class Together(Clock):
    """A clock on which those who sleep at the same time sleep side by side."""

    def sleep(self, seconds):
        wake_s = self._passed_s + seconds
        with self._lock:
            self.slept.append(seconds)
            self._passed_s = max(self._passed_s, wake_s)


def proposed_deadline(error):
    return re.search(r"--deadline (\d+)", error["hint"]).group(1)


def test_30_days_by_the_hour_need_more_than_the_deadline():
    words = ("--last", "30d", "--by", "hour")
    told = ask_json(account(), *words)
    assert (told.status, told.error["code"], told.error["retryable"]) == (2, "usage", False)
    assert told.connects == []
    assert "721 calls" in told.error["message"] and "100 s" in told.error["message"]
    deadline = proposed_deadline(told.error)
    # What is proposed will do.
    clock = Together()
    told = ask_json(None, "--demo", *words, "--deadline", deadline, clock=clock)
    assert told.status == 0
    assert len(told.document["rows"]) == told.document["api_calls"] == 721
    assert_tiles(told.document)
    assert_adds_up(told.document)
    assert told.document["totals"] == of_service(RETAINED_MS, NOW_MS)
    assert 240 <= clock.monotonic() - 1000 <= int(deadline)


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_what_cannot_finish_is_one_line(form):
    told = ask(account(), "--last", "30d", "--by", "hour", "--format", form)
    assert (told.status, told.out, told.connects) == (2, "", [])
    assert last_line(told.err).startswith("usage: ")
    assert "--deadline" in told.err


def test_the_least_that_cannot_finish():
    # 360 calls and the look-up begin in three minutes, the last of them after two; 361 calls do without it.
    told = ask_json(account(), "--last", "15d", "--by", "hour", clock=clock_at(ON_THE_HOUR))
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])
    told = ask_json(account(), "--last", "15d", "--by", "hour", "--project-id", PROJECT_ID)
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


def test_360_calls_without_a_look_up_can():
    environ = {
        "HUAWEICLOUD_SDK_AK": KEYS.key_id,
        "HUAWEICLOUD_SDK_SK": KEYS.secret,
        "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT_ID,
    }
    now_s = instant(ON_THE_HOUR) // 1000
    app = on_stage(service(clock=lambda: now_s))
    words = ("--last", "15d", "--by", "hour")
    told = ask_json(app, *words, keys=None, environ=environ, clock=Together(now_s))
    assert (told.status, len(told.statistics), told.look_ups) == (0, 360, [])


# --- the past --------------------------------------------------------------------------------


@pytest.mark.parametrize("expired", ["zeros", "400"])
def test_45_days_by_day(expired):
    told = ask_json(account(expired=expired), "--last", "45d", "--by", "day")
    document = told.document
    assert (told.status, len(document["rows"])) == (0, 46)
    assert_tiles(document)
    assert_adds_up(document)
    assert document["coverage"]["complete"] is False
    assert instant(document["coverage"]["retained_since"]) == RETAINED_MS
    assert codes(document) == ["beyond_retention"]
    # Whichever way the service answers, the rows say the same.
    for row, (start_ms, end_ms) in zip(document["rows"], spans(document)):
        assert row["usage"] == of_service(max(start_ms, RETAINED_MS), max(end_ms, RETAINED_MS + 1)), row["group"]
    # One day is cut where the retention begins, so that a 400 to what lies before it costs nothing else.
    bodies = told.bodies
    assert len(bodies) == 47
    assert [body["end_time"] + 1 for body in bodies[:-1]] == [body["start_time"] for body in bodies[1:]]
    assert RETAINED_MS in [body["start_time"] for body in bodies]


@pytest.mark.parametrize("expired", ["zeros", "400"])
@pytest.mark.parametrize("by", ["day", "hour", "service-type", "api-key"])
def test_rows_of_a_past_that_is_gone(expired, by):
    dates = ("--from", "2026-09-01", "--to", "2026-09-02")
    told = ask_json(account(expired=expired), *dates, "--by", by, "--api-keys", "web-app", "ci")
    document = told.document
    assert told.status == 0
    assert len(document["rows"]) == {"day": 2, "hour": 48, "service-type": 3, "api-key": 2}[by]
    assert {row["usage"]["total_tokens"] for row in document["rows"]} == {0}
    assert document["coverage"]["complete"] is False
    assert "beyond_retention" in codes(document) and "no_usage" not in codes(document)


def test_a_400_to_a_row_that_is_still_kept_is_an_error():
    words = ("--last", "3d", "--by", "day")
    answer = refused(400, "ModelArts.0104", "The request parameters are invalid")
    told = ask_json(failing(2, answer, words), *words, alone=True)
    assert (told.status, told.error["code"]) == (7, "bad_request")


# --- the question behind it ------------------------------------------------------------------


def test_which_of_the_last_10_days_had_the_worst_error_rate():
    words = ("--last", "10d", "--by", "day", *ALL)
    rates = {}
    day_ms = (NOW_MS - 10 * DAY_MS + 8 * HOUR_MS) // DAY_MS * DAY_MS - 8 * HOUR_MS
    while day_ms < NOW_MS:
        usage = of_service(max(day_ms, NOW_MS - 10 * DAY_MS), min(day_ms + DAY_MS, NOW_MS), (1, 2, 4))
        name = datetime.fromtimestamp(day_ms / 1000, timezone(timedelta(hours=8))).date().isoformat()
        rates[name] = Fraction(usage["errors"], usage["requests"])
        day_ms += DAY_MS
    worst = max(rates, key=rates.get)
    told = ask(account(), *words)
    assert told.status == 0
    (marked,) = [line for line in told.out.splitlines() if line.endswith("worst")]
    assert marked.startswith(worst)
    assert "%.2f%%" % (rates[worst] * 100) in marked
    weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][date.fromisoformat(worst).weekday()]
    assert "Worst error rate: %s %s" % (worst, weekday) in told.out


def test_the_service_at_this_hour_has_something_to_count():
    # Else many of the sums above would be sums of nothing.
    assert of_service((NOW_S - 86400) * 1000, NOW_MS)["requests"] > 1000
