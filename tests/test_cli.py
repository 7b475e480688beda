"""The main question from end to end: the command line, its keys, its project, its answer, its refusals."""

import contextlib
import gc
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from decimal import Decimal
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from conftest import (
    DAY_MS,
    HOUR_MS,
    IAM,
    KEYS,
    LIVE,
    MODELARTS,
    NOW_MS,
    NOW_S,
    PROJECT_ID,
    PROJECTS,
    STATISTICS_PATH,
    USED,
    ZONE,
    Clock,
    Keys,
    Stage,
    account,
    answering,
    as_words,
    ask,
    ask_json,
    assert_clean,
    bare_environment,
    command,
    counted,
    drawn_key_id,
    drawn_keys,
    drawn_secret,
    figures,
    in_environment,
    last_line,
    launch,
    project,
    refused,
)
from maas_usage import __version__, demo
from stage import Garbage, Reply, Silence, closed_port, json_reply

GIVEN_PROJECT = ("--project-id", PROJECT_ID)
RETAINED_MS = NOW_MS - 30 * DAY_MS
SHANGHAI_MS = 8 * HOUR_MS


def midnight(days_ago):
    """When the day so long ago began in Shanghai."""
    today_ms = (NOW_MS + SHANGHAI_MS) // DAY_MS * DAY_MS - SHANGHAI_MS
    return today_ms - days_ago * DAY_MS


def body(start_ms, end_ms, service_type=2, infer_type="real_time", timezone=ZONE, **more):
    return {
        "service_type": service_type,
        "start_time": start_ms,
        "end_time": end_ms - 1,
        "timezone": timezone,
        "infer_type": infer_type,
        **more,
    }


WEEK = body(NOW_MS - 7 * DAY_MS, NOW_MS)


def totals_of(bodies, **options):
    """The figures that the service itself has for these requests, as an answer would show them."""
    parts = [counted(one, **options) for one in bodies]
    names = {
        "total_token": "total_tokens",
        "total_prompt_token": "prompt_tokens",
        "total_completion_token": "completion_tokens",
        "total_request_count": "requests",
        "total_error_count": "errors",
        "total_completion_tasks": "batch_tasks",
        "total_infer_count": "batch_inferences",
    }
    totals = {}
    for name, member in names.items():
        total = sum(part[name] for part in parts) * (1000 if name.endswith("token") else 1)
        assert total == int(total)
        totals[member] = int(total)
    totals["error_rate"] = totals["errors"] / totals["requests"] if totals["requests"] else None
    return totals


def codes(document):
    return [warning["code"] for warning in document["warnings"]]


class TestMainQuestion:
    def test_seven_days(self):
        told = ask_json(account())
        assert (told.status, told.err) == (0, "")
        assert [(r.method, r.host, r.target) for r in told.requests] == [
            ("GET", IAM, "/v3/projects?name=cn-southwest-2"),
            ("POST", MODELARTS, STATISTICS_PATH),
        ]
        assert told.bodies == [WEEK]
        document = told.document
        assert document["totals"] == totals_of([WEEK])
        assert document["totals"]["total_tokens"] > 10**6
        assert (document["status"], document["source"], document["api_calls"]) == ("ok", "huawei-cloud", 1)
        assert document["generated_at"] == "2026-11-24T05:32:10+08:00"
        assert document["window"] == {
            "expression": "last 7d",
            "start": "2026-11-17T05:32:10+08:00",
            "end": "2026-11-24T05:32:10+08:00",
            "start_ms": NOW_MS - 7 * DAY_MS,
            "end_ms": NOW_MS,
            "timezone": ZONE,
            "includes_now": True,
        }
        assert document["coverage"] == {
            "complete": True,
            "retained_since": "2026-10-25T05:32:10+08:00",
            "provisional_since": "2026-11-24T03:32:10+08:00",
        }
        asked = {name: document["query"][name] for name in ("region", "project_id", "service_types", "infer_type")}
        assert asked == {
            "region": "cn-southwest-2",
            "project_id": PROJECT_ID,
            "service_types": [2],
            "infer_type": "real_time",
        }
        assert document["query"]["api_keys"] is None
        assert codes(document) == []

    def test_now_is_cut_to_a_whole_second(self):
        told = ask(account(), clock=Clock(NOW_S + 0.999))
        assert told.bodies == [WEEK]

    def test_a_total_does_not_depend_on_how_it_is_cut(self):
        told = ask_json(account(end_counted=False), "--last", "3d")
        hours = [body(NOW_MS - n * HOUR_MS, NOW_MS - (n - 1) * HOUR_MS) for n in range(72, 0, -1)]
        # Here the embedded service counts up to the end, which each request leaves out by a millisecond.
        assert told.document["totals"] == totals_of([{**told.bodies[0], "end_time": NOW_MS - 1}], end_counted=False)
        whole = totals_of([{**hour, "end_time": hour["end_time"] + 1} for hour in hours], end_counted=False)
        assert abs(whole["requests"] - told.document["totals"]["requests"]) <= 1

    def test_a_table(self):
        told = ask(account(), "--last", "7d")
        totals = totals_of([WEEK])
        assert (told.status, told.err) == (0, "")
        for member in ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors"):
            assert re.search(r"(?<![0-9,])%s(?![0-9,])" % format(totals[member], ","), told.out)
        assert "%.2f%%" % (100 * totals["error_rate"]) in told.out
        assert ZONE in told.out and "2026-11-17 05:32:10" in told.out
        assert all(len(line) <= 80 for line in told.out.splitlines())
        assert "demo" not in told.out.lower()
        assert_clean(told.out)

    @pytest.mark.parametrize(
        "words, bodies",
        [
            (["--last", "24h"], [body(NOW_MS - DAY_MS, NOW_MS)]),
            (["--last", "1w"], [WEEK]),
            (["--infer-type", "batch"], [{**WEEK, "infer_type": "batch"}]),
            (["--service-type", "4,my"], [{**WEEK, "service_type": 1}, {**WEEK, "service_type": 4}]),
            (["--service-type", "custom"], [{**WEEK, "service_type": 4}]),
            (["--service-type", "2,preset,2"], [WEEK]),
            (["--service-type", "all"], [{**WEEK, "service_type": number} for number in (1, 2, 4)]),
            (["--api-keys", "web-app", "ci", "web-app"], [{**WEEK, "api_keys": ["web-app", "ci"]}]),
            (["--api-keys", ""], [{**WEEK, "api_keys": [""]}]),
            (["--timezone", "America/Chicago"], [{**WEEK, "timezone": "America/Chicago"}]),
            (["--period", "today"], [body(midnight(0), NOW_MS)]),
            (["--period", "yesterday"], [body(midnight(1), midnight(0))]),
            (["--period", "this-week"], [body(midnight(1), NOW_MS)]),
            (["--period", "last-week"], [body(midnight(8), midnight(1))]),
            (["--period", "this-month"], [body(midnight(23), NOW_MS)]),
            (["--from", "2026-11-20"], [body(midnight(4), NOW_MS)]),
            (["--from", "2026-11-20", "--to", "2026-11-20"], [body(midnight(4), midnight(3))]),
            (["--from", "2026-11-20", "--to", "2026-11-24"], [body(midnight(4), NOW_MS)]),
            (
                ["--from", "2026-11-20T10:00", "--to", "2026-11-20T10:00:00.001"],
                [body(midnight(4) + 10 * HOUR_MS, midnight(4) + 10 * HOUR_MS + 1)],
            ),
            (
                ["--from", "2026-11-20T10:00Z", "--to", "2026-11-20T10:00-01:00"],
                [body(midnight(4) + 18 * HOUR_MS, midnight(4) + 19 * HOUR_MS)],
            ),
            (
                ["--timezone", "America/New_York", "--from", "2026-11-01", "--to", "2026-11-01"],
                [body(1793505600000, 1793505600000 + 25 * HOUR_MS, timezone="America/New_York")],
            ),
        ],
        ids=as_words,
    )
    def test_what_is_asked_is_what_is_sent(self, words, bodies):
        told = ask_json(account(), *words)
        assert told.status == 0, told.err
        assert told.bodies == bodies
        document = told.document
        assert document["totals"] == totals_of(bodies)
        assert document["api_calls"] == len(bodies)
        assert document["query"]["service_types"] == [one["service_type"] for one in bodies]
        assert document["query"]["infer_type"] == bodies[0]["infer_type"]
        assert document["query"]["api_keys"] == bodies[0].get("api_keys")
        window = document["window"]
        assert (window["start_ms"], window["end_ms"]) == (bodies[0]["start_time"], bodies[0]["end_time"] + 1)
        assert window["timezone"] == bodies[0]["timezone"]

    def test_all_service_types_may_overlap(self):
        assert codes(ask_json(account(), "--service-type", "all").document) == ["types_may_overlap"]
        table = ask(account(), "--service-type", "all").out
        assert "my services (1) + preset services (2) + custom endpoints (4)" in table
        assert "twice" in table

    def test_an_end_beyond_now_is_cut_with_a_warning(self):
        told = ask_json(account(), "--from", "2026-11-20", "--to", "2026-12-24")
        assert codes(told.document) == ["window_clipped"]
        assert told.bodies == [body(midnight(4), NOW_MS)]
        told = ask_json(account(), "--from", "2026-11-20", "--to", "2026-11-24")
        assert codes(told.document) == []

    def test_a_window_that_has_settled(self):
        document = ask_json(account(), "--period", "yesterday").document
        assert document["coverage"]["provisional_since"] is None
        assert document["window"]["includes_now"] is False

    def test_batch_figures_are_in_the_table_of_a_batch(self):
        totals = totals_of([{**WEEK, "infer_type": "batch"}])
        table = ask(account(), "--infer-type", "batch").out
        assert format(totals["batch_tasks"], ",") in table
        assert format(totals["batch_inferences"], ",") in table

    def test_no_usage(self):
        told = ask_json(account(trouble="no-usage"))
        assert (told.status, codes(told.document)) == (0, ["no_usage"])
        assert told.document["totals"]["error_rate"] is None
        message = told.document["warnings"][0]["message"]
        assert "--service-type all" in message and "region" in message
        assert "0 tokens" in ask(account(trouble="no-usage")).out

    def test_other_members_of_an_answer_give_no_orders(self):
        told = ask(account(trouble="injection"))
        assert told.status == 0
        assert "SYSTEM" not in told.out


