"""`--check`: which check fails, what it says, what it sends, and what it never shows."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from conftest import (
    IAM,
    KEYS,
    MODELARTS,
    NOW_S,
    PROJECT_ID,
    ROOT,
    STATISTICS_PATH,
    Clock,
    Keys,
    account,
    answering,
    ask,
    ask_json,
    assert_clean,
    bare_environment,
    drawn_keys,
    drawn_secret,
    drawn_token,
    figures,
    in_environment,
    launch,
    project,
    refused,
)
from maas_usage import demo
from referencing import Registry, Resource
from stage import Stage, closed_port, json_reply

NAMES = ["python", "packages", "key_file", "keys", "network", "clock", "project", "permission"]
GIVEN_PROJECT = ("--project-id", PROJECT_ID)


@functools.lru_cache(maxsize=None)
def validator():
    """Of the check's schema, by its own file and not through the program."""
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "assets").glob("*.schema.json"))]
    registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    (check,) = [schema for schema in schemas if schema["$id"].split(":")[-2] == "check"]
    return jsonschema.Draft202012Validator(check, registry=registry)


def document_of(out):
    """stdout, which is one document that conforms to the schema of the check and nothing else."""
    assert out.endswith("\n") and out.isascii() and len(out.splitlines()) == 1
    document = json.loads(out)
    assert [error.message for error in validator().iter_errors(document)] == []
    assert [check["name"] for check in document["checks"]] == NAMES
    for check in document["checks"]:
        assert_clean(check["message"])
    return document


def statuses(document):
    return {check["name"]: check["status"] for check in document["checks"]}


def message(document, name):
    return next(check["message"] for check in document["checks"] if check["name"] == name)


def assert_sound(told):
    """A run in which nothing failed."""
    document = document_of(told.out)
    assert (told.status, told.err, document["status"], "error" in document) == (0, "", "ok", False)
    assert "failed" not in statuses(document).values()
    return document


def assert_failed(told, name, code, status):
    """A run in which this check failed, and those after it were not reached."""
    document = document_of(told.out)
    assert (told.status, document["status"], document["error"]["code"]) == (status, "error", code)
    found = statuses(document)
    assert [one for one, state in found.items() if state == "failed"] == [name]
    assert document["error"]["message"] in message(document, name) and document["error"]["hint"] in message(
        document, name
    )
    assert told.err.splitlines()[-1].startswith(code + ": ")
    return document


def assert_nothing_of(keys, *texts):
    """No secret, no token and no whole key id; of a secret not even a piece."""
    for text in texts:
        assert keys.key_id not in text
        for secret in filter(None, (keys.secret, keys.token)):
            assert not [n for n in range(len(secret) - 7) if secret[n : n + 8].lower() in text.lower()]


# --- all is well -----------------------------------------------------------------------------


def test_all_is_well():
    told = ask_json(account(), "--check")
    document = assert_sound(told)
    assert statuses(document) == {**dict.fromkeys(NAMES, "ok"), "key_file": "skipped"}
    assert "%d.%d.%d" % sys.version_info[:3] in message(document, "python")
    assert "huaweicloudsdkcore" in message(document, "packages")
    assert KEYS.key_id[:4] in message(document, "keys") and "HW_" in message(document, "keys")
    assert MODELARTS in message(document, "network") and "127.0.0.1" in message(document, "network")
    assert PROJECT_ID in message(document, "project")
    assert_nothing_of(KEYS, told.said)


