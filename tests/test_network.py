"""Every way an answer can go wrong, through the command line, over real TLS and a real proxy."""

import gzip
import json
import os
import socket
import threading
import time
from email.utils import formatdate
from unittest import mock

import pytest
from conftest import (
    IAM,
    KEYS,
    MODELARTS,
    NOW_S,
    PROJECT_ID,
    REGION,
    USED,
    Clock,
    account,
    answering,
    ask,
    ask_json,
    assert_clean,
    figures,
    last_line,
    refused,
)
from maas_usage.pace import REAL_TIME
from stage import (
    Cut,
    Drip,
    DripHeaders,
    Garbage,
    Reply,
    Reset,
    Silence,
    blanks,
    closed_port,
    json_reply,
)

MIB = 1024 * 1024
BODY = json.dumps(figures()).encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
FOREVER = ("--deadline", "86400")
GIVEN_PROJECT = ("--project-id", PROJECT_ID)

NO_SECRET_FITS = "Incorrect IAM authentication information: verify aksk signature fail"
LOCKED = "Incorrect IAM authentication information: AK access failed to reach the limit, forbidden"
EXPIRED = "Incorrect IAM authentication information: signature expired, signature time: 1, server time: 2"


def row(name, answer, code, status, *, http=None, api=None, request_id=None, sends=1, again=False, after=None):
    """An answer to each statistics call, and what the run must make of it."""
    return pytest.param(answer, code, status, (http, api, request_id, again, after), sends, id=name)


def gateway(name, status, api, text, code, exit_status, **more):
    answer = refused(status, api, text)
    return row(name, answer, code, exit_status, http=status, api=api, request_id="req-1", **more)


def after(seconds):
    return Reply(429, headers={"Retry-After": str(seconds)})


def body_of(status, members, headers=None):
    return json_reply(status, members, **(headers or {}))


