"""What people see: tables, Markdown and CSV of the invented account at one fixed moment, and their rules.

Golden files hold each format in both languages, so that a change of a character shows. After a change that is meant:

    WRITE_GOLDEN=1 python -m pytest tests/test_render.py -k golden
    git diff tests/golden
"""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import string
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import PROJECTS, SCHEMA, ZONE, Clock, ask, assert_clean, figures, launch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maas_usage import cli, words
from maas_usage.words import approximately
from markdown_it import MarkdownIt
from rich.cells import cell_len
from stage import json_reply

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("WRITE_GOLDEN") == "1"

CASES = {
    "totals": "--last 7d",
    "worst-day": "--last 10d --by day --service-type all",
    "compare": "--period this-week --compare",
    "not-compared": "--period this-month --compare",
    "alerts": "--period yesterday --alert-tokens 100M --alert-error-rate 0.5",
    "45-days": "--last 45d",
    "retention": "--from 2026-10-22 --to 2026-10-28 --by day",
    "expired": "--from 2026-09-01 --to 2026-09-03",
    "expired-days": "--from 2026-09-01 --to 2026-09-03 --by day",
    "no-usage": "--last 3d --by day",
    "clipped": "--from 2026-11-22 --to 2026-11-30",
    "api-key": '--by api-key --api-keys web-app batch_jobs batch-jobs ci ""',
    "hyphen": "--by api-key --api-keys=-1-1",
    "service-type": "--last 24h --by service-type",
    "hour": "--last 8h --by hour",
    "hour-twice": "--from 2026-11-01T00:00 --to 2026-11-01T04:00 --by hour --timezone America/New_York",
    "batch": "--infer-type batch",
    "raw": "--last 45d --raw",
}
TROUBLE = {"no-usage": "no-usage"}


def ask_demo(spelled, *more, trouble=None, **options):
    environ = {"MAAS_USAGE_DEMO_TROUBLE": trouble, **options.pop("environ", {})}
    return ask(None, "--demo", *shlex.split(spelled), *more, environ=environ, keys=None, **options)


def printed(case, *more):
    told = ask_demo(CASES[case], *more, trouble=TROUBLE.get(case))
    assert told.status == (10 if case == "alerts" else 0)
    return told.out


def goldens():
    """Each golden file, with the case and the options that print it."""
    for case in CASES:
        for lang in words.LANGUAGES:
            yield "%s.%s.txt" % (case, lang), case, ("--format", "table", "--lang", lang)
            yield "%s.%s.md" % (case, lang), case, ("--format", "markdown", "--lang", lang)
        yield case + ".json", case, ("--format", "json", "--pretty")
        if "--raw" not in CASES[case]:
            yield case + ".csv", case, ("--format", "csv")


