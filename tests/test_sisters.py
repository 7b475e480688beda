"""The sister operations: asked as documented, answered whole or not at all, shown as sent but for what is dangerous."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from unittest import mock

import jsonschema
import pytest
from conftest import (
    DAY_MS,
    HOUR_MS,
    KEYS,
    MODELARTS,
    NOW_MS,
    PROJECT_ID,
    ROOT,
    Clock,
    Told,
    _environment,
    account,
    answering,
    assert_clean,
    drawn_key_id,
    drawn_keys,
    drawn_secret,
    last_line,
    launch,
    refused,
    shared_stage,
    violations,
)
from maas_usage import demo, document, handover, pace, sisters
from maas_usage.errors import UnexpectedAnswer
from maas_usage.session import TROUBLE
from maas_usage.sisters import SCHEMA, SERVICE_STATISTICS, SERVICES
from stage import Stage, json_reply

SCRIPT = ROOT / "scripts" / "maas_statistics_api.py"
ASSETS = ROOT / "assets"
MONITORING = "/v1/%s/maas/monitoring/" % PROJECT_ID


class Answered(Told):
    @property
    def document(self):
        """stdout, which is one JSON document that conforms to its schema and nothing else."""
        found = json.loads(self.out)
        assert self.out.endswith("\n") and self.out.isascii()
        schema = json.loads((ASSETS / SCHEMA).read_text(encoding="utf-8"))
        if found["status"] == "ok":
            jsonschema.Draft202012Validator(schema).validate(found)
        else:
            assert violations(found) == []
        return found

    @property
    def answer(self):
        assert self.status == 0, self.said
        return self.document["answer"]

    @property
    def bodies(self):
        """What the statistics calls asked, in their order."""
        return [json.loads(request.body.decode("ascii")) for request in self.statistics]


def ask(app, *words, environ=None, keys=KEYS, clock=None, timing=None):
    """One command line, run in this process against the shared stage with this app; None: without any stage."""
    clock = clock or Clock()
    with contextlib.ExitStack() as stack:
        stage = None
        if app is not None:
            stage = shared_stage()
            stage.app = app
        built = stack.enter_context(_environment(None, environ, stage, keys))
        stack.enter_context(mock.patch.dict(os.environ, built, clear=True))
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        err = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        told = Answered(stage)
        try:
            status = sisters.main(list(words), timing=timing or clock.timing())
        except SystemExit as ended:  # --help and --version
            status = ended.code or 0
        told.ended(status, out.getvalue(), err.getvalue(), clock.slept)
        return told


def statistics(app, *words, **options):
    return ask(app, SERVICE_STATISTICS, "--timezone", "Asia/Shanghai", *words, **options)


def services(app, *words, **options):
    return ask(app, SERVICES, *words, **options)


def failed(told, code, status):
    """The error of a run that ended as it should: a document, and one line that says the same."""
    assert (told.status, told.error["code"]) == (status, code), told.said
    assert last_line(told.err) == "%s: %s %s" % (code, told.error["message"], told.error["hint"])
    assert_clean(told.said)
    return told.error


# --- what is asked ---


def test_statistics_of_a_window():
    told = statistics(account(), "--from", "2026-11-20", "--to", "2026-11-22", "--api-keys", "web-app", "")
    assert told.status == 0 and told.err == ""
    (request,) = told.statistics
    assert (request.host, request.target) == (MODELARTS, MONITORING + "list-service-statistics")
    assert request.headers["X-Project-Id"] == PROJECT_ID
    assert told.bodies == [
        {
            "service_type": 2,
            "start_time": 1_795_104_000_000,
            "end_time": 1_795_363_199_999,
            "api_keys": ["web-app", ""],
        }
    ]
    assert told.document["request"] == told.bodies[0]


def test_without_a_window_the_last_seven_days_are_asked_for():
    (body,) = statistics(account()).bodies
    assert body == {"service_type": 2, "start_time": NOW_MS - 7 * DAY_MS, "end_time": NOW_MS - 1}


def test_services():
    told = services(account(), "--service-type", "my")
    assert [request.target for request in told.statistics] == [MONITORING + "list-services"]
    assert told.bodies == [{"service_type": 1, "limit": 99, "offset": 0}]
    assert told.document["request"] == told.bodies[0]


@pytest.mark.parametrize(
    ("words", "number"), [("my", 1), ("1", 1), ("preset", 2), ("2", 2), ("custom", 4), ("4", 4), ("Custom", 4)]
)
def test_one_service_type_a_call(words, number):
    for told in (services(account(), "--service-type", words), statistics(account(), "--service-type", words)):
        assert [body["service_type"] for body in told.bodies] == [number]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["infer_type=real_time"], {"infer_type": "real_time"}),
        (["ips=[]"], {"ips": []}),
        (['service_names=["a", "b"]'], {"service_names": ["a", "b"]}),
        (["x=1", "y=1.50", "z=-3e2"], {"x": 1, "y": 1.5, "z": -300}),
        (["x=true", "y=null", 'z={"a": [1]}'], {"x": True, "y": None, "z": {"a": [1]}}),
        (["x=NaN", "y=1e999", "z=True"], {"x": "NaN", "y": "1E+999", "z": "True"}),
        (["x=", "y== =", 'z="5"', "zz=[1"], {"x": "", "y": "= =", "z": "5", "zz": "[1"}),
        (["x=模型", "y=\udcff"], {"x": "模型", "y": "\udcff"}),
        (["x=" + "[" * 5000], {"x": "[" * 5000}),
        (["x=1", "y=2", "x=3"], {"x": 3, "y": 2}),
        (["service_type=7", "end_time=5"], {"service_type": 7, "end_time": 5}),
        (["a_%s=1" % ("b" * 38)], {"a_" + "b" * 38: 1}),
    ],
)
def test_set_adds_fields_and_the_last_one_wins(words, fields):
    told = statistics(answering(json_reply(200, {})), *(part for word in words for part in ("--set", word)))
    expected = {"service_type": 2, "start_time": NOW_MS - 7 * DAY_MS, "end_time": NOW_MS - 1, **fields}
    assert told.bodies == [expected]
    assert told.document["request"] == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "OPERATION"),
        (["show-statistics"], "OPERATION"),
        ([SERVICES, SERVICES], "belongs to no option"),
        ([SERVICES, "--format", "json"], "no option --format"),
        ([SERVICES, "--raw"], "no option --raw"),
        ([SERVICES, "--service-type", "all"], "one service type"),
        ([SERVICES, "--service-type", "my,preset"], "one service type"),
        ([SERVICES, "--service-type", "3"], "custom endpoints are 4"),
        ([SERVICES, "--service-type", "x"], "--service-type"),
        ([SERVICES, "--last", "7d"], "takes no window"),
        ([SERVICES, "--period", "today"], "takes no window"),
        ([SERVICES, "--from", "2026-11-20"], "takes no window"),
        ([SERVICES, "--timezone", "UTC"], "takes no window"),
        ([SERVICES, "--api-keys", "ci"], "takes no window"),
        ([SERVICES, "--set", "offset=10"], "follows the pages"),
        ([SERVICES, "--set", "limit=0"], "from 1 to 99"),
        ([SERVICES, "--set", "limit=100"], "from 1 to 99"),
        ([SERVICES, "--set", "limit=true"], "from 1 to 99"),
        ([SERVICES, "--set", "limit=ten"], "from 1 to 99"),
        ([SERVICES, "--set"], "--set"),
        ([SERVICES, "--set", "limit"], "FIELD=VALUE"),
        ([SERVICES, "--set", "=1"], "FIELD=VALUE"),
        ([SERVICES, "--set", "Limit=1"], "FIELD=VALUE"),
        ([SERVICES, "--set", "limit\n=1"], "FIELD=VALUE"),
        ([SERVICES, "--set", "a b=1"], "FIELD=VALUE"),
        ([SERVICES, "--set", "%s=1" % ("a" * 41)], "FIELD=VALUE"),
        ([SERVICES, "--project-id", "no/id"], "--project-id"),
        ([SERVICES, "--region", "No"], "--region"),
        ([SERVICES, "--endpoint", "example.com"], "--endpoint"),
        ([SERVICES, "--deadline", "0"], "--deadline"),
        ([SERVICE_STATISTICS, "--last", "31d"], "at most 30 days"),
        ([SERVICE_STATISTICS, "--last", "721h"], "at most 30 days"),
        ([SERVICE_STATISTICS, "--from", "2026-10-20", "--to", "2026-11-19"], "at most 30 days"),
        ([SERVICE_STATISTICS, "--last", "7d", "--period", "today"], "exclude each other"),
        ([SERVICE_STATISTICS, "--to", "2026-11-19"], "--to needs --from"),
        ([SERVICE_STATISTICS, "--from", "2026-11-25"], "not after the start"),
        ([SERVICE_STATISTICS, "--api-keys", "no label"], "is not a label"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(words, told):
    zone = ["--timezone", "Asia/Shanghai"] if SERVICE_STATISTICS in words else []
    assert told in failed(ask(None, *words, *zone), "usage", 2)["message"]


def test_thirty_days_are_one_call():
    assert len(statistics(account(), "--last", "30d").bodies) == 1
    assert len(statistics(account(), "--from", "2026-10-25", "--to", "2026-11-23").bodies) == 1


@pytest.mark.parametrize(
    "words", [[SERVICES, "--last", "7d"], [SERVICE_STATISTICS, "--last", "31d", "--timezone", "UTC"]]
)
def test_usage_errors_need_the_standard_library_alone(words):
    alone = [sys.executable, "-S", "-B", str(SCRIPT), *words]
    done = subprocess.run(alone, env={**os.environ, handover.TRIED: "uv"}, stdout=subprocess.PIPE, timeout=30)
    # Python 3.8 has no time zones of its own.
    code = "packages_missing" if sys.version_info < (3, 9) and "--timezone" in words else "usage"
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, code)


def test_help_is_short_and_names_every_option():
    told = ask(None, "--help")
    assert told.status == 0 and told.err == ""
    lines = told.out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 80
    given = {option for action in sisters.parser()._actions for option in action.option_strings}
    assert given == set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told.out))
    for example in re.findall("maas_statistics_api.py (.+)", told.out.partition("examples:")[2]):
        assert statistics_or_services(example).status == 0


def statistics_or_services(example):
    done = subprocess.run(["sh", "-c", 'printf "%%s\\n" %s' % example], stdout=subprocess.PIPE, check=True)
    return ask(account(), *done.stdout.decode().splitlines())


def test_version():
    assert ask(None, "--version").out == "maas_statistics_api.py 1.0.0\n"


# --- keys ---


def escaped(text):
    return "".join("\\u%04x" % ord(character) for character in text)


API_KEY = "".join(("aB3-_" * 20)[:90])
REFUSED = [
    ["--ak", "anything"],
    ["--sk=anything"],
    ["--set", drawn_key_id() + "=1"],
    ["--set", "x=" + drawn_key_id()],
    ["--set", "x=" + drawn_secret()],
    ["--set", '{"x": "%s"}' % drawn_secret()],
    ["--set", 'x=["%s"]' % escaped(drawn_secret())],
    ["--set", "sk=anything"],
    ["--set=secret_key=anything"],
    ["--set", 'x={"access_key": "anything"}'],
    ["--set", "x=" + KEYS.secret],
    ["--set", 'api_keys=["%s"]' % API_KEY],
    ["--set", "api_keys=" + API_KEY],
]


@pytest.mark.parametrize("words", REFUSED, ids=range(len(REFUSED)))
def test_a_key_on_the_command_line_is_refused_and_not_repeated(words):
    told = statistics(account(), *words)
    assert (told.status, told.error["code"], told.requests) == (3, "credentials_in_argument", [])
    assert "please do not provide Huawei Cloud Access Key ID" in told.error["message"]
    assert "anything" not in told.said
    for part in re.findall("[A-Za-z0-9]{20,}", " ".join(words)):
        assert part not in told.said


def test_a_long_name_of_a_service_is_no_key():
    name = "An-Invented-Model-480B-Instruct-2026-11-Preview"
    assert statistics(account(), "--set", 'service_names=["%s"]' % name).status == 0
    assert statistics(None, "--api-keys", name).error["code"] == "credentials_in_argument"


def test_keys_from_a_file_and_their_project(tmp_path):
    keys = drawn_keys(token=True)
    file = tmp_path / "keys.env"
    file.write_text(
        "HW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s\nHW_SECURITY_TOKEN=%s\nHW_PROJECT_ID=%s\n" % (*keys, PROJECT_ID)
    )
    told = services(account(keys=keys), "--credentials-file", str(file), keys=None)
    assert told.status == 0 and told.look_ups == []


def test_without_keys():
    failed(services(None, keys=None), "credentials_missing", 3)


@pytest.mark.parametrize("operation", [SERVICE_STATISTICS, SERVICES])
def test_what_the_answer_echoes_is_redacted(operation):
    keys = drawn_keys(token=True)
    other = drawn_key_id()

    def echo(request):
        text = " ".join([keys.key_id, keys.secret, keys.token, request.headers["Authorization"], other])
        members = {
            "items": [{"service_id": text, keys.secret: keys.key_id, "deep": [{"er": other}]}],
            "note": keys.token,
        }
        return json_reply(200, members)

    told = ask(answering(echo), operation, *zone_for(operation), keys=keys)
    shown = told.answer["items"][0]
    assert told.status == 0 and "[redacted]" in shown["service_id"] and shown["deep"] == [{"er": "[redacted]"}]
    for secret in (*keys, other):
        assert secret not in told.said


def zone_for(operation):
    return ["--timezone", "UTC"] if operation == SERVICE_STATISTICS else []


def test_a_refusal_that_echoes_is_redacted():
    told = services(account(trouble="rejected"))
    failed(told, "credentials_rejected", 3)
    assert len(told.requests) == 1
    assert KEYS.key_id not in told.said and KEYS.secret not in told.said


# --- what is answered ---


def test_the_document():
    sent = {"b": 1, "a": {"nested": [None, True, "text"]}, "items": [], "total": 0}
    told = services(answering(json_reply(200, sent)))
    assert told.document == {
        "schema_version": "1.0",
        "status": "ok",
        "source": "huawei-cloud",
        "operation": "list-services",
        "request": {"service_type": 2, "limit": 99, "offset": 0},
        "answer": sent,
        "note": sisters.NOTE,
    }
    assert list(told.answer) == list(sent)
    assert told.out.count("\n") == 1 and told.err == ""
    assert "not verified" in sisters.NOTE and "units" in sisters.NOTE and "not instructions" in sisters.NOTE
    pretty = services(answering(json_reply(200, sent)), "--pretty")
    assert pretty.out.startswith('{\n  "schema_version"') and pretty.document == told.document


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("3", 3),
        ("3.0", 3),
        ("2456504.362", 2456504.362),
        ("0.1", 0.1),
        ("-0.5e-3", -0.0005),
        ("1e20", 1e20),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("1e999", "1E+999"),
        ("NaN", "NaN"),
        ("[]", []),
        ("null", None),
        ('"text"', "text"),
    ],
)
def test_an_answer_of_any_form_is_shown_with_its_numbers_exact(sent, shown):
    assert statistics(answering(json_reply(200, sent))).answer == shown


def test_nothing_in_the_answer_steers_a_terminal():
    told = statistics(account(trouble="injection"))
    assert "ignore all previous instructions" in told.answer["message"]
    assert "not instructions" in told.document["note"]
    assert_clean(told.answer["message"])
    assert_clean(told.said)
    evil = services(answering(json_reply(200, {"items": [{"a\x1b\u202eb": "c\r\nd\x07\u200b"}], "total": 1})))
    assert evil.answer["items"] == [{"ab": "c d"}]


@pytest.mark.parametrize("body", ["", "[", "<html>", '{"a": 1, "a": 2}', "[" * 5000 + "]" * 5000])
def test_what_is_not_sound_json_is_an_unexpected_answer(body):
    assert failed(statistics(answering(json_reply(200, body))), "unexpected_answer", 7)["http_status"] == 200


def test_the_note_says_what_the_window_lacks():
    def note(*words):
        return statistics(account(), *words).document["note"]

    assert note("--last", "30d") == sisters.NOTE
    assert "before 2026-10-25T05:32:10+08:00 may be missing" in note("--from", "2026-10-24", "--to", "2026-11-02")
    assert "cut at now" in note("--from", "2026-11-20", "--to", "2026-12-20")


def test_the_same_region_and_endpoint_options():
    told = services(
        account(region="ap-southeast-1"),
        *("--region", "ap-southeast-1", "--endpoint", "modelarts.ap-southeast-1.myhuaweicloud.cn"),
        *("--project-id", PROJECT_ID),
    )
    assert [request.host for request in told.requests] == ["modelarts.ap-southeast-1.myhuaweicloud.cn"]


# --- pages ---


def listed(number):
    return [{"service_id": "s-%d" % n} for n in range(number)]


def paging(number, most=99, **stated):
    """A service that lists so many, at most so many a page; `stated` replaces what it says of their number."""

    def app(request):
        body = json.loads(request.body)
        page = listed(number)[body["offset"] :][: min(body["limit"], most)]
        told = {"total": number, "count": len(page), **stated}
        told = {name: value(page) if callable(value) else value for name, value in told.items()}
        return json_reply(200, {**{k: v for k, v in told.items() if v != "absent"}, "items": page})

    return answering(app)


@pytest.mark.parametrize(
    ("number", "most", "stated", "offsets"),
    [
        (0, 99, {}, [0]),
        (1, 99, {}, [0]),
        (99, 99, {}, [0]),
        (100, 99, {}, [0, 99]),
        (250, 99, {}, [0, 99, 198]),
        # a service that cuts its pages shorter than asked
        (120, 50, {}, [0, 50, 100]),
        (120, 50, {"total": "absent", "count": 120}, [0, 50, 100]),
        # one that states no total
        (98, 99, {"total": "absent"}, [0]),
        (99, 99, {"total": "absent"}, [0, 99]),
        (250, 99, {"total": "absent"}, [0, 99, 198]),
        (250, 99, {"total": "absent", "count": "absent"}, [0, 99, 198]),
        (198, 99, {"total": None, "count": None}, [0, 99, 198]),
        (250, 99, {"total": "250", "count": 9.5}, [0, 99, 198]),
        # one that means by total the page, and by count them all
        (250, 99, {"total": len, "count": 250}, [0, 99, 198]),
    ],
)
def test_pages_are_followed_to_the_last(number, most, stated, offsets):
    told = services(paging(number, most, **stated))
    assert told.answer["items"] == listed(number)
    assert told.bodies == [{"service_type": 2, "limit": 99, "offset": offset} for offset in offsets]
    assert told.document["request"] == told.bodies[0]
    assert ("The items of %d pages" % len(offsets) in told.document["note"]) == (len(offsets) > 1)


def test_the_other_members_are_the_first_page_s():
    def app(request):
        offset = json.loads(request.body)["offset"]
        return json_reply(200, {"page": offset, "items": listed(3)[offset : offset + 2], "total": 3})

    assert services(answering(app)).answer == {"page": 0, "items": listed(3), "total": 3}


def test_pages_as_long_as_the_user_says():
    told = services(account(), "--set", "limit=4")
    assert [(body["limit"], body["offset"]) for body in told.bodies] == [(4, 0), (4, 4), (4, 8), (4, 12)]
    assert told.answer["items"] == services(account()).answer["items"]
    assert len(told.answer["items"]) == 15


@pytest.mark.parametrize(
    "sent", [{"total": 0}, {"total": 0, "count": 0, "items": None}, {"items": None}, {"items": []}]
)
def test_no_services(sent):
    told = services(answering(json_reply(200, sent)))
    assert told.answer == sent and len(told.bodies) == 1


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([{"total": 3}], "no list of items"),
        ([{"total": True}], "no list of items"),
        ([{"items": {"service_id": "a"}}], "no list of items"),
        ([{"services": []}], "no list of items"),
        ([[{"service_id": "a"}]], "no list of items"),
        ([None], "no list of items"),
        ([{"items": [1, 2], "total": 1}], "2 items of a total of 1"),
        ([{"items": [1, 2], "total": 5}, {"items": [], "total": 5}], "2 items of a total of 5"),
        ([{"items": [1, 2], "total": 5}, {"items": [3], "total": 2}], "3 items of a total of 2"),
        ([{"items": [1, 2], "total": 5}, {"items": [2, 3], "total": 5}], "repeats an item"),
        ([{"items": [], "total": 5}], "0 items of a total of 5"),
    ],
)
def test_pages_that_do_not_add_up_are_an_unexpected_answer(pages, told):
    replies = [json_reply(200, page) for page in pages]
    error = failed(services(answering(*replies)), "unexpected_answer", 7)
    assert told in error["message"] and error["http_status"] == 200


def test_a_service_that_ignores_offsets():
    told = services(answering(json_reply(200, {"items": listed(99)})))
    assert "repeats an item" in failed(told, "unexpected_answer", 7)["message"]
    assert len(told.bodies) == 2


def test_pages_without_end():
    asked = []

    def ask_page(body, read):
        asked.append(body["offset"])
        return read({"items": [len(asked)]})

    with pytest.raises(UnexpectedAnswer, match="do not end after 100"):
        sisters.all_pages(ask_page, {"limit": 1, "offset": 0})
    assert asked == list(range(sisters.MOST_PAGES))


# --- troubles on the way ---


def test_a_call_is_tried_again():
    told = services(account(trouble="broken-once"))
    assert told.status == 0 and len(told.statistics) == 2
    assert re.fullmatch(r"The service failed .*Trying again in .*\(1 of 3 retries\)\.\n", told.err)
    assert told.slept != []


def test_a_call_is_tried_four_times():
    told = statistics(account(trouble="broken"))
    failed(told, "service_error", 7)
    assert len(told.statistics) == 4


def test_a_page_that_fails_fails_all():
    first = json_reply(200, {"items": listed(99), "total": 120})
    told = services(answering(first, refused(400, "ModelArts.0104", "offset is wrong")))
    assert "offset is wrong" in failed(told, "bad_request", 7)["message"]


def test_calls_are_paced():
    with mock.patch.object(pace, "STARTS_PER_MINUTE", 5):
        told = services(paging(6, 1))  # and the look-up of the project
    assert len(told.bodies) == 6 and sum(told.slept) == pytest.approx(60)


@pytest.mark.parametrize(
    ("trouble", "code", "status"),
    [
        ("rejected", "credentials_rejected", 3),
        ("unknown-key", "credentials_rejected", 3),
        ("locked", "credentials_locked", 3),
        ("clock", "clock_skew", 3),
        ("forbidden", "permission_denied", 4),
        ("no-project", "project_not_found", 4),
        ("sub-projects", "project_ambiguous", 4),
        ("wrong-region", "region_unsupported", 4),
        ("throttled", "throttled", 5),
        ("broken", "service_error", 7),
        ("bad-request", "bad_request", 7),
        ("not-json", "unexpected_answer", 7),
        ("cut", "network", 6),
        ("rain", "usage", 2),
    ],
)
@pytest.mark.parametrize("operation", [SERVICE_STATISTICS, SERVICES])
def test_troubles_of_the_demo(operation, trouble, code, status):
    told = ask(None, operation, *zone_for(operation), "--demo", keys=None, environ={TROUBLE: trouble})
    failed(told, code, status)


def test_silence_ends_with_the_deadline():
    clock = Clock()
    timing = clock.timing(answer_s=0.05, connect_s=0.05)
    told = ask(None, SERVICES, "--demo", keys=None, environ={TROUBLE: "silent"}, clock=clock, timing=timing)
    failed(told, "timeout", 6)


def test_ctrl_c():
    def interrupted(*_):
        raise KeyboardInterrupt

    with mock.patch.object(sisters, "answer", interrupted):
        failed(services(None), "interrupted", 130)


def test_an_unsound_document_is_a_defect_and_not_printed():
    with mock.patch.object(sisters, "NOTE", ""):
        error = failed(services(account()), "internal", 1)
    assert "schema" in error["message"]


def test_without_packages():
    with mock.patch.object(handover, "lacking", lambda: ["requests"]):
        assert failed_line(services(account())).startswith("packages_missing: ")
        assert failed_line(statistics(account(), "--last", "31d")).startswith("usage: ")


def failed_line(told):
    assert (told.status, told.requests) == (2, [])
    assert told.document["status"] == "error"
    return told.err


def test_a_better_python_is_given_the_same_words():
    given = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(handover, "lacking", lambda: ["requests"]))
        hand_over = mock.patch.object(
            handover, "to_better_python", lambda script, words, tell: given.append((script, words))
        )
        stack.enter_context(hand_over)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        assert sisters.main([SERVICES, "--demo"], script="/there.py") == 2
    assert given == [("/there.py", [SERVICES, "--demo"])]


# --- the demo ---


def test_the_demo_needs_no_keys_and_says_that_it_is_invented():
    for operation in (SERVICE_STATISTICS, SERVICES):
        told = ask(None, operation, *zone_for(operation), "--demo", keys=None, environ={"HW_REGION_NAME": "cn-east-3"})
        assert told.document["source"] == "demo"
        assert "invented" in told.document["note"] and "invented" in told.answer["note"]
        assert told.err == ""


def test_a_question_by_model():
    told = statistics(None, "--demo", "--last", "24h", keys=None)
    names = {service["service_name"] for service in services(None, "--demo", keys=None).answer["items"]}
    assert {item["service_name"] for item in told.answer["items"]} == names
    some = statistics(None, "--demo", "--last", "24h", "--set", 'service_names=["demo-coder-small"]', keys=None)
    assert some.answer["items"] == [i for i in told.answer["items"] if i["service_name"] == "demo-coder-small"]


# --- the schema ---


def test_the_schema_is_sound_and_closed():
    schema = json.loads((ASSETS / SCHEMA).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:huawei-cloud-maas-tokens-usage:statistics-api:1.0"
    good = services(account()).document
    assert document.violations(good, SCHEMA) == []
    for change in (
        {"more": 1},
        {"schema_version": "2.0"},
        {"status": "error"},
        {"source": "elsewhere"},
        {"operation": "show-statistics"},
        {"operation": SERVICE_STATISTICS},
        {"request": {"service_type": 2, "limit": 99, "offset": 99}},
        {"request": {"limit": 99, "offset": 0}},
        {"request": {"service_type": 2, "limit": 99, "offset": 0, "Field": 1}},
        {"answer": []},
        {"answer": {"items": {}}},
        {"note": ""},
    ):
        assert document.violations({**good, **change}, SCHEMA) != [], change
    for member in good:
        lacking = {name: value for name, value in good.items() if name != member}
        assert document.violations(lacking, SCHEMA) != [], member


# --- the script ---


def test_the_script_runs_from_anywhere(tmp_path):
    link = tmp_path / "链 接.py"
    link.symlink_to(SCRIPT)
    done = launch(SERVICES, "--demo", "--service-type", "custom", script=link, keys=None, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [item["service_id"] for item in json.loads(done.stdout)["answer"]["items"]] == [
        "demo-service-4-01",
        "demo-service-4-02",
    ]


def test_the_script_over_tls_in_the_system_s_zone():
    with Stage(account(clock=time.time)) as stage:
        done = launch(SERVICE_STATISTICS, "--period", "yesterday", script=SCRIPT, stage=stage)
        body = json.loads(stage.requests[-1].body)
    assert (done.returncode, done.stderr) == (0, "")
    assert (body["start_time"] + 8 * HOUR_MS) % DAY_MS == 0 and body["end_time"] == body["start_time"] + DAY_MS - 1
    assert json.loads(done.stdout)["source"] == "huawei-cloud"


def test_the_script_declares_the_same_packages_as_the_query():
    def metadata(path):
        return path.read_text(encoding="utf-8").partition('\n"""')[0]

    assert metadata(SCRIPT) == metadata(SCRIPT.with_name("maas_rest_usage_stats.py"))
    assert os.access(str(SCRIPT), os.X_OK)


def test_the_demo_offers_what_the_client_asks():
    assert {SERVICE_STATISTICS, SERVICES} < set(demo._MONITORING.pattern.rpartition("(")[2].rstrip(")").split("|"))