UNAUTHORIZED = [
    gateway("401 secret", 401, "APIGW.0301", NO_SECRET_FITS, "credentials_rejected", 3),
    gateway("401 APIG", 401, "APIG.0301", NO_SECRET_FITS, "credentials_rejected", 3),
    gateway("401 APIC", 401, "APIC.0301", NO_SECRET_FITS, "credentials_rejected", 3),
    gateway("401 unknown key", 401, "APIGW.0301", "ak not exist", "credentials_rejected", 3),
    gateway("401 disabled key", 401, "APIGW.0301", "Get secretKey failed", "credentials_rejected", 3),
    gateway("401 token", 401, "APIGW.0301", "decrypt token fail", "credentials_rejected", 3),
    gateway("401 arrears", 401, "APIGW.0307", "whatever", "credentials_rejected", 3),
    gateway("401 locked", 401, "APIGW.0301", LOCKED, "credentials_locked", 3, again=True, after=300),
    gateway("401 expired", 401, "APIGW.0301", EXPIRED, "clock_skew", 3),
    gateway("401 .0303", 401, "APIGW.0303", "signature time: 1, server time: 2", "clock_skew", 3),
    gateway("401 other", 401, "APIGW.0399", "something new", "credentials_rejected", 3),
    row("401 empty", Reply(401), "credentials_rejected", 3, http=401),
    row("401 HTML", Reply(401, b"<html>"), "credentials_rejected", 3, http=401),
    row("401 list", body_of(401, ["no"]), "credentials_rejected", 3, http=401),
    row(
        "401 behind by its Date",
        refused(401, "APIGW.0301", NO_SECRET_FITS, Date=formatdate(NOW_S + 2400, usegmt=True)),
        "clock_skew",
        3,
        http=401,
        api="APIGW.0301",
        request_id="req-1",
    ),
    row(
        "401 ahead by its Date",
        refused(401, "APIGW.0301", NO_SECRET_FITS, Date=formatdate(NOW_S - 1000, usegmt=True)),
        "clock_skew",
        3,
        http=401,
        api="APIGW.0301",
        request_id="req-1",
    ),
    row(
        "401 with a small skew",
        refused(401, "APIGW.0301", NO_SECRET_FITS, Date=formatdate(NOW_S - 800, usegmt=True)),
        "credentials_rejected",
        3,
        http=401,
        api="APIGW.0301",
        request_id="req-1",
    ),
]
REFUSED = [
    gateway("403 .0302", 403, "APIGW.0302", "not allowed", "permission_denied", 4),
    gateway("403 .0306", 403, "APIG.0306", "not allowed", "permission_denied", 4),
    gateway("403 .0802", 403, "APIGW.0802", "not in this region", "permission_denied", 4),
    gateway("403 ModelArts", 403, "ModelArts.0108", "project", "permission_denied", 4),
    row("403 empty", Reply(403), "permission_denied", 4, http=403),
    gateway("404 APIGW", 404, "APIGW.0101", "no such API", "region_unsupported", 4),
    gateway("404 APIG", 404, "APIG.0101", "no such API", "region_unsupported", 4),
    gateway("404 APIC", 404, "APIC.0101", "no such API", "region_unsupported", 4),
    gateway("404 other", 404, "ModelArts.0101", "no such thing", "bad_request", 7),
    row("404 empty", Reply(404), "bad_request", 7, http=404),
    gateway("400", 400, "ModelArts.0104", "service_type must be one of [1 2 4]", "bad_request", 7),
    gateway("405", 405, "APIGW.0199", "no", "bad_request", 7),
    gateway("408", 408, "X.1", "no", "bad_request", 7),
    gateway("422", 422, "X.1", "no", "bad_request", 7),
    gateway("499", 499, "X.1", "no", "bad_request", 7),
]
OTHER_SPELLINGS = [
    row(
        "errorCode",
        body_of(400, {"errorCode": "A.1", "errorMsg": "m"}),
        "bad_request",
        7,
        http=400,
        api="A.1",
    ),
    row(
        "code",
        body_of(400, {"code": 17, "message": "m"}, {"X_Request_Id": "req-2"}),
        "bad_request",
        7,
        http=400,
        api="17",
        request_id="req-2",
    ),
    row(
        "nested",
        body_of(404, {"error": {"code": "APIGW.0101", "message": "m"}, "request_id": "req-3"}),
        "region_unsupported",
        4,
        http=404,
        api="APIGW.0101",
        request_id="req-3",
    ),
    row("error as text", body_of(403, {"error": "m"}), "permission_denied", 4, http=403),
    row(
        "members of any kind",
        body_of(400, {"error_code": ["A"], "error_msg": {"a": 1}, "request_id": True}),
        "bad_request",
        7,
        http=400,
    ),
]
TRANSIENT = [
    gateway("429", 429, "APIGW.0308", "slow down", "throttled", 5, sends=4, again=True, after=60),
    row("429 empty", Reply(429), "throttled", 5, http=429, sends=4, again=True, after=60),
    row("429 after 2", after(2), "throttled", 5, http=429, sends=4, again=True, after=2),
    row("429 after 60", after(60), "throttled", 5, http=429, sends=4, again=True, after=60),
    row("429 after 61", after(61), "throttled", 5, http=429, again=True, after=61),
    row(
        "503 after 3600",
        refused(503, "APIGW.0613", "m", Retry_After="3600"),
        "throttled",
        5,
        http=503,
        api="APIGW.0613",
        request_id="req-1",
        again=True,
        after=3600,
    ),
    gateway("500", 500, "APIGW.0601", "internal error", "service_error", 7, sends=4, again=True),
    gateway("502", 502, "X.1", "bad gateway", "service_error", 7, sends=4, again=True),
    gateway("503", 503, "APIGW.0613", "unavailable", "service_error", 7, sends=4, again=True),
    gateway("504", 504, "X.1", "too late", "service_error", 7, sends=4, again=True),
    row("503 HTML", Reply(503, b"<html>"), "service_error", 7, http=503, sends=4, again=True),
    row("501", Reply(501), "service_error", 7, http=501, again=True),
    row("599", Reply(599), "service_error", 7, http=599, again=True),
    row("a cut body", Cut(BODY, 20), "network", 6, sends=4, again=True),
    row("no body", Cut(BODY, 0), "network", 6, sends=4, again=True),
    row("cut between chunks", Garbage(CHUNKED + b"1\r\n{\r\n"), "network", 6, sends=4, again=True),
    row("cut in a chunk", Garbage(CHUNKED + b"9\r\n{"), "network", 6, sends=4, again=True),
    row("a reset", Reset(), "network", 6, sends=4, again=True),
    row("no HTTP", Garbage(b"\x00\xff nonsense\r\n\r\n"), "network", 6, sends=4, again=True),
    row("the end", Garbage(b""), "network", 6, sends=4, again=True),
]
ELSEWHERE = "https://iam.cn-north-4.myhuaweicloud.com/elsewhere"
NO_ANSWER = [
    row("101", Reply(101, headers={"Upgrade": "websocket"}), "unexpected_answer", 7, http=101),
    row("103", Reply(103), "unexpected_answer", 7, http=103),
    row("201", Reply(201, BODY), "unexpected_answer", 7, http=201),
    row("202", Reply(202, b"{}"), "unexpected_answer", 7, http=202),
    row("204", Reply(204), "unexpected_answer", 7, http=204),
    row("206", Reply(206, BODY), "unexpected_answer", 7, http=206),
    row("304", Reply(304), "unexpected_answer", 7, http=304),
    *(
        row("%d" % status, Reply(status, b"moved", {"Location": ELSEWHERE}), "unexpected_answer", 7, http=status)
        for status in (300, 301, 302, 303, 307, 308)
    ),
    row("302 to itself", Reply(302, b"", {"Location": "/"}), "unexpected_answer", 7, http=302),
    row("302 to HTTP", Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), "unexpected_answer", 7, http=302),
    row("302 nowhere", Reply(302, b""), "unexpected_answer", 7, http=302),
    row("302 no URL", Reply(302, b"", {"Location": "http://["}), "unexpected_answer", 7, http=302),
    row("302 no port", Reply(302, b"", {"Location": "https://a.example:x/"}), "unexpected_answer", 7, http=302),
    row("302 no host", Reply(302, b"", {"Location": "https://"}), "unexpected_answer", 7, http=302),
    row("302 not UTF-8", Reply(302, b"", {"Location": "https://a.example/\u00ff"}), "unexpected_answer", 7, http=302),
]
NO_JSON = {
    "empty": b"",
    "HTML": b"<!DOCTYPE html><title>Sign in</title>",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "text": b'"text"',
    "not UTF-8": b'{"\xff": 1}',
    "UTF-16": json.dumps(figures()).encode("utf-16"),
    "half of it": BODY[:-1],
    "two documents": BODY + BODY,
    "a member twice": BODY[:-1] + b', "total_token": 1}',
    "a further member twice": BODY[:-1] + b', "a": {"b": 1, "b": 1}}',
    "an object without end": b'{"a":' * 100_000,
}
LIES = {
    "missing": lambda name: {k: v for k, v in figures().items() if k != name},
    "null": lambda name: figures(**{name: None}),
    "true": lambda name: figures(**{name: True}),
    "text": lambda name: figures(**{name: "10"}),
    "a list": lambda name: figures(**{name: [10]}),
    "an object": lambda name: figures(**{name: {}}),
    "negative": lambda name: figures(**{name: -1}),
    "above 10^18": lambda name: figures(**{name: 10**18 + 1}),
}
MAIN_FIGURES = [name for name in figures() if name.endswith(("_count", "_token")) and "infer" not in name]