@pytest.mark.parametrize(
    "name, case, options", list(goldens()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_golden(name, case, options):
    content = printed(case, *options).encode("utf-8")
    if WRITE:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_bytes(content)
    assert content.decode("utf-8") == (GOLDEN / name).read_bytes().decode("utf-8")


def test_every_golden_file_is_compared():
    names = {name for name, _, _ in goldens()}
    assert {path.name for path in GOLDEN.iterdir()} == names
    assert len(names) > 80


def golden(name):
    """Newlines as they stand: CSV ends its lines otherwise."""
    return (GOLDEN / name).read_bytes().decode("utf-8")


def texts():
    return {path.name: golden(path.name) for path in sorted(GOLDEN.glob("*.txt"))}


def documents():
    return {path.stem: json.loads(golden(path.name)) for path in sorted(GOLDEN.glob("*.json"))}


# --- the shape of a table --------------------------------------------------------------------


def assert_shapely(text):
    """Fits a terminal, and nothing in it that is not text."""
    assert_clean(text)
    assert text.endswith("\n") and not text.endswith("\n\n")
    for line in text.splitlines():
        assert line == line.rstrip()
        assert cell_len(line) <= 80, line


@pytest.mark.parametrize("name", [case + "." + lang for case in CASES for lang in words.LANGUAGES if case != "raw"])
def test_a_table_fits(name):
    assert_shapely(golden(name + ".txt"))


def test_what_stands_below_a_table_is_the_services_own():
    above, raw = golden("raw.en.txt").split("\nThe service's own answers, one per call:\n")
    assert_shapely(above)
    document = json.loads(golden("raw.json"))
    assert [json.loads(line) for line in raw.splitlines()] == document["raw"]


def edge(line, before):
    """How many cells of a line lie before this index."""
    return cell_len(line[:before])


def table_lines(text):
    """The heading of the rows, the rows, and the total."""
    _, block, *_ = text.split("\n\n")
    return block.splitlines()


def right_edges(line, figures):
    """The cell at which each of these figures ends, in a row of a table."""
    found, start = [], line.index("  ")  # within a name there are single blanks alone
    for figure in figures:
        match = re.compile(r"(?<![\d,.%%])%s(?![\d,.%%])" % re.escape(figure)).search(line, start)
        assert match, (figure, line)
        start = match.end()
        found.append(edge(line, start))
    return found


def shown(usage):
    """The four figures of a row as a person reads them."""
    rate = usage["error_rate"]
    counts = [f"{usage[name]:,}" for name in ("total_tokens", "requests", "errors")]
    return [*counts, "-" if rate is None else "%.2f%%" % (rate * 100)]


WITH_ROWS = ["worst-day", "retention", "api-key", "service-type", "hour", "hour-twice"]


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("case", [*WITH_ROWS, "no-usage"])
def test_columns_are_aligned(case, lang):
    document = documents()[case]
    heading, *lines = table_lines(golden("%s.%s.txt" % (case, lang)))
    assert len(lines) == len(document["rows"]) + 1
    usages = [row["usage"] for row in document["rows"]] + [document["totals"]]
    edges = {
        tuple(right_edges(line, shown(usage)))
        for line, usage in zip(lines, usages)
        if usage["requests"] or case == "no-usage"
    }
    assert len(edges) == 1, edges
    # The headings of the counts end where the counts end.
    names = [say_of(name)[words.LANGUAGES.index(lang)] for name in ("tokens", "requests", "errors")]
    start = heading.index("  ")
    for name, right in zip(names, edges.pop()):
        start = heading.index(name, start) + len(name)
        assert edge(heading, start) == right


def say_of(name):
    return words._TEXTS[name]


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("case", WITH_ROWS)
def test_bars_say_how_the_rows_compare(case, lang):
    document = documents()[case]
    _, *lines, total = table_lines(golden("%s.%s.txt" % (case, lang)))
    bars = [line.count("█") for line in lines]
    most = max(row["usage"]["total_tokens"] for row in document["rows"])
    assert "█" not in total
    if not any(bars):  # no room was left for them
        assert max(map(cell_len, lines)) > 70
        return
    for row, bar, line in zip(document["rows"], bars, lines):
        tokens = row["usage"]["total_tokens"]
        assert abs(bar - max(bars) * tokens / most) <= 0.5 + 1e-9
        assert ("▏" in line) == (tokens > 0 and not bar)


@pytest.mark.parametrize("lang, mark", [("en", "worst"), ("zh", "最差")])
@pytest.mark.parametrize("case", [case for case in WITH_ROWS if case not in ("hour",)])
def test_the_worst_row_is_marked(case, lang, mark):
    document = documents()[case]
    rows = [row for row in document["rows"] if row["usage"]["requests"]]
    worst = max(rows, key=lambda row: Fraction(row["usage"]["errors"], row["usage"]["requests"]))
    _, *lines, _ = table_lines(golden("%s.%s.txt" % (case, lang)))
    assert [index for index, line in enumerate(lines) if line.endswith(mark)] == [document["rows"].index(worst)]
    assert [line.endswith("◄ " + mark) for line in lines].count(True) == 1
    (said,) = [
        line for line in golden("%s.%s.txt" % (case, lang)).splitlines() if line.startswith(("Worst", "错误率最高"))
    ]
    assert shown(worst["usage"])[3] in said


@pytest.mark.parametrize("case", ["totals", "no-usage", "hyphen", "expired-days"])
def test_nothing_is_the_worst_of_nothing(case):
    for lang, said in (("en", "orst"), ("zh", "最")):
        assert said not in golden("%s.%s.txt" % (case, lang)).replace("最长", "").replace("最近", "").replace(
            "最小", ""
        )


@pytest.mark.parametrize("case", ["worst-day", "retention"])
def test_days_bear_their_weekday(case):
    for lang, days in (("en", "Mon Tue Wed Thu Fri Sat Sun"), ("zh", "周一 周二 周三 周四 周五 周六 周日")):
        _, *lines, _ = table_lines(golden("%s.%s.txt" % (case, lang)))
        for line, row in zip(lines, documents()[case]["rows"]):
            day, weekday = line.replace("*", " ").split()[:2]
            assert day == row["group"]
            assert weekday == days.split()[datetime.fromisoformat(row["group"]).weekday()]
            assert ("*" in line.split("  ")[0]) is row["partial"]


def test_an_hour_that_comes_twice_has_two_names():
    _, *lines, _ = table_lines(golden("hour-twice.en.txt"))
    assert [line.split("  ")[0] for line in lines[1:3]] == ["11-01 01:00-04:00", "11-01 01:00-05:00"]


@pytest.mark.parametrize("name", ["expired", "expired-days"])
@pytest.mark.parametrize("ending", ["en.txt", "zh.txt", "en.md", "zh.md"])
def test_a_past_that_is_gone_never_looks_like_a_zero(name, ending):
    text = golden("%s.%s" % (name, ending))
    # Neither as a figure nor as a rate; dates and times are no figures.
    assert not re.search(r"(?<![\d:.-])0(?![\d:.-])|0\.00", text.replace("(0)", ""))
    assert re.search("No figure|没有数字", text)


@pytest.mark.parametrize("ending", ["en.txt", "zh.txt", "en.md", "zh.md"])
def test_rows_that_are_gone_never_look_like_zeros(ending):
    gone = [line for line in golden("retention." + ending).splitlines() if re.match(r"(\| )?2026-10-2[234]", line)]
    assert len(gone) == 3
    assert not [line for line in gone if re.search(r"\b0\b|0\.00", re.sub(r"2026-\d\d-\d\d", "", line))]


@pytest.mark.parametrize("case", sorted(set(CASES) - {"expired", "expired-days"}))
def test_first_comes_how_much_then_since_when_and_where(case):
    document = documents()[case]
    tokens = "{:,}".format(document["totals"]["total_tokens"])
    for lang in words.LANGUAGES:
        demo, sentence, window, *_ = golden("%s.%s.txt" % (case, lang)).splitlines()
        assert demo == say_of("demo")[words.LANGUAGES.index(lang)]
        assert tokens in sentence
        assert ("at least" in sentence.lower() or "至少" in sentence) is not document["coverage"]["complete"]
        # In English by the name that the window was asked for.
        assert window.startswith(document["window"]["expression"]) or lang != "en"
        assert document["window"]["start"][:10] in window
        above = golden("%s.%s.txt" % (case, lang)).split("\n\n")[0]
        assert document["window"]["timezone"] in above


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_out_stands_at_the_foot(case):
    document = documents()[case]
    for lang in words.LANGUAGES:
        text = golden("%s.%s.txt" % (case, lang))
        notes = [line for line in text.splitlines() if line.startswith(("Note: ", "注意："))]
        assert len(notes) >= len(document["warnings"]) + (document["coverage"]["provisional_since"] is not None)
        markdown = golden("%s.%s.md" % (case, lang))
        assert len(re.findall("^- (?:Note: |注意：)", markdown, re.MULTILINE)) == len(notes)
    unwrapped = " ".join(golden(case + ".en.txt").split())
    for warning in document["warnings"]:
        assert warning["message"] in unwrapped


# --- whatever is in it -----------------------------------------------------------------------


def used(**members):
    usage = json_reply(200, figures(**members))

    def app(request):
        return PROJECTS if request.method == "GET" else usage

    return app


LARGE = {"total_token": 98_765_432_109, "total_request_count": 9_876_543_210, "total_error_count": 1_234_567_890}
LARGEST = {"total_token": 10**18, "total_request_count": 10**18, "total_error_count": 10**18}
LONG = ("x" * 45 + "-1", "x" * 45 + "-2")
LONGEST = ("y" * 98 + "-1", "y" * 98 + "-2")


@pytest.mark.parametrize(
    "usage, spelled",
    [
        ({}, ("--last", "3h", "--by", "hour")),
        (LARGE, ("--last", "3d", "--by", "day")),
        (LARGE, ("--last", "3h", "--by", "hour")),
        (LARGE, ("--by", "service-type")),
        (LARGEST, ("--last", "2h", "--by", "hour")),
        ({}, ("--by", "api-key", "--api-keys", *LONG)),
        (LARGE, ("--by", "api-key", "--api-keys", *LONG)),
        (LARGE, ("--by", "api-key", "--api-keys", *LONGEST)),
    ],
    ids=["small", "days", "hours", "types", "largest", "label of 47", "label of 47, large", "label of 100"],
)
def test_figures_are_never_cut(usage, spelled):
    document = json.loads(ask(used(**usage), *spelled, "--format", "json").out)
    for lang in words.LANGUAGES:
        block = ask(used(**usage), *spelled, "--lang", lang).out.split("\n\n")[1]
        for row in [*(row["usage"] for row in document["rows"]), document["totals"]]:
            for figure in shown(row):
                assert re.search(r"(?<![\d,.])%s(?![\d,.])" % re.escape(figure), block), (figure, block)
        assert "…" not in block


def test_long_labels_can_be_told_apart():
    for labels in (LONG, LONGEST):
        text = ask(used(), "--by", "api-key", "--api-keys", *labels).out
        names = [line.split("  ")[0].split(" ")[0] for line in text.split("\n\n")[1].splitlines()]
        assert all(label in "".join(names) for label in labels)


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize(
    "spelled",
    [
        ("--by", "api-key", "--api-keys", *LONG),
        ("--by", "api-key", "--api-keys", *LONGEST),
        ("--api-keys", *("label-%d" % number for number in range(40))),
        ("--last", "1h", "--by", "hour", "--timezone", "America/Argentina/ComodRivadavia", "--service-type", "all"),
        (
            "--from",
            "2026-11-20T10:00:00.123+08:00",
            "--to",
            "2026-11-21T10:00:00.456+08:00",
            "--by",
            "day",
            "--compare",
        ),
    ],
    ids=["label of 47", "label of 100", "forty labels", "long zone", "long window"],
)
def test_whatever_is_asked_fits(spelled, lang):
    assert_shapely(ask(used(), *spelled, "--lang", lang).out)


@settings(max_examples=15, deadline=None)
@given(
    usage=st.fixed_dictionaries(
        {
            "total_token": st.integers(0, 10**9),
            "total_request_count": st.integers(10**5, 10**8),
            "total_error_count": st.integers(0, 10**5),
        }
    ),
    spelled=st.sampled_from(
        [("--last", "2d", "--by", "day"), ("--by", "service-type"), ("--last", "2h", "--by", "hour"), ("--compare",)]
    ),
    lang=st.sampled_from(words.LANGUAGES),
)
def test_whatever_was_used_fits(usage, spelled, lang):
    text = ask(used(**usage), *spelled, "--lang", lang).out
    assert_shapely(text)
    assert "…" not in text


def test_milliseconds_of_a_window_are_not_dropped():
    window = ("--from", "2026-11-20T10:00:00.500", "--to", "2026-11-20T11:00:30.250")
    text = ask(used(), *window).out
    assert "2026-11-20 10:00:00.500" in text and "2026-11-20 11:00:30.250" in text


# --- colour ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [{"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}, {"NO_COLOR": "1"}, {"COLUMNS": "40", "TERM": "xterm-256color"}],
    ids=" ".join,
)
def test_no_colour_in_a_pipe(environ):
    told = ask_demo(CASES["worst-day"], environ=environ)
    assert (told.out, told.err) == (golden("worst-day.en.txt"), "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(monkeypatch, *spelled, **environ):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    out = Terminal()
    with contextlib.redirect_stdout(out):
        assert cli.main(["--demo", "--timezone", ZONE, *spelled], timing=Clock().timing()) in (0, 10)
    return out.getvalue()


def without_colour(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("case", ["worst-day", "alerts", "no-usage"])
def test_colour_on_a_terminal_changes_nothing_else(monkeypatch, case):
    trouble = {"MAAS_USAGE_DEMO_TROUBLE": TROUBLE[case]} if case in TROUBLE else {}
    text = on_a_terminal(monkeypatch, *shlex.split(CASES[case]), "--lang", "en", TERM="xterm", **trouble)
    assert "\x1b[" in text
    assert [line.rstrip() for line in without_colour(text).splitlines()] == golden(case + ".en.txt").splitlines()


def test_no_colour_where_it_is_not_wanted(monkeypatch):
    text = on_a_terminal(monkeypatch, *shlex.split(CASES["worst-day"]), "--lang", "en", TERM="xterm", NO_COLOR="1")
    assert text == golden("worst-day.en.txt")


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
def test_no_colour_in_other_formats(monkeypatch, form):
    assert "\x1b" not in on_a_terminal(monkeypatch, "--last", "3d", "--by", "day", "--format", form, TERM="xterm")


# --- languages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ, lang",
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "zh_CN"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": ""}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}, "zh"),
    ],
    ids=lambda value: " ".join("%s=%s" % pair for pair in value.items()) if isinstance(value, dict) else value,
)
def test_the_language_is_the_locales(environ, lang):
    told = ask_demo(CASES["totals"], environ={"LC_ALL": None, **environ})
    assert told.out == golden("totals.%s.txt" % lang)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_language_that_is_named_wins(lang):
    told = ask_demo(
        CASES["totals"], "--lang", lang, environ={"LC_ALL": "en_US.UTF-8" if lang == "zh" else "zh_CN.UTF-8"}
    )
    assert told.out == golden("totals.%s.txt" % lang)


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("case", ["compare", "api-key", "expired"])
def test_json_and_csv_never_change_with_the_language(case, form):
    expected = golden("%s.%s" % (case, form)).encode("utf-8")
    for more, environ in ((("--lang", "en"), {}), (("--lang", "zh"), {}), ((), {"LC_ALL": "zh_CN.UTF-8"})):
        pretty = ("--pretty",) if form == "json" else ()
        told = ask_demo(CASES[case], "--format", form, *pretty, *more, environ=environ)
        assert told.out.encode("utf-8") == expected


def test_errors_never_change_with_the_language():
    told = [
        ask_demo("--last x", "--format", form, "--lang", lang) for form in ("json", "table") for lang in ("en", "zh")
    ]
    assert (told[0].said, told[2].said) == (told[1].said, told[3].said)


def places(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_every_text_has_both_languages():
    assert len(words._TEXTS) > 40
    for name, pair in words._TEXTS.items():
        assert len(pair) == len(words.LANGUAGES) == 2, name
        english, chinese = pair
        assert english.strip() and chinese.strip(), name
        assert places(english) == places(chinese), name
        assert english.isascii(), name
        known = re.sub(r"token|API Key|\{[^{}]*\}", "", chinese)
        assert not re.search("[A-Za-z]{3}", known.replace("华为云 MaaS", "")), name


def test_every_warning_has_both_languages():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    codes = schema["$defs"]["warning"]["properties"]["code"]["enum"]
    assert set(words._WARNINGS_ZH) == set(codes)
    for code in codes:
        member = {"code": code, "message": "in English"}
        assert words.warning("en", member, "2026-10-25 05:32:10") == "in English"
        chinese = words.warning("zh", member, "2026-10-25 05:32:10")
        assert re.search("[\u4e00-\u9fff]{5}", chinese) and "{" not in chinese


def test_every_warning_is_printed_somewhere_in_both_languages():
    shown_codes = {warning["code"] for document in documents().values() for warning in document["warnings"]}
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    codes = set(schema["$defs"]["warning"]["properties"]["code"]["enum"])
    assert codes - shown_codes == {"credentials_file_readable"}  # the demo has no file


def test_no_english_is_left_in_chinese():
    for name, text in texts().items():
        if name.endswith(".zh.txt") and not name.startswith("raw"):
            # But for names: of zones, options, regions and labels.
            names = r"token|API Key|[A-Za-z]+/[A-Za-z_]+|--[a-z-]+ \w+|[a-z]+[-_][a-z0-9_-]+"
            left = re.sub(names, "", text)
            assert not re.findall("[A-Za-z]{5,}", left), name


@pytest.mark.parametrize(
    "number, english, chinese",
    [
        (0, "", ""),
        (999, "", ""),
        (9_900, "", ""),
        (10_000, "", "1 万"),
        (12_345, "", "1.23 万"),
        (99_999, "", "10 万"),
        (123_456, "", "12.35 万"),
        (994_000, "", "99.4 万"),
        (1_000_000, "1 million", "100 万"),
        (1_234_567, "1.23 million", "123.5 万"),
        (1_500_000, "1.5 million", "150 万"),
        (9_990_000, "9.99 million", "999 万"),
        (9_995_000, "10 million", "999.5 万"),
        (12_345_678, "12.35 million", "1,235 万"),
        (99_999_999, "100 million", "1 亿"),
        (100_000_000, "100 million", "1 亿"),
        (123_456_789, "123.5 million", "1.23 亿"),
        (999_940_000, "999.9 million", "10 亿"),
        (999_999_999, "1 billion", "10 亿"),
        (1_000_000_000, "1 billion", "10 亿"),
        (2_482_084_980, "2.48 billion", "24.82 亿"),
        (123_456_789_012, "123.5 billion", "1,235 亿"),
        (999_999_999_999, "1 trillion", "1 万亿"),
        (10**12, "1 trillion", "1 万亿"),
        (1_234_500_000_000, "1.23 trillion", "1.23 万亿"),
        (10**15, "1,000 trillion", "1,000 万亿"),
        (10**21, "1,000,000,000 trillion", "1,000,000,000 万亿"),
    ],
)
def test_large_numbers_as_people_say_them(number, english, chinese):
    assert approximately("en", number).strip() == english
    assert approximately("zh", number).strip() == chinese


@settings(max_examples=200, deadline=None)
@given(st.integers(10**6, 10**15), st.sampled_from(words.LANGUAGES))
@example(999_999_999, "en")
@example(99_999_999, "zh")
def test_what_people_say_is_near_the_number(number, lang):
    sizes = {"million": 10**6, "billion": 10**9, "trillion": 10**12, "万": 10**4, "亿": 10**8, "万亿": 10**12}
    said, unit = approximately(lang, number).split()
    digits = Fraction(said.replace(",", ""))
    assert abs(digits * sizes[unit] - number) <= Fraction(number, 180)
    assert not said.endswith(".0") and "E" not in said
    assert digits < (10**3 if unit in ("million", "billion") else 10**4)


# --- CSV -------------------------------------------------------------------------------------

COLUMNS = "source group start end partial total_tokens prompt_tokens completion_tokens requests errors error_rate"
COLUMNS = [*COLUMNS.split(), "batch_tasks", "batch_inferences"]


@pytest.mark.parametrize("case", [case for case in CASES if case != "raw"])
def test_csv_is_rfc_4180(case):
    text = golden(case + ".csv")
    assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n") == text.count("\r")
    assert text.isascii()
    header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert header == COLUMNS
    document = documents()[case]
    # Rows, or the total, and never both.
    groups = [row["group"] for row in document["rows"]] or ["total"]
    assert [line[1].lstrip("'") for line in lines] == groups
    assert {line[0] for line in lines} == {"demo"}
    expected = document["rows"] or [{"usage": document["totals"]}]
    for line, row in zip(lines, expected):
        told = dict(zip(header, line))
        assert told["start"] == row.get("start", document["window"]["start"])
        assert told["end"] == row.get("end", document["window"]["end"])
        assert told["partial"] == ("true" if row.get("partial") else "false")
        for name in COLUMNS[5:]:
            figure = row["usage"][name]
            gone = case.startswith("expired") or (case == "retention" and told["end"] < "2026-10-25T05:32")
            if gone:
                # A spreadsheet adds up what it is given: what is not known is empty.
                assert told[name] == ""
            else:
                assert told[name] == ("" if figure is None else json.dumps(figure))


def test_a_label_is_no_formula():
    (line,) = golden("hyphen.csv").splitlines()[1:]
    group = line.split(",")[1]
    assert group == "'-1-1"
    assert not re.match(r"[-=+@\t\r]", group)


def test_warnings_of_csv_stand_beside_it():
    told = ask_demo(CASES["45-days"], "--format", "csv")
    assert told.out == golden("45-days.csv")
    (line,) = told.err.splitlines()
    assert line.startswith("beyond_retention: ")


def test_raw_has_no_place_in_csv():
    told = ask_demo(CASES["raw"], "--format", "csv")
    assert (told.status, told.out) == (2, "")


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "table"])
def test_line_ends_where_the_system_writes_its_own(form):
    """As on Windows, where a text stream makes \\r\\n of \\n."""
    content = io.BytesIO()
    out = io.TextIOWrapper(content, encoding="utf-8", newline="\r\n")
    with contextlib.redirect_stdout(out):
        told = cli.main(
            ["--demo", "--timezone", ZONE, "--last", "3d", "--by", "day", "--format", form], timing=Clock().timing()
        )
        out.flush()
    assert told == 0
    assert b"\r\r\n" not in content.getvalue()


