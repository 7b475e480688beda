"""The JSON document, as it comes out of the program: exact, closed, and never broken by what it must hide."""

import copy
import json
import re
import shutil
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from conftest import (
    DAY_MS,
    NOW_MS,
    PROJECT_ID,
    ROOT,
    SCHEMA,
    SCRIPT,
    account,
    answering,
    as_words,
    ask,
    ask_json,
    figures,
    launch,
    refused,
    violations,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maas_usage import document, errors, handover
from stage import json_reply

GIVEN_PROJECT = ("--project-id", PROJECT_ID)
WINDOWS = [
    ("--last", "7d"),
    ("--last", "45d", "--service-type", "all"),
    ("--period", "today"),
    ("--period", "last-month"),
    ("--from", "2026-11-20", "--to", "2026-12-20"),
    ("--from", "2026-11-01T00:00:00.007Z", "--timezone", "Asia/Kathmandu"),
    ("--from", "2026-11-01", "--to", "2026-11-01", "--timezone", "America/New_York"),
    ("--api-keys", "web-app", ""),
    ("--infer-type", "batch"),
    ("--last", "45d", "--raw", "--pretty"),
]


def answer_of(*words):
    return ask_json(account(), *GIVEN_PROJECT, *words).document


def ms(instant):
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


class TestTimes:
    @pytest.mark.parametrize("words", WINDOWS, ids=as_words)
    def test_instants_are_told_twice_alike(self, words):
        answer = answer_of(*words)
        window = answer["window"]
        assert (ms(window["start"]), ms(window["end"])) == (window["start_ms"], window["end_ms"])
        assert window["start_ms"] < window["end_ms"] <= NOW_MS
        assert window["includes_now"] is (window["end_ms"] == NOW_MS)
        assert ms(answer["generated_at"]) == NOW_MS
        coverage = answer["coverage"]
        assert ms(coverage["retained_since"]) == NOW_MS - 30 * DAY_MS
        assert coverage["complete"] is (window["start_ms"] >= NOW_MS - 30 * DAY_MS)
        youngest = NOW_MS - 2 * 3600 * 1000
        if window["end_ms"] <= youngest:
            assert coverage["provisional_since"] is None
        else:
            assert ms(coverage["provisional_since"]) == max(window["start_ms"], youngest)

    def test_offsets_are_those_of_the_zone(self):
        answer = answer_of("--from", "2026-11-01", "--to", "2026-11-01", "--timezone", "America/New_York")
        window = answer["window"]
        assert (window["start"], window["end"]) == ("2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00")
        assert answer["generated_at"].endswith("-05:00")

    def test_milliseconds_show_where_there_are_any(self):
        window = answer_of("--from", "2026-11-01T00:00:00.007Z", "--to", "2026-11-01T00:00:01Z")["window"]
        assert (window["start"], window["end"]) == ("2026-11-01T08:00:00.007+08:00", "2026-11-01T08:00:01+08:00")

    @pytest.mark.parametrize(
        "age_s, complete, provisional",
        [
            (30 * 86400, True, True),
            (30 * 86400 + 1, False, True),
            (7200, True, True),
        ],
    )
    def test_bounds(self, age_s, complete, provisional):
        start = datetime.fromisoformat("2026-11-24T05:32:10+08:00") - timedelta(seconds=age_s)
        coverage = answer_of("--from", start.isoformat())["coverage"]
        assert (coverage["complete"], coverage["provisional_since"] is not None) == (complete, provisional)

    @pytest.mark.parametrize("end, settled", [("03:32:10", True), ("03:32:11", False)])
    def test_what_is_two_hours_old_has_settled(self, end, settled):
        coverage = answer_of("--from", "2026-11-24T00:00", "--to", "2026-11-24T" + end)["coverage"]
        assert (coverage["provisional_since"] is None) is settled


# --- figures ---


def thousands():
    return st.builds(
        lambda number, places: Decimal(number).scaleb(-places),
        st.integers(0, 10**15),
        st.integers(0, 6),
    )


def counts():
    return st.integers(0, 10**12)


@st.composite
def statistics(draw):
    requests = draw(counts())
    return {
        "total_request_count": requests,
        "total_error_count": draw(st.integers(0, requests)),
        "total_token": draw(thousands()),
        "total_prompt_token": draw(thousands()),
        "total_completion_token": draw(thousands()),
        "total_completion_tasks": draw(st.one_of(st.none(), counts())),
        "total_infer_count": draw(st.one_of(st.none(), counts())),
    }


def as_json(members, draw_float):
    """JSON text in which every number stands exactly, in one of the ways that JSON has for it."""
    parts = []
    for name, value in members.items():
        text = "null" if value is None else format(value, "E" if draw_float and isinstance(value, Decimal) else "f")
        parts.append('"%s": %s' % (name, text if not isinstance(value, int) else str(value)))
    return "{%s}" % ", ".join(parts)


class TestFigures:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(statistics(), min_size=3, max_size=3), st.booleans())
    def test_sums_are_exact(self, parts, exponents):
        def app(request):
            number = (1, 2, 4).index(json.loads(request.body.decode())["service_type"])
            return json_reply(200, as_json(parts[number], exponents))

        told = ask_json(answering(app), *GIVEN_PROJECT, "--service-type", "all")
        assert told.status == 0, told.err
        totals = told.document["totals"]
        for name, member in (
            ("total_token", "total_tokens"),
            ("total_prompt_token", "prompt_tokens"),
            ("total_completion_token", "completion_tokens"),
        ):
            whole = [int((1000 * part[name]).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)) for part in parts]
            assert totals[member] == sum(whole)
        requests = sum(part["total_request_count"] for part in parts)
        failed = sum(part["total_error_count"] for part in parts)
        assert (totals["requests"], totals["errors"]) == (requests, failed)
        assert totals["error_rate"] == (failed / requests if requests else None)
        for name, member in (("total_completion_tasks", "batch_tasks"), ("total_infer_count", "batch_inferences")):
            known = [part[name] for part in parts]
            assert totals[member] == (None if None in known else sum(known))

    @pytest.mark.parametrize(
        "literal, tokens",
        [
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("0.0004", 0),
            ("0.0005", 0),
            ("0.00050001", 1),
            ("0.0015", 2),
            ("0.0025", 2),
            ("1e3", 1000000),
            ("1E-3", 1),
            ("24.82084980e2", 2482085),
            ("2482084.98", 2482084980),
            ("9007199254740.993", 9007199254740993),
            ("999999999999999.999", 999999999999999999),
            ("1e18", 10**21),
            ("0." + "0" * 300 + "1", 0),
            ("1e-9999", 0),
            ("0." + "3" * 5000, 333),
        ],
    )
    def test_thousands_become_tokens_without_a_binary_float(self, literal, tokens):
        text = json.dumps(figures(total_token="LITERAL")).replace('"LITERAL"', literal)
        told = ask_json(answering(json_reply(200, text)), *GIVEN_PROJECT)
        assert told.document["totals"]["total_tokens"] == tokens
        assert '"total_tokens": %d,' % tokens in told.out
        table = ask(answering(json_reply(200, text)), *GIVEN_PROJECT).out
        assert re.search(r"(?<![0-9,])%s(?![0-9,])" % format(tokens, ","), table)

    def test_three_figures_are_shown_as_they_came(self):
        odd = figures(total_token=5, total_prompt_token=1, total_completion_token=1)
        totals = ask_json(answering(json_reply(200, odd)), *GIVEN_PROJECT).document["totals"]
        assert (totals["total_tokens"], totals["prompt_tokens"], totals["completion_tokens"]) == (5000, 1000, 1000)
        assert "need not add up" in ask(answering(json_reply(200, odd)), *GIVEN_PROJECT).out


