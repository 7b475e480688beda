"""What an answer other than 200 means: a table of answers and errors, with rows that look alike and are not."""

import re
import string
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maas_usage import errors
from maas_usage.refusals import Refusal, error_of, http_date, read, region_unsupported
from maas_usage.secrecy import Redactor

NOW_S = 1_795_469_530
WRONG_SECRET = "Incorrect IAM authentication information: verify aksk signature fail"
LOCKED = "Incorrect IAM authentication information: AK access failed to reach the limit,forbidden"
EXPIRED = "Incorrect IAM authentication information: x-sdk-date: signature expired"
OFF = "signature time 20261124T000000Z is not in line with server time 20261124T010000Z"


def date_header(off_s):
    return format_datetime(datetime.fromtimestamp(NOW_S + off_s, timezone.utc), usegmt=True)


def error(status, body=None, headers=None, retry_after_s=None, redactor=None):
    refusal = read(status, headers or {}, body, redactor or Redactor())
    return error_of(refusal, NOW_S, "HPUA…7X", "the environment (HW_*)", retry_after_s)


@pytest.mark.parametrize(
    "status, code, text, server_off_s, kind",
    [
        # A wrong pair, told in any way or none.
        (401, "APIGW.0301", WRONG_SECRET, 0, errors.CredentialsRejected),
        (401, "APIG.0301", WRONG_SECRET.upper(), 0, errors.CredentialsRejected),
        (401, "APIC.0301", "ak not exist", 0, errors.CredentialsRejected),
        (401, "APIGW.0301", "Get secretKey failed,ak:HPUA, err:ak not exist", 0, errors.CredentialsRejected),
        (401, "APIGW.0301", "decrypt token fail", 0, errors.CredentialsRejected),
        (401, "APIGW.0307", "The token must be updated", 0, errors.CredentialsRejected),
        (401, None, "", 0, errors.CredentialsRejected),
        (401, "APIGW.9999", "something new", None, errors.CredentialsRejected),
        (401, "APIGW.0101", "The API does not exist", 0, errors.CredentialsRejected),
        # The lock.
        (401, "APIGW.0301", LOCKED, 0, errors.CredentialsLocked),
        (401, None, LOCKED.lower(), None, errors.CredentialsLocked),
        (401, "APIGW.0301", "the limit of access has been reached", 0, errors.CredentialsRejected),
        # The clock, by text.
        (401, "APIGW.0301", EXPIRED, 0, errors.ClockSkew),
        (401, None, "Signature Expired", None, errors.ClockSkew),
        (401, "APIGW.0303", OFF, 0, errors.ClockSkew),
        (401, "APIG.0303", OFF.upper(), None, errors.ClockSkew),
        (401, "APIGW.0303", "app_key not found", 0, errors.CredentialsRejected),
        (401, "APIGW.0301", OFF, 0, errors.CredentialsRejected),
        (401, "APIGW.0301", "the token expired", 0, errors.CredentialsRejected),
        # The clock, by the Date header: more than 15 minutes.
        (401, "APIGW.0301", WRONG_SECRET, 900, errors.CredentialsRejected),
        (401, "APIGW.0301", WRONG_SECRET, -900, errors.CredentialsRejected),
        (401, "APIGW.0301", WRONG_SECRET, 901, errors.ClockSkew),
        (401, "APIGW.0301", WRONG_SECRET, -901, errors.ClockSkew),
        (401, "APIGW.0301", LOCKED, 3600, errors.ClockSkew),
        (403, "APIGW.0302", "no permission", 3600, errors.PermissionDenied),
        # No permission, whatever the words.
        (403, "APIGW.0302", "not authorized", 0, errors.PermissionDenied),
        (403, "APIGW.0306", "", 0, errors.PermissionDenied),
        (403, "APIGW.0802", "IAM user forbidden in the currently selected region", 0, errors.PermissionDenied),
        (403, "ModelArts.0108", "", 0, errors.PermissionDenied),
        (403, None, WRONG_SECRET, 0, errors.PermissionDenied),
        (403, "APIGW.0101", "", 0, errors.PermissionDenied),
        # No such API on this host, and other things that are not there.
        (404, "APIGW.0101", "The API does not exist or has not been published", 0, errors.RegionUnsupported),
        (404, "APIG.0101", "", 0, errors.RegionUnsupported),
        (404, "APIC.0101", "", 0, errors.RegionUnsupported),
        (404, "APIGW.0102", "", 0, errors.BadRequest),
        (404, "ModelArts.0101", "", 0, errors.BadRequest),
        (404, "APIGW.01010", "", 0, errors.BadRequest),
        (404, "APIGW.101", "", 0, errors.BadRequest),
        (404, "XAPIGW.0101", "", 0, errors.BadRequest),
        (404, "APIGW-0101", "", 0, errors.BadRequest),
        (404, "APIX.0101", "", 0, errors.BadRequest),
        (404, "0101", "", 0, errors.BadRequest),
        (404, None, "APIGW.0101", 0, errors.BadRequest),
        (400, "APIGW.0101", "", 0, errors.BadRequest),
        # Bad requests.
        (400, "ModelArts.0400", "service_type must be one of [1 2 4]", 0, errors.BadRequest),
        (400, None, LOCKED, 0, errors.BadRequest),
        (402, None, "", 0, errors.BadRequest),
        (405, "APIGW.0106", "", 0, errors.BadRequest),
        (408, None, "", 0, errors.BadRequest),
        (413, None, "", 0, errors.BadRequest),
        (428, None, "", 0, errors.BadRequest),
        (430, "APIGW.0308", "", 0, errors.BadRequest),
        (499, None, "", 0, errors.BadRequest),
        # Too many.
        (429, "APIGW.0308", "The throttling threshold has been reached", 0, errors.Throttled),
        (429, None, "", None, errors.Throttled),
        (429, "APIGW.0101", EXPIRED, 3600, errors.Throttled),
        # The service's own trouble.
        (500, "APIGW.0601", "internal error", 0, errors.ServiceFailure),
        (502, None, "", 0, errors.ServiceFailure),
        (503, "APIGW.0613", "", 3600, errors.ServiceFailure),
        (504, "APIGW.0308", "", 0, errors.ServiceFailure),
        (599, None, "", 0, errors.ServiceFailure),
        # No answer to the question.
        (100, None, "", 0, errors.UnexpectedAnswer),
        (201, None, "", 0, errors.UnexpectedAnswer),
        (204, None, "", 0, errors.UnexpectedAnswer),
        (299, None, "", 0, errors.UnexpectedAnswer),
        (300, None, "", 0, errors.UnexpectedAnswer),
        (302, "APIGW.0301", WRONG_SECRET, 0, errors.UnexpectedAnswer),
        (307, None, "", 3600, errors.UnexpectedAnswer),
        (399, None, "", 0, errors.UnexpectedAnswer),
    ],
)  # fmt: skip
def test_an_answer_is_an_error(status, code, text, server_off_s, kind):
    headers = {} if server_off_s is None else {"Date": date_header(server_off_s)}
    found = error(status, {"error_code": code, "error_msg": text}, headers)
    assert type(found) is kind
    assert (found.http_status, found.api_code) == (status, code)
    assert "HTTP %d" % status in found.message
    assert (code or "HTTP") in found.message
    assert found.hint.endswith(".") and found.message.endswith(".")
    assert ".." not in found.message
    assert found.retryable == (kind in (errors.CredentialsLocked, errors.Throttled, errors.ServiceFailure))