def test_in_text_a_line_is_a_check():
    told = ask(account(), "--check")
    assert (told.status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert [line.split()[:2] for line in lines] == [["skipped" if name == "key_file" else "ok", name] for name in NAMES]
    assert len({re.match(r"\S+ +\S+ +", line).end() for line in lines}) == 1
    assert_clean(told.out)


def test_pretty_is_the_same_document():
    plain, pretty = (ask_json(account(), "--check", *words).out for words in ((), ("--pretty",)))
    assert len(pretty.splitlines()) > 10
    assert json.loads(plain) == json.loads(pretty)


def test_it_needs_no_account_in_the_demo():
    document = assert_sound(ask_json(None, "--demo", "--check", keys=None))
    assert (statuses(document)["keys"], statuses(document)["key_file"]) == ("ok", "skipped")


def test_it_makes_one_look_up_and_asks_for_one_minute():
    told = ask_json(account(), "--check", "--last", "30d", "--by", "day", "--service-type", "all")
    assert_sound(told)
    assert len(told.requests) == 2 and len(told.look_ups) == 1
    assert told.look_ups[0].host == IAM
    (body,) = told.bodies
    assert body["end_time"] == NOW_S * 1000 - 1
    assert body["end_time"] + 1 - body["start_time"] == 60_000
    assert told.statistics[0].target == STATISTICS_PATH


def test_a_known_project_is_not_looked_up():
    told = ask_json(account(), "--check", *GIVEN_PROJECT)
    assert_sound(told)
    assert (len(told.statistics), told.look_ups) == (1, [])


@pytest.mark.parametrize("form", ["table", "json"])
def test_figures_are_not_shown(form):
    secret_figures = figures(total_token=918273.645, total_request_count=55443322, total_error_count=7766)
    told = ask(answering(json_reply(200, secret_figures)), "--check", "--format", form)
    assert told.status == 0
    for figure in ("918273", "918,273", "55443322", "55,443,322", "7766"):
        assert figure not in told.said


def test_it_writes_nothing_and_remembers_nothing(tmp_path):
    assert_sound(ask_json(account(), "--check", home=tmp_path))
    assert list(tmp_path.rglob("*")) == []


# --- every trouble ---------------------------------------------------------------------------

TROUBLES = {
    "rejected": ("keys", "credentials_rejected", 3),
    "unknown-key": ("keys", "credentials_rejected", 3),
    "expired-token": ("keys", "credentials_rejected", 3),
    "arrears": ("keys", "credentials_rejected", 3),
    "locked": ("keys", "credentials_locked", 3),
    "clock": ("clock", "clock_skew", 3),
    "no-project": ("project", "project_not_found", 4),
    "sub-projects": ("project", "project_ambiguous", 4),
    "forbidden": ("permission", "permission_denied", 4),
    "wrong-region": ("permission", "region_unsupported", 4),
    "bad-request": ("permission", "bad_request", 7),
    "bad-figure": ("permission", "unexpected_answer", 7),
    "broken": ("permission", "service_error", 7),
    "not-json": ("project", "unexpected_answer", 7),
    "throttled": ("network", "throttled", 5),
    "cut": ("network", "network", 6),
    "silent": ("network", "timeout", 6),
    "iam-forbidden": None,
    "throttled-once": None,
    "broken-once": None,
    "no-usage": None,
    "injection": None,
}
UNAUTHORIZED = ("rejected", "unknown-key", "expired-token", "arrears", "locked", "clock")


def test_every_trouble_is_here():
    assert set(TROUBLES) == set(demo.TROUBLES)


@pytest.mark.parametrize("place", ["demo", "stage"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_found(trouble, place):
    app = None if place == "demo" else account(trouble=trouble)
    words = ("--check", "--demo") if place == "demo" else ("--check",)
    silent = trouble == "silent"
    told = ask_json(
        app,
        *words,
        environ={"MAAS_USAGE_DEMO_TROUBLE": trouble} if place == "demo" else None,
        timing=Clock().timing(connect_s=0.05, answer_s=0.05) if silent else None,
        alone=silent,
    )
    if TROUBLES[trouble] is None:
        document = document_of(told.out)
        assert (told.status, document["status"]) == (0, "ok")
        assert statuses(document) == {**dict.fromkeys(NAMES, "ok"), "key_file": "skipped"}
    else:
        document = assert_failed(told, *TROUBLES[trouble])
        states = statuses(document)
        order = ["python", "packages", "keys", "network", "clock", "project", "permission"]
        if states["keys"] == "ok":
            # Each stands on those before it, and what stands on the failed one was not looked at.
            failed = order.index(TROUBLES[trouble][0])
            assert [states[name] for name in order[:failed]] == ["ok"] * failed
            assert set(states[name] for name in order[failed + 1 :]) <= {"skipped"}
    assert "ignore all previous instructions" not in told.said
    if place == "demo":
        return
    assert_nothing_of(KEYS, told.said)
    if trouble in UNAUTHORIZED:
        assert len(told.requests) == 1
    else:
        assert len({request.body for request in told.statistics}) <= 1
        assert len(told.statistics) <= (
            4 if trouble in ("throttled", "broken") else 2 if trouble.endswith("-once") else 1
        )


@pytest.mark.parametrize("trouble", ["rejected", "clock", "sub-projects", "forbidden", "not-json", "throttled"])
def test_in_text_each_check_is_one_line_too(trouble):
    told = ask(None, "--check", "--demo", environ={"MAAS_USAGE_DEMO_TROUBLE": trouble})
    name, code, status = TROUBLES[trouble]
    assert told.status == status
    assert [line.split()[1] for line in told.out.splitlines()] == NAMES
    assert [line.split()[1] for line in told.out.splitlines() if line.startswith("failed ")] == [name]
    assert_clean(told.out)
    assert told.err.splitlines()[-1].startswith(code + ": ")


@pytest.mark.parametrize("trouble", UNAUTHORIZED)
def test_a_rejected_key_is_sent_once_to_the_other_host_too(trouble):
    told = ask_json(account(trouble=trouble), "--check", *GIVEN_PROJECT)
    assert_failed(told, *TROUBLES[trouble])
    assert len(told.requests) == 1


def test_a_wrong_secret_is_sent_once_and_not_shown():
    wrong = Keys(KEYS.key_id, drawn_secret(), None)
    told = ask_json(account(), "--check", keys=wrong)
    document = assert_failed(told, "keys", "credentials_rejected", 3)
    assert len(told.requests) == 1
    assert_nothing_of(wrong, told.said)
    assert_nothing_of(KEYS, told.said)
    # The network was reached, for the service answered.
    assert statuses(document)["network"] == "ok"


def test_a_rejection_by_the_second_host_is_the_last_call():
    told = ask_json(answering(refused(401, "APIGW.0301", "verify aksk signature fail")), "--check")
    assert_failed(told, "keys", "credentials_rejected", 3)
    assert (len(told.look_ups), len(told.statistics)) == (1, 1)


def test_without_permission_to_look_up_the_own_list_is_asked():
    told = ask_json(account(trouble="iam-forbidden"), "--check")
    assert_sound(told)
    assert (len(told.look_ups), len(told.statistics)) == (2, 1)


def test_the_choices_of_an_ambiguous_project_are_told():
    told = ask_json(
        answering(
            iam=json_reply(
                200, {"projects": [project("cn-southwest-2_a", "a" * 32), project("cn-southwest-2_b", "b" * 32)]}
            )
        ),
        "--check",
    )
    document = assert_failed(told, "project", "project_ambiguous", 4)
    assert "a" * 32 in message(document, "project") and "b" * 32 in message(document, "project")
    assert told.statistics == []


def test_a_project_that_is_none_is_found_before_anything_is_sent():
    environ = {
        "HUAWEICLOUD_SDK_AK": KEYS.key_id,
        "HUAWEICLOUD_SDK_SK": KEYS.secret,
        "HUAWEICLOUD_SDK_PROJECT_ID": "not a project",
    }
    told = ask_json(account(), "--check", keys=None, environ=environ)
    document = document_of(told.out)
    assert (told.status, document["error"]["code"], statuses(document)["project"]) == (2, "usage", "failed")
    assert told.connects == []
    # What was never reached cannot be ok.
    assert statuses(document)["network"] == "skipped"


# --- the clock -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ahead_s, said",
    [
        (0, "Less than a minute"),
        (30, "Less than a minute"),
        (300, "5 minutes behind"),
        (-300, "5 minutes ahead of"),
        (840, "14 minutes behind"),
    ],
)
def test_how_far_the_clock_is_off(ahead_s, said):
    told = ask_json(account(clock=lambda: NOW_S + ahead_s), "--check")
    assert said in message(assert_sound(told), "clock")


@pytest.mark.parametrize("ahead_s, said", [(2400, "40 minutes behind"), (-2400, "40 minutes ahead of")])
def test_a_clock_that_is_too_far_off(ahead_s, said):
    document = assert_failed(ask_json(account(clock=lambda: NOW_S + ahead_s), "--check"), "clock", "clock_skew", 3)
    assert said in message(document, "clock")
    assert statuses(document)["network"] == "ok"


def test_a_service_that_does_not_tell_its_time():
    document = assert_sound(ask_json(answering(), "--check"))
    assert statuses(document)["clock"] == "skipped"


# --- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ, code",
    [
        ({}, "credentials_missing"),
        ({"HW_ACCESS_KEY": KEYS.key_id}, "credentials_incomplete"),
        ({"HW_SECRET_KEY": KEYS.secret}, "credentials_incomplete"),
        ({"HUAWEICLOUD_SDK_AK": KEYS.key_id}, "credentials_incomplete"),
        ({"HW_SECURITY_TOKEN": drawn_token()}, "credentials_missing"),
        ({"HW_ACCESS_KEY": "<your-access-key-id>", "HW_SECRET_KEY": KEYS.secret}, "credentials_unreadable"),
        ({"HW_ACCESS_KEY": "your-access-key-id", "HW_SECRET_KEY": KEYS.secret}, "credentials_unreadable"),
        (
            {"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": KEYS.secret[:20] + " " + KEYS.secret[20:]},
            "credentials_unreadable",
        ),
        ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": '"%s"' % KEYS.secret}, "credentials_unreadable"),
        ({"HW_ACCESS_KEY": KEYS.key_id, "HW_SECRET_KEY": "x" * 40}, "credentials_unreadable"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else value,
)
def test_keys_that_cannot_be_used_are_not_sent(environ, code):
    told = ask_json(account(), "--check", keys=None, environ=environ)
    document = assert_failed(told, "keys", code, 3)
    assert told.connects == []
    assert {statuses(document)[name] for name in NAMES[4:]} == {"skipped"}
    assert_nothing_of(KEYS, told.said)
    for value in environ.values():
        assert value not in told.said


def test_half_a_pair_is_named():
    document = document_of(ask_json(None, "--check", keys=None, environ={"HW_ACCESS_KEY": KEYS.key_id}).out)
    assert "HW_SECRET_KEY" in message(document, "keys")


@pytest.mark.parametrize(
    "keys",
    [
        Keys(KEYS.key_id[:16], KEYS.secret, None),
        Keys(KEYS.key_id, KEYS.secret + "x7", None),
        Keys(KEYS.key_id.lower(), KEYS.secret, None),
    ],
    ids=["a short id", "a long secret", "an id in lower case"],
)
def test_an_odd_shape_is_worth_a_word_but_no_failure(keys):
    told = ask_json(account(keys=keys), "--check", keys=keys)
    assert "unusual" in message(assert_sound(told), "keys")
    assert_nothing_of(keys, told.said)
    usual = ask_json(account(), "--check")
    assert "unusual" not in message(assert_sound(usual), "keys")


def test_a_security_token_is_mentioned_and_not_shown():
    keys = drawn_keys(token=True)
    told = ask_json(account(keys=keys), "--check", keys=keys)
    assert "security token" in message(assert_sound(told), "keys")
    assert_nothing_of(keys, told.said)
    told = ask_json(account(keys=keys), "--check", keys=Keys(keys.key_id, keys.secret, None))
    assert_failed(told, "keys", "credentials_rejected", 3)


@pytest.mark.parametrize("debug", [{}, {"MAAS_USAGE_DEBUG": "1"}], ids=["plain", "debug"])
@pytest.mark.parametrize("trouble", ["rejected", "unknown-key", "expired-token", "forbidden"])
def test_keys_are_never_shown(trouble, debug):
    keys = drawn_keys(token=True)
    for form in ("json", "table"):
        told = ask(account(keys=keys, trouble=trouble), "--check", "--format", form, keys=keys, environ=debug)
        assert told.status == TROUBLES[trouble][2]
        assert_nothing_of(keys, told.said)


# --- key files -------------------------------------------------------------------------------


def written(path, keys=KEYS, mode=0o600):
    path.write_text("%s\n%s\n" % (keys.key_id, keys.secret), encoding="ascii")
    path.chmod(mode)
    return path


def test_a_key_file_that_only_its_owner_can_read(tmp_path):
    told = ask_json(account(), "--check", "--credentials-file", str(written(tmp_path / "aksk.txt")), keys=None)
    document = assert_sound(told)
    assert statuses(document)["key_file"] == "ok" and "chmod" not in message(document, "key_file")
    assert "--credentials-file" in message(document, "keys")
    assert_nothing_of(KEYS, told.said)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read(tmp_path, mode):
    told = ask_json(
        account(), "--check", "--credentials-file", str(written(tmp_path / "aksk.txt", mode=mode)), keys=None
    )
    document = document_of(told.out)
    assert told.status == 0
    assert "chmod 600" in message(document, "key_file")
    assert oct((tmp_path / "aksk.txt").stat().st_mode)[-3:] == oct(mode)[-3:]


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "large", "fifo", "forbidden"])
def test_a_key_file_that_cannot_be_read(tmp_path, kind):
    place = tmp_path / "aksk.txt"
    if kind == "folder":
        place.mkdir()
    elif kind == "binary":
        place.write_bytes(b"\xff\x00\xfe" * 20)
    elif kind == "large":
        place.write_text("# %s\n" % KEYS.secret * 3000)
    elif kind == "fifo":
        os.mkfifo(str(place))
    elif kind == "forbidden":
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        written(place, mode=0)
    told = ask_json(account(), "--check", "--credentials-file", str(place))
    document = assert_failed(told, "key_file", "credentials_unreadable", 3)
    assert statuses(document)["keys"] != "ok"
    # Keys of the environment are not taken instead.
    assert told.connects == []
    assert_nothing_of(KEYS, told.said)


@pytest.mark.parametrize("content", ["", "\n\n", "one line", "a\nb\nc\nd\n", "HW_ACCESS_KEY=\n", "<html></html>"])
def test_a_key_file_that_holds_no_keys(tmp_path, content):
    place = tmp_path / "aksk.txt"
    place.write_text(content)
    told = ask_json(account(), "--check", "--credentials-file", str(place))
    document = document_of(told.out)
    assert (told.status, told.connects) == (3, [])
    assert [state for state in statuses(document).values()].count("failed") == 1
    assert "failed" in (statuses(document)["keys"], statuses(document)["key_file"])


def test_the_profile_of_the_sdk(tmp_path):
    folder = tmp_path / ".huaweicloud"
    folder.mkdir()
    profile = folder / "credentials"
    profile.write_text("[basic]\nak = %s\nsk = %s\n" % (KEYS.key_id, KEYS.secret))
    profile.chmod(0o644)
    told = ask_json(account(), "--check", keys=None, home=tmp_path)
    document = document_of(told.out)
    assert told.status == 0
    assert "profile" in message(document, "keys") and "chmod 600" in message(document, "key_file")
    assert_nothing_of(KEYS, told.said)


# --- the network -----------------------------------------------------------------------------


def test_a_network_that_is_dead():
    told = ask_json(None, "--check", environ={"HTTPS_PROXY": "http://127.0.0.1:%d" % closed_port()})
    document = assert_failed(told, "network", "network", 6)
    assert [statuses(document)[name] for name in ("clock", "project", "permission")] == ["skipped"] * 3
    assert statuses(document)["keys"] == "ok"


def test_a_certificate_that_nobody_vouches_for():
    told = ask_json(account(), "--check", trusted=False)
    document = assert_failed(told, "network", "tls", 6)
    assert "REQUESTS_CA_BUNDLE" in message(document, "network")
    assert told.requests == []


def test_a_bundle_of_authorities_is_mentioned():
    document = assert_sound(ask_json(account(), "--check"))
    assert "REQUESTS_CA_BUNDLE" in message(document, "network")


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_proxy_that_does_not_connect(status):
    told = ask_json(account(), "--check", proxy_status=status)
    assert_failed(told, "network", "network", 6)
    assert told.requests == []


PASSWORD = "pass" + "word" * 3 + "!"


@pytest.mark.parametrize("debug", [{}, {"MAAS_USAGE_DEBUG": "1"}], ids=["plain", "debug"])
@pytest.mark.parametrize("kind", ["sound", "dead", "407", "malformed"])
def test_the_password_of_a_proxy_is_not_shown(kind, debug):
    with Stage(account(), proxy_status=407 if kind == "407" else 200) as stage:
        port = {"dead": closed_port(), "malformed": "port"}.get(kind, stage.environ["HTTPS_PROXY"].rpartition(":")[2])
        proxy = "http://somebody:%s@127.0.0.1:%s" % (PASSWORD.replace("!", "%21"), port)
        for form in ("json", "table"):
            environ = {**stage.environ, "HTTPS_PROXY": proxy, **debug}
            told = ask(None, "--check", "--format", form, environ=environ)
            assert told.status == (0 if kind == "sound" else 6)
            for shown in (PASSWORD, PASSWORD.replace("!", "%21"), "somebody:"):
                assert shown not in told.said
    if kind == "sound" and form == "table":
        assert "127.0.0.1:%s" % port in told.out


# --- packages --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The bundle in a folder of its own without .venv, and a Python that has no packages; no uv on the path."""
    folder = tmp_path_factory.mktemp("a bundle 套件")
    shutil.copytree(str(ROOT / "scripts"), str(folder / "scripts"), ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(str(ROOT / "assets"), str(folder / "assets"))
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder / "python")], check=True, timeout=60)
    return folder