class TestText:
    def test_pretty_is_the_same_document(self):
        plain = ask_json(account(), *GIVEN_PROJECT, "--raw")
        pretty = ask_json(account(), *GIVEN_PROJECT, "--raw", "--pretty")
        assert plain.document == pretty.document
        assert len(plain.out.splitlines()) == 1 < len(pretty.out.splitlines())

    def test_the_same_question_has_the_same_answer(self):
        assert answer_of("--service-type", "all") == answer_of("--service-type", "4,2,1")

    @pytest.mark.parametrize("words", WINDOWS, ids=as_words)
    def test_a_table_shows_the_same_figures(self, words):
        totals = answer_of(*words)["totals"]
        table = ask(account(), *GIVEN_PROJECT, *words).out
        for member in ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors"):
            assert re.search(r"(?<![0-9,])%s(?![0-9,])" % format(totals[member], ","), table)

    @pytest.mark.parametrize("words", [("--last", "45d"), ("--from", "2026-11-20", "--to", "2026-12-20")], ids=as_words)
    def test_a_table_tells_every_warning(self, words):
        warnings = answer_of(*words)["warnings"]
        table = " ".join(ask(account(), *GIVEN_PROJECT, *words).out.split())
        assert warnings and all(warning["message"] in table for warning in warnings)

    @pytest.mark.parametrize(
        "name, secret",
        [
            ("HW_SECRET_KEY", "start_ms"),
            ("HW_SECRET_KEY", "total_tokens"),
            ("HW_SECRET_KEY", "real_time"),
            ("HW_SECRET_KEY", str(NOW_MS)[:8]),
            ("HW_SECURITY_TOKEN", '", "query'),
            ("HW_ACCESS_KEY", "error_rate"),
        ],
    )
    def test_a_secret_that_is_a_word_of_the_document_does_not_break_it(self, name, secret):
        told = ask_json(None, "--demo", keys=None, environ={name: secret})
        assert told.status == 0
        assert told.document["totals"] == ask_json(None, "--demo", keys=None).document["totals"]