@pytest.mark.parametrize(
    "text, number, told, advice",
    [
        (WRONG_SECRET, "0301", "secret access key does not belong to it", "Set both parts anew"),
        ("ak not exist", "0301", "is unknown to the service", "without its security token"),
        ("Get secretKey failed", "0301", "is not usable", "without its security token"),
        ("decrypt token fail", "0301", "security token that has expired", "new temporary keys"),
        ("", "0307", "expired or the account is in arrears", "balance"),
        ("something new", "0301", "was not accepted", "both parts of the pair"),
    ],
)
def test_a_rejected_key_says_which_and_why(text, number, told, advice):
    found = error(401, {"error_code": "APIGW." + number, "error_msg": text})
    assert "access key HPUA…7X from the environment (HW_*)" in found.message
    assert told in found.message
    assert advice in found.hint
    assert "Do not run it again before that: five rejected signatures in a row lock the key" in found.hint
    assert not text or text not in found.message, "it can echo the key and all that was signed"
    assert found.retry_after_s is None


def test_a_locked_key_says_how_long():
    found = error(401, {"error_msg": LOCKED}, retry_after_s=7)
    assert found.retry_after_s == 300
    assert "HPUA…7X from the environment (HW_*) is locked" in found.message
    assert "wait 5 minutes" in found.hint