# --- Markdown --------------------------------------------------------------------------------


def rendered(text):
    """The tokens that a Markdown renderer makes of it, inline ones flattened among them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [inner for token in tokens for inner in [token, *(token.children or [])]]


def table_of(tokens):
    """The text of a table's cells, line by line."""
    rows, cell = [], None
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            cell = ""
        elif token.type in ("td_close", "th_close"):
            rows[-1].append(cell)
            cell = None
        elif token.type in ("text", "text_special") and cell is not None:
            cell += token.content
    return rows


def plain(tokens):
    return "\n".join(token.content for token in tokens if token.type in ("text", "text_special", "softbreak"))


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("case", [case for case in CASES if case != "raw"])
def test_markdown_is_what_it_looks_like(case, lang):
    text = golden("%s.%s.md" % (case, lang))
    assert_clean(text)
    assert text.endswith("\n") and not text.endswith("\n\n")
    document = documents()[case]
    tokens = rendered(text)
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_inline", "html_block", "code_block", "em_open", "link_open", "heading_open", "hr"}
    # The figure comes first, in bold.
    bold = [after.content for before, after in zip(tokens, tokens[1:]) if before.type == "strong_open"]
    assert bold[0] == say_of("demo")[words.LANGUAGES.index(lang)]
    if not case.startswith("expired"):
        assert "{:,}".format(document["totals"]["total_tokens"]) in bold[1]
    heading, *lines = table_of(tokens)
    assert {len(line) for line in lines} == {len(heading)}
    if document["rows"] and not case.startswith("expired"):
        assert len(lines) == len(document["rows"]) + 1
        for line, usage in zip(lines, [*(row["usage"] for row in document["rows"]), document["totals"]]):
            if usage["requests"]:
                assert line[1].strip("*") == "{:,}".format(usage["total_tokens"])
                assert line[6].split(" ")[0] == shown(usage)[3]
    # Nothing of the source text is left standing in what is read.
    assert "**" not in plain(tokens) and "\\" not in plain(tokens)


