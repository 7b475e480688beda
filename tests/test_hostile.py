"""What a careless user or a hostile server could bring out, or bring about."""

from __future__ import annotations

import json
import socket
import time

import pytest
from conftest import (
    IAM,
    MODELARTS,
    NOW_S,
    PROJECT_ID,
    answering,
    ask,
    ask_json,
    drawn_keys,
    drawn_secret,
    figures,
    on_stage,
    service,
)
from maas_usage import validation
from maas_usage.pace import Timing
from maas_usage.secrecy import Redactor
from stage import json_reply

GIVEN_PROJECT = ("--project-id", PROJECT_ID)
SECRET = drawn_secret()
KEYS = drawn_keys(token=True)


@pytest.mark.parametrize(
    "name", ["HW_PROJECT_ID", "HW_REGION_NAME", "HUAWEICLOUD_SDK_CREDENTIALS_FILE", "HUAWEICLOUD_SDK_PROJECT_ID"]
)
@pytest.mark.parametrize("form", ["json", "table"])
def test_a_secret_in_the_wrong_variable_is_not_shown(name, form):
    environ = {name: SECRET}
    if name == "HUAWEICLOUD_SDK_PROJECT_ID":
        environ.update(HUAWEICLOUD_SDK_AK=KEYS.key_id, HUAWEICLOUD_SDK_SK=KEYS.secret)
    told = ask(None, "--format", form, environ=environ, keys=None)
    assert told.status in (2, 3)
    assert name.split("_")[-1].lower() in told.err.lower() or "project id" in told.err
    assert SECRET not in told.said


@pytest.mark.parametrize("content", ['["%s"]', '{"status": "ok", "totals": "%s"}', '{"%s": 1}', "%s"])
def test_a_file_of_keys_is_no_document_and_not_shown(tmp_path, capsys, content):
    kept = tmp_path / "kept.json"
    kept.write_text(content % SECRET)
    assert validation.main([str(kept)]) == 1
    shown = capsys.readouterr()
    assert shown.out and SECRET not in shown.out + shown.err


SPELLINGS = {
    "JSON in JSON": lambda token: token.replace("=", "\\u003d").replace("/", "\\/"),
    "HTML": lambda token: token.replace("+", "&#43;").replace("/", "&#x2F;"),
    "encoded twice": lambda token: token.replace("+", "%252B"),
    "its beginning": lambda token: token[:120],
    "its middle": lambda token: token[50:100],
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_token_spelled_otherwise_or_cut_is_not_shown(spelling):
    spelled = spelling(KEYS.token)
    app = answering(json_reply(400, {"error_code": "ModelArts.0104", "error_msg": "bad token %s." % spelled}))
    told = ask_json(app, *GIVEN_PROJECT, keys=KEYS)
    assert (told.status, told.error["code"]) == (7, "bad_request")
    assert "bad token" in told.error["message"]
    pieces = [KEYS.token[i : i + 16] for i in range(len(KEYS.token) - 16)]
    assert [piece for piece in pieces if piece in told.said] == []


def test_keys_of_a_file_are_no_labels(tmp_path):
    # Of shapes that nobody would know as keys.
    key_id, secret = "short_key_id", "a_secret_with_lines_" + SECRET[:10]
    kept = tmp_path / "aksk.txt"
    kept.write_text("%s\n%s\n" % (key_id, secret))
    kept.chmod(0o600)
    words = ("--credentials-file", str(kept), "--by", "api-key", "--api-keys", secret, key_id)
    told = ask_json(answering(figures()), *words, keys=None)
    assert (told.status, told.error["code"], told.requests) == (3, "credentials_in_argument", [])
    assert secret not in told.said and key_id not in told.said


def patient(connect_s, answer_s):
    return Timing(lambda: NOW_S, time.monotonic, time.sleep, lambda low, high: low, connect_s, answer_s)


def test_an_attempt_that_is_given_up_is_not_made_again_where_it_may_still_be_sent(monkeypatch):
    """Two attempts could both be rejected, and five rejections lock the key."""
    real = socket.getaddrinfo

    def slowly(*args, **more):
        time.sleep(1.0)
        return real(*args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    app = answering(json_reply(401, {"error_code": "APIGW.0301", "error_msg": "ak not exist"}))
    told = ask_json(app, *GIVEN_PROJECT, timing=patient(0.2, 0.3), alone=True)
    assert (told.status, told.error["code"]) == (6, "timeout")
    time.sleep(1.5)  # for what was given up to arrive
    assert len(told.requests) <= 1


def test_the_deadline_holds_while_names_are_looked_up(monkeypatch):
    def resolve(host, *_args, **_more):
        if host == MODELARTS:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if host == IAM:
            time.sleep(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    began = time.monotonic()
    told = ask_json(None, "--deadline", "1", *GIVEN_PROJECT, timing=patient(10, 30))
    assert (told.status, told.error["code"]) == (6, "timeout")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("number", ["1e99999999", "-1e-99999999", "1e999999999999999999999"])
def test_a_number_beyond_all_measure_in_a_further_member_is_no_trouble(number):
    body = json.dumps(figures())[:-1] + ', "further": %s}' % number
    told = ask_json(answering(json_reply(200, body)), "--raw", *GIVEN_PROJECT)
    assert (told.status, told.document["totals"]["total_tokens"]) == (0, 3500)
    assert "further" in told.document["raw"][0]["answer"]


def test_a_remembered_project_needs_no_time_for_a_look_up(tmp_path):
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    of = service()
    words = ("--from", "2026-11-01", "--to", "2026-11-15", "--by", "hour")  # 360 calls
    assert ask(on_stage(of), *words, environ=cache).status == 2
    assert ask(on_stage(of), environ=cache).status == 0
    assert ask(on_stage(of), *words, environ=cache).status == 0


def test_no_member_is_lost_where_names_look_alike_once_cleaned():
    long = "n" * 400
    cleaned = Redactor().clean_value({"x": 1, "x\u200b": 2, long + "a": 3, long + "b": 4})
    assert sorted(cleaned.values()) == [1, 2, 3, 4]
    assert all(name.isprintable() for name in cleaned)


@pytest.mark.parametrize(
    "address", ["http://user:hunter/2secret@127.0.0.1:9", "http://user:hunter#2@[", "user:hunter@::x"]
)
def test_no_part_of_a_proxys_password_is_shown(address):
    told = ask(None, *GIVEN_PROJECT, environ={"HTTPS_PROXY": address, "MAAS_USAGE_DEBUG": "1"})
    assert (told.status, "Traceback" in told.err) == (6, True)
    assert "hunter" not in told.said