@pytest.mark.parametrize(
    "answer, code, status, told_of_it, sends",
    UNAUTHORIZED + REFUSED + OTHER_SPELLINGS + TRANSIENT + NO_ANSWER,
)
def test_each_answer_has_its_error(answer, code, status, told_of_it, sends):
    told = ask_json(answering(answer), *FOREVER, *GIVEN_PROJECT)
    error = told.error
    assert (told.status, error["code"]) == (status, code)
    members = ("http_status", "api_code", "request_id", "retryable", "retry_after_s")
    assert tuple(error[name] for name in members) == told_of_it
    assert [request.host for request in told.requests] == [MODELARTS] * sends
    assert last_line(told.err) == "%s: %s %s" % (code, error["message"], error["hint"])
    assert told.err.count("Trying again in") == sends - 1
    assert_clean(told.said)


@pytest.mark.parametrize(
    "answer, code, status",
    [
        (refused(401, "APIGW.0301", NO_SECRET_FITS), "credentials_rejected", 3),
        (Reply(403), "permission_denied", 4),
        (Reply(429, headers={"Retry-After": "90"}), "throttled", 5),
        (Cut(BODY, 9), "network", 6),
        (Reply(200, b"[]"), "unexpected_answer", 7),
    ],
)
def test_an_error_is_one_line_and_no_table(answer, code, status):
    told = ask(answering(answer), *FOREVER, *GIVEN_PROJECT)
    assert (told.status, told.out) == (status, "")
    assert last_line(told.err).startswith(code + ": ")


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NO_JSON.items()])
def test_what_is_not_the_json_of_an_answer(body):
    told = ask_json(answering(Reply(200, body)), *GIVEN_PROJECT)
    assert (told.status, told.error["code"], told.error["retryable"]) == (7, "unexpected_answer", False)
    assert told.error["http_status"] == 200
    assert len(told.requests) == 1
    assert last_line(told.err).startswith("unexpected_answer: ")
    assert_clean(told.said)