# --- the schema ---


def objects_of(value, path=()):
    """Each object of a document with its place; what stands under raw is the service's own."""
    if isinstance(value, dict):
        yield path, value
        for name, item in value.items():
            if path[-2:-1] != ("raw",):
                yield from objects_of(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects_of(item, (*path, index))


def changed(whole, path, change):
    result = copy.deepcopy(whole)
    place = result
    for step in path:
        place = place[step]
    change(place)
    return result


@pytest.fixture(scope="module")
def documents():
    return [
        answer_of("--last", "45d", "--service-type", "all", "--raw"),
        answer_of("--from", "2026-08-01", "--to", "2026-08-02"),
        ask_json(None, "--demo").document,
        ask_json(answering(refused(403))).document,
        ask_json(None, "--last", "x").document,
    ]


class TestSchema:
    def test_it_is_closed_everywhere(self, documents):
        for whole in documents:
            for path, _ in objects_of(whole):
                if path[-2:-1] == ("raw",) or "raw" not in path:
                    assert violations(changed(whole, path, lambda place: place.update(more=1))), path

    def test_every_member_is_required(self, documents):
        for whole in documents:
            for path, members in objects_of(whole):
                for name in members:
                    if "raw" not in path and (path, name) != ((), "raw"):
                        assert violations(changed(whole, path, lambda place, name=name: place.pop(name))), (path, name)

    @pytest.mark.parametrize(
        "path, value",
        [
            (("schema_version",), "1.1"),
            (("status",), "fine"),
            (("source",), "other"),
            (("generated_at",), "2026-11-24T05:32:10"),
            (("generated_at",), "yesterday"),
            (("query", "service_types"), []),
            (("query", "service_types"), [3]),
            (("query", "service_types"), [2, 2]),
            (("query", "infer_type"), "stream"),
            (("query", "api_keys"), ["a b"]),
            (("query", "project_id"), "A/B"),
            (("window", "start"), 0),
            (("window", "start_ms"), 1.5),
            (("window", "end_ms"), -1),
            (("totals", "total_tokens"), 1.5),
            (("totals", "total_tokens"), -1),
            (("totals", "total_tokens"), None),
            (("totals", "total_tokens"), "1"),
            (("totals", "error_rate"), 1.01),
            (("totals", "error_rate"), -0.01),
            (("totals", "batch_tasks"), 0.5),
            (("coverage", "complete"), None),
            (("coverage", "retained_since"), None),
            (("warnings",), [{"code": "something", "message": "m"}]),
            (("warnings",), [{"code": "no_usage", "message": ""}]),
            (("alerts",), [{"metric": "requests", "limit": 1, "actual": 2}]),
            (("api_calls",), 0),
            (("rows",), None),
        ],
        ids=str,
    )
    def test_wrong_values(self, documents, path, value):
        def change(place):
            place[path[-1]] = value

        assert violations(documents[0]) == []
        assert violations(changed(documents[0], path[:-1], change))

    def test_errors_are_those_of_the_tree(self):
        listed = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]["error"]["properties"]["code"]["enum"]
        kinds, waiting = set(), [errors.UsageStatsError]
        while waiting:
            kind = waiting.pop()
            waiting += kind.__subclasses__()
            kinds |= {kind.code} if hasattr(kind, "code") else set()
        assert set(listed) == kinds
        assert len(set(listed)) == len(listed)

    def test_constant_documents_conform(self):
        assert violations(handover.constant_document("packages_missing", handover.MESSAGE, handover.HINT)) == []
        assert violations(handover.constant_document("packages_missing", handover.TOO_OLD, handover.HINT_TOO_OLD)) == []
        assert violations(document.failure(errors.InternalError("The tool itself failed.", "Report it."))) == []
        missing = errors.PackagesMissing(handover.MESSAGE, handover.HINT)
        assert document.failure(missing) == handover.constant_document(
            "packages_missing", handover.MESSAGE, handover.HINT
        )

    def test_the_program_sees_what_the_schema_sees(self, documents):
        for whole in documents:
            assert document.violations(whole) == []
        broken = changed(documents[0], ("totals",), lambda totals: totals.update(total_tokens=-1, more=1))
        lines = document.violations(broken)
        assert lines and all("$.totals" in line for line in lines)
        assert all("\n" not in line and len(line) < 400 for line in lines)