def test_labels_in_markdown_are_read_as_they_are():
    labels = ["__init__", "_x_", "a_b_c", "-x-", "1", "0-0"]
    text = ask(used(), "--by", "api-key", "--api-keys=-x-", "--format", "markdown").out
    assert [line[0] for line in table_of(rendered(text))[1:-1]] == ["-x-"]
    labels = [label for label in labels if not label.startswith("-")]
    text = ask(used(), "--by", "api-key", "--api-keys", *labels, "--format", "markdown").out
    tokens = rendered(text)
    assert [line[0] for line in table_of(tokens)[1:-1]] == labels
    assert ", ".join(labels) in "".join(plain(tokens).split("\n"))


def test_a_zone_in_markdown_is_read_as_it_is():
    tokens = rendered(golden("hour-twice.en.md"))
    assert "America/New_York" in "".join(plain(tokens).split("\n"))


@pytest.mark.parametrize("trouble", [None, "injection"])
def test_raw_answers_in_markdown_are_code(trouble):
    """What the service sends is data: a renderer must neither format it nor take it for HTML."""
    told = ask_demo("--last 24h --raw --format markdown", trouble=trouble)
    document = json.loads(ask_demo("--last 24h --raw --format json", trouble=trouble).out)
    code = [token.content for token in rendered(told.out) if token.type in ("fence", "code_block")]
    assert [json.loads(line) for block in code for line in block.splitlines()] == document["raw"]