@pytest.mark.parametrize(
    "figure, lie",
    [(figure, "missing") for figure in MAIN_FIGURES] + [(MAIN_FIGURES[n % 5], lie) for n, lie in enumerate(LIES)],
)
def test_no_figure_is_taken_on_trust(figure, lie):
    told = ask_json(answering(json_reply(200, LIES[lie](figure))), *GIVEN_PROJECT)
    assert (told.status, told.error["code"], len(told.requests)) == (7, "unexpected_answer", 1)
    assert figure in told.error["message"]
    assert_clean(told.said)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e19", "1e400", "1e" + "9" * 20, "-0.001"])
def test_no_number_is_taken_on_trust(literal):
    answer = json_reply(200, json.dumps(figures(total_token="LITERAL")).replace('"LITERAL"', literal))
    told = ask_json(answering(answer), *GIVEN_PROJECT)
    assert (told.status, told.error["code"], len(told.requests)) == (7, "unexpected_answer", 1)
    assert "total_token" in told.error["message"]


def test_a_lie_has_the_status_of_its_answer():
    told = ask_json(answering(json_reply(200, figures(total_token=None))), *GIVEN_PROJECT)
    assert told.error["http_status"] == 200


BATCH_FIGURES = [("total_completion_tasks", "batch_tasks"), ("total_infer_count", "batch_inferences")]


@pytest.mark.parametrize("figure, member", BATCH_FIGURES)
def test_batch_figures_may_be_missing_but_not_wrong(figure, member):
    for absent in ({k: v for k, v in figures().items() if k != figure}, figures(**{figure: None})):
        totals = ask_json(answering(json_reply(200, absent)), *GIVEN_PROJECT).document["totals"]
        assert [name for name, known in totals.items() if known is None] == [member]
    for wrong in (-1, "1", True, 1.5):
        told = ask_json(answering(json_reply(200, figures(**{figure: wrong}))), *GIVEN_PROJECT)
        assert (told.status, told.error["code"]) == (7, "unexpected_answer")
        assert figure in told.error["message"]


def test_further_members_are_ignored():
    # How deep a parser goes is its own affair; what it takes must not break what comes after it.
    for depth in (1, 500, 5000, 50_000):
        nested = "[" * depth + "]" * depth
        answer = json_reply(200, BODY[:-1].decode() + ', "further": %s}' % nested)
        for words in ((), ("--raw",)):
            told = ask_json(answering(answer), *GIVEN_PROJECT, *words)
            if told.status == 0:
                assert told.document["totals"]["requests"] == 10
            else:
                assert depth > 1 and told.error["code"] == "unexpected_answer"