class TestErrors:
    MEMBERS = ("code", "message", "hint", "http_status", "api_code", "request_id", "retryable", "retry_after_s")

    @pytest.mark.parametrize("app, words", [(refused(403), ()), (refused(400), ()), (None, ("--last", "x"))])
    def test_an_error_has_all_its_members(self, app, words):
        told = ask_json(answering(app) if app else None, *words)
        assert set(told.document) == {"schema_version", "status", "error"}
        assert set(told.error) == set(self.MEMBERS)
        assert told.error["message"].strip() and told.error["hint"].strip()

    def test_an_error_of_our_own_is_a_line_and_a_document(self, monkeypatch):
        def broken(*_):
            raise ZeroDivisionError("somewhere inside")

        monkeypatch.setattr("maas_usage.window.resolve", broken)
        told = ask_json(None, "--demo")
        assert (told.status, told.error["code"], told.error["retryable"]) == (1, "internal", False)
        assert len(told.err.splitlines()) == 1 and "MAAS_USAGE_DEBUG=1" in told.err
        assert "Traceback" not in told.said and "somewhere inside" not in told.out
        told = ask_json(None, "--demo", environ={"MAAS_USAGE_DEBUG": "1"})
        assert "Traceback" in told.err and "ZeroDivisionError" in told.err
        assert told.error["code"] == "internal"

    @pytest.mark.parametrize("form", ["table", "json"])
    def test_an_answer_that_does_not_conform_is_not_printed(self, tmp_path, form):
        shutil.copytree(str(ROOT / "scripts"), str(tmp_path / "scripts"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(str(SCHEMA.parent), str(tmp_path / "assets"))
        strict = json.loads(SCHEMA.read_text(encoding="utf-8"))
        strict["$defs"]["usage"]["properties"]["total_tokens"] = {"const": 1}
        (tmp_path / "assets" / SCHEMA.name).write_text(json.dumps(strict), encoding="utf-8")
        done = launch("--demo", "--format", form, script=tmp_path / "scripts" / SCRIPT.name)
        assert done.returncode == 1
        assert done.stderr.startswith("internal: ") and len(done.stderr.splitlines()) == 1
        if form == "table":
            assert done.stdout == ""
        else:
            assert json.loads(done.stdout)["error"]["code"] == "internal"
