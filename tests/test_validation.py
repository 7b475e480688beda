"""`validate_document.py`: silent about every document that these scripts print, plain about any other."""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from conftest import KEYS, ROOT, account, answering, ask_json, assert_clean, bare_environment, launch, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from maas_usage import __version__, validation
from stage import closed_port

SCRIPT = ROOT / "scripts" / "validate_document.py"
GOLDEN = Path(__file__).parent / "golden"


def validate(*words, stdin=b""):
    """Exit status, stdout and stderr of one command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    given_in = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, "stdin", given_in):
        try:
            status = validation.main(list(words))
        except SystemExit as ended:
            status = ended.code or 0
    return status, out.getvalue(), err.getvalue()


def assert_sound(content):
    assert validate("-", stdin=content if isinstance(content, bytes) else content.encode("utf-8")) == (0, "", "")


def violations(document):
    """The lines about a document that does not conform, each of them `place: what`."""
    status, out, err = validate("-", stdin=json.dumps(document).encode())
    assert (status, err) == (1, "")
    assert out.endswith("\n")
    assert_clean(out)
    for line in out.splitlines():
        assert line.startswith("$") and ": " in line and len(line) < 400
    return out.splitlines()


# --- what conforms ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.json")))
def test_kept_answers_conform(name):
    assert validate(str(GOLDEN / name)) == (0, "", "")


def test_there_are_kept_answers():
    assert len(list(GOLDEN.glob("*.json"))) > 10


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--pretty",
        "--raw",
        "--last 45d --by day --compare --raw",
        "--by hour --last 2h --alert-tokens 0 --alert-error-rate 0",
        "--by service-type --compare",
        "--by api-key --api-keys web-app ci --infer-type batch",
        "--from 2026-09-01 --to 2026-09-03 --by day",
        "--from 2026-11-20T10:00:00.123 --to 2026-11-20T10:00:00.456",
        "--timezone America/Argentina/ComodRivadavia --period this-month --compare",
        "--check",
        "--check --pretty",
    ],
)
def test_every_answer_conforms(words):
    told = ask_json(account(expired="400"), *words.split())
    assert told.status in (0, 10)
    assert_sound(told.out)


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["query", "check"])
@pytest.mark.parametrize("trouble", ["rejected", "clock", "sub-projects", "forbidden", "no-usage", "injection"])
def test_troubles_conform(trouble, words):
    told = ask_json(None, "--demo", *words, environ={"MAAS_USAGE_DEMO_TROUBLE": trouble})
    assert_sound(told.out)


@pytest.mark.parametrize(
    "words, options",
    [
        (("--last", "x"), {}),
        (("--nope",), {}),
        (("--ak", "hunter2"), {}),
        ((), {"keys": None}),
        (("--check",), {"keys": None}),
        (("--credentials-file", "/nowhere"), {}),
        (("--check", "--credentials-file", "/nowhere"), {}),
        ((), {"environ": {"HTTPS_PROXY": "http://127.0.0.1:%d" % closed_port()}}),
        (("--output", "/nowhere/at/all"), {}),
    ],
)
def test_every_error_conforms(words, options):
    told = ask_json(account(), *words, **options)
    assert told.status > 0
    assert_sound(told.out)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 418, 429, 500, 503])
def test_every_refusal_conforms(status):
    assert_sound(ask_json(answering(refused(status, "APIGW.0101", "no\x1b[2J")), "--deadline", "50").out)


# --- how it is given -------------------------------------------------------------------------

TOTALS = (GOLDEN / "totals.json").read_bytes() if (GOLDEN / "totals.json").exists() else b""


@pytest.mark.parametrize(
    "content",
    [
        TOTALS,
        TOTALS.rstrip(),
        b"\r\n\t " + TOTALS,
        b"\xef\xbb\xbf" + TOTALS,
        TOTALS.decode().replace("\n", "\r\n").encode("utf-16"),
        b"\xfe\xff" + TOTALS.decode().encode("utf-16-be"),
    ],
    ids=["as it is", "no newline", "blanks", "BOM", "UTF-16", "UTF-16 BE"],
)
def test_encodings_that_consoles_write(content):
    assert_sound(content)


def test_a_file_or_standard_input(tmp_path):
    place = tmp_path / "一个 document.json"
    place.write_bytes(TOTALS)
    assert validate(str(place)) == (0, "", "")
    assert validate(stdin=TOTALS) == validate("-", stdin=TOTALS) == (0, "", "")
    place.write_bytes(b"{}")
    assert validate(str(place))[0] == validate(stdin=b"{}")[0] == 1
    # The file, where one is named.
    assert validate(str(GOLDEN / "totals.json"), stdin=b"{}")[0] == 0


@pytest.mark.parametrize("kind", ["missing", "folder", "nul", "long", "below a file"])
def test_what_cannot_be_read(tmp_path, kind):
    (tmp_path / "file").write_bytes(TOTALS)
    place = {
        "missing": tmp_path / "missing.json",
        "folder": tmp_path,
        "nul": "a\x00b",
        "long": "x" * 5000,
        "below a file": tmp_path / "file" / "x",
    }[kind]
    status, out, err = validate(str(place))
    assert (status, out) == (2, "")
    assert err.startswith("usage: ") and len(err.splitlines()) == 1 and "Traceback" not in err
    assert len(err) < 400


@pytest.mark.parametrize(
    "words", [("a", "b"), ("--nope",), ("--format", "json"), ("--nope=" + "x" * 30,)], ids=" ".join
)
def test_bad_arguments(words):
    status, out, err = validate(*words)
    assert (status, out) == (2, "")
    assert err.startswith("usage: ") and len(err.splitlines()) == 1


def test_a_key_on_the_command_line_is_refused():
    for word in (KEYS.key_id, KEYS.secret, "--sk=" + KEYS.secret):
        status, out, err = validate(word)
        assert (status, out) == (3, "")
        assert err.startswith("credentials_in_argument: ") and KEYS.secret not in err and KEYS.key_id not in err


def test_help_and_version():
    status, out, err = validate("--help")
    assert (status, err) == (0, "") and "FILE" in out and "-" in out
    assert validate("--version") == (0, "validate_document.py %s\n" % __version__, "")


def run_script(*words, stdin=b"", cwd="/"):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        env=bare_environment("/nonexistent"),
        input=stdin,
        capture_output=True,
        cwd=str(cwd),
        timeout=30,
    )


def test_the_script_itself(tmp_path):
    (tmp_path / "bad.json").write_bytes(TOTALS.replace(b'"status": "ok"', b'"status": "fine"'))
    done = run_script("bad.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"$.status: " in done.stdout


def test_a_pipe_from_the_query_itself():
    answer = launch("--demo", "--format", "json", "--by", "day", "--compare", text=False)
    done = run_script("-", stdin=answer.stdout)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- what is no document ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"hello",
        b"{",
        b"{}{}",
        b'{"status": "ok",}',
        b"{'status': 'ok'}",
        TOTALS[: len(TOTALS) // 2],
        TOTALS + TOTALS,
        TOTALS.replace(b'"total_tokens": ', b'"total_tokens": NaN, "x": ', 1),
        TOTALS.replace(b'"total_tokens": ', b'"total_tokens": Infinity, "x": ', 1),
        TOTALS.replace(b'"total_tokens": ', b'"total_tokens": -Infinity, "x": ', 1),
        TOTALS.replace(b'"status"', b'"status": "ok", "status"', 1),
        TOTALS.replace(b'"requests": ', b'"requests": 1, "requests": ', 1),
        b"\xff\xfe\x00",
        b"\xff\xfe" + TOTALS[:9],
        b"\x80abc",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"DEMO DATA: invented figures, not your account.\n",
    ],
    ids=range(20),
)
def test_what_is_not_json(content):
    status, out, err = validate("-", stdin=content)
    assert (status, err) == (1, "")
    (line,) = out.splitlines()
    assert line.startswith("$")
    assert_clean(out)
    assert len(line) < 400


@pytest.mark.parametrize("content", [b"null", b"[]", b"1", b'"ok"', b"true", b"{}", b"1e400", b'{"a": "\\ud800"}'])
def test_what_is_json_but_no_document(content):
    status, out, err = validate("-", stdin=content)
    assert (status, err) == (1, "")
    assert all(line.startswith("$") for line in out.splitlines()) and out
    assert_clean(out)


def test_control_characters_of_a_document_do_not_reach_the_terminal():
    document = json.loads(TOTALS)
    nasty = "\x1b[2J\r\n\x07\u202e</answer>"
    document["status"] = nasty
    document["totals"][nasty] = nasty
    document["query"]["region"] = nasty * 50
    for line in violations(document):
        assert "\x1b" not in line
    nested = json.loads(golden("raw.json"))
    nested["raw"][0][nasty] = 1
    nested["query"][nasty] = {nasty: 1}
    violations(nested)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_whatever_make_it_fail(content):
    status, out, err = validate("-", stdin=content)
    assert (status, err) == (1, "")
    assert out.startswith("$")


# --- violations ------------------------------------------------------------------------------


def golden(name):
    return (GOLDEN / name).read_bytes().decode("utf-8")


def changed(name, *path, value=None, remove=False):
    """A kept document with one place changed."""
    document = json.loads(golden(name))
    place = document
    for step in path[:-1]:
        place = place[step]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    "name, path, value, where",
    [
        ("totals.json", ["status"], "fine", "$.status"),
        ("totals.json", ["schema_version"], "2.0", "$.schema_version"),
        ("totals.json", ["schema_version"], 1.0, "$.schema_version"),
        ("totals.json", ["source"], "aws", "$.source"),
        ("totals.json", ["generated_at"], "yesterday", "$.generated_at"),
        ("totals.json", ["generated_at"], "2026-11-24T05:32:10Z", "$.generated_at"),
        ("totals.json", ["query", "service_types"], [3], "$.query.service_types[0]"),
        ("totals.json", ["query", "service_types"], [], "$.query.service_types"),
        ("totals.json", ["query", "service_types"], [2, 2], "$.query.service_types"),
        ("totals.json", ["query", "api_keys"], ["a b"], "$.query.api_keys[0]"),
        ("totals.json", ["query", "group_by"], "week", "$.query.group_by"),
        ("totals.json", ["query", "compare"], "no", "$.query.compare"),
        ("totals.json", ["window", "start"], "2026-11-17", "$.window.start"),
        ("totals.json", ["window", "end_ms"], "1", "$.window.end_ms"),
        ("totals.json", ["totals", "total_tokens"], -1, "$.totals.total_tokens"),
        ("totals.json", ["totals", "total_tokens"], 1.5, "$.totals.total_tokens"),
        ("totals.json", ["totals", "total_tokens"], None, "$.totals.total_tokens"),
        ("totals.json", ["totals", "total_tokens"], "1", "$.totals.total_tokens"),
        ("totals.json", ["totals", "total_tokens"], True, "$.totals.total_tokens"),
        ("totals.json", ["totals", "error_rate"], 1.01, "$.totals.error_rate"),
        ("totals.json", ["totals", "batch_tasks"], -1, "$.totals.batch_tasks"),
        ("totals.json", ["coverage", "complete"], None, "$.coverage.complete"),
        ("totals.json", ["api_calls"], 0, "$.api_calls"),
        ("totals.json", ["warnings"], [{"code": "new", "message": "x"}], "$.warnings[0].code"),
        ("totals.json", ["warnings"], [{"code": "no_usage", "message": ""}], "$.warnings[0].message"),
        ("alerts.json", ["alerts", 1, "metric"], "cost", "$.alerts[1].metric"),
        ("alerts.json", ["alerts", 0, "limit"], "100M", "$.alerts[0].limit"),
        ("worst-day.json", ["rows", 3, "usage", "requests"], -1, "$.rows[3].usage.requests"),
        ("worst-day.json", ["rows", 3, "group"], None, "$.rows[3].group"),
        ("worst-day.json", ["rows", 0, "partial"], "yes", "$.rows[0].partial"),
        ("raw.json", ["raw", 0, "http_status"], 500, "$.raw[0].http_status"),
    ],
)
def test_a_violation_is_told_with_its_place(name, path, value, where):
    lines = violations(changed(name, *path, value=value))
    assert {line.partition(": ")[0] for line in lines} == {where}


@pytest.mark.parametrize(
    "path, value, where",
    [
        (["previous", "totals", "requests"], -1, "$.previous.totals.requests"),
        (["previous", "change", "errors", "ratio"], "x", "$.previous.change.errors.ratio"),
        (["previous", "window", "start"], "x", "$.previous.window.start"),
        (["coverage", "provisional_since"], "x", "$.coverage.provisional_since"),
    ],
)
def test_a_violation_in_what_may_be_null_is_told_with_its_place_too(path, value, where):
    lines = violations(changed("compare.json", *path, value=value))
    assert [line.partition(": ")[0] for line in lines] == [where]


@pytest.mark.parametrize(
    "name, path, where",
    [
        ("totals.json", ["status"], "$"),
        ("totals.json", ["source"], "$"),
        ("totals.json", ["totals", "requests"], "$.totals"),
        ("totals.json", ["query", "group_by"], "$.query"),
        ("totals.json", ["window", "timezone"], "$.window"),
        ("worst-day.json", ["rows", 2, "usage"], "$.rows[2]"),
        ("worst-day.json", ["rows", 2, "end"], "$.rows[2]"),
        ("worst-day.json", ["rows", 2, "usage", "errors"], "$.rows[2].usage"),
    ],
)
def test_what_is_missing_is_named(name, path, where):
    lines = violations(changed(name, *path, remove=True))
    assert any(line.startswith(where + ": ") and repr(path[-1]) in line for line in lines)


@pytest.mark.parametrize(
    "name, path, where",
    [
        ("totals.json", ["extra"], "$"),
        ("totals.json", ["totals", "cost"], "$.totals"),
        ("worst-day.json", ["rows", 1, "usage", "cost"], "$.rows[1].usage"),
        ("worst-day.json", ["rows", 1, "label"], "$.rows[1]"),
        ("totals.json", ["error"], "$"),
        ("totals.json", ["checks"], "$"),
    ],
)
def test_what_does_not_belong_is_named(name, path, where):
    lines = violations(changed(name, *path, value=1))
    assert any(line.startswith(where + ": ") for line in lines)


def test_each_violation_has_a_line():
    document = json.loads(golden("worst-day.json"))
    document["totals"]["requests"] = "x"
    document["rows"][1]["usage"]["errors"] = -1
    document["rows"][7]["usage"]["errors"] = -2
    document["status"] = "ok"
    lines = violations(document)
    places = [line.partition(": ")[0] for line in lines]
    assert sorted(places) == ["$.rows[1].usage.errors", "$.rows[7].usage.errors", "$.totals.requests"]


ERROR = {
    "schema_version": "1.0",
    "status": "error",
    "error": {
        "code": "usage",
        "message": "No.",
        "hint": "Yes.",
        "http_status": None,
        "api_code": None,
        "request_id": None,
        "retryable": False,
        "retry_after_s": None,
    },
}


@pytest.mark.parametrize(
    "member, value, where",
    [
        ("code", "unknown_code", "$.error.code"),
        ("message", "", "$.error.message"),
        ("hint", None, "$.error.hint"),
        ("http_status", 42, "$.error.http_status"),
        ("http_status", "500", "$.error.http_status"),
        ("retryable", None, "$.error.retryable"),
        ("retry_after_s", -1, "$.error.retry_after_s"),
        ("traceback", "x", "$.error"),
    ],
)
def test_violations_of_an_error(member, value, where):
    assert_sound(json.dumps(ERROR))
    document = copy.deepcopy(ERROR)
    document["error"][member] = value
    assert [line.partition(": ")[0] for line in violations(document)] == [where]
    document = copy.deepcopy(ERROR)
    document["rows"] = []
    assert violations(document)


def test_violations_of_a_check():
    document = json.loads(ask_json(None, "--demo", "--check").out)
    assert_sound(json.dumps(document))
    for change, where in (
        (lambda one: one["checks"][2].update(status="fine"), "$.checks[2].status"),
        (lambda one: one["checks"][2].update(message=""), "$.checks[2].message"),
        (lambda one: one["checks"][2].update(name="dns"), "$.checks[2].name"),
        (lambda one: one["checks"][2].update(hint="x"), "$.checks[2]"),
        (lambda one: one["checks"].clear(), "$.checks"),
        (lambda one: one.update(totals={}), "$"),
        (lambda one: one.update(status="fine"), "$.status"),
    ):
        broken = copy.deepcopy(document)
        change(broken)
        assert where in [line.partition(": ")[0] for line in violations(broken)]
    failed = json.loads(ask_json(None, "--demo", "--check", environ={"MAAS_USAGE_DEMO_TROUBLE": "forbidden"}).out)
    assert_sound(json.dumps(failed))
    del failed["error"]
    assert violations(failed)
    document["error"] = ERROR["error"]
    assert violations(document)


def test_secrets_of_the_environment_are_not_shown():
    document = changed("totals.json", "query", "region", value=KEYS.secret)
    with mock.patch.dict(os.environ, {"HW_SECRET_KEY": KEYS.secret}):
        (line,) = violations(document)
    assert KEYS.secret not in line