class TestSize:
    def test_16_mib_is_an_answer(self):
        answer = Reply(200, BODY + b" " * (16 * MIB - len(BODY)))
        assert ask(answering(answer), *GIVEN_PROJECT).status == 0

    @pytest.mark.parametrize(
        "answer",
        [
            Reply(200, lambda: blanks(16 * MIB - len(BODY) + 1)),
            Reply(200, lambda: blanks(64 * MIB)),
        ],
        ids=["a byte more", "much more"],
    )
    def test_more_is_none(self, answer):
        def app(request):
            return Reply(200, (part for parts in ([BODY], answer.body()) for part in parts))

        told = ask_json(answering(app), *GIVEN_PROJECT)
        assert (told.status, told.error["code"], told.error["http_status"]) == (7, "unexpected_answer", 200)
        assert "16 MiB" in told.error["message"]
        assert len(told.requests) == 1

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
    def test_compressed_is_none(self, coding):
        answer = Reply(200, gzip.compress(BODY), {"Content-Encoding": coding})
        told = ask_json(answering(answer), *GIVEN_PROJECT)
        assert (told.status, told.error["code"], told.error["http_status"]) == (7, "unexpected_answer", 200)
        assert "compressed" in told.error["message"]
        assert len(told.requests) == 1

    def test_identity_is_no_compression(self):
        told = ask(answering(Reply(200, BODY, {"Content-Encoding": "identity"})), *GIVEN_PROJECT)
        assert told.status == 0

    @pytest.mark.parametrize("status, code", [(401, "credentials_rejected"), (503, "service_error")])
    def test_a_compressed_or_endless_error_is_still_that_error(self, status, code):
        for answer in (
            Reply(status, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
            Reply(status, b" " * (17 * MIB)),
        ):
            told = ask_json(answering(answer), *GIVEN_PROJECT)
            assert told.error["code"] == code


class TestTransient:
    def test_after_a_failure_that_passes_the_answer_counts(self):
        told = ask_json(answering(Reply(503), Reset(), Cut(BODY, 5), USED), *FOREVER)
        assert told.status == 0
        assert told.document["api_calls"] == len(told.statistics) == 4
        assert told.document["totals"]["total_tokens"] == 3500
        assert len(told.err.splitlines()) == 3

    def test_each_send_is_signed_anew(self):
        told = ask(answering(Reply(503, headers={"Retry-After": "7"}), USED), *GIVEN_PROJECT)
        first, second = told.statistics
        assert told.slept == [7]
        assert (first.headers["X-Sdk-Date"], second.headers["X-Sdk-Date"]) == ("20261123T213210Z", "20261123T213217Z")
        assert first.headers["Authorization"] != second.headers["Authorization"]
        assert first.body == second.body

    def test_backoff_grows_and_is_drawn_from_zero_up(self):
        clock, drawn = Clock(), []

        def uniform(low, high):
            drawn.append((low, high))
            return high

        timing = clock.timing()
        timing = type(timing)(timing.now, timing.monotonic, timing.sleep, uniform, 10.0, 10.0)
        told = ask(answering(Reply(500)), *FOREVER, *GIVEN_PROJECT, clock=clock, timing=timing)
        assert len(told.statistics) == 4
        lows, highs = zip(*drawn)
        assert set(lows) == {0.0}
        assert told.slept == list(highs[:3]) == sorted(set(highs[:3]))
        assert told.slept[0] > 0 and told.slept[-1] <= 60

    def test_a_throttled_call_waits_a_minute(self):
        told = ask_json(answering(Reply(429), USED), *GIVEN_PROJECT)
        assert (told.status, told.slept, told.document["api_calls"]) == (0, [60.0], 2)
        assert "60 s" in told.err

    def test_the_deadline_ends_the_waiting(self):
        told = ask_json(answering(Reply(429)), *GIVEN_PROJECT)
        assert (told.status, told.error["code"]) == (5, "throttled")
        assert (told.slept, len(told.statistics)) == ([60.0], 2)
        assert (told.error["retryable"], told.error["retry_after_s"]) == (True, 60)

    def test_a_failure_cut_short_by_the_deadline_is_a_timeout_that_names_it(self):
        told = ask_json(answering(Reply(503, headers={"Retry-After": "50"})), *GIVEN_PROJECT)
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "timeout", True)
        assert (told.slept, len(told.statistics)) == ([50.0], 2)
        assert "100 s" in told.error["message"] and "failed" in told.error["message"]

    @pytest.mark.parametrize(
        "stated, date, waits_s",
        [
            ("7", None, 7),
            ("0", None, 0),
            (" 5 ", None, 5),
            (formatdate(NOW_S + 9, usegmt=True), None, 9),
            (formatdate(NOW_S - 9, usegmt=True), None, 0),
            (formatdate(NOW_S + 509, usegmt=True), formatdate(NOW_S + 500, usegmt=True), 9),
            ("soon", None, 60),
            ("-5", None, 60),
            ("1e1", None, 60),
            ("", None, 60),
            ("9" * 5000, None, 60),
        ],
    )
    def test_retry_after(self, stated, date, waits_s):
        headers = {"Retry-After": stated, **({"Date": date} if date else {})}
        told = ask(answering(Reply(429, headers=headers), USED), *FOREVER, *GIVEN_PROJECT)
        assert (told.status, told.slept) == (0, [waits_s])

    def test_retry_after_a_date_too_far(self):
        told = ask_json(answering(Reply(429, headers={"Retry-After": formatdate(NOW_S + 90, usegmt=True)})))
        assert (told.status, told.error["retry_after_s"], len(told.statistics)) == (5, 90, 1)

    def test_a_throttled_call_holds_all_others_back(self):
        clock, everyone = Clock(), threading.Barrier(8, timeout=5)
        lock, arrivals, later = threading.Lock(), [], []

        def statistics(request):
            with lock:
                number = len(arrivals)
                arrivals.append(clock.monotonic())
            if number == 0:
                return USED
            if number > 8:
                later.append(arrivals[number])
                return USED
            if everyone.wait() == 0:
                return Reply(429)
            time.sleep(0.3)
            return USED

        told = ask(answering(statistics), "--last", "366d", *FOREVER, *GIVEN_PROJECT, clock=clock)
        assert told.status == 0
        assert len(set(arrivals[:9])) == 1
        assert later and min(later) >= arrivals[0] + 60

    def test_an_unauthorized_call_is_sent_once_whatever_was_planned(self):
        answer = refused(401, "APIGW.0301", NO_SECRET_FITS)
        told = ask(answering(answer), "--last", "366d", "--service-type", "all", *GIVEN_PROJECT)
        assert (told.status, len(told.requests)) == (3, 1)
        told = ask(answering(iam=answer), "--last", "366d", "--service-type", "all")
        assert (told.status, len(told.look_ups), len(told.statistics)) == (3, 1, 0)

    def test_after_a_late_401_no_further_call_starts(self):
        everyone = threading.Barrier(8, timeout=5)

        def last_of_all(request):
            everyone.wait()
            return refused(401, "APIGW.0301", NO_SECRET_FITS)

        app = answering(USED, last_of_all)
        told = ask(app, "--last", "366d", "--service-type", "all", *GIVEN_PROJECT)
        assert (told.status, len(told.statistics)) == (3, 9)

    def test_a_failed_part_fails_the_whole(self):
        told = ask_json(answering(*[USED] * 12, Reply(400)), "--last", "30d", "--service-type", "all", *GIVEN_PROJECT)
        assert told.status == 0
        told = ask_json(answering(USED, USED, Reply(403)), "--last", "30d", "--service-type", "all", *GIVEN_PROJECT)
        assert (told.status, told.error["code"]) == (4, "permission_denied")
        assert "totals" not in told.document


