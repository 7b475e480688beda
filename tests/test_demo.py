"""The embedded endpoint refuses what the cloud refuses, and its invented usage adds up exactly.

Requests are signed by the SDK's own signer, so that both implementations vouch for each other.
"""

import hashlib
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given, settings
from hypothesis import strategies as st
from maas_usage import demo
from maas_usage.demo import PROJECT_ID, TROUBLES, Endpoint, Service, verify_signature

# Built from parts: nothing in a file of the project may look like a key.
KEY_ID = "DEMO" + "7X" * 8
SECRET = ("aB3" * 14)[:40]
TOKEN = "token" * 5

NOW_S = 1_779_292_800  # 2026-05-21 00:00 in Shanghai, a Thursday
SECOND_MS = 1000
HOUR_MS = 3600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
NOW_MS = NOW_S * SECOND_MS
OLDEST_MS = NOW_MS - 30 * DAY_MS
LABELS = ("web-app", "batch-jobs", "ci", "")
TOKENS = ("total_token", "total_prompt_token", "total_completion_token")
STATISTICS = "/v1/%s/maas/monitoring/show-statistics" % PROJECT_ID
SERVICE_STATISTICS = "/v1/%s/maas/monitoring/list-service-statistics" % PROJECT_ID
SERVICES = "/v1/%s/maas/monitoring/list-services" % PROJECT_ID
OPERATIONS = (STATISTICS, SERVICE_STATISTICS, SERVICES)
BY_REGION = "/v3/projects?name=cn-southwest-2"
ANY_PROJECTS = "/v3/auth/projects"
HOST = "service.endpoint.myhuaweicloud.com"


def service(**options):
    return Service(**{"access_key_id": KEY_ID, "secret_access_key": SECRET, "clock": lambda: NOW_S, **options})