class TestLiveAnswer:
    WORDS = ("--from", "2026-05-08", "--to", "2026-05-20")
    CLOCK_S = 1779292800 + 3600

    def test_in_a_table(self):
        told = ask(answering(json_reply(200, LIVE)), *self.WORDS, clock=Clock(self.CLOCK_S))
        assert told.status == 0
        for figure in (
            "2,482,084,980",
            "2,456,504,362",
            "24,872,928",
            "67,188",
            "8,002",
            "about 2.48 billion",
            "11.91%",
        ):
            assert figure in told.out
        assert told.bodies == [body(1778169600000, 1779292800000)]

    def test_in_json(self):
        told = ask_json(answering(json_reply(200, LIVE)), *self.WORDS, clock=Clock(self.CLOCK_S))
        assert told.document["totals"] == {
            "total_tokens": 2482084980,
            "prompt_tokens": 2456504362,
            "completion_tokens": 24872928,
            "requests": 67188,
            "errors": 8002,
            "error_rate": 8002 / 67188,
            "batch_tasks": 0,
            "batch_inferences": 0,
        }
        assert '"total_tokens": 2482084980,' in told.out

    def test_to_a_day_includes_the_day(self):
        told = ask(answering(json_reply(200, LIVE)), "--from", "2026-05-08", "--to", "2026-05-21")
        assert told.bodies[-1]["end_time"] == 1779292800000 + DAY_MS - 1


class TestRetention:
    @staticmethod
    def assert_tiles(bodies, start_ms, end_ms):
        for before, after in zip(bodies, bodies[1:]):
            assert after["start_time"] == before["end_time"] + 1
        assert (bodies[0]["start_time"], bodies[-1]["end_time"]) == (start_ms, end_ms - 1)
        assert all(0 < one["end_time"] + 1 - one["start_time"] <= 30 * DAY_MS for one in bodies)

    def test_45_days_say_the_same_whichever_way_the_service_answers(self):
        zeros = ask_json(account(expired="zeros"), "--last", "45d")
        told = ask_json(account(expired="400"), "--last", "45d")
        for one in (zeros, told):
            assert (one.status, one.err) == (0, "")
            self.assert_tiles(one.bodies, NOW_MS - 45 * DAY_MS, NOW_MS)
            assert [b["start_time"] for b in one.bodies] == [NOW_MS - 45 * DAY_MS, RETAINED_MS]
            assert one.document["totals"] == totals_of([body(RETAINED_MS, NOW_MS)])
            assert one.document["coverage"]["complete"] is False
            assert one.document["coverage"]["retained_since"] == "2026-10-25T05:32:10+08:00"
            assert codes(one.document) == ["beyond_retention"]
            assert one.document["api_calls"] == 2
        assert zeros.document == told.document
        tables = {ask(account(expired=way), "--last", "45d").out for way in ("zeros", "400")}
        assert len(tables) == 1
        assert "At least" in tables.pop()

    @pytest.mark.parametrize(
        "words", [["--last", "366d"], ["--last", "61d"], ["--from", "2026-08-15"], ["--last", "30d"]]
    )
    def test_calls_tile_the_window(self, words):
        told = ask_json(account(expired="400"), *words, "--service-type", "all")
        assert told.status == 0
        window = told.document["window"]
        for service_type in (1, 2, 4):
            bodies = [one for one in told.bodies if one["service_type"] == service_type]
            self.assert_tiles(bodies, window["start_ms"], window["end_ms"])
            assert RETAINED_MS in [one["start_time"] for one in bodies]
        assert told.document["coverage"]["complete"] is (words == ["--last", "30d"])
        assert told.document["totals"]["requests"] == sum(
            totals_of([body(RETAINED_MS, NOW_MS, service_type)])["requests"] for service_type in (1, 2, 4)
        )

    @pytest.mark.parametrize("expired", ["zeros", "400"])
    def test_a_window_that_is_wholly_gone(self, expired):
        words = ("--from", "2026-08-01", "--to", "2026-08-10")
        told = ask_json(account(expired=expired), *words)
        assert (told.status, len(told.statistics)) == (0, 1)
        assert told.document["coverage"]["complete"] is False
        assert codes(told.document) == ["beyond_retention"]
        table = ask(account(expired=expired), *words).out
        assert "No figure" in table
        assert not re.search(r"tokens +0\b", table), "a missing past never looks like a zero"

    def test_what_the_service_still_has_is_shown(self):
        words = ("--from", "2026-08-01", "--to", "2026-08-10")
        assert ask_json(answering(), *words).document["totals"]["total_tokens"] == 3500
        table = ask(answering(), *words).out
        assert "3,500" in table and "No figure" not in table

    def test_a_400_to_what_is_still_kept_is_an_error(self):
        def refuse_the_present(request):
            return refused(400) if json.loads(request.body.decode())["start_time"] >= RETAINED_MS else USED

        for words in (["--last", "45d"], ["--last", "30d"]):
            told = ask_json(answering(refuse_the_present), *words)
            assert (told.status, told.error["code"]) == (7, "bad_request")

    def test_another_refusal_of_the_past_is_an_error(self):
        told = ask_json(answering(refused(403)), "--last", "45d")
        assert (told.status, told.error["code"]) == (4, "permission_denied")


class TestSignedRequests:
    def test_headers(self):
        look_up, statistics = ask(account()).requests
        for request in (look_up, statistics):
            assert request.headers["Accept-Encoding"] == "identity"
            assert request.headers["X-Sdk-Date"] == "20261123T213210Z"
            assert request.headers["Host"] == request.host
            assert KEYS.key_id in request.headers["Authorization"]
            assert KEYS.secret not in str(request)
            assert {"host", "x-sdk-date"} <= set(signed_headers(request))
            assert "X-Security-Token" not in request.headers
            assert "python-requests" not in request.headers["User-Agent"]
        assert statistics.headers["X-Project-Id"] == PROJECT_ID
        assert "x-project-id" in signed_headers(statistics)
        assert statistics.headers["Content-Type"] == "application/json"
        assert "X-Project-Id" not in look_up.headers

    def test_a_security_token_is_sent_and_signed(self):
        keys = drawn_keys(token=True)
        told = ask(account(keys=keys), keys=keys)
        assert told.status == 0
        for request in told.requests:
            assert request.headers["X-Security-Token"] == keys.token
            assert "x-security-token" in signed_headers(request)

    def test_temporary_keys_without_their_token_are_rejected_once(self):
        keys = drawn_keys(token=True)
        told = ask_json(account(keys=keys), keys=keys._replace(token=None))
        assert (told.status, told.error["code"], len(told.requests)) == (3, "credentials_rejected", 1)

    @pytest.mark.parametrize(
        "wrong", [KEYS._replace(secret=drawn_secret()), KEYS._replace(key_id=drawn_key_id())], ids=["secret", "key id"]
    )
    def test_wrong_keys_are_rejected_once(self, wrong):
        told = ask_json(account(), "--last", "45d", "--service-type", "all", keys=wrong)
        assert (told.status, told.error["code"], len(told.requests)) == (3, "credentials_rejected", 1)
        shown = "%s\u2026%s" % (wrong.key_id[:4], wrong.key_id[-2:])
        assert shown in told.error["message"]