@pytest.mark.parametrize(
    "off_s, told",
    [
        (None, "is too far from the service's"),
        (0, "is too far from the service's"),
        (59, "is too far from the service's"),
        (-59, "is too far from the service's"),
        (60, "is 1 minutes behind the service's"),
        (-60, "is 1 minutes ahead of the service's"),
        (3600, "is 60 minutes behind the service's"),
        (-3600, "is 60 minutes ahead of the service's"),
        (950, "is 16 minutes behind the service's"),
        (-86400, "is 1440 minutes ahead of the service's"),
    ],
)
def test_a_clock_says_which_way(off_s, told):
    found = error(401, {"error_msg": EXPIRED}, {} if off_s is None else {"Date": date_header(off_s)})
    assert "This machine's clock %s" % told in found.message
    assert "Set the clock" in found.hint


@pytest.mark.parametrize(
    "status, code, advice",
    [
        (403, "APIGW.0802", "ask the account's administrator"),
        (403, "APIGW.0302", "modelarts:monitoring:get"),
        (403, "APIGW.0302", "15-30 minutes"),
        (403, None, "project id belongs to these keys"),
        (404, "APIGW.0101", "cn-southwest-2"),
        (404, "APIGW.0101", "ap-southeast-1"),
        (400, None, "--help"),
        (503, None, "again in a few minutes"),
        (302, None, "--endpoint"),
        (204, None, "--endpoint"),
    ],
)
def test_what_to_do_next(status, code, advice):
    assert advice in error(status, {"error_code": code}).hint


def test_redirects_are_told_from_other_answers():
    assert error(300).message.startswith("Redirects are refused")
    assert error(299).message.startswith("That is no answer")


@pytest.mark.parametrize("given, expected", [(None, 60), (0, 60), (1, 1), (20, 20), (600, 600)])
def test_when_to_come_again(given, expected):
    found = error(429, retry_after_s=given)
    assert found.retry_after_s == expected
    assert "Wait %d s" % expected in found.hint
    assert error(503, retry_after_s=given).retry_after_s is None


def test_a_host_that_does_not_exist():
    found = region_unsupported(None, "modelarts.cn-north-9.myhuaweicloud.com")
    assert found.message == "The host modelarts.cn-north-9.myhuaweicloud.com does not exist."
    assert (found.http_status, found.api_code, found.code) == (None, None, "region_unsupported")
    assert "cn-southwest-2" in found.hint and "--region" in found.hint and "HW_REGION_NAME" in found.hint


# --- bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"error_code": "APIG.0308", "error_msg": "slow down", "request_id": "r1"},
        {"errorCode": "APIG.0308", "errorMsg": "slow down", "requestId": "r1"},
        {"code": "APIG.0308", "message": "slow down", "request_id": "r1"},
        {"code": "APIG.0308", "msg": "slow down", "request_id": "r1"},
        {"error": {"error_code": "APIG.0308", "error_msg": "slow down", "request_id": "r1"}},
        {"error": {"code": "APIG.0308", "message": "slow down"}, "request_id": "r1"},
        {"error": {"errorCode": "APIG.0308", "errorMsg": "slow down"}, "requestId": "r1"},
        {"error": "slow down", "code": "APIG.0308", "request_id": "r1"},
        {"error_code": None, "errorCode": "APIG.0308", "error_msg": None, "message": "slow down", "request_id": "r1"},
        {"error_code": {}, "code": "APIG.0308", "error_msg": ["x"], "message": "slow down", "request_id": "r1"},
        {"error_code": True, "code": "APIG.0308", "message": "slow down", "request_id": False, "requestId": "r1"},
    ],
)  # fmt: skip
def test_bodies_of_every_form(body):
    assert read(429, {}, body, Redactor()) == Refusal(429, "APIG.0308", "slow down", "r1", None)


@pytest.mark.parametrize(
    "body",
    [None, "", "text", 5, True, [], ["error_code"], {}, {"error": None}, {"error": []}, {"errors": {"code": "x"}}],
)
def test_bodies_of_no_form(body):
    assert read(503, {}, body, Redactor()) == Refusal(503, None, "", None, None)
    assert error(503, body).message == "The service failed (HTTP 503)."