def signed(method, target, body=b"", *, key_id=KEY_ID, secret=SECRET, at_s=NOW_S, host=HOST, headers=None):
    """The headers of a request as the SDK signs it."""
    path, _, query = target.partition("?")
    request = SdkRequest(
        method=method,
        schema="https",
        host=host,
        resource_path=path,
        query_params=[tuple(pair.split("=", 1)) for pair in query.split("&") if pair],
        header_params={"X-Sdk-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s)), **(headers or {})},
        body=body,
    )
    return Signer(SimpleNamespace(ak=key_id, sk=secret)).sign(request).header_params


def ask(served, method, target, body=b"", **signing):
    return served.answer(method, target, signed(method, target, body, **signing), body)


def query(**members):
    members = {
        "service_type": 2,
        "infer_type": "real_time",
        "start_time": NOW_MS - DAY_MS,
        "end_time": NOW_MS,
        **members,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def statistics(served, **members):
    reply = ask(served, "POST", STATISTICS, query(**members))
    assert reply.status == 200, reply.body
    return json.loads(reply.body, parse_float=Decimal)


def used(start_ms, end_ms, **members):
    """The figures of [start_ms, end_ms), tokens as whole tokens."""
    figures = statistics(service(end_counted=False), start_time=start_ms, end_time=end_ms, **members)
    return {name: int(figure * 1000) if name in TOKENS else figure for name, figure in figures.items()}


def added(*parts):
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def error(reply):
    return json.loads(reply.body)


# --- signatures ---


def vector(method, target, headers, signature, body=b""):
    names = ";".join(sorted(name.lower() for name in headers))
    authorization = "SDK-HMAC-SHA256 Access=AccessKey, SignedHeaders=%s, Signature=%s" % (names, signature)
    return method, target, {**headers, "Authorization": authorization}, body


DATED = {"Host": HOST, "X-Sdk-Date": "20200608T023900Z"}
VECTORS = [
    vector("GET", "/resources?size=1", DATED, "cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd842"),
    vector(
        "POST",
        "/resources?size=1",
        DATED,
        "436b1ac0a1ae03705934bb70ef2f2e09f7bfed2117d731a38235053199323a1f",
        b'{"name":"test","id":1}',
    ),
    vector(
        "GET",
        "/path?limit=1",
        {"X-Sdk-Date": "20060102T150405Z"},
        "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
    ),
]


@pytest.mark.parametrize("request_", VECTORS)
def test_public_vectors_verify(request_):
    assert verify_signature(*request_, "SecretKey")


def altered(**changes):
    method, target, headers, body = VECTORS[1]
    headers = {**headers, **changes.pop("headers", {})}
    headers = {name: value for name, value in headers.items() if value is not None}
    return (changes.get("method", method), changes.get("target", target), headers, changes.get("body", body))


@pytest.mark.parametrize(
    "request_",
    [
        altered(method="PUT"),
        altered(target="/resources?size=2"),
        altered(target="/resources"),
        altered(target="/other?size=1"),
        altered(body=b'{"name":"test","id":2}'),
        altered(body=b""),
        altered(headers={"Host": "other.myhuaweicloud.com"}),
        altered(headers={"Host": None}),
        altered(headers={"X-Sdk-Date": "20200608T023901Z"}),
        altered(headers={"X-Sdk-Date": None}),
        altered(headers={"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}),
        altered(headers={"Authorization": None}),
        altered(headers={"Authorization": ""}),
        altered(headers={"Authorization": "Bearer of bad news"}),
        altered(headers={"Authorization": VECTORS[0][2]["Authorization"]}),
        altered(headers={"Authorization": VECTORS[1][2]["Authorization"].replace("SHA256", "SM3")}),
        altered(headers={"Authorization": VECTORS[1][2]["Authorization"].replace("x-sdk-date", "x-sdk-date;x-more")}),
        altered(headers={"Authorization": VECTORS[1][2]["Authorization"][:-1]}),
    ],
)
def test_what_was_altered_does_not_verify(request_):
    assert not verify_signature(*request_, "SecretKey")


def test_another_secret_does_not_verify():
    assert not any(verify_signature(*request, "SecretKez") for request in VECTORS)


@pytest.mark.parametrize(
    "request_",
    [
        altered(headers={"X-Unsigned": "whatever"}),
        altered(target="/%72esources?size=1"),
        altered(target="/resources/?size=1"),
        altered(headers={"Host": "  %s " % HOST}),
    ],
)
def test_what_is_the_same_when_canonical_verifies(request_):
    assert verify_signature(*request_, "SecretKey")


def test_a_stated_hash_of_another_body_is_not_believed():
    body, headers = b'{"a":1}', {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}
    unsigned = signed("POST", "/x", body, headers=headers)
    assert verify_signature("POST", "/x", unsigned, b'{"a":2}', SECRET)
    stated = signed("POST", "/x", body)
    stated["X-Sdk-Content-Sha256"] = hashlib.sha256(body).hexdigest()
    assert verify_signature("POST", "/x", stated, body, SECRET)
    assert not verify_signature("POST", "/x", stated, b'{"a":2}', SECRET)


def test_canonical_query():
    value = "一 (&=?!#%.*)"
    encoded = "%E4%B8%80%20%28%26%3D%3F%21%23%25.%2A%29"
    assert demo.canonical_query("name=" + quote(value)) == "name=" + encoded
    assert demo.canonical_query("b=2&a=%7e&b=1&c&a=") == "a=&a=~&b=1&b=2&c="


@given(
    path=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/%?"), min_size=1), max_size=3),
    pairs=st.lists(st.tuples(st.text("aé=& %+~*", min_size=1), st.text("aé=& %+~*")), max_size=4, unique=True),
    body=st.binary(max_size=40),
)
def test_what_the_sdk_signs_verifies(path, pairs, body):
    path = "/" + "/".join(path)
    request = SdkRequest(
        "POST", "https", HOST, path, None, pairs, {"X-Sdk-Date": "20260520T160000Z", "X-Extra": " 1 "}, body
    )
    headers = Signer(SimpleNamespace(ak=KEY_ID, sk=SECRET)).sign(request).header_params
    target = quote(path) + "?" + "&".join("%s=%s" % (quote(name), quote(value)) for name, value in pairs)
    assert verify_signature("POST", target, headers, body, SECRET)
    assert not verify_signature("POST", target, headers, body + b" ", SECRET)


# --- authentication ---


def test_a_signed_request_is_answered():
    served = service()
    reply = ask(served, "GET", BY_REGION)
    assert reply.status == 200
    assert json.loads(reply.body)["projects"] == [{"id": PROJECT_ID, "name": "cn-southwest-2", "enabled": True}]
    assert served.calls == [demo.Call("GET", "/v3/projects", None, 200, KEY_ID)]


def test_headers_of_an_answer():
    served = service()
    replies = [ask(served, "GET", BY_REGION), ask(served, "GET", "/nowhere")]
    for reply in replies:
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["Content-Length"] == str(len(reply.body))
        assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == NOW_S
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-Id"])
    assert replies[0].headers["X-Request-Id"] != replies[1].headers["X-Request-Id"]
    assert error(replies[1])["request_id"] == replies[1].headers["X-Request-Id"]


def without(name, **signing):
    headers = signed("GET", BY_REGION, **signing)
    del headers[name]
    return headers


def tampered(**headers):
    return {**signed("GET", BY_REGION), **headers}


def without_host():
    headers = signed("GET", BY_REGION)
    authorization = headers["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    return {**headers, "Authorization": authorization}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (without("Authorization"), "Authorization is missing or malformed"),
        (tampered(Authorization="Basic x"), "Authorization is missing or malformed"),
        (without_host(), "host and x-sdk-date must be signed"),
        (signed("GET", BY_REGION, key_id=KEY_ID[:-1] + "Y"), "ak not exist"),
        (signed("GET", BY_REGION, secret=SECRET[:-1]), "verify aksk signature fail"),
        (tampered(Host="elsewhere"), "verify aksk signature fail"),
        (signed("GET", BY_REGION, at_s=NOW_S - 901), "signature expired, signature time: 20260520T154459Z"),
        (signed("GET", BY_REGION, at_s=NOW_S + 901), "server time: 20260520T160000Z"),
        (tampered(**{"X-Sdk-Date": "yesterday"}), "signature expired, signature time: yesterday"),
    ],
)
def test_a_request_that_is_not_signed_well_is_refused(headers, reason):
    served = service()
    reply = served.answer("GET", BY_REGION, headers, b"")
    assert (reply.status, error(reply)["error_code"]) == (401, "APIGW.0301")
    assert error(reply)["error_msg"].startswith("Incorrect IAM authentication information: ")
    assert reason in error(reply)["error_msg"]
    assert served.calls[0].status == 401


@pytest.mark.parametrize("age_s", [-900, 900])
def test_fifteen_minutes_are_young_enough(age_s):
    assert ask(service(), "GET", BY_REGION, at_s=NOW_S - age_s).status == 200


def test_header_names_ignore_case():
    headers = {name.upper(): value for name, value in signed("GET", BY_REGION).items()}
    assert service().answer("GET", BY_REGION, headers, b"").status == 200


def test_a_wrong_signature_is_told_with_key_id_and_canonical_request():
    reply = ask(service(security_token=TOKEN), "GET", BY_REGION, secret="wrong", headers={"X-Security-Token": TOKEN})
    message = error(reply)["error_msg"]
    assert KEY_ID in message
    assert "GET|/v3/projects/|name=cn-southwest-2|host:%s|" % HOST in message
    assert TOKEN in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (signed("GET", BY_REGION), "Get secretKey failed"),
        (signed("GET", BY_REGION, headers={"X-Security-Token": TOKEN[:-1]}), "decrypt token fail"),
        (tampered(**{"X-Security-Token": TOKEN}), "decrypt token fail"),
    ],
)
def test_a_temporary_key_needs_its_token_signed(headers, reason):
    reply = service(security_token=TOKEN).answer("GET", BY_REGION, headers, b"")
    assert reply.status == 401
    assert reason in error(reply)["error_msg"]


def test_a_temporary_key_with_its_token_is_answered():
    assert ask(service(security_token=TOKEN), "GET", BY_REGION, headers={"X-Security-Token": TOKEN}).status == 200


def test_five_wrong_signatures_in_a_row_lock_the_key_for_five_minutes():
    now_s = [NOW_S]
    served = service(clock=lambda: now_s[0])

    def told(**signing):
        return error(ask(served, "GET", BY_REGION, at_s=now_s[0], **signing)).get("error_msg", "fine")

    assert [told(secret="wrong") for _ in range(4)] == [told(secret="wrong")] * 4
    assert "AK access failed to reach the limit" in told()
    now_s[0] += 299
    assert "AK access failed to reach the limit" in told()
    now_s[0] += 1
    assert told() == "fine"
    assert "verify aksk signature fail" in told(secret="wrong")


def test_a_good_signature_forgives_the_wrong_ones_before():
    served = service()
    for _ in range(3):
        for _ in range(4):
            assert "verify aksk" in error(ask(served, "GET", BY_REGION, secret="wrong"))["error_msg"]
        assert ask(served, "GET", BY_REGION).status == 200


# --- IAM ---


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (BY_REGION, ["cn-southwest-2"]),
        ("/v3/projects", ["cn-southwest-2", "cn-north-4"]),
        ("/v3/projects?name=cn-north-4", ["cn-north-4"]),
        ("/v3/projects?name=cn-east-3", []),
        (ANY_PROJECTS, ["cn-southwest-2", "cn-north-4"]),
    ],
)
def test_projects(target, names):
    projects = json.loads(ask(service(), "GET", target).body)["projects"]
    assert [project["name"] for project in projects] == names
    assert all(re.fullmatch("[0-9a-z]{32}", project["id"]) for project in projects)
    assert len({project["id"] for project in projects}) == len(projects)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("POST", BY_REGION),
        ("GET", "/v3/projects/x"),
        ("GET", STATISTICS),
        ("POST", STATISTICS + "/x"),
        ("GET", SERVICES),
        ("POST", "/v1/%s/maas/monitoring/source-ips" % PROJECT_ID),
        ("DELETE", "/v3/auth/projects"),
    ],
)
def test_anything_else_does_not_exist(method, target):
    reply = ask(service(), method, target)
    assert (reply.status, error(reply)["error_code"]) == (404, "APIGW.0101")
    assert error(reply)["error_msg"] == "The API does not exist or has not been published in the environment"