def signed_headers(request):
    return re.search("SignedHeaders=([^,]+)", request.headers["Authorization"]).group(1).split(";")


# --- the project ---


class TestProject:
    @pytest.mark.parametrize(
        "words, environ",
        [
            (GIVEN_PROJECT, {}),
            ((), {"HW_PROJECT_ID": PROJECT_ID}),
            ((), {"HW_PROJECT_ID": " %s\n" % PROJECT_ID}),
            (GIVEN_PROJECT, {"HW_PROJECT_ID": "another"}),
        ],
    )
    def test_a_known_project_is_not_looked_up(self, words, environ):
        told = ask_json(account(), *words, environ=environ)
        assert (told.status, told.look_ups, len(told.statistics)) == (0, [], 1)
        assert told.document["query"]["project_id"] == PROJECT_ID

    def test_a_project_of_the_sdk_environment(self):
        environ = {
            "HUAWEICLOUD_SDK_AK": KEYS.key_id,
            "HUAWEICLOUD_SDK_SK": KEYS.secret,
            "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT_ID,
        }
        told = ask(account(), keys=None, environ=environ)
        assert (told.status, told.look_ups) == (0, [])
        told = ask(account(), keys=None, environ={**environ, "HUAWEICLOUD_SDK_PROJECT_ID": "a/../b"})
        assert (told.status, told.connects) == (2, [])
        # It belongs to the SDK's keys alone.
        told = ask(account(), environ={"HUAWEICLOUD_SDK_PROJECT_ID": "another"})
        assert (told.status, len(told.look_ups)) == (0, 1)

    @pytest.mark.parametrize(
        "listed",
        [
            [project()],
            [project("cn-southwest-2_dev", "b" * 32), project(), project("cn-southwest-2_prod", "c" * 32)],
            [project("cn-southwest-2_only")],
            [project("MOS")],
            [project(more={"nested": 1})],
        ],
        ids=["one", "the default one", "one sub-project", "another name", "further members"],
    )
    def test_the_default_project_or_the_only_one(self, listed):
        told = ask_json(answering(iam=json_reply(200, {"projects": listed, "links": {}})))
        assert (told.status, told.document["query"]["project_id"]) == (0, PROJECT_ID)
        assert told.statistics[0].target == STATISTICS_PATH
        assert told.statistics[0].headers["X-Project-Id"] == PROJECT_ID

    def test_no_project(self):
        told = ask_json(answering(iam=json_reply(200, {"projects": []})))
        assert (told.status, told.error["code"], told.statistics) == (4, "project_not_found", [])
        assert "cn-southwest-2" in told.error["message"] and "region" in told.error["hint"]

    def test_several_projects_are_for_the_user_to_choose_from(self):
        listed = [project("cn-southwest-2_dev", "a1" * 16), project("cn-southwest-2_prod\x1b[2J\u202e", "b2" * 16)]
        told = ask_json(answering(iam=json_reply(200, {"projects": listed})))
        assert (told.status, told.error["code"], told.statistics) == (4, "project_ambiguous", [])
        for choice in ("cn-southwest-2_dev", "a1" * 16, "cn-southwest-2_prod", "b2" * 16):
            assert choice in told.error["message"]
        assert "--project-id" in told.error["hint"] and "HW_PROJECT_ID" in told.error["hint"]
        assert_clean(told.said)

    def test_very_many_projects_are_told_shortly(self):
        listed = [project("cn-southwest-2_%d" % n, "%032d" % n) for n in range(500)]
        told = ask_json(answering(iam=json_reply(200, {"projects": listed})))
        assert told.error["code"] == "project_ambiguous"
        assert "500 projects" in told.error["message"] and len(told.err) < 2000

    @staticmethod
    def with_403(own):
        def iam(request):
            return own if request.target == "/v3/auth/projects" else refused(403, "APIGW.0302")

        return answering(iam=iam)

    def test_without_permission_to_look_up_the_own_list_is_asked_once(self):
        others = [project("cn-north-4", "d" * 32), project("cn-southwest-20", "e" * 32), project("MOS", "f" * 32)]
        told = ask_json(self.with_403(json_reply(200, {"projects": [*others, project()]})))
        assert (told.status, told.document["query"]["project_id"]) == (0, PROJECT_ID)
        assert [request.target for request in told.look_ups] == [
            "/v3/projects?name=cn-southwest-2",
            "/v3/auth/projects",
        ]

    def test_only_projects_of_other_regions_is_no_project(self):
        told = ask_json(self.with_403(json_reply(200, {"projects": [project("cn-north-4")]})))
        assert (told.status, told.error["code"]) == (4, "project_not_found")

    def test_no_permission_at_all(self):
        told = ask_json(self.with_403(refused(403, "APIGW.0302")))
        assert (told.status, told.error["code"], len(told.requests)) == (4, "permission_denied", 2)
        assert "--project-id" in told.error["hint"]

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            [],
            {"projects": None},
            {"projects": {"id": PROJECT_ID, "name": "cn-southwest-2"}},
            {"projects": [None]},
            {"projects": [{"id": PROJECT_ID}]},
            {"projects": [{"name": "cn-southwest-2"}]},
            {"projects": [project(project_id=7)]},
            {"projects": [project(project_id="../../v3/users")]},
            {"projects": [project(project_id=PROJECT_ID + "\n")]},
            {"projects": [project(name=["cn-southwest-2"])]},
            "",
            "<html>",
        ],
        ids=repr,
    )
    def test_a_list_that_is_none(self, answer):
        told = ask_json(answering(iam=json_reply(200, answer)))
        assert (told.status, told.error["code"], told.error["http_status"]) == (7, "unexpected_answer", 200)
        assert told.statistics == []

    @pytest.mark.parametrize(
        "answer, code, status, sends",
        [
            (refused(401), "credentials_rejected", 3, 1),
            (refused(404, "APIGW.0101"), "region_unsupported", 4, 1),
            (refused(400), "bad_request", 7, 1),
            (Reply(302, b"", {"Location": "https://%s/v3/projects" % IAM}), "unexpected_answer", 7, 1),
            (Reply(429, headers={"Retry-After": "1"}), "throttled", 5, 4),
            (Reply(503), "service_error", 7, 4),
            (Garbage(b""), "network", 6, 4),
        ],
    )
    def test_errors_of_the_look_up(self, answer, code, status, sends):
        told = ask_json(answering(iam=answer))
        assert (told.status, told.error["code"]) == (status, code)
        assert (len(told.look_ups), told.statistics) == (sends, [])

    def test_a_look_up_that_succeeds_late_counts_no_statistics_call(self):
        tries = [Reply(503), Reply(503)]
        told = ask_json(answering(iam=lambda request: tries.pop() if tries else PROJECTS))
        assert (told.status, len(told.look_ups), told.document["api_calls"]) == (0, 3, 1)


