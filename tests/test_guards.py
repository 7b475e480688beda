"""`--alert-tokens`, `--alert-error-rate`: 10 is beyond the limit, 0 is not, and a failure is neither."""

import json
from fractions import Fraction

import pytest
from conftest import NOW_MS, PROJECTS, account, as_words, ask, ask_json, figures, last_line, refused
from maas_usage import demo
from stage import Cut, Garbage, Reply, Reset, closed_port, json_reply

PLENTY = 10**18


def used(tokens=0, requests=0, errors=0):
    """An app whose every call used so much, tokens as whole tokens."""
    text = json.dumps(figures(total_token=0, total_request_count=requests, total_error_count=errors))
    usage = json_reply(200, text.replace('"total_token": 0', '"total_token": %d.%03d' % divmod(tokens, 1000)))

    def app(request):
        return PROJECTS if request.method == "GET" else usage

    return app


# --- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, limit",
    [
        ("0", 0),
        ("1", 1),
        ("250000", 250_000),
        ("000250000", 250_000),
        ("1K", 1000),
        ("0.5K", 500),
        ("1.001K", 1001),
        ("500M", 500_000_000),
        ("2.5M", 2_500_000),
        ("1B", 1_000_000_000),
        ("1.5B", 1_500_000_000),
        ("1.000000001B", 1_000_000_001),
        ("0.000001M", 1),
        ("1000000B", 10**15),
        ("1000000000000000", 10**15),
        # Beyond what a binary float can tell apart.
        ("9007199.254740993B", 9_007_199_254_740_993),
        ("999999999999.999999999B", 10**21 - 1),
        # A limit between two whole numbers.
        ("0.5", Fraction(1, 2)),
        ("999.9", Fraction(9999, 10)),
        ("1.0005K", Fraction(10005, 10)),
    ],
)
def test_a_limit_of_tokens_is_crossed_above_it_and_not_by_equality(words, limit):
    whole = int(limit)  # at the limit, or the last whole number below it
    told = ask_json(used(whole), "--alert-tokens", words)
    assert (told.status, told.document["alerts"]) == (0, [])
    told = ask_json(used(whole + 1), "--alert-tokens", words)
    expected = {"metric": "total_tokens", "limit": limit if limit == whole else float(limit), "actual": whole + 1}
    assert (told.status, told.document["alerts"]) == (10, [expected])
    assert told.document["status"] == "ok" and told.document["totals"]["total_tokens"] == whole + 1


@pytest.mark.parametrize(
    "words",
    [
        *("-1", "-1K", "", " ", "abc", "K", "1T", "1KB", "1 K", "1e9", "1E9", "5%", "1,000", "1_000", "0x10", "nan"),
        *("inf", "+1", "１", "٣", "1.2.3", "--1", "1M2", "½", "1\n", "\u200b1"),
    ],
)
def test_what_is_no_limit_of_tokens(words):
    told = ask_json(used(1), "--alert-tokens=" + words)
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])
    assert "--alert-tokens" in told.error["message"]


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, errors, requests, crossed",
    [
        ("5", 5, 100, False),
        ("5", 6, 100, True),
        ("5", 4, 100, False),
        ("5", 50_000_000, 1_000_000_000, False),
        ("5", 50_000_001, 1_000_000_000, True),
        ("0", 0, 10, False),
        ("0", 1, PLENTY, True),
        ("100", 10, 10, False),
        ("99.999999999", 10, 10, True),
        ("2.5", 25, 1000, False),
        ("2.5", 26, 1000, True),
        # Equal, though binary floats find one of them larger: 0.7 / 100 < 7 / 1000, 0.07 / 100 > 7 / 10000.
        ("0.7", 7, 1000, False),
        ("0.07", 7, 10_000, False),
        ("0.1", 1, 1000, False),
        ("0.3", 3, 1000, False),
        ("14.5", 145, 1000, False),
        # A third is between these.
        ("33.333333333", 1, 3, True),
        ("33.333333334", 1, 3, False),
        # One call in a quintillion.
        ("50", PLENTY // 2, PLENTY, False),
        ("50", PLENTY // 2 + 1, PLENTY, True),
        ("0.000000001", 1, 10**11, False),
        ("0.000000001", 2, 10**11, True),
        # No calls have no error rate.
        ("0", 0, 0, False),
        ("5", 0, 0, False),
    ],
)
def test_a_limit_of_errors_is_crossed_above_it_exactly(words, errors, requests, crossed):
    told = ask_json(used(0, requests, errors), "--alert-error-rate", words)
    assert told.status == (10 if crossed else 0)
    expected = {
        "metric": "error_rate",
        "limit": float(Fraction(words) / 100),
        "actual": told.document["totals"]["error_rate"],
    }
    assert told.document["alerts"] == ([expected] if crossed else [])


@pytest.mark.parametrize(
    "words",
    [
        "-1",
        "-0.1",
        "",
        " ",
        "abc",
        "101",
        "100.000000001",
        "1000",
        "5%%",
        "%",
        "nan",
        "inf",
        "1e1",
        "0,5",
        "5K",
        "１",
        "½",
    ],
)
def test_what_is_no_limit_of_errors(words):
    told = ask_json(used(1), "--alert-error-rate=" + words)
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])
    assert "--alert-error-rate" in told.error["message"]