# --- ShowStatistics: what is asked ---


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"service_type": None}, "service_type must be one of [1 2 4]"),
        ({"service_type": 3}, "service_type must be one of [1 2 4]"),
        ({"service_type": "2"}, "service_type must be one of [1 2 4]"),
        ({"service_type": 2.0}, "service_type must be one of [1 2 4]"),
        ({"service_type": True}, "service_type must be one of [1 2 4]"),
        ({"start_time": None}, "integers"),
        ({"end_time": str(NOW_MS)}, "integers"),
        ({"end_time": NOW_MS + 0.5}, "integers"),
        ({"start_time": True}, "integers"),
        ({"start_time": 0}, "positive"),
        ({"start_time": -5}, "positive"),
        ({"start_time": NOW_MS + 1}, "not after end_time"),
        ({"start_time": OLDEST_MS - 1}, "at most 30 days apart"),
        ({"infer_type": None}, "infer_type must be one of"),
        ({"infer_type": "realtime"}, "infer_type must be one of"),
        ({"infer_type": 1}, "infer_type must be one of"),
        ({"timezone": 8}, "timezone must be a string"),
        ({"api_keys": "web-app"}, "api_keys must be a list"),
        ({"api_keys": []}, "api_keys must be a list"),
        ({"api_keys": [1]}, "api_keys must be labels"),
        ({"api_keys": ["web app"]}, "api_keys must be labels"),
        ({"api_keys": ["a" * 101]}, "api_keys must be labels"),
        ({"api_keys": ["ci\n"]}, "api_keys must be labels"),
    ],
)
def test_a_bad_parameter_is_refused(members, message):
    reply = ask(service(), "POST", STATISTICS, query(**members))
    assert reply.status == 400
    assert error(reply)["error_code"].startswith("ModelArts.")
    assert message in error(reply)["error_msg"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff{}", b"[" * 100_000, b"{}x"])
def test_a_body_that_is_no_json_object_is_refused(body):
    served = service()
    reply = ask(served, "POST", STATISTICS, body)
    assert reply.status == 400
    assert served.calls[0].body is None


@pytest.mark.parametrize(
    "members",
    [
        {"start_time": NOW_MS},
        {"start_time": OLDEST_MS},
        {"timezone": "Asia/Shanghai"},
        {"api_keys": ["a" * 100, "A_-9", ""]},
        {"infer_type": "batch"},
        {"service_type": 1},
    ],
)
def test_a_good_question_is_answered(members):
    served = service()
    assert set(statistics(served, **members)) == {
        "total_request_count",
        "total_error_count",
        "total_token",
        "total_prompt_token",
        "total_completion_token",
        "total_completion_tasks",
        "total_infer_count",
    }
    assert served.calls[0].path == STATISTICS
    assert served.calls[0].body == json.loads(query(**members))


def test_the_project_must_be_the_account_s():
    other = STATISTICS.replace(PROJECT_ID, PROJECT_ID[::-1])
    for target, headers in ((other, {}), (STATISTICS, {"X-Project-Id": PROJECT_ID[::-1]})):
        reply = ask(service(), "POST", target, query(), headers=headers)
        assert (reply.status, error(reply)["error_code"]) == (403, "ModelArts.0108")
    assert ask(service(), "POST", STATISTICS, query(), headers={"X-Project-Id": PROJECT_ID}).status == 200


@pytest.mark.parametrize(
    ("region", "status"),
    [("cn-southwest-2", 200), ("ap-southeast-1", 200), ("cn-north-4", 404), ("cn-east-3", 404)],
)
def test_regions_that_have_the_statistics(region, status):
    served = service(region=region)
    assert ask(served, "POST", STATISTICS, query()).status == status
    assert json.loads(ask(served, "GET", "/v3/projects?name=" + region).body)["projects"][0]["name"] == region


# --- ShowStatistics: what is answered ---

moments = st.integers(OLDEST_MS, NOW_MS)
types = st.sampled_from([1, 2, 4])
infer_types = st.sampled_from(["real_time", "batch"])


@settings(max_examples=60, deadline=None)
@given(st.lists(moments, min_size=3, max_size=6, unique=True).map(sorted), types, infer_types)
def test_a_window_is_the_sum_of_its_parts_however_it_is_cut(cuts, service_type, infer_type):
    members = {"service_type": service_type, "infer_type": infer_type}
    parts = [used(start_ms, end_ms, **members) for start_ms, end_ms in zip(cuts, cuts[1:])]
    assert added(*parts) == used(cuts[0], cuts[-1], **members)


@settings(max_examples=60, deadline=None)
@given(st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted), types, infer_types)
def test_the_labels_share_out_the_whole(window, service_type, infer_type):
    members = {"service_type": service_type, "infer_type": infer_type}
    parts = [used(*window, api_keys=[label], **members) for label in LABELS]
    assert added(*parts) == used(*window, **members) == used(*window, api_keys=list(LABELS), **members)
    assert added(*parts[1:3]) == used(*window, api_keys=["ci", "batch-jobs", "ci", "no-such-key"], **members)


@settings(max_examples=30, deadline=None)
@given(st.integers(OLDEST_MS // HOUR_MS, NOW_MS // HOUR_MS - 1), st.data())
def test_an_hour_cut_at_any_millisecond(hour, data):
    start_ms = hour * HOUR_MS
    cut_ms = data.draw(st.integers(start_ms + 1, start_ms + HOUR_MS - 1))
    assert added(used(start_ms, cut_ms), used(cut_ms, start_ms + HOUR_MS)) == used(start_ms, start_ms + HOUR_MS)


def test_every_hour_of_the_preset_services_begins_with_a_call():
    for start_ms in range(OLDEST_MS, NOW_MS, HOUR_MS):
        assert used(start_ms, start_ms + 1)["total_request_count"] >= 1
        assert used(start_ms - 1, start_ms)["total_request_count"] == 0


def test_an_end_that_counts_and_one_that_does_not():
    start_ms = NOW_MS - 10 * HOUR_MS
    window = {"start_time": start_ms, "end_time": start_ms + HOUR_MS}
    counted, not_counted = (statistics(service(end_counted=counted), **window) for counted in (True, False))
    at_the_end = used(start_ms + HOUR_MS, start_ms + HOUR_MS + 1)
    assert at_the_end["total_request_count"] > 0
    assert counted["total_request_count"] == not_counted["total_request_count"] + at_the_end["total_request_count"]
    window["end_time"] -= 1
    assert statistics(service(end_counted=True), **window) == not_counted


def test_a_single_instant():
    at_the_hour = {"start_time": NOW_MS - HOUR_MS, "end_time": NOW_MS - HOUR_MS}
    assert statistics(service(end_counted=True), **at_the_hour)["total_request_count"] > 0
    assert statistics(service(end_counted=False), **at_the_hour)["total_request_count"] == 0


def test_the_future_holds_nothing():
    later = {"start_time": NOW_MS + 1, "end_time": NOW_MS + 5 * DAY_MS}
    assert not any(statistics(service(), **later).values())
    assert statistics(service(), end_time=NOW_MS + DAY_MS) == statistics(service(), end_time=NOW_MS)
    noon = NOW_S - 12 * 3600
    now_s = [noon]
    served = service(clock=lambda: now_s[0])
    before = json.loads(ask(served, "POST", STATISTICS, query(), at_s=noon).body)
    now_s[0] += 600
    after = json.loads(ask(served, "POST", STATISTICS, query(), at_s=noon).body)
    assert before["total_request_count"] < after["total_request_count"]


def test_what_is_older_than_thirty_days_is_gone():
    old = {"start_time": OLDEST_MS - 5 * DAY_MS, "end_time": OLDEST_MS - 1}
    assert not any(statistics(service(), **old).values())
    reply = ask(service(expired="400"), "POST", STATISTICS, query(**old))
    assert reply.status == 400
    assert error(reply)["error_code"].startswith("ModelArts.")
    assert "retention" in error(reply)["error_msg"]


@pytest.mark.parametrize("expired", ["zeros", "400"])
def test_of_a_window_partly_older_the_kept_part_is_counted(expired):
    served = service(expired=expired, end_counted=False)
    partly = statistics(served, start_time=OLDEST_MS - 5 * DAY_MS, end_time=OLDEST_MS + DAY_MS)
    assert partly == statistics(served, start_time=OLDEST_MS, end_time=OLDEST_MS + DAY_MS)
    assert partly["total_request_count"] > 0


def test_unknown_labels_have_nothing():
    assert not any(used(OLDEST_MS, NOW_MS, api_keys=["no-such-key"]).values())


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (0, "0"),
        (1, "0.001"),
        (10, "0.01"),
        (900, "0.9"),
        (1000, "1"),
        (10_000, "10"),
        (2_482_084_980, "2482084.98"),
    ],
)
def test_thousands_are_printed_exactly(tokens, text):
    assert demo._thousands(tokens) == text


@settings(max_examples=50, deadline=None)
@given(moments)
def test_no_figure_is_printed_with_more_than_three_decimals(start_ms):
    text = ask(service(), "POST", STATISTICS, query(start_time=start_ms)).body.decode()
    figures = re.findall(r'"(\w+)":([^,}]+)', text)
    assert len(figures) == 7
    for name, figure in figures:
        assert re.fullmatch(r"\d+(\.\d{0,2}[1-9])?" if name in TOKENS else r"\d+", figure)


# --- the shape of the usage ---

DAYS = [OLDEST_MS + day * DAY_MS for day in range(30)]


def weekday(start_ms):
    return time.gmtime(start_ms / 1000 + 8 * 3600).tm_wday


def error_rate(figures):
    return figures["total_error_count"] / figures["total_request_count"]


@pytest.mark.parametrize("service_type", [1, 2, 4])
def test_weekends_are_quiet(service_type):
    days = [(weekday(day), used(day, day + DAY_MS, service_type=service_type)["total_token"]) for day in DAYS]
    assert (
        max(tokens for number, tokens in days if number >= 5) < min(tokens for number, tokens in days if number < 5) / 2
    )
    assert len({tokens for _, tokens in days}) == len(days)


def test_the_day_is_busy_and_the_night_is_not():
    friday = next(day for day in DAYS if weekday(day) == 4)
    night, morning = used(friday, friday + 6 * HOUR_MS), used(friday + 9 * HOUR_MS, friday + 12 * HOUR_MS)
    assert night["total_request_count"] * 5 < morning["total_request_count"]


def test_one_workday_in_every_week_is_bad():
    rates = {day: error_rate(used(day, day + DAY_MS)) for day in DAYS}
    monday = next(day for day in DAYS if weekday(day) == 0)
    weeks = [[monday + (7 * week + day) * DAY_MS for day in range(7)] for week in range(3)]
    for week in weeks:
        assert [0.12 < rates[day] < 0.25 for day in week].count(True) == 1
        assert sum(rates[day] < 0.025 for day in week) == 6
    assert all(weekday(day) < 5 for day, rate in rates.items() if rate > 0.1)


def test_most_spans_of_seven_days_hold_a_bad_day():
    bad = [demo._day(2, day)[1] > 100 for day in range(NOW_MS // DAY_MS, NOW_MS // DAY_MS + 3 * 365)]
    spans = [any(bad[first : first + 7]) for first in range(len(bad) - 7)]
    assert sum(spans) > 0.9 * len(spans)
    assert len({index % 7 for index, is_bad in enumerate(bad) if is_bad}) == 3


def test_the_sizes_of_the_service_types():
    my, preset, custom = (used(OLDEST_MS, NOW_MS, service_type=number)["total_token"] for number in (1, 2, 4))
    assert 6 < preset / custom < 8
    assert 50 < preset / my < 70
    workdays = [used(day, day + DAY_MS) for day in DAYS if weekday(day) < 5]
    assert min(day["total_token"] for day in workdays) > 150e6
    assert max(day["total_token"] for day in workdays) < 230e6
    assert all(3_000 < day["total_request_count"] < 7_000 for day in workdays)


@pytest.mark.parametrize("service_type", [1, 2, 4])
@pytest.mark.parametrize("infer_type", ["real_time", "batch"])
def test_prompt_and_completion_are_a_little_under_the_total(service_type, infer_type):
    figures = used(OLDEST_MS, NOW_MS, service_type=service_type, infer_type=infer_type)
    total, prompt, completion = (figures[name] for name in TOKENS)
    assert 0.999 < (prompt + completion) / total < 1
    assert 0.98 < prompt / total < 0.995
    assert 0.008 < completion / total < 0.012


def test_batch_is_small_and_counts_tasks():
    batch, real_time = (used(OLDEST_MS, NOW_MS, infer_type=name) for name in ("batch", "real_time"))
    assert 0 < batch["total_token"] < real_time["total_token"] / 10
    assert 0 < batch["total_completion_tasks"] < batch["total_infer_count"]
    assert real_time["total_completion_tasks"] == real_time["total_infer_count"] == 0


def test_the_same_question_has_the_same_answer():
    assert statistics(service()) == statistics(service())


# --- the sisters of ShowStatistics ---


def told(served, target, **members):
    reply = ask(served, "POST", target, query(**members))
    assert reply.status == 200, reply.body
    return json.loads(reply.body, parse_float=Decimal)


@pytest.mark.parametrize(
    ("target", "members", "message"),
    [
        (SERVICE_STATISTICS, {"service_type": 3}, "service_type must be one of [1 2 4]"),
        (SERVICE_STATISTICS, {"start_time": None}, "integers"),
        (SERVICE_STATISTICS, {"start_time": OLDEST_MS - 1}, "at most 30 days apart"),
        (SERVICE_STATISTICS, {"api_keys": []}, "api_keys must be a list"),
        (SERVICE_STATISTICS, {"service_names": "demo-chat-large"}, "service_names must be a list of texts"),
        (SERVICE_STATISTICS, {"service_names": [2]}, "service_names must be a list of texts"),
        (SERVICES, {"service_type": None}, "service_type must be one of [1 2 4]"),
        (SERVICES, {"service_ids": {}}, "service_ids must be a list of texts"),
        (SERVICES, {"limit": 0}, "limit must be positive and less than 100"),
        (SERVICES, {"limit": 100}, "limit must be positive and less than 100"),
        (SERVICES, {"limit": "10"}, "limit must be positive and less than 100"),
        (SERVICES, {"limit": True}, "limit must be positive and less than 100"),
        (SERVICES, {"offset": -1}, "offset must be an integer"),
        (SERVICES, {"offset": 1.0}, "offset must be an integer"),
    ],
)
def test_a_bad_parameter_of_a_sister_is_refused(target, members, message):
    reply = ask(service(), "POST", target, query(**members))
    assert (reply.status, error(reply)["error_code"]) == (400, "ModelArts.0104")
    assert message in error(reply)["error_msg"]


def test_sisters_need_what_they_need():
    only_type = {"start_time": None, "end_time": None, "infer_type": None}
    assert ask(service(), "POST", SERVICES, query(**only_type)).status == 200
    assert ask(service(), "POST", SERVICE_STATISTICS, query(infer_type=None)).status == 200


@pytest.mark.parametrize("target", [SERVICE_STATISTICS, SERVICES])
def test_sisters_are_guarded_like_the_statistics(target):
    assert ask(service(), "POST", target, query(), secret="wrong").status == 401
    assert ask(service(), "POST", target.replace(PROJECT_ID, PROJECT_ID[::-1]), query()).status == 403
    assert ask(service(region="cn-north-4"), "POST", target, query()).status == 404
    assert ask(service(), "POST", target, b"[]").status == 400


@pytest.mark.parametrize(("service_type", "number"), [(1, 3), (2, 15), (4, 2)])
def test_services_come_in_pages_of_ten_unless_asked_otherwise(service_type, number):
    def page(**members):
        answer = told(service(), SERVICES, service_type=service_type, **members)
        assert answer["note"] == "invented by the demo"
        assert (answer["total"], answer["count"]) == (number, len(answer["items"]))
        return answer["items"]

    services = page(limit=99)
    assert len({one["service_id"] for one in services}) == len({one["service_name"] for one in services}) == number
    assert page() == services[:10]
    assert page(offset=10) == services[10:20]
    assert page(limit=2, offset=1) == services[1:3]
    assert page(offset=number) == page(offset=10**9) == []


def test_services_by_their_ids():
    services = told(service(), SERVICES, limit=99)["items"]
    answer = told(service(), SERVICES, service_ids=[services[12]["service_id"], "no-such-service"])
    assert (answer["total"], answer["items"]) == (1, [services[12]])


@settings(max_examples=40, deadline=None)
@given(st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted), types, st.sampled_from([None, ["ci"]]))
def test_the_services_share_out_the_whole(window, service_type, labels):
    members = {"start_time": window[0], "end_time": window[1], "service_type": service_type, "api_keys": labels}
    items = told(service(), SERVICE_STATISTICS, **members)["items"]
    whole = statistics(service(), **members)
    for name in ("total_request_count", "total_token"):
        assert sum(item[name] for item in items) == whole[name]
    for item in items:
        assert 0 <= item["cache_token"] <= item["total_token"]
        assert 0 <= item["cache_hit_ratio"] < 1
        assert (item["cache_token"] == 0) or item["cache_hit_ratio"] > 0


def test_the_services_are_those_of_the_list_and_some_are_used_more():
    services = told(service(), SERVICES, limit=99)["items"]
    answer = told(service(), SERVICE_STATISTICS)
    assert answer["note"] == "invented by the demo"
    assert [{name: item[name] for name in ("service_id", "service_name")} for item in answer["items"]] == services
    tokens = [item["total_token"] for item in answer["items"]]
    assert tokens[0] > 2 * tokens[2] > 2 * tokens[-1] > 0
    names = [services[3]["service_name"], "no-such-service"]
    assert told(service(), SERVICE_STATISTICS, service_names=names)["items"] == answer["items"][3:4]


def test_statistics_by_service_forget_what_the_statistics_forget():
    old = {"start_time": OLDEST_MS - 5 * DAY_MS, "end_time": OLDEST_MS - 1}
    assert not any(item["total_token"] for item in told(service(), SERVICE_STATISTICS, **old)["items"])
    assert ask(service(expired="400"), "POST", SERVICE_STATISTICS, query(**old)).status == 400


# --- troubles ---

ANSWERS = [
    # trouble, by region, own projects, statistics twice: status and code
    ("rejected", *["401 APIGW.0301"] * 4),
    ("unknown-key", *["401 APIGW.0301"] * 4),
    ("locked", *["401 APIGW.0301"] * 4),
    ("clock", *["401 APIGW.0301"] * 4),
    ("expired-token", *["401 APIGW.0301"] * 4),
    ("arrears", *["401 APIGW.0307"] * 4),
    ("forbidden", "200", "200", *["403 APIGW.0302"] * 2),
    ("iam-forbidden", "403 APIGW.0302", "200", "200", "200"),
    ("no-project", "200", "200", "200", "200"),
    ("sub-projects", "200", "200", "200", "200"),
    ("wrong-region", "200", "200", *["404 APIGW.0101"] * 2),
    ("throttled", "200", "200", *["429 APIGW.0308"] * 2),
    ("throttled-once", "200", "200", "429 APIGW.0308", "200"),
    ("broken", "200", "200", *["503 APIGW.0613"] * 2),
    ("broken-once", "200", "200", "503 APIGW.0613", "200"),
    ("bad-request", "200", "200", *["400 ModelArts.0104"] * 2),
    ("bad-figure", "200", "200", "200", "200"),
    ("not-json", *["200 text/html"] * 4),
    ("no-usage", "200", "200", "200", "200"),
    ("injection", "200", "200", "200", "200"),
    ("silent", *["0"] * 4),
    ("cut", *["200 cut"] * 4),
]


def test_every_trouble_is_in_the_table_and_has_a_sentence():
    assert [row[0] for row in ANSWERS] == list(TROUBLES)
    assert all(re.fullmatch(r"[A-Z][^.]+\.", sentence) for sentence in TROUBLES.values())


@pytest.mark.parametrize(("trouble", "by_region", "own", "first", "second"), ANSWERS)
def test_troubles(trouble, by_region, own, first, second):
    def seen(reply):
        if reply.headers["Content-Type"] != "application/json":
            return "%d %s" % (reply.status, reply.headers["Content-Type"])
        if len(reply.body) < int(reply.headers["Content-Length"]):
            return "%d cut" % reply.status
        code = json.loads(reply.body).get("error_code") if reply.body else None
        return "%d %s" % (reply.status, code) if code else str(reply.status)

    for operation in OPERATIONS:
        served = service(trouble=trouble)
        assert seen(ask(served, "GET", BY_REGION)) == by_region
        assert seen(ask(served, "GET", ANY_PROJECTS)) == own
        assert seen(ask(served, "POST", operation, query())) == first
        assert seen(ask(served, "POST", operation, query())) == second
        assert len(served.calls) == 4


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("rejected", "verify aksk signature fail, ak:%s, canonicalRequest:GET|/v3/projects/|" % KEY_ID),
        ("unknown-key", "ak not exist, ak:%s" % KEY_ID),
        ("locked", "AK access failed to reach the limit"),
        ("clock", "signature expired, signature time: 20260520T160000Z, server time: 20260520T164000Z"),
        ("expired-token", "decrypt token fail"),
        ("arrears", "the account is in arrears"),
    ],
)
def test_what_a_refusal_says(trouble, message):
    assert message in error(ask(service(trouble=trouble), "GET", BY_REGION))["error_msg"]