class TestWhere:
    @pytest.mark.parametrize(
        "words, environ, region",
        [
            ((), {}, "cn-southwest-2"),
            ((), {"HW_REGION_NAME": "ap-southeast-1"}, "ap-southeast-1"),
            ((), {"HW_REGION_NAME": ""}, "cn-southwest-2"),
            (("--region", "cn-north-4"), {"HW_REGION_NAME": "ap-southeast-1"}, "cn-north-4"),
        ],
    )
    def test_a_region_names_both_hosts(self, words, environ, region):
        told = ask_json(answering(iam=json_reply(200, {"projects": [project(region)]})), *words, environ=environ)
        assert told.document["query"]["region"] == region
        assert [request.host for request in told.requests] == [
            "iam.%s.myhuaweicloud.com" % region,
            "modelarts.%s.myhuaweicloud.com" % region,
        ]
        assert parse_qs(urlsplit(told.look_ups[0].target).query) == {"name": [region]}

    @pytest.mark.parametrize("host", ["modelarts.ap-southeast-1.myhuaweicloud.cn", "maas.myhuaweicloud.com"])
    def test_an_endpoint_is_the_statistics_host_alone(self, host):
        told = ask(answering(), "--endpoint", host)
        assert [request.host for request in told.requests] == [IAM, host]
        assert told.statistics[0].headers["Host"] == host


# --- keys ---

HALF_ADVICE = "other sources are not looked at"


def sdk_names(keys):
    return {"HUAWEICLOUD_SDK_AK": keys.key_id, "HUAWEICLOUD_SDK_SK": keys.secret}


def profile_of(home, text):
    (home / ".huaweicloud").mkdir()
    (home / ".huaweicloud" / "credentials").write_text(text)


class TestKeys:
    def keys_used(self, told):
        assert told.status == 0, told.err
        return {re.search("Access=([A-Z0-9]+)", request.headers["Authorization"]).group(1) for request in told.requests}

    def test_the_first_source_with_any_part_is_the_source(self, tmp_path):
        file, environment, sdk, profile = (drawn_keys() for _ in range(4))
        key_file = tmp_path / "keys.txt"
        key_file.write_text("%s\n%s\n" % (file.key_id, file.secret))
        profile_of(
            tmp_path, "[basic]\nak = %s\nsk = %s\nproject_id = %s\n" % (profile.key_id, profile.secret, PROJECT_ID)
        )
        named = ("--credentials-file", str(key_file))
        asked = {"home": tmp_path}
        told = ask(answering(), *named, keys=environment, environ=sdk_names(sdk), **asked)
        assert self.keys_used(told) == {file.key_id}
        assert self.keys_used(ask(answering(), keys=environment, environ=sdk_names(sdk), **asked)) == {
            environment.key_id
        }
        assert self.keys_used(ask(answering(), keys=None, environ=sdk_names(sdk), **asked)) == {sdk.key_id}
        told = ask(answering(), keys=None, **asked)
        assert self.keys_used(told) == {profile.key_id}
        assert told.look_ups == []

    @pytest.mark.parametrize(
        "form",
        [
            "{0}\n{1}\n",
            "{0}\r\n{1}",
            "\ufeff  {0}  \n\n  {1}\n",
            "{0},{1}",
            "{0} , {1}\n",
            "HW_ACCESS_KEY={0}\nHW_SECRET_KEY={1}\n",
            "# mine\nexport HW_ACCESS_KEY='{0}'\nexport HW_SECRET_KEY=\"{1}\"\n",
            "HUAWEICLOUD_SDK_SK = {1}\nHUAWEICLOUD_SDK_AK = {0}\n",
            "ak={0}\nsk={1}\n",
        ],
    )
    def test_forms_of_a_key_file(self, tmp_path, form):
        key_file = tmp_path / "\u5bc6 \u94a5.txt"
        key_file.write_text(form.format(KEYS.key_id, KEYS.secret), encoding="utf-8")
        os.chmod(str(key_file), 0o600)
        told = ask_json(account(), "--credentials-file", str(key_file), keys=None)
        assert (told.status, codes(told.document)) == (0, [])

    def test_a_file_that_others_can_read_is_a_warning(self, tmp_path):
        key_file = tmp_path / "keys"
        key_file.write_text("%s\n%s\n" % KEYS[:2])
        os.chmod(str(key_file), 0o644)
        told = ask_json(account(), "--credentials-file", str(key_file), keys=None)
        assert (told.status, codes(told.document)) == (0, ["credentials_file_readable"])

    def test_a_home_folder_is_understood(self, tmp_path):
        (tmp_path / "keys").write_text("%s\n%s\n" % KEYS[:2])
        assert ask(account(), "--credentials-file", "~/keys", keys=None, home=tmp_path).status == 0

    def test_a_security_token_in_a_file(self, tmp_path):
        keys = drawn_keys(token=True)
        (tmp_path / "keys").write_text(
            "HW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s\nHW_SECURITY_TOKEN=%s\nHW_PROJECT_ID=%s\n" % (*keys, PROJECT_ID)
        )
        told = ask(account(keys=keys), "--credentials-file", "~/keys", keys=None, home=tmp_path)
        assert (told.status, told.look_ups) == (0, [])

    @pytest.mark.parametrize(
        "environ, code",
        [
            ({}, "credentials_missing"),
            ({"HW_SECURITY_TOKEN": "token-alone"}, "credentials_missing"),
            ({"HW_ACCESS_KEY": KEYS.key_id}, "credentials_incomplete"),
            ({"HW_SECRET_KEY": KEYS.secret}, "credentials_incomplete"),
            ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": " \n"}, "credentials_incomplete"),
            ({"HW_ACCESS_KEY": KEYS.key_id, **sdk_names(KEYS)}, "credentials_incomplete"),
            ({"HUAWEICLOUD_SDK_SK": KEYS.secret}, "credentials_incomplete"),
            ({"HW_ACCESS_KEY": "<your-access-key-id>", "HW_SECRET_KEY": KEYS.secret}, "credentials_unreadable"),
            ({"HW_ACCESS_KEY": "your-access-key-id", "HW_SECRET_KEY": KEYS.secret}, "credentials_unreadable"),
            ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": "two words here"}, "credentials_unreadable"),
            ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": KEYS.secret + "\r\nX: y"}, "credentials_unreadable"),
            ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": "\u5bc6\u94a5" * 20}, "credentials_unreadable"),
            ({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "/nowhere/at/all"}, "credentials_unreadable"),
        ],
    )
    def test_keys_that_are_none(self, environ, code):
        told = ask_json(account(), keys=None, environ=environ)
        assert (told.status, told.error["code"], told.connects) == (3, code, [])
        assert told.error["retryable"] is False
        assert len(told.err.splitlines()) == 1
        assert ask(account(), keys=None, environ=environ).out == ""
        for value in environ.values():
            assert value.strip()[:12] not in told.said or value.startswith(("/", " ")) or len(value.strip()) < 12

    @pytest.mark.parametrize(
        "kind, code",
        [
            ("missing", "credentials_unreadable"),
            ("folder", "credentials_unreadable"),
            ("binary", "credentials_unreadable"),
            ("huge", "credentials_unreadable"),
            ("pipe", "credentials_unreadable"),
            ("many lines", "credentials_unreadable"),
            ("a picture's name", "credentials_unreadable"),
            ("empty", "credentials_incomplete"),
            ("half", "credentials_incomplete"),
            ("other names", "credentials_incomplete"),
        ],
    )
    def test_key_files_that_are_none(self, tmp_path, kind, code):
        path = tmp_path / "keys"
        contents = {
            "binary": b"\x00\xff" * 50,
            "huge": b"a" * 10_000_000,
            "many lines": b"these\nare\nthree\n",
            "empty": b"\n\n# nothing\n",
            "half": KEYS.key_id.encode(),
            "other names": b"COLOUR=red\n",
        }
        if kind in contents:
            path.write_bytes(contents[kind])
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(str(path))
        name = "a\u0000b" if kind == "a picture's name" else str(path)
        told = ask_json(account(), "--credentials-file", name)
        assert (told.status, told.error["code"], told.connects) == (3, code, [])
        assert len(told.err.splitlines()) == 1
        assert KEYS.key_id not in told.said and "three" not in told.said

    def test_a_rejected_pair_is_not_replaced_by_another(self):
        told = ask_json(account(), keys=drawn_keys(), environ=sdk_names(KEYS))
        assert (told.status, told.error["code"], len(told.requests)) == (3, "credentials_rejected", 1)


# Word for word an interface: assistants and other tools show this text.
REFUSAL = """\
For account security, please do not provide Huawei Cloud Access Key ID and Access Key Secret directly in the conversation.

Please use one of the following secure methods to configure credentials:

Method 1: Environment variables
export HW_ACCESS_KEY=<your-access-key-id>
export HW_SECRET_KEY=<your-access-key-secret>

Method 2: Credentials file
Create a file (e.g., ~/aksk.txt) with AK on line 1, SK on line 2.
Then use: --credentials-file ~/aksk.txt

After configuration is complete, please retry your request."""  # noqa: E501