@pytest.mark.parametrize("option", ["--alert-tokens", "--alert-error-rate"])
def test_a_limit_is_a_value_of_its_option(option):
    for words in ((option,), (option, "--by", "day")):
        told = ask_json(used(1), *words)
        assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


def test_a_limit_below_0_as_a_word_of_its_own():
    told = ask_json(used(1), "--alert-tokens", "-5")
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


# --- what is watched -------------------------------------------------------------------------

BOTH = ("--alert-tokens", "1K", "--alert-error-rate", "5")


def test_both_guards_may_be_crossed():
    told = ask_json(used(2000, 10, 1), *BOTH)
    assert told.status == 10
    assert told.document["alerts"] == [
        {"metric": "total_tokens", "limit": 1000, "actual": 2000},
        {"metric": "error_rate", "limit": 0.05, "actual": 0.1},
    ]
    assert [len(ask_json(used(*usage), *BOTH).document["alerts"]) for usage in ((1, 10, 1), (2000, 10, 0), (1, 1))] == [
        1,
        1,
        0,
    ]


def test_without_a_guard_there_is_no_alert():
    told = ask_json(used(10**21, 10, 10))
    assert (told.status, told.document["alerts"]) == (0, [])


def test_no_calls_at_all_cross_nothing():
    words = ("--alert-tokens", "0", "--alert-error-rate", "0")
    told = ask_json(None, "--demo", *words, environ={"MAAS_USAGE_DEMO_TROUBLE": "no-usage"})
    assert (told.status, told.document["alerts"]) == (0, [])


def test_the_total_is_watched_and_not_the_rows():
    # Four days, each of them at the limit.
    told = ask_json(used(1000, 10), "--last", "3d", "--by", "day", "--alert-tokens", "1K")
    assert (told.status, len(told.document["rows"])) == (10, 4)
    assert told.document["alerts"][0]["actual"] == 4000
    assert ask_json(used(1000, 10), "--last", "3d", "--by", "day", "--alert-tokens", "4K").status == 0


def test_the_window_before_is_not_watched():
    def app(request):
        if request.method == "GET":
            return PROJECTS
        now = json.loads(request.body.decode("ascii"))["end_time"] == NOW_MS - 1
        return used(1000 if now else 9000, 10, 0 if now else 9)(request)

    told = ask_json(app, "--compare", *BOTH)
    assert (told.status, told.document["alerts"]) == (0, [])
    assert told.document["previous"]["totals"]["total_tokens"] == 9000


def test_the_sum_over_types_is_exact():
    told = ask_json(
        used(10**21 // 3, PLENTY // 3, 1), "--service-type", "all", "--alert-tokens", "999999999999.999999998B"
    )
    # Three times a third of 10^21 is 10^21 - 1.
    assert (told.status, told.document["alerts"][0]["actual"]) == (10, 10**21 - 1)


# --- how it is told --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lang, said",
    [
        (
            "en",
            [
                "ALERT: Total tokens 2,000 is above the limit of 1,000.",
                "ALERT: Error rate 10.00% is above the limit of 5.00%.",
            ],
        ),
        ("zh", ["告警：token 总量 2,000 超过上限 1,000。", "告警：错误率 10.00% 超过上限 5.00%。"]),
    ],
)
def test_alerts_are_said(lang, said):
    told = ask(used(2000, 10, 1), *BOTH, "--lang", lang)
    assert told.status == 10
    assert [line for line in told.out.splitlines() if line.startswith(said[0][:2])] == said
    told = ask(used(2000, 10, 1), *BOTH, "--lang", lang, "--format", "markdown")
    assert told.status == 10
    assert [line for line in told.out.splitlines() if said[0][:2] in line] == ["- **%s**" % line for line in said]
    assert "ALERT" not in ask(used(1, 10), *BOTH).out