class TestSideBySide:
    def test_the_first_call_goes_alone(self):
        def slow(request):
            time.sleep(0.2)
            return USED

        told = ask(answering(slow, USED), "--last", "90d", "--service-type", "all", *GIVEN_PROJECT)
        first, second = told.statistics[:2]
        assert second.received_s - first.received_s >= 0.2
        assert len(told.statistics) > 8

    def test_at_most_eight_at_once(self):
        everyone = threading.Barrier(8, timeout=5)
        lock, arrived = threading.Lock(), []

        def meet(request):
            with lock:
                arrived.append(request)
                together = 1 < len(arrived) < 10
            if together:
                everyone.wait()
            return USED

        told = ask_json(answering(meet), "--last", "366d", "--service-type", "all", alone=True)
        assert told.status == 0
        assert told.in_flight_peak == 8
        assert told.document["api_calls"] == len(told.statistics) == 3 * 13


IMPATIENT = {"connect_s": 1.0, "answer_s": 0.25}


class TestSilence:
    def test_silence_is_retried_and_then_a_timeout(self):
        clock = Clock()
        told = ask_json(answering(Silence()), *GIVEN_PROJECT, clock=clock, timing=clock.timing(**IMPATIENT), alone=True)
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "timeout", True)
        assert (told.error["http_status"], len(told.statistics)) == (None, 4)
        assert last_line(told.err).startswith("timeout: ")
        assert MODELARTS in told.error["message"]

    def test_an_answer_after_silence_counts(self):
        clock = Clock()
        timing = clock.timing(**IMPATIENT)
        told = ask(answering(Silence(), USED), *GIVEN_PROJECT, clock=clock, timing=timing, alone=True)
        assert (told.status, len(told.statistics)) == (0, 2)

    def test_dripping_is_silence(self):
        clock = Clock()
        timing = clock.timing(connect_s=0.2, answer_s=0.2)
        told = ask_json(answering(Drip(BODY, 0.1)), *GIVEN_PROJECT, clock=clock, timing=timing, alone=True)
        assert (told.status, told.error["code"], len(told.statistics)) == (6, "timeout", 4)

    @pytest.mark.parametrize(
        "answer", [Silence(), Drip(BODY, 0.1), DripHeaders(0.1)], ids=["silence", "body", "headers"]
    )
    @pytest.mark.parametrize("asked", ["iam", "statistics"])
    def test_the_deadline_holds(self, answer, asked):
        app = answering(iam=answer) if asked == "iam" else answering(answer)
        started_s = time.monotonic()
        told = ask_json(app, "--deadline", "0.6", timing=REAL_TIME, alone=True)
        assert 0.5 < time.monotonic() - started_s < 3
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "timeout", True)
        assert "0.6 s" in told.error["message"]
        assert len(told.look_ups) == 1 and len(told.statistics) == (asked == "statistics")

    def test_the_deadline_holds_side_by_side(self):
        started_s = time.monotonic()
        app = answering(USED, Drip(BODY, 0.1))
        told = ask_json(app, "--deadline", "0.8", "--last", "366d", *GIVEN_PROJECT, timing=REAL_TIME, alone=True)
        assert time.monotonic() - started_s < 3
        assert (told.status, told.error["code"]) == (6, "timeout")

    def test_a_deadline_too_short_for_anything_sends_nothing(self):
        told = ask_json(answering(), "--deadline", "1e-6", timing=REAL_TIME, alone=True)
        assert (told.status, told.error["code"], told.connects) == (6, "timeout", [])