VALUED = (
    *("--last", "--period", "--from", "--to", "--timezone", "--service-type", "--infer-type", "--api-keys", "--region"),
    *("--project-id", "--endpoint", "--credentials-file", "--format", "--deadline", "--output", "--by"),
)


def assert_refused(words, *hidden):
    told = ask(account(), *words)
    assert (told.status, told.out, told.connects) == (3, "", []), words
    assert REFUSAL in told.err and told.err.startswith("credentials_in_argument: ")
    assert not [value for value in hidden if value in told.said]
    if not words[0].startswith("--format"):
        told = ask(account(), "--format", "json", *words)
        assert (told.status, told.connects) == (3, []), words
        assert told.error["code"] == "credentials_in_argument"
        assert REFUSAL in told.error["message"]
        assert not [value for value in hidden if value in told.said]


KINDS = {
    "key id": drawn_key_id(),
    "20 digits": "31" * 10,
    "secret": drawn_secret(),
    "lower-case secret": "ab1" * 13 + "a",
    "secret without digit": "aB" * 20,
    "own secret": KEYS.secret,
    "own key id": KEYS.key_id.lower(),
}


class TestKeysOnTheCommandLine:
    @pytest.mark.parametrize("kind", list(KINDS))
    def test_anywhere(self, kind):
        key = KINDS[kind]
        for words in (
            [key],
            ["--demo", key],
            ["--", key],
            ["--" + key],
            ["-x" + "-" + key],
            ["--nothing-known", key],
            ["--last", "1d", "--region", key],
            ["--last=" + key],
            ["--help", key],
            ["--version", key],
            ["--api-keys", "web-app", key],
            ["--credentials-file", "/tmp/%s.txt" % key],
            ["--endpoint", "https://%s@modelarts.myhuaweicloud.com/" % key],
            ["\u6211\u7684\u5bc6\u94a5\u662f%s\u3002" % key],
            ["key=%s" % key],
            ["ok (%s) ok" % key],
            ["a,%s" % key],
            ["a_%s_b" % key],
        ):
            assert_refused(words, key)

    @pytest.mark.parametrize("option", VALUED)
    def test_as_a_value(self, option):
        assert_refused([option, KINDS["key id"]], KINDS["key id"])
        assert_refused([option + "=" + KINDS["secret"]], KINDS["secret"])

    @pytest.mark.parametrize(
        "name",
        [
            "--ak",
            "--sk",
            "--AK",
            "-ak",
            "-sk",
            "--access-key",
            "--access_key",
            "--access-key-id",
            "--access-key-secret",
            "--secret-key",
            "--secret-access-key",
            "--secret",
            "--security-token",
            "--token",
            "--password",
            "--hw-access-key",
        ],
    )
    def test_options_that_take_keys_elsewhere(self, name):
        assert_refused([name, "short-one"], "short-one")
        assert_refused([name + "=short-one"], "short-one")
        assert_refused(["--last", "7d", name])

    @pytest.mark.parametrize("name", ["HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN", "HUAWEICLOUD_SDK_SK"])
    def test_assignments(self, name):
        assert_refused([name + "=short-one"], "short-one")

    def test_a_token_of_the_environment(self):
        keys = drawn_keys(token=True)
        for word in (keys.token, "x" + keys.token, quote(keys.token, safe="")):
            told = ask_json(account(), "--api-keys", word, keys=keys)
            assert (told.status, told.error["code"], told.connects) == (3, "credentials_in_argument", [])
            assert keys.token not in told.said

    @pytest.mark.parametrize("label", ["aB3-" * 10, "aB3_" * 25, "sk-" + "aB3" * 20])
    def test_labels_that_are_api_keys(self, label):
        assert_refused(["--api-keys", label], label)
        assert_refused(["--api-keys", "ci", "", label], label)

    @pytest.mark.parametrize(
        "label", ["ABCDEFGHIJ" * 2, "1234567890" * 2 + "1", "A1" * 9 + "A", "aB3-" * 9 + "aB3", "ab3-" * 25, "a" * 40]
    )
    def test_innocent_labels(self, label):
        told = ask(account(), "--api-keys", label)
        assert (told.status, told.bodies[0]["api_keys"]) == (0, [label])


# --- bad input ---


def listed(*lines):
    return "|".join(lines).split("|")


BAD = {
    "--last": listed("|0d|00h|7|d|7x|7D|-7d|+7d|1.5d| 7d|7 d|7d\n|\uff17d|367d|53w|8785h|7d,1d", "9" * 30 + "d"),
    "--period": listed("|Today|last week|last-year|next-week"),
    "--from": listed(
        "|tomorrow|20261101|2026-11-1|2026-02-30|2026-13-01|2026-00-01|0000-01-01|1999-12-31|9999-12-31|1795469530000",
        "2026-11-20T24:00|2026-11-20T10|2026-11-20T10:60|2026-11-20T10:00:60|2026-11-20T10:00+25:00",
        "2026-11-20T10:00+0800|2026-11-20T10:00 +08:00|2026-11-20\n|\u0662\u0660\u0662\u0666-11-20",
        "2026-11-25|2026-11-24T05:32:10|2025-11-22",
    ),
    "--timezone": listed(
        "|CST|China|Asia/Nowhere|asia|Asia|../../etc/passwd|/etc/localtime|localtime|Asia/Shanghai\n|Asia/Shanghai ",
        "posix/Asia/Shanghai|UTC+8|+08:00|\u4e0a\u6d77|~",
        "x" * 5000,
    ),
    "--service-type": listed("|3|2,3|0|5|presets|my;custom|my,|,|all,my|-1|\u00b2"),
    "--infer-type": listed("|realtime|REAL_TIME|stream"),
    "--api-keys": listed("a b|\u6d4b\u8bd5|web-app,ci|a\n|a.b", "a" * 101),
    "--region": listed(
        "|CN-SOUTHWEST-2|cn_southwest_2|-a|a-|cn southwest|a.b|../a|a/b|a@b|a\r\nHost: b|\u8d35\u9633|%2e",
        "cn-southwest-2\n",
        "a" * 64,
    ),
    "--project-id": listed("|ABC|a/b|..|a?b|a b|a\nb|a%2e|\u9879\u76ee|a_b", "a" * 65),
    "--endpoint": listed(
        "|evil.example|myhuaweicloud.com|.myhuaweicloud.com|a..myhuaweicloud.com|evilmyhuaweicloud.com|127.0.0.1",
        "modelarts.myhuaweicloud.com.evil.example|https://modelarts.myhuaweicloud.com|evil.example#.myhuaweicloud.com",
        "modelarts.myhuaweicloud.com:443|modelarts.myhuaweicloud.com/v1|a@modelarts.myhuaweicloud.com",
        "modelarts.myhuaweicloud.com\n|-a.myhuaweicloud.com|MODELARTS.MYHUAWEICLOUD.COM",
    ),
    "--deadline": listed("|0|-1|nan|inf|-inf|86401|1e400|soon|100s|0x10|\u0661\u0660\u0660s"),
    "--format": listed("|JSON|xml|table,json"),
}
BAD_COMBINATIONS = [
    ["--last", "7d", "--period", "today"],
    ["--last", "7d", "--from", "2026-11-20"],
    ["--period", "today", "--from", "2026-11-20"],
    ["--to", "2026-11-20"],
    ["--last", "7d", "--to", "2026-11-20"],
    ["--from", "2026-11-20", "--to", "2026-11-19"],
    ["--from", "2026-11-20T10:00", "--to", "2026-11-20T10:00"],
    ["--from", "2026-11-20T10:00+08:00", "--to", "2026-11-20T03:00+01:00"],
    ["--from", "2026-11-20T10:00", "--to", "2026-11-19"],
    ["--from", "2026-11-20", "--to", "never"],
    ["--from", "2025-01-01", "--to", "2026-01-02"],
    ["--timezone", "America/Chicago", "--from", "2026-03-08T02:30"],
    ["--timezone", "America/Chicago", "--from", "2026-11-01T01:30"],
    ["--last"],
    ["--from", "2026-11-20", "--to"],
    ["--api-keys"],
    ["--nothing-known"],
    ["--nothing-known", "7d"],
    ["-z"],
    ["yesterday"],
    ["how", "many", "tokens"],
    ["--las", "7d"],
    ["--pretty=yes"],
    ["--demo=1"],
    ["--demo", "--last", "0d"],
    ["--", "--last", "7d"],
]