@pytest.mark.parametrize("trouble", sorted(set(TROUBLES) - {"silent", "not-json"}))
def test_trouble_or_not_a_wrong_signature_is_refused(trouble):
    assert ask(service(trouble=trouble), "POST", STATISTICS, query(), secret="wrong").status == 401


def test_the_clock_ahead_shows_in_the_date():
    reply = ask(service(trouble="clock"), "GET", BY_REGION)
    assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == NOW_S + 40 * 60


@pytest.mark.parametrize("trouble", ["throttled", "throttled-once"])
def test_a_throttled_answer_says_when_to_come_again(trouble):
    served = service(trouble=trouble)
    assert ask(served, "POST", STATISTICS, query()).headers["Retry-After"] == "1"
    assert "Retry-After" not in ask(served, "GET", BY_REGION).headers


def test_troubles_with_projects():
    def names(trouble, target):
        projects = json.loads(ask(service(trouble=trouble), "GET", target).body)["projects"]
        return [project["name"] for project in projects]

    for target in (BY_REGION, ANY_PROJECTS):
        assert names("no-project", target) == []
        assert names("sub-projects", target) == ["cn-southwest-2_dev", "cn-southwest-2_prod"]
    assert names("iam-forbidden", ANY_PROJECTS) == ["cn-southwest-2", "cn-north-4"]