def run_bare(folder, *words):
    environ = {**bare_environment(folder), **in_environment(KEYS), "PATH": str(folder / "python" / "bin")}
    environ = {name: value for name, value in environ.items() if not name.startswith("COV")}
    return subprocess.run(
        [str(folder / "python" / "bin" / "python"), str(folder / "scripts" / "maas_rest_usage_stats.py"), *words],
        env=environ,
        cwd=str(folder.parent),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        timeout=30,
    )


@pytest.mark.skipif(os.name != "posix", reason="the folders of a venv are POSIX's")
class TestPackages:
    def test_they_are_missing(self, bare):
        done = run_bare(bare, "--check", "--format", "json")
        assert done.returncode == 2
        document = json.loads(done.stdout)
        assert [error.message for error in validator().iter_errors(document)] == []
        states = statuses(document)
        assert (states["python"], states["packages"], document["error"]["code"]) == ("ok", "failed", "packages_missing")
        assert set(states[name] for name in NAMES[2:]) == {"skipped"}
        for step in ("python3 -m venv .venv", "-m pip install ."):
            assert step in message(document, "packages")
        assert_nothing_of(KEYS, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr

    def test_they_are_missing_in_text(self, bare):
        done = run_bare(bare, "--check")
        assert done.returncode == 2
        assert re.search(r"^failed +packages ", done.stdout, re.MULTILINE)
        assert "-m pip install ." in done.stdout + done.stderr
        assert_nothing_of(KEYS, done.stdout, done.stderr)

    def test_a_line_is_a_check_there_too(self, bare):
        lines = run_bare(bare, "--check").stdout.splitlines()
        assert [line.split()[1] for line in lines] == NAMES


# --- where it goes ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "table"])
def test_the_result_may_go_to_a_file(tmp_path, form):
    kept = tmp_path / "check"
    told = ask(account(), "--check", "--format", form, "--output", str(kept))
    assert (told.status, told.said) == (0, "")
    assert kept.read_text(encoding="utf-8") == ask(account(), "--check", "--format", form).out


def test_bad_arguments_are_no_check():
    told = ask_json(account(), "--check", "--last", "x")
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


def test_a_key_on_the_command_line_is_refused_there_too():
    told = ask_json(account(), "--check", "--ak", KEYS.key_id)
    assert (told.status, told.error["code"], told.connects) == (3, "credentials_in_argument", [])
    assert KEYS.key_id not in told.said


def test_from_a_process():
    keys = drawn_keys()
    with Stage(account(keys=keys, clock=time.time)) as stage:
        done = launch("--check", "--format", "json", stage=stage, keys=keys)
    assert (done.returncode, done.stderr) == (0, "")
    document = document_of(done.stdout)
    assert Path(sys.executable).name.rstrip("0123456789.") in message(document, "python")
    assert_nothing_of(keys, done.stdout)