class TestBadInput:
    @staticmethod
    def assert_usage_error(words, **options):
        told = ask(account(), "--format=json", *words, **options)
        assert (told.status, told.connects) == (2, []), words
        error = told.error
        assert (error["code"], error["retryable"], error["http_status"]) == ("usage", False, None)
        assert last_line(told.err) == "usage: %s %s" % (error["message"], error["hint"])
        assert len(told.err) < 1000
        assert_clean(told.said)
        table = ask(None, *words, **options)
        if words[0] != "--format":
            assert (table.status, table.out, table.err) == (2, "", told.err)
        return error

    @pytest.mark.parametrize("option", [option for option in BAD if option != "--format"])
    def test_values(self, option, tmp_path):
        for value in BAD[option]:
            self.assert_usage_error([option, value], home=tmp_path)
            self.assert_usage_error(["%s=%s" % (option, value)], home=tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("words", BAD_COMBINATIONS, ids=as_words)
    def test_combinations(self, words):
        self.assert_usage_error(words)

    @pytest.mark.parametrize("value", BAD["--format"])
    def test_formats(self, value):
        told = ask(account(), "--format", value)
        assert (told.status, told.connects, told.out) == (2, [], "")
        assert "json" in told.err and "table" in told.err

    @pytest.mark.parametrize("name", ["HW_REGION_NAME", "HW_PROJECT_ID"])
    def test_variables(self, name):
        for value in ("A", "a/b", "../..", "a.b", "a\r\nb", "\u4e2d", "%41"):
            error = self.assert_usage_error(["--last", "7d"], environ={name: value})
            assert name in error["message"]

    def test_windows_show_the_valid_forms(self):
        for words in (["--last", "7x"], ["--period", "never"], ["--from", "2026-02-30"], ["--to", "2026-11-20"]):
            hint = self.assert_usage_error(words)["hint"]
            for form in ("--last 24h", "last-week", "--from 2026-05-08", "+08:00"):
                assert form in hint

    def test_a_near_miss_of_a_zone_is_suggested(self):
        assert "Asia/Shanghai" in self.assert_usage_error(["--timezone", "Asia/Shangai"])["message"]
        assert "Asia/Shanghai" in self.assert_usage_error(["--timezone", "CST"])["hint"]

    def test_service_type_3_is_refused_with_the_reason(self):
        message = self.assert_usage_error(["--service-type", "3"])["message"]
        assert "4" in message and "custom" in message

    def test_a_time_that_comes_twice_shows_its_offset(self):
        words = ["--timezone", "America/Chicago", "--from", "2026-11-01T01:30"]
        assert (
            "2026-11-01T01:30:00-05:00"
            in self.assert_usage_error(words)["hint"] + self.assert_usage_error(words)["message"]
        )

    def test_a_word_that_belongs_to_no_option_is_not_repeated(self):
        for words in (["hunter2-hunter2"], ["--nothing-known", "hunter2-hunter2"], ["--demo=hunter2"], ["-zhunter2"]):
            assert "hunter2-hunter2" not in ask_json(None, *words).said

    @pytest.mark.parametrize(
        "words, is_json",
        [
            (["--format", "json", "--last", "x"], True),
            (["--last", "x", "--format", "json"], True),
            (["--format=json", "--nothing-known"], True),
            (["--nothing-known", "--format=json"], True),
            (["--last", "--format", "json"], True),
            (["--api-keys", "--format", "json"], True),
            (["--format", "table", "--format", "json", "x"], True),
            (["--format", "json", "--format", "table", "x"], False),
            (["--format", "--format", "json", "x"], True),
            (["x"], False),
            (["json"], False),
            (["--format"], False),
        ],
        ids=as_words,
    )
    def test_json_is_recognised_on_a_broken_line(self, words, is_json):
        told = ask(None, *words)
        assert told.status == 2
        if is_json:
            assert told.error["code"] == "usage"
        else:
            assert told.out == ""
        assert len(told.err.splitlines()) == 1


class TestHelp:
    def test_it_fits(self):
        told = ask(None, "--help")
        lines = told.out.splitlines()
        assert (told.status, told.err) == (0, "")
        assert len(lines) <= 60 and max(map(len, lines)) <= 80
        assert told.out.isascii() and told.out.endswith("\n")

    def test_its_examples_work(self):
        text = ask(None, "--help").out
        examples = re.findall(r"^ +maas_rest_usage_stats\.py\b(.*)$", text, re.MULTILINE)
        assert len(examples) == 4
        for example in examples:
            told = ask(None, *example.split(), "--demo", clock=Clock())
            assert told.status == 0, told.err

    def test_it_names_every_option(self):
        text = ask(None, "--help").out
        for option in [*VALUED[:14], "--pretty", "--raw", "--demo", "--version"]:
            assert re.search(r"^  %s\b" % option, text, re.MULTILINE), option

    def test_the_version(self):
        told = ask(None, "--version")
        assert (told.status, told.err, told.out.split()[-1]) == (0, "", __version__)

    @pytest.mark.parametrize("columns", ["20", "300"])
    def test_it_is_as_wide_on_every_terminal(self, columns):
        assert ask(None, "--help", environ={"COLUMNS": columns}).out == ask(None, "--help").out


# --- secrecy ---

SPLITTERS = ["\x00", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff"]
BREAKS = ["\r\n", "\n", "\t", "\u2028", "\n    "]


def split(secret, splitter):
    return splitter.join(secret[n : n + 13] for n in range(0, len(secret), 13))


def pieces(secret, length):
    return {secret[n : n + length] for n in range(len(secret) - length + 1)}


def assert_nothing_leaks(told, *keys):
    said = told.said
    if told.out:
        said += json.dumps(told.document, ensure_ascii=False) if told.out.startswith("{") else ""
    squeezed = re.sub(r"\s", "", said)
    for secret, shortest in [(keys_.key_id, 8) for keys_ in keys] + [(s, 12) for k in keys for s in k[1:] if s]:
        for form in {secret, quote(secret, safe="")}:
            found = [piece for piece in pieces(form, shortest) if piece in said or piece in squeezed]
            assert found == [], "leaked: %s" % said


ECHOED_KEYS = drawn_keys(token=True)
OTHER_KEYS = drawn_keys()

CANONICAL = "POST|%s/||content-type:application/json|host:%s|x-security-token:%s||content-type;host|" % (
    STATISTICS_PATH,
    MODELARTS,
    ECHOED_KEYS.token,
)
ENCODED = tuple(quote(value, safe="") for value in ECHOED_KEYS)
LOWER = ENCODED[2].replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
ECHOES = {
    "plain": "ak:%s sk:%s token:%s" % ECHOED_KEYS,
    "others": "ak:%s sk:%s" % OTHER_KEYS[:2],
    "in brackets": "[%s](%s)<%s>" % ECHOED_KEYS,
    "encoded": "%s %s %s" % ENCODED,
    "encoded in lower case": LOWER,
    "canonical": "verify aksk signature fail, ak:%s, canonicalRequest:%s" % (ECHOED_KEYS.key_id, CANONICAL),
    "canonical lines": CANONICAL.replace("|", "\n"),
    "far out": "x" * 190 + " " + ECHOED_KEYS.token,
    "cut": "x" * 180 + ECHOED_KEYS.secret + ECHOED_KEYS.token,
    "upper case": ECHOED_KEYS.secret.upper() + " " + ECHOED_KEYS.token.upper(),
}
HIDDEN = {"%r inside" % splitter: " ".join(split(value, splitter) for value in ECHOED_KEYS) for splitter in SPLITTERS}


class TestSecrecy:
    @staticmethod
    def saying(status, text):
        in_header = re.sub("[^!-~]", " ", text)[:2000]
        more = {"Retry-After": "61", "X-Request-Id": in_header, "Location": "https://elsewhere.example/" + quote(text)}
        members = {"error_code": "APIGW.0301 " + text, "error_msg": text, "request_id": text, text: text}
        return Reply(status, json.dumps(members).encode(), more)

    @pytest.mark.parametrize("echo", [*ECHOES, *HIDDEN])
    def test_an_error_that_echoes_keys(self, echo):
        text = {**ECHOES, **HIDDEN}[echo]
        told = ask_json(answering(self.saying(401, text)), *GIVEN_PROJECT, keys=ECHOED_KEYS)
        assert (told.status, len(told.err.splitlines())) == (3, 1)
        assert_clean(told.err)
        assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)
        environ = {"MAAS_USAGE_DEBUG": "1"}
        told = ask_json(answering(self.saying(400, text)), *GIVEN_PROJECT, keys=ECHOED_KEYS, environ=environ)
        assert told.status == 7 and "Traceback" in told.err
        assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 302, 204])
    def test_every_error_that_echoes_keys(self, status):
        for echo in ("plain", "canonical"):
            told = ask(answering(self.saying(status, ECHOES[echo])), *GIVEN_PROJECT, keys=ECHOED_KEYS)
            assert told.status in (3, 4, 5, 7) and told.out == ""
            assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)
            nested = {"error": {"code": ECHOES[echo], "message": ECHOES[echo]}}
            told = ask_json(answering(json_reply(status, nested, Retry_After="61")), *GIVEN_PROJECT, keys=ECHOED_KEYS)
            assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)

    @pytest.mark.parametrize("inside", BREAKS, ids=repr)
    def test_keys_with_a_line_break_inside(self, inside):
        text = " ".join(split(value, inside) for value in ECHOED_KEYS)
        told = ask_json(answering(self.saying(400, text)), *GIVEN_PROJECT, keys=ECHOED_KEYS)
        assert told.status == 7
        assert_nothing_leaks(told, ECHOED_KEYS)

    @pytest.mark.parametrize("echo", ["plain", "canonical", "encoded", "'\\x00' inside"])
    def test_a_line_that_is_no_http_and_echoes_keys(self, echo):
        line = {**ECHOES, **HIDDEN}[echo].encode()
        environ = {"MAAS_USAGE_DEBUG": "1"}
        told = ask_json(answering(Garbage(line + b"\r\n\r\n")), *GIVEN_PROJECT, keys=ECHOED_KEYS, environ=environ)
        assert told.error["code"] == "network"
        assert_nothing_leaks(told, ECHOED_KEYS)

    @pytest.mark.parametrize("echo", ["plain", "others", "encoded", "'\\x00' inside", "'\\u202e' inside"])
    def test_projects_that_echo_keys(self, echo):
        text = {**ECHOES, **HIDDEN}[echo]
        listed = [project(text, "a" * 32), project("x " + text, "b" * 32)]
        told = ask_json(answering(iam=json_reply(200, {"projects": listed})), keys=ECHOED_KEYS)
        assert told.error["code"] == "project_ambiguous"
        assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)

    @pytest.mark.parametrize("words", [("--format", "json"), ("--format", "json", "--pretty"), ()], ids=as_words)
    def test_raw_answers_that_echo_keys(self, words):
        echoes = {**ECHOES, **HIDDEN}
        members = {"member %d" % n: {text: [text]} for n, text in enumerate(echoes.values())}
        told = ask(
            answering(json_reply(200, {**figures(), **members})), *GIVEN_PROJECT, "--raw", *words, keys=ECHOED_KEYS
        )
        assert told.status == 0
        assert_nothing_leaks(told, ECHOED_KEYS, OTHER_KEYS)
        assert_clean(told.said)

    def test_keys_of_other_sources_do_not_leak_either(self):
        text = "sk:%s token:%s" % (ECHOED_KEYS.secret, ECHOED_KEYS.token)
        environ = {
            "HUAWEICLOUD_SDK_AK": ECHOED_KEYS.key_id,
            "HUAWEICLOUD_SDK_SK": ECHOED_KEYS.secret,
            "HUAWEICLOUD_SDK_SECURITY_TOKEN": ECHOED_KEYS.token,
        }
        told = ask_json(answering(refused(400, text=text)), *GIVEN_PROJECT, environ=environ)
        assert told.status == 7
        assert_nothing_leaks(told, ECHOED_KEYS)

    def test_a_key_that_looks_like_none(self):
        odd = Keys("k.e/y+id-1", "se~cr=et_2", "to.k/en+3=")
        text = " ".join((*odd, *(quote(value, safe="") for value in odd)))
        told = ask_json(answering(refused(400, text=text)), *GIVEN_PROJECT, keys=odd)
        assert told.status == 7
        for value in odd:
            assert value not in told.said and quote(value, safe="") not in told.said

    def test_the_dressed_up_canonical_request_of_the_real_gateway(self):
        for words in ((), ("--format", "json")):
            told = ask(account(keys=ECHOED_KEYS, trouble="rejected"), *words, keys=ECHOED_KEYS)
            assert (told.status, len(told.requests)) == (3, 1)
            assert_nothing_leaks(told, ECHOED_KEYS)


STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eevil\u2066\u200b\x00\r\n\x08\x7f\ud800\ufeff\u2028"


STEERING_ANSWERS = [
    json_reply(400, {"error_code": STEERING + "A.1", "error_msg": STEERING, "request_id": STEERING + "r"}),
    json_reply(403, {"error_msg": STEERING + "told"}),
    json_reply(500, {"error": STEERING + "told"}, Retry_After="99"),
    json_reply(200, {**figures(), "message": STEERING, STEERING: [STEERING]}),
]


class TestControlCharacters:
    @pytest.mark.parametrize("answer", STEERING_ANSWERS, ids=["400", "403", "500", "200"])
    def test_never_reach_a_terminal(self, answer):
        for words in ((), ("--format", "json"), ("--raw",), ("--raw", "--format", "json")):
            told = ask(answering(answer), *GIVEN_PROJECT, *words)
            assert_clean(told.said)
            if told.out.startswith("{"):
                for text in strings_of(told.document):
                    assert_clean(text.replace("\n", ""))

    def test_raw_below_a_table(self):
        told = ask(account(), "--raw", "--service-type", "all")
        table, _, raw = told.out.rpartition("one per call:\n")
        lines = [json.loads(line) for line in raw.splitlines()]
        assert table and [line["request"] for line in lines] == told.bodies
        assert [line["http_status"] for line in lines] == [200] * 3
        assert set(figures()) <= set(lines[0]["answer"])

    def test_raw_in_json(self):
        told = ask_json(account(expired="400"), "--raw", "--last", "45d")
        expired, kept = told.document["raw"]
        assert (expired["http_status"], kept["http_status"]) == (400, 200)
        assert "retention" in expired["answer"]["error_msg"]
        assert [one["request"] for one in (expired, kept)] == told.bodies
        expected = counted(told.bodies[1])
        assert {name: Decimal(str(value)) for name, value in kept["answer"].items()} == expected


def strings_of(value):
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)
    elif isinstance(value, str):
        yield value


# --- the demo ---

BROKEN = {
    "HW_ACCESS_KEY": "no key",
    "HW_SECRET_KEY": "",
    "HW_REGION_NAME": "No/Region",
    "HW_PROJECT_ID": "No/Project",
    "HUAWEICLOUD_SDK_CREDENTIALS_FILE": "/nowhere",
    "REQUESTS_CA_BUNDLE": "/nowhere",
}
DEAD_PROXY = "http://127.0.0.1:%d" % closed_port()