def test_troubles_with_figures():
    fine = statistics(service())
    assert statistics(service(trouble="bad-figure")) == {**fine, "total_token": None}
    assert not any(statistics(service(trouble="no-usage")).values())
    unused = told(service(trouble="no-usage"), SERVICE_STATISTICS)["items"]
    assert not any(figure for item in unused for figure in item.values() if not isinstance(figure, str))
    for operation in OPERATIONS:
        assert "\x1b[" in told(service(trouble="injection"), operation)["message"]
    injected = statistics(service(trouble="injection"))
    assert "ignore all previous instructions" in injected["message"]
    assert "\x1b[" in injected.pop("message")
    assert injected == fine


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="unknown trouble 'rain'"):
        service(trouble="rain")
    with pytest.raises(ValueError, match="expired"):
        service(expired="never")


# --- over HTTP ---


def send(connection, method, target, body=b""):
    host = "%s:%d" % (connection.host, connection.port)
    connection.request(method, target, body, signed(method, target, body, host=host))
    response = connection.getresponse()
    return response, response.read()


def connect(endpoint, timeout_s=5.0):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", endpoint.url)
    return closing(http.client.HTTPConnection(endpoint.url[len("http://") :], timeout=timeout_s))


def test_over_http_one_connection_serves_many_requests():
    served = service()
    with Endpoint(served) as endpoint, connect(endpoint) as connection:
        connection.connect()
        first_socket = connection.sock
        started_s = time.monotonic()
        for _ in range(20):
            response, body = send(connection, "GET", BY_REGION)
            assert (response.status, response.version) == (200, 11)
            response, body = send(connection, "POST", STATISTICS, query())
            assert json.loads(body)["total_request_count"] > 0
            assert parsedate_to_datetime(response.headers["Date"]).timestamp() == NOW_S
            assert len(response.headers.get_all("Date")) == 1
            response, body = send(connection, "DELETE", "/nowhere")
            assert response.status == 404
        assert connection.sock is first_socket
        assert time.monotonic() - started_s < 2, "each answer waits for something"
    assert len(served.calls) == 60


