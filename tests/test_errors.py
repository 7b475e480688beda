"""The errors, their codes and exit statuses are an interface: written down here once more, and compared."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from maas_usage import errors
from maas_usage.errors import ExitStatus, UsageStatsError, quoted

SCHEMA = json.loads((Path(__file__).resolve().parents[1] / "assets" / "usage.schema.json").read_text(encoding="utf-8"))

EXIT_STATUS_OF = {
    "internal": 1,
    "usage": 2,
    "packages_missing": 2,
    "credentials_missing": 3,
    "credentials_incomplete": 3,
    "credentials_unreadable": 3,
    "credentials_in_argument": 3,
    "credentials_rejected": 3,
    "credentials_locked": 3,
    "clock_skew": 3,
    "permission_denied": 4,
    "project_not_found": 4,
    "project_ambiguous": 4,
    "region_unsupported": 4,
    "throttled": 5,
    "network": 6,
    "tls": 6,
    "timeout": 6,
    "service_error": 7,
    "bad_request": 7,
    "unexpected_answer": 7,
    "interrupted": 130,
}
# The same command may succeed later with nothing changed.
RETRYABLE = {"credentials_locked", "throttled", "network", "timeout", "service_error", "interrupted"}


def classes(root=UsageStatsError):
    for kind in root.__subclasses__():
        yield kind
        yield from classes(kind)


KINDS = [kind for kind in classes() if kind.__module__ == errors.__name__]
TREE = re.findall(r"^[├└]── (\w+) +(\w+) +(.+)$", errors.__doc__, re.MULTILINE)


def test_the_tree_at_the_top_of_the_module_is_true():
    assert len(TREE) == len(EXIT_STATUS_OF)
    real = {(kind.__name__, kind.code, str(int(kind.exit_status))) for kind in KINDS}
    assert {(name, code, status.split(" or ")[0]) for name, code, status in TREE} == real
    assert [line for line in TREE if " or " in line[2]] == [("Interrupted", "interrupted", "130 or 143")]


def test_the_tree_has_every_line():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    assert len(drawn) == len(TREE) == len(KINDS)
    assert "UsageStatsError " in errors.__doc__


def test_every_class_is_a_child_of_one_parent():
    assert all(kind.__bases__ == (UsageStatsError,) for kind in KINDS)
    assert not issubclass(UsageStatsError, (ValueError, OSError, LookupError)), "never caught by accident"


def test_codes_and_exit_statuses():
    assert {kind.code: int(kind.exit_status) for kind in KINDS} == EXIT_STATUS_OF
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_the_schema_knows_the_same_codes():
    assert SCHEMA["$defs"]["error"]["properties"]["code"]["enum"] == [kind.code for kind in KINDS]


def test_what_may_succeed_later():
    assert {kind.code for kind in KINDS if kind.retryable} == RETRYABLE


def test_exit_statuses():
    assert {status.name: int(status) for status in ExitStatus} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "CREDENTIALS": 3,
        "ACCESS": 4,
        "THROTTLED": 5,
        "NETWORK": 6,
        "SERVICE": 7,
        "GUARD_CROSSED": 10,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_becomes_a_document(kind):
    told = {"http_status": 429, "api_code": "APIG.0308", "request_id": "r1", "retry_after_s": 60}
    for members in (told, dict.fromkeys(told)):
        error = kind("What went wrong.", "What to do.", **members)
        assert str(error) == error.message == "What went wrong."
        member = error.as_member()
        assert member == {
            "code": kind.code,
            "message": "What went wrong.",
            "hint": "What to do.",
            **members,
            "retryable": kind.code in RETRYABLE,
        }
        document = {"schema_version": "1.0", "status": "error", "error": member}
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(document)))


def test_nothing_of_the_service_is_the_default():
    error = errors.UsageError("a", "b")
    assert (error.http_status, error.api_code, error.request_id, error.retry_after_s, error.answer) == (None,) * 5


def test_a_run_can_be_terminated_too():
    error = errors.Interrupted("a", "b")
    assert error.exit_status == 130
    error.exit_status = ExitStatus.TERMINATED
    assert errors.Interrupted("a", "b").exit_status == 130
    assert (error.exit_status, error.code) == (143, "interrupted")


@pytest.mark.parametrize(
    "words, shown",
    [
        ("", "''"),
        ("7 d", "'7 d'"),
        ("中文", "'中文'"),
        ("x" * 60, "'%s'" % ("x" * 60)),
        ("x" * 61, "'%s…'" % ("x" * 59)),
        ("x" * 10_000, "'%s…'" % ("x" * 59)),
        ("a\nb\x1b[2J\x00", r"'a\nb\x1b[2J\x00'"),
        ("\u202e\u2028\ud800", r"'\u202e\u2028\ud800'"),
        ("it's", '"it\'s"'),
    ],
)
def test_the_words_of_the_user_are_repeated_with_care(words, shown):
    assert quoted(words) == shown
    assert shown.isprintable()


def test_an_error_is_an_exception_like_others():
    with pytest.raises(UsageStatsError, match=r"^no$"):
        raise errors.TlsFailure("no", "hint")