class TestDemo:
    @pytest.mark.parametrize("environ", [{}, BROKEN], ids=["nothing", "everything broken"])
    def test_it_needs_nothing(self, environ):
        proxies = {name: DEAD_PROXY for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")}
        told = ask_json(None, "--demo", keys=None, environ={**environ, **proxies})
        assert (told.status, told.err) == (0, "")
        assert (told.document["source"], told.document["query"]["region"]) == ("demo", "cn-southwest-2")
        assert told.document["query"]["project_id"] == demo.PROJECT_ID
        assert told.document["totals"]["requests"] > 1000

    def test_it_is_marked_everywhere(self):
        assert ask_json(None, "--demo", "--pretty").document["source"] == "demo"
        for words in ((), ("--raw",), ("--last", "45d"), ("--from", "2026-08-01", "--to", "2026-08-02")):
            assert ask(None, "--demo", *words).out.startswith("DEMO DATA")

    def test_it_goes_nowhere_else_and_counts_what_the_service_counts(self):
        told = ask_json(account(), "--demo", "--service-type", "all", "--last", "45d")
        assert (told.status, told.connects) == (0, [])
        expected = totals_of([body(RETAINED_MS, NOW_MS, service_type) for service_type in (1, 2, 4)])
        assert told.document["totals"] == expected

    @pytest.mark.parametrize(
        "words", [("--region", "ap-southeast-1"), GIVEN_PROJECT, ("--credentials-file", "/nowhere")]
    )
    def test_it_takes_what_is_given(self, words):
        told = ask_json(None, "--demo", *words)
        assert told.status == 0
        query = told.document["query"]
        assert words[1] in (query["region"], query["project_id"], "/nowhere")

    def test_it_knows_its_regions(self):
        told = ask_json(None, "--demo", "--region", "cn-north-4")
        assert (told.status, told.error["code"]) == (4, "region_unsupported")

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux lists what a process has open")
    def test_it_leaves_nothing_behind(self):
        def open_sockets():
            links = []
            for name in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink("/proc/self/fd/" + name))
                except OSError:
                    continue
            return [link for link in links if link.startswith("socket:")]

        ask(None, "--demo")
        before = set(threading.enumerate())
        sockets = set(open_sockets())
        for words in (("--last", "366d", "--service-type", "all"), ("--region", "cn-north-4")):
            ask(None, "--demo", *words)
        give_up_s = time.monotonic() + 5
        while time.monotonic() < give_up_s and (set(threading.enumerate()) - before or set(open_sockets()) - sockets):
            gc.collect()
            time.sleep(0.02)
        assert set(threading.enumerate()) - before == set()
        assert set(open_sockets()) - sockets == set()


# --- a process ---


@pytest.fixture
def silent_stage():
    with Stage(answering(Silence())) as stage:
        yield stage


@contextlib.contextmanager
def running(*words, stage):
    """A process that asks this stage, with a home of its own; it does not outlive the test."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**bare_environment(home), **stage.environ, **in_environment(KEYS)}
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        # A shell's background job ignores SIGINT, and hands that down.
        if os.name == "posix":
            pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command(*words), env=environ, encoding="utf-8", **pipes) as process:
            try:
                yield process
            finally:
                process.kill()


def until(condition):
    give_up_s = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
class TestSignals:
    @pytest.mark.parametrize("number, status, form", [(signal.SIGINT, 130, "json"), (signal.SIGTERM, 143, "table")])
    def test_while_the_server_is_silent(self, silent_stage, number, status, form):
        with running("--format", form, stage=silent_stage) as process:
            until(lambda: len(silent_stage.requests) == 2)
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        assert process.returncode == status
        assert err.startswith("interrupted: ") and len(err.splitlines()) == 1
        if form == "table":
            assert out == ""
        else:
            error = json.loads(out)["error"]
            assert (error["code"], error["http_status"], error["retryable"]) == ("interrupted", None, True)

    def test_while_eight_calls_are_silent(self):
        words = ("--last", "366d", "--format", "json", *GIVEN_PROJECT)
        with Stage(answering(USED, Silence())) as stage, running(*words, stage=stage) as process:
            until(lambda: len(stage.requests) == 9)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        assert (process.returncode, json.loads(out)["error"]["code"]) == (130, "interrupted")
        assert len(err.splitlines()) == 1

    def test_while_it_waits(self):
        with Stage(answering(Reply(429))) as stage, running(*GIVEN_PROJECT, stage=stage) as process:
            told = process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
        assert "60 s" in told
        assert (process.returncode, out) == (143, "")
        assert err.startswith("interrupted: ") and len(err.splitlines()) == 1


def in_shell(line, *words):
    """A line of the shell in which "$@" is the command line with these words."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            ["sh", "-c", line, "sh", *command(*words)],
            capture_output=True,
            env=bare_environment(home),
            encoding="utf-8",
            timeout=30,
        )


def assert_quiet(err):
    assert "Traceback" not in err and "Exception ignored" not in err


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are POSIX")
class TestOutput:
    @pytest.mark.parametrize("words", [("--demo",), ("--help",), ("--last", "x", "--format", "json")], ids=as_words)
    def test_a_reader_that_has_gone(self, words):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = launch(*words, stdout=writing)
        finally:
            os.close(writing)
        assert_quiet(done.stderr)
        assert done.returncode == (2 if "x" in words else 0)

    def test_a_reader_that_takes_one_byte(self):
        shell = in_shell('"$@" | head -c 1', "--demo", "--raw", "--last", "366d")
        assert (shell.stdout, shell.stderr) == ("D", "")

    @pytest.mark.parametrize("words, descriptor", [(("--demo",), "1"), (("--demo", "--format", "json"), "2")])
    def test_a_stream_that_is_closed(self, words, descriptor):
        shell = in_shell('"$@" %s>&-' % descriptor, *words)
        assert_quiet(shell.stderr)
        assert shell.returncode == 0
        assert bool(shell.stdout) == (descriptor == "2")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
    @pytest.mark.parametrize(
        "words, statuses",
        [
            (("--demo",), (1,)),
            (("--demo", "--format", "json"), (1,)),
            (("--last", "x", "--format", "json"), (1, 2)),
            (("--help",), (1,)),
        ],
        ids=["table", "json", "error", "help"],
    )
    def test_a_full_disk(self, words, statuses):
        with open("/dev/full", "w") as full:
            done = launch(*words, stdout=full)
        assert_quiet(done.stderr)
        assert done.returncode in statuses
        assert last_line(done.stderr).startswith(("internal: ", "usage: "))

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
    @pytest.mark.parametrize(
        "words, status", [(("--last", "x"), 2), (("--last", "x", "--format", "json"), 2), (("--demo",), 0)]
    )
    def test_messages_that_cannot_be_written(self, words, status):
        with open("/dev/full", "w") as full:
            done = launch(*words, stderr=full)
        assert done.returncode == status
        if "json" in words:
            assert json.loads(done.stdout)["error"]["code"] == "usage"

    @pytest.mark.parametrize("encoding, form", [("ascii:strict", "table"), ("gbk", "table"), ("ascii:strict", "json")])
    def test_any_encoding(self, encoding, form):
        environ = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
        done = launch("--demo", "--format", form, environ=environ, text=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"tokens" in done.stdout

    @pytest.mark.parametrize("encoding", ["ascii"])
    def test_messages_in_any_encoding(self, encoding):
        keys = drawn_keys()
        with Stage(account(clock=time.time)) as stage:
            done = launch(*GIVEN_PROJECT, stage=stage, keys=keys, environ={"PYTHONIOENCODING": encoding}, text=False)
        assert done.returncode == 3
        assert done.stderr.startswith(b"credentials_rejected: ") and keys.key_id[:4].encode() in done.stderr

    def test_the_c_locale(self):
        environ = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        assert launch("\u4e2d\u6587", environ=environ).returncode == 2


class TestSystem:
    def test_the_zone_is_the_systems(self):
        done = launch("--demo", "--format", "json", environ={"TZ": "America/Chicago"})
        window = json.loads(done.stdout)["window"]
        assert window["timezone"] == "America/Chicago"
        assert window["start"][-6:] in ("-05:00", "-06:00")

    @pytest.mark.parametrize("zone", ["CST", "Nowhere/AtAll"])
    def test_a_zone_without_a_name_is_asked_for(self, zone):
        done = launch("--demo", "--format", "json", environ={"TZ": zone})
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (2, "usage")
        assert "--timezone" in error["hint"]

    def test_a_zone_that_is_named_needs_no_system(self):
        assert launch("--demo", "--timezone", ZONE, environ={"TZ": "CST"}).returncode == 0

    def test_nothing_is_written_anywhere(self, tmp_path):
        home, work = tmp_path / "home", tmp_path / "work"
        home.mkdir()
        work.mkdir()
        with Stage(account(clock=time.time)) as stage:
            for words in (GIVEN_PROJECT, ("--demo",), ("--last", "x")):
                launch(*words, stage=stage, home=home, cwd=work)
        assert list(home.iterdir()) == []
        assert [path for path in work.iterdir() if not path.name.startswith(".coverage")] == []

    def test_over_the_network_from_a_process(self):
        with Stage(account(clock=time.time)) as stage:
            done = launch("--format", "json", stage=stage)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["source"] == "huawei-cloud"
        assert len(stage.requests) == 2