# --- consoles --------------------------------------------------------------------------------


def test_a_console_that_speaks_gbk():
    done = launch(
        "--demo", "--last", "10d", "--by", "day", "--compare", "--lang", "zh",
        environ={"PYTHONIOENCODING": "gbk"},
        text=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("gbk")
    assert "?" not in text
    assert "█" in text and "最差" in text
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    # What GBK cannot encode has become something as wide.
    lines = table_lines(text)
    edges = {cell_len(line[: match.end()]) for line in lines for match in [re.search(r"[\d,]+(?=  )", line)] if match}
    assert len(edges) == 1


def test_a_console_that_speaks_ascii():
    done = launch(
        "--demo", "--last", "10d", "--by", "day", "--compare", "--lang", "en",
        environ={"PYTHONIOENCODING": "ascii"},
        text=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    assert "?" not in text and re.search(" #{5,} .* < +worst$", text, re.MULTILINE)
    assert all(len(line) <= 80 for line in text.splitlines())


def test_chinese_on_a_console_that_has_none_keeps_its_figures():
    environ = {"PYTHONIOENCODING": "ascii"}
    done = launch("--demo", "--period", "yesterday", "--lang", "zh", environ=environ, text=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(rb"(?m)^[0-9]{1,3}(,[0-9]{3}){2} ", done.stdout)