def test_over_http_many_connections_at_once():
    served = service()

    def status(_):
        with connect(endpoint) as connection:
            return send(connection, "POST", STATISTICS, query())[0].status

    with Endpoint(served) as endpoint, ThreadPoolExecutor(32) as workers:
        statuses = list(workers.map(status, range(32)))
    assert statuses == [200] * 32
    assert [call.status for call in served.calls] == statuses


def test_the_endpoint_is_gone_on_exit():
    with ExitStack() as stack:
        with Endpoint(service()) as endpoint:
            kept = stack.enter_context(connect(endpoint))
            assert send(kept, "GET", BY_REGION)[0].status == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            send(kept, "GET", BY_REGION)
        with connect(endpoint) as late, pytest.raises(ConnectionError):
            late.connect()


def test_silence_lasts_until_the_endpoint_closes():
    served = service(trouble="silent")
    with ExitStack() as stack:
        with Endpoint(served) as endpoint:
            with connect(endpoint, timeout_s=0.3) as impatient, pytest.raises(socket.timeout):
                send(impatient, "GET", BY_REGION)
            patient = stack.enter_context(connect(endpoint))
            patient.request("GET", BY_REGION)
            while len(served.calls) < 2:
                time.sleep(0.01)
        with pytest.raises((http.client.HTTPException, OSError)):
            patient.getresponse()