def test_what_is_said_to_differ_is_seen_to_differ():
    # 5.0004 % is above 5 %, though both are 5.00 % in two places.
    told = ask(used(0, 10**6, 50_004), "--alert-error-rate", "5")
    (alert,) = [line for line in told.out.splitlines() if line.startswith("ALERT")]
    assert told.status == 10
    actual, limit = alert[len("ALERT: Error rate ") :].split(" is above the limit of ")
    assert actual.rstrip("%.") != limit.rstrip("%."), alert


@pytest.mark.parametrize("form", ["table", "json", "markdown", "csv"])
def test_the_answer_is_whole_beyond_a_guard_too(form, tmp_path):
    plain = ask(used(2000, 10, 1), "--format", form)
    told = ask(used(2000, 10, 1), *BOTH, "--format", form)
    assert (plain.status, told.status) == (0, 10)
    assert "2000" in told.out.replace(",", "") and len(told.out) >= len(plain.out)
    kept = tmp_path / "answer"
    filed = ask(used(2000, 10, 1), *BOTH, "--format", form, "--output", str(kept))
    assert (filed.status, filed.out) == (10, "")
    assert kept.read_bytes().decode("utf-8") == told.out


# --- a failure is neither 0 nor 10 -----------------------------------------------------------

ZERO = ("--alert-tokens", "0", "--alert-error-rate", "0")
TROUBLES = {
    "rejected": 3,
    "unknown-key": 3,
    "locked": 3,
    "clock": 3,
    "expired-token": 3,
    "arrears": 3,
    "forbidden": 4,
    "no-project": 4,
    "sub-projects": 4,
    "wrong-region": 4,
    "throttled": 5,
    "broken": 7,
    "bad-request": 7,
    "bad-figure": 7,
    "not-json": 7,
    "cut": 6,
    # These end well, and there is usage.
    "iam-forbidden": 10,
    "throttled-once": 10,
    "broken-once": 10,
    "injection": 10,
    # And here there is none.
    "no-usage": 0,
}


def test_every_trouble_is_here_but_silence():
    assert set(TROUBLES) == set(demo.TROUBLES) - {"silent"}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_failed_query_never_looks_like_a_guard(trouble):
    told = ask_json(None, "--demo", *ZERO, environ={"MAAS_USAGE_DEMO_TROUBLE": trouble})
    assert told.status == TROUBLES[trouble]
    succeeds = told.status in (0, 10)
    assert told.document["status"] == ("ok" if succeeds else "error")
    assert ("alerts" in told.document) is succeeds


NO_ANSWERS = [
    *(refused(status) for status in (302, 400, 401, 403, 404, 418, 503)),
    *(Reply(204), Reset(), Cut(b"{}" * 50, 9), Garbage(b"hello\r\n\r\n")),
    *(json_reply(200, text) for text in ("[]", "{}", "null")),
    *(json_reply(200, figures(**bad)) for bad in ({"total_request_count": None}, {"total_token": "0"})),
]


@pytest.mark.parametrize(
    "answer", NO_ANSWERS, ids=lambda answer: "%s %s" % (type(answer).__name__, getattr(answer, "status", ""))
)
def test_no_answer_is_no_crossed_guard(answer):
    def app(request):
        return PROJECTS if request.method == "GET" else answer

    told = ask(app, *ZERO)
    assert told.status not in (0, 10)
    assert told.out == "" and last_line(told.err)


def test_a_network_that_is_dead_is_no_crossed_guard():
    told = ask(None, *ZERO, environ={"HTTPS_PROXY": "http://127.0.0.1:%d" % closed_port()})
    assert (told.status, told.out) == (6, "")


def test_keys_that_are_missing_are_no_crossed_guard():
    assert ask(account(), *ZERO, keys=None).status == 3


@pytest.mark.parametrize(
    "words", [("--last", "x"), ("--last", "30d", "--by", "hour"), ("--by", "api-key"), ("--nope",)], ids=as_words
)
def test_a_usage_error_is_no_crossed_guard(words):
    assert ask(account(), *ZERO, *words).status == 2


@pytest.mark.parametrize("limit", [("--alert-tokens", "1"), ("--alert-error-rate", "5")])
def test_what_is_not_kept_cannot_be_guarded(limit):
    """Exit status 0 would say that nothing was crossed, where nothing is known."""
    words = ("--from", "2026-08-01", "--to", "2026-08-10")
    told = ask(None, "--demo", *words, *limit)
    assert (told.status, told.out) == (2, "")
    assert "guard" in told.err
    assert ask(None, "--demo", *words).status == 0