def test_numbers_are_texts():
    refusal = read(400, {}, {"code": 1234, "message": 5}, Redactor())
    assert (refusal.api_code, refusal.text) == ("1234", "5")


def test_a_text_that_stands_beside_an_error_text():
    assert read(400, {}, {"error": "Bad Request", "message": "service_type"}, Redactor()).text == "service_type"


def test_the_request_id_of_the_header():
    headers = {"X-Request-Id": "h1"}
    assert read(500, headers, None, Redactor()).request_id == "h1"
    assert read(500, headers, {"request_id": "b1"}, Redactor()).request_id == "b1"
    assert error(500, None, headers).request_id == "h1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_what_an_answer_echoes_is_redacted(status):
    secret = string.ascii_lowercase + string.digits + "WXYZ"
    token = "temporary/token+with=signs"
    redactor = Redactor()
    redactor.learn(token)
    echo = "\x1b]%s\r\n%s" % (secret, token)
    body = {"error_code": echo, "error_msg": echo * 2, "request_id": echo}
    found = error(status, body, {"X-Request-Id": echo}, redactor=redactor)
    told = "%s %s %s %s" % (found.message, found.hint, found.api_code, found.request_id)
    assert secret not in told and token not in told
    assert "\x1b" not in told and "\n" not in told
    assert found.api_code == found.request_id == "][redacted] [redacted]"


@pytest.mark.parametrize("name", ["error_code", "error_msg", "request_id"])
def test_what_an_answer_says_is_cut(name):
    found = error(400, {name: "x" * 10_000})
    assert len(found.message) < 500
    assert len(found.api_code or "") <= 200 and len(found.request_id or "") <= 200


def test_what_an_answer_says_is_told():
    found = error(400, {"error_code": "ModelArts.0400", "error_msg": "service_type must be one of [1 2 4]"})
    assert "service_type must be one of [1 2 4]" in found.message
    assert "ModelArts.0400" in found.message


# --- dates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, utc",
    [
        ("Tue, 24 Nov 2026 05:32:10 GMT", "2026-11-24T05:32:10"),
        ("Tue, 24 Nov 2026 05:32:10 -0000", "2026-11-24T05:32:10"),
        ("Tue, 24 Nov 2026 13:32:10 +0800", "2026-11-24T05:32:10"),
        ("24 Nov 2026 05:32:10 GMT", "2026-11-24T05:32:10"),
    ],
)
def test_http_dates(text, utc):
    assert http_date(text) == datetime.fromisoformat(utc + "+00:00")
    assert read(500, {"Date": text}, None, Redactor()).server_time == http_date(text)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", " ", "now", "2026-11-24", "1795469530", "Tue,", "Tue, 24", "Tue, 24 Nov", "Tue, 24 Nov 2026"),
        *("Tue, 32 Nov 2026 05:32:10 GMT", "Tue, 24 Nov 2026 25:32:10 GMT", "Tue, 24 Nov 99999999999999 05:32:10 GMT"),
        *("Tue, 24 Nov 2026 05:32:10 +9999", "Tue, 24 Nov 2026 05:32:99 GMT", ",,,,", "\0", "上午"),
    ],
)
def test_what_is_no_http_date(text):
    assert http_date(text) is None
    headers = {} if text is None else {"Date": text}
    assert type(error(401, {"error_msg": WRONG_SECRET}, headers)) is errors.CredentialsRejected


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="0123456789:+-, GMTNovTue", max_size=40)))
def test_any_date_header_is_a_date_or_nothing(text):
    stated = http_date(text)
    assert stated is None or stated.utcoffset() is not None
    found = error(401, {"error_msg": WRONG_SECRET}, {"Date": text})
    assert isinstance(found, (errors.ClockSkew, errors.CredentialsRejected))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "error_code", "errorCode", "code", "error_msg", "message", "request_id", "x"]),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 999).filter(lambda status: status != 200), json_values)
def test_any_body_is_one_error(status, body):
    found = error(status, body, {"Date": date_header(0)})
    assert isinstance(found, errors.UsageStatsError)
    assert found.http_status == status
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", found.message)
    member = found.as_member()
    assert all(isinstance(member[name], (str, type(None))) for name in ("api_code", "request_id"))


def test_a_date_far_from_any_other():
    assert (
        http_date(format_datetime(datetime.max.replace(tzinfo=timezone.utc) - timedelta(days=2), usegmt=True)).year
        == 9999
    )