class TestTrust:
    @pytest.mark.parametrize(
        "options",
        [{"trusted": False}, {"hosts": ["other.example"]}, {"hosts": ["*.myhuaweicloud.com", "127.0.0.1"]}],
        ids=["another authority", "another host", "a wildcard is one label"],
    )
    def test_a_certificate_that_does_not_verify(self, options):
        told = ask_json(answering(), **options)
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "tls", False)
        assert (told.connects, told.requests) == ([IAM + ":443"], [])
        assert last_line(told.err).startswith("tls: ")
        assert "REQUESTS_CA_BUNDLE" in told.error["hint"]
        assert ask(answering(), **options).out == ""
        assert_clean(told.said)

    def test_an_authority_that_only_the_statistics_host_lacks(self, tmp_path):
        told = ask_json(answering(), hosts=[IAM])
        assert (told.status, told.error["code"], len(told.look_ups), told.statistics) == (6, "tls", 1, [])
        assert told.connects == [IAM + ":443", MODELARTS + ":443"]

    @pytest.mark.parametrize("kind", ["missing", "no certificate", "empty", "an empty folder"])
    def test_a_bundle_of_authorities_that_is_none(self, tmp_path, kind):
        bundle = tmp_path / "bundle.pem"
        if kind == "an empty folder":
            bundle.mkdir()
        elif kind != "missing":
            bundle.write_text("nothing of the kind\n" if kind == "no certificate" else "")
        told = ask_json(answering(), environ={"REQUESTS_CA_BUNDLE": str(bundle)})
        assert (told.status, told.error["code"]) == (6, "tls")
        assert "REQUESTS_CA_BUNDLE" in told.error["hint"]
        assert (len(told.connects) <= 1, told.requests) == (True, [])
        assert last_line(told.err).startswith("tls: ")

    @pytest.mark.parametrize("name", ["PYTHONHTTPSVERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    @pytest.mark.parametrize("value", ["0", ""])
    def test_no_variable_turns_verification_off(self, name, value):
        environ = {"REQUESTS_CA_BUNDLE": None, name: value}
        told = ask_json(answering(), environ=environ, trusted=False)
        assert (told.status, told.error["code"], told.requests) == (6, "tls", [])


def direct(**extra):
    """The environment of a run that knows no proxy."""
    return {"HTTPS_PROXY": None, **extra}


def addresses(**known):
    """A name service that knows these hosts alone; True stands for any address at all."""
    by_name = {name.replace("__", "-"): port for name, port in known.items()}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *more, **options):
        if host == "127.0.0.1":
            return real(host, port, *more, **options)
        for name, stands_at in by_name.items():
            if host.startswith(name):
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", stands_at))]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    return mock.patch.object(socket, "getaddrinfo", getaddrinfo)


class TestConnection:
    def test_a_port_where_nobody_listens(self):
        with addresses(iam=closed_port()):
            told = ask_json(None, environ=direct())
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "network", True)
        assert told.err.count("Trying again in") == 3
        assert IAM in told.error["message"]

    @pytest.mark.parametrize("project_id", [PROJECT_ID, "407" + PROJECT_ID[3:], "a407"])
    def test_a_proxy_that_is_dead(self, project_id):
        environ = {"HTTPS_PROXY": "http://127.0.0.1:%d" % closed_port()}
        told = ask_json(None, "--project-id", project_id, environ=environ)
        assert (told.status, told.error["code"]) == (6, "network")
        assert told.err.count("Trying again in") == 3
        assert "proxy" in told.error["message"] and "407" not in told.error["message"].replace(project_id, "")

    def test_a_proxy_that_wants_a_password(self):
        told = ask_json(answering(), proxy_status=407)
        assert (told.status, told.error["code"]) == (6, "network")
        assert (len(told.connects), told.requests) == (1, [])
        assert "407" in told.error["message"] and "HTTPS_PROXY" in told.error["hint"]
        assert last_line(told.err).startswith("network: ")

    @pytest.mark.parametrize("status", [403, 500, 502, 503])
    def test_a_proxy_that_does_not_connect(self, status):
        told = ask_json(answering(), proxy_status=status)
        assert (told.status, told.error["code"], len(told.connects)) == (6, "network", 4)

    def test_a_proxy_that_connects_to_iam_alone(self):
        told = ask_json(answering(), unresolvable={MODELARTS})
        assert (told.status, told.error["code"], told.statistics) == (6, "network", [])
        assert told.connects == [IAM + ":443"] + 4 * [MODELARTS + ":443"]

    @pytest.mark.parametrize("proxy", ["http://[", "socks5://127.0.0.1:1", "nonsense://127.0.0.1:1", "http://:x"])
    @pytest.mark.parametrize("debug", ["", "1"])
    def test_a_proxy_that_is_no_url(self, proxy, debug):
        password = "pass" + "word1"
        proxy = proxy.replace("://", "://somebody:%s@" % password)
        told = ask_json(None, environ={"HTTPS_PROXY": proxy, "MAAS_USAGE_DEBUG": debug})
        assert (told.status, told.error["code"]) == (6, "network")
        assert "HTTPS_PROXY" in told.error["hint"]
        assert password not in told.said

    def test_a_name_that_is_unknown(self):
        with addresses():
            told = ask_json(None, environ=direct())
        assert (told.status, told.error["code"], told.error["retryable"]) == (6, "network", True)
        assert told.err.count("Trying again in") == 3
        assert IAM in told.error["message"]

    @pytest.mark.parametrize("words", [(), GIVEN_PROJECT], ids=["looked up", "given"])
    def test_a_region_whose_statistics_host_does_not_exist(self, words):
        with addresses(iam=443):
            told = ask_json(answering(), *words, environ={"NO_PROXY": MODELARTS})
        assert (told.status, told.error["code"]) == (4, "region_unsupported")
        assert (told.error["http_status"], told.error["retryable"], told.statistics) == (None, False, [])
        assert MODELARTS in told.error["message"]
        assert len(told.err.splitlines()) == 1

    def test_a_network_without_names_is_no_wrong_region(self):
        with addresses():
            told = ask_json(answering(), *GIVEN_PROJECT, environ={"NO_PROXY": MODELARTS})
        assert (told.status, told.error["code"]) == (6, "network")