def test_a_cut_answer_ends_in_the_middle():
    with ExitStack() as stack:
        connection = stack.enter_context(connect(stack.enter_context(Endpoint(service(trouble="cut")))))
        with pytest.raises(http.client.IncompleteRead) as caught:
            send(connection, "POST", STATISTICS, query())
    assert caught.value.partial.startswith(b'{"total_request_count":')


@pytest.mark.parametrize("trouble", [None, "silent", "cut"])
def test_nothing_is_printed_whatever_the_caller_does(trouble, capfd):
    with Endpoint(service(trouble=trouble)) as endpoint:
        host, port = endpoint.url[len("http://") :].split(":")
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        for sent in (
            b"",
            b"\x00\x01\r\n\r\n",
            b"HEAD / HTTP/1.1\r\n\r\n",
            request % 9,
            request % 0,
            request.replace(b"%d", b"\xb2"),
            request.replace(b"%d", b"9" * 30),
            request[:-6] + b"x\r\n\r\n",
        ):
            caller = socket.create_connection((host, int(port)))
            caller.sendall(sent)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()  # a reset
        if trouble is None:
            with connect(endpoint) as connection:
                assert send(connection, "GET", BY_REGION)[0].status == 200
        time.sleep(0.1)
    assert capfd.readouterr() == ("", "")


def test_the_endpoint_shares_no_code_with_the_client():
    program = "import maas_usage.demo, sys; print(*sorted(m for m in sys.modules if m.startswith(('maas', 'huawei'))))"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"maas_usage", b"maas_usage.demo"]