class TestNothingElseSpeaks:
    @pytest.mark.parametrize("how", ["home", "NETRC"])
    @pytest.mark.parametrize("line", ["default", "machine " + MODELARTS, "machine " + IAM])
    def test_netrc_never_replaces_the_signature(self, tmp_path, how, line):
        netrc = tmp_path / (".netrc" if how == "home" else "elsewhere")
        netrc.write_text(line + " login somebody password something\n")
        os.chmod(str(netrc), 0o600)
        environ = {"NETRC": str(netrc)} if how == "NETRC" else {}
        told = ask(account(), home=tmp_path, environ=environ)
        assert told.status == 0
        assert len(told.requests) == 2
        for request in told.requests:
            assert request.headers.get_all("Authorization")[0].startswith("SDK-HMAC-SHA256 Access=" + KEYS.key_id)
            assert len(request.headers.get_all("Authorization")) == 1

    def test_cookies_are_never_sent_back(self):
        baked = {"Set-Cookie": "session=1; Path=/; Domain=.myhuaweicloud.com; Secure"}
        app = answering(
            Reply(503, b"{}", {**baked, "Retry-After": "1"}),
            Reply(200, BODY, baked),
            iam=Reply(200, json.dumps({"projects": [{"id": PROJECT_ID, "name": REGION}]}).encode(), baked),
        )
        told = ask(app, "--last", "366d", "--service-type", "all")
        assert told.status == 0 and len(told.requests) > 30
        assert all("Cookie" not in request.headers for request in told.requests)

    def test_a_connection_that_failed_is_not_used_again(self):
        told = ask(answering(Cut(BODY, 3), USED), *GIVEN_PROJECT)
        assert (told.status, len(told.connects)) == (0, 2)

    def test_connections_are_used_again(self):
        told = ask(answering(), "--last", "366d", "--service-type", "all", *GIVEN_PROJECT)
        assert len(told.connects) <= 8 < len(told.requests)

    def test_only_the_proxy_for_https_is_asked(self):
        dead = "http://127.0.0.1:%d" % closed_port()
        assert ask(answering(), environ={"HTTP_PROXY": dead, "http_proxy": dead}).status == 0
        assert ask(answering(), environ={"ALL_PROXY": dead, "all_proxy": dead}).status == 0
