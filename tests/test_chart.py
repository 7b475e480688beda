"""The picture of a document: what is on it, what is refused, and that nothing is left behind."""

import copy
import io
import json
import os
import re
import struct
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from maas_usage import chart, chart_picture, chart_rows, files
from maas_usage.secrecy import Redactor

SCRIPT = Path(chart.__file__).resolve().parents[1] / "maas_usage_chart.py"
ZONE = timezone(timedelta(hours=8))
NOW = datetime(2026, 11, 24, 5, 32, 10, tzinfo=ZONE)
UNDO = "\x1b[31m\u202e\u2028"


def usage(total, requests=100, errors=2):
    return {
        "total_tokens": total,
        "prompt_tokens": total * 90 // 100,
        "completion_tokens": total * 9 // 100,
        "requests": requests,
        "errors": errors,
        "error_rate": errors / requests if requests else None,
        "batch_tasks": 0,
        "batch_inferences": None,
    }


def window(start, end=NOW, expression="last 7d"):
    return {
        "expression": expression,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "start_ms": int(start.timestamp() * 1000),
        "end_ms": int(end.timestamp() * 1000),
        "timezone": "Asia/Shanghai",
        "includes_now": end == NOW,
    }


def answer(by, rows, start=None, source="huawei-cloud", **members):
    """A conforming document with these rows: the chart would refuse another."""
    figures = [row["usage"] for row in rows]
    totals = {
        name: sum(one[name] or 0 for one in figures)
        for name in ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors", "batch_tasks")
    }
    totals["error_rate"] = totals["errors"] / totals["requests"] if totals["requests"] else None
    totals["batch_inferences"] = None
    retained_since = NOW - timedelta(days=30)
    start = start or NOW - timedelta(days=7)
    result = {
        "schema_version": "1.0",
        "status": "ok",
        "source": source,
        "generated_at": NOW.isoformat(),
        "query": {
            "region": "cn-southwest-2",
            "project_id": "p" * 32,
            "service_types": [2],
            "infer_type": "real_time",
            "api_keys": None,
            "group_by": by,
            "compare": False,
        },
        "window": window(start),
        "totals": totals,
        "rows": rows,
        "previous": None,
        "coverage": {
            "complete": start >= retained_since,
            "retained_since": retained_since.isoformat(),
            "provisional_since": (NOW - timedelta(hours=2)).isoformat(),
        },
        "alerts": [],
        "warnings": [],
        "api_calls": 1,
    }
    result.update(members)
    return result


def timed(by, count, of_row=lambda number: usage(10**6 * (number % 7 + 1)), **members):
    """Days or hours until now, without gaps; the first and last are cut by the window."""
    step = timedelta(days=1) if by == "day" else timedelta(hours=1)
    start = NOW - (count - 1) * step
    rows = []
    for number in range(count):
        moment = start + number * step
        moment = moment.replace(minute=0, second=0) if by == "hour" else moment.replace(hour=0, minute=0, second=0)
        rows.append(
            {
                "group": moment.date().isoformat() if by == "day" else moment.isoformat(),
                "start": max(start, moment).isoformat(),
                "end": min(NOW, moment + step).isoformat(),
                "partial": number in (0, count - 1),
                "usage": of_row(number),
            }
        )
    return answer(by, rows, start, **members)


def labelled(labels, by="api-key"):
    return answer(by, [{"group": label, "usage": usage(10**7 * (n + 1))} for n, label in enumerate(labels)])


def one_bad_day(count=10, bad=4, **members):
    return timed("day", count, lambda n: usage(2 * 10**8, 1000, 250 if n == bad else 5), **members)


def figure_of(wanted, theme=chart_picture.LIGHT):
    """The figure of a document as the command reads it."""
    return chart_picture.picture(chart.read(json.dumps(wanted).encode(), Redactor()), theme)


def axes_of(figure):
    return {axes.get_label(): axes for axes in figure.axes}


def tick_labels(figure):
    return [label.get_text() for label in axes_of(figure)["tokens"].get_xticklabels()]


def times_of(wanted):
    return [mark for _, mark in chart_rows.ticks(chart_rows.bars(wanted), wanted["query"]["group_by"], 1100)]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(figure):
    from matplotlib.text import Text

    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def said(figure):
    return "\n".join(text.get_text() for text in texts(figure))


def run(*words):
    return chart.main([str(word) for word in words])


@pytest.fixture
def kept(tmp_path):
    """Writes a document, or bytes, beside which nothing else is."""

    def kept(content, name="usage.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return kept


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["usage.png", "USAGE.PNG", "with a blank 用量.png"])
def test_a_png_is_1200_by_675_pixels(kept, tmp_path, name):
    assert run(kept(timed("day", 3)), "-o", tmp_path / name) == 0
    content = (tmp_path / name).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1200, 675)


def test_an_svg_has_its_words_as_text(kept, tmp_path):
    assert run("-o", tmp_path / "usage.svg", kept(one_bad_day())) == 0
    content = (tmp_path / "usage.svg").read_text(encoding="utf-8")
    assert content.startswith("<?xml")
    assert ">worst: Thu 19 Nov, 25.00% (250 of 1,000 requests)</text>" in content
    assert "<title>2,000,000,000 tokens (about 2 billion)</title>" in content


@pytest.mark.parametrize("kind", [".png", ".svg"])
def test_the_same_document_gives_the_same_bytes(kind):
    first, second = (chart_picture.encoded(figure_of(timed("hour", 4, source="demo")), kind) for _ in range(2))
    assert first == second
    assert b"20%02d-" % (datetime.now().year % 100) not in re.sub(rb"2026-11-\d\d", b"", first)


def test_light_and_dark_differ_in_ground_and_not_in_words():
    light, dark = (figure_of(one_bad_day(), theme) for theme in (chart_picture.LIGHT, chart_picture.DARK))
    assert said(light) == said(dark)
    assert sum(light.get_facecolor()[:3]) > 2.5 > 0.5 > sum(dark.get_facecolor()[:3])
    assert axes_of(dark)["tokens"].get_facecolor() == dark.get_facecolor()


def test_what_stood_there_is_replaced_and_a_link_stays_one(kept, tmp_path):
    (tmp_path / "real.svg").write_text("before")
    os.chmod(tmp_path / "real.svg", 0o640)
    (tmp_path / "link.svg").symlink_to("real.svg")
    assert run(kept(timed("day", 3)), "-o", tmp_path / "link.svg", "--dark") == 0
    assert (tmp_path / "link.svg").is_symlink()
    assert "<svg" in (tmp_path / "real.svg").read_text(encoding="utf-8")
    assert (tmp_path / "real.svg").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_document_can_be_piped_in_from_any_shell(monkeypatch, tmp_path, encoding):
    content = json.dumps(timed("day", 3)).encode(encoding)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run("-", "-o", tmp_path / "usage.svg") == 0
    assert (tmp_path / "usage.svg").exists()


def test_the_users_own_matplotlib_settings_change_nothing(tmp_path, kept):
    (tmp_path / "matplotlibrc").write_text("font.size: 40\naxes.facecolor: red\nsavefig.bbox: tight\n")
    environ = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": "no-such-backend"}
    words = [sys.executable, str(SCRIPT), str(kept(timed("day", 9))), "-o", str(tmp_path / "usage.png")]
    told = subprocess.run(words, env=environ, cwd=str(tmp_path), capture_output=True, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")
    assert (tmp_path / "usage.png").read_bytes() == chart_picture.encoded(figure_of(timed("day", 9)), ".png")


# --- what is on it ---------------------------------------------------------------------------


@pytest.mark.parametrize("by, count", [("day", 1), ("day", 30), ("hour", 24), ("hour", 168)])
def test_every_row_has_a_bar_of_prompt_and_completion_and_a_total_above(by, count):
    tokens = axes_of(figure_of(timed(by, count)))["tokens"]
    prompt, completion = tokens.containers
    assert len(prompt) == len(completion) == count
    (total,) = [line for line in tokens.lines if line.get_gid() == "total"]
    for below, above, mark in zip(prompt, completion, total.get_ydata()):
        assert above.get_y() == pytest.approx(below.get_height())
        assert above.get_y() + above.get_height() < mark


def test_the_heading_says_how_much_since_when_and_where():
    figure = figure_of(one_bad_day())
    heading = said(figure)
    assert "2,000,000,000 tokens (about 2 billion)" in heading
    assert "last 7d: 2026-11-15 05:32 to now (2026-11-24 05:32), Asia/Shanghai" in heading
    assert "10,000 requests, 295 failed (2.95%) · preset services (2); real-time inference; cn-southwest-2" in heading


def test_whole_dates_are_said_without_clock_times():
    start, end = (datetime(2026, 11, day, tzinfo=ZONE) for day in (16, 23))
    figure = figure_of(timed("day", 7, window=window(start, end, "last-week")))
    assert "last-week: 2026-11-16 to the end of 2026-11-22, Asia/Shanghai" in said(figure)
    half = window(start, end + timedelta(hours=10), "from there")
    assert "2026-11-16 00:00 to 2026-11-23 10:00" in said(figure_of(timed("day", 7, window=half)))


def test_a_window_that_is_not_whole_says_at_least_and_is_shaded():
    warned = [{"code": "beyond_retention", "message": "What lies before may be missing."}]
    figure = figure_of(timed("day", 40, warnings=warned))
    assert "At least 155,000,000 tokens" in said(figure)
    assert "What lies before may be missing." in said(figure)
    assert "may be missing (over 30 days old)" in legend(figure)
    assert "may be missing (over 30 days old)" not in legend(figure_of(timed("day", 7)))


def test_a_window_that_is_not_kept_at_all_has_no_figure():
    old = NOW - timedelta(days=50)
    gone = timed("day", 3, lambda n: usage(0, 0, 0), window=window(old, old + timedelta(days=3)))
    gone["coverage"]["complete"] = False
    assert "No figure: the service does not keep this window any more" in said(figure_of(gone))


def test_the_worst_row_is_marked_and_named():
    figure = figure_of(one_bad_day(bad=4))
    (mark,) = [line for line in axes_of(figure)["rates"].lines if line.get_gid() == "worst"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([4], [25.0])
    assert "worst: Thu 19 Nov, 25.00% (250 of 1,000 requests)" in said(figure)


def test_hours_name_the_worst_day_too_since_one_hour_may_be_bad_luck():
    def of_hour(number):
        return usage(1000, 1, 1) if number == 5 else usage(1000, 100, 30 if 72 <= number < 96 else 0)

    words = said(figure_of(timed("hour", 168, of_hour)))
    assert "worst day: Fri 20 Nov" in words
    assert "worst hour: Tue 17 Nov 11:00, 100.00% (1 of 1 request)" in words
    assert "worst day" not in said(figure_of(timed("hour", 24, of_hour)))


def test_without_requests_there_is_no_rate_and_without_errors_no_worst():
    silent = figure_of(timed("day", 5, lambda n: usage(0, 0, 0)))
    assert "no requests" in said(silent) and "0 tokens" in said(silent)
    some = figure_of(timed("day", 5, lambda n: usage(10, 0 if n else 10, 0)))
    assert "no errors" in said(some) and "worst" not in said(some)
    points = [line for line in axes_of(some)["rates"].lines if len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in points] == [[0]]


def test_partial_and_provisional_rows_are_hatched_and_no_others():
    figure = figure_of(timed("hour", 24))
    for bars in axes_of(figure)["tokens"].containers:
        hatches = [bar.get_hatch() or "" for bar in bars]
        assert ["/" in hatch for hatch in hatches] == [True] + 22 * [False] + [True]
        assert ["\\" in hatch for hatch in hatches] == 21 * [False] + 3 * [True]
    assert {"partly in the window", "may still grow"} < set(legend(figure))


def test_settled_whole_rows_have_no_hatch_and_no_legend_for_it():
    settled = timed("day", 5)
    settled["coverage"]["provisional_since"] = None
    for row in settled["rows"]:
        row["partial"] = False
    figure = figure_of(settled)
    assert not any(bar.get_hatch() for bars in axes_of(figure)["tokens"].containers for bar in bars)
    assert legend(figure) == ["prompt", "completion", "total, as the service counts it"]
    assert "may still grow" not in said(figure)


def test_demo_data_says_so_across_the_picture():
    figure = figure_of(timed("day", 2, source="demo"))
    svg = chart_picture.encoded(figure, ".svg").decode()
    assert "DEMO DATA</text>" in svg and "<title>DEMO DATA: " in svg
    assert b"DEMO DATA" in chart_picture.encoded(figure, ".png")
    assert "DEMO" not in said(figure_of(timed("day", 2)))
    figure.draw_without_rendering()
    (mark,) = [text for text in texts(figure) if text.get_text() == "DEMO DATA"]
    assert mark.get_alpha() < 0.3 and mark.get_window_extent().width > 700


@pytest.mark.parametrize(
    "tokens, name",
    [(7, "tokens"), (8 * 10**3, "thousand"), (3 * 10**6, "million"), (2 * 10**9, "billion"), (10**13, "trillion")],
)
def test_the_axis_counts_in_what_people_say(tokens, name):
    axes = axes_of(figure_of(timed("day", 5, lambda n: usage(tokens))))["tokens"]
    assert axes.get_ylabel().startswith(name)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "0" and 3 <= len(labels) <= 8
    assert max(float(label.replace(",", "")) for label in labels) <= 10**4


def test_the_window_before_is_mentioned():
    before = timed("day", 7)
    change = {name: {"absolute": 1, "ratio": -0.25} for name in before["totals"]}
    start = NOW - timedelta(days=14)
    before = {
        "window": window(start, NOW - timedelta(days=7)),
        "totals": usage(4 * 10**9),
        "coverage": before["coverage"],
        "change": change,
    }
    said_of = "Before (2026-11-10 05:32 to 2026-11-17 05:32): "
    assert said_of + "4 billion tokens; now 25.0% less" in said(figure_of(timed("day", 7, previous=before)))
    change["total_tokens"]["ratio"] = None
    assert said_of + "4 billion tokens\n" in said(figure_of(timed("day", 7, previous=before)))
    before.update(totals=None, change=None)
    assert said_of + "not kept any more" in said(figure_of(timed("day", 7, previous=before)))


def test_the_foot_holds_alerts_and_warnings_but_not_those_about_the_machine():
    warned = [
        {"code": "types_may_overlap", "message": "Some calls may count twice."},
        {"code": "credentials_file_readable", "message": "Others can read the key file."},
    ]
    alerts = [
        {"metric": "error_rate", "limit": 0.05, "actual": 0.11},
        {"metric": "total_tokens", "limit": 1000, "actual": 28000000},
    ]
    words = said(figure_of(timed("day", 7, warnings=warned, alerts=alerts))).replace("\n", " ")
    assert "Error rate 11.00% is above the limit of 5.00%." in words
    assert "Total tokens 28,000,000 is above the limit of 1,000." in words
    assert "Some calls may count twice." in words
    assert "key file" not in words


def test_days_have_names_and_months_where_they_begin():
    labels = times_of(timed("day", 30))
    assert len(labels) == 30
    assert labels[0] == "Mon\n26\nOct" and labels[6] == "Sun\n1\nNov" and labels[-1] == "Tue\n24"
    assert times_of(timed("day", 60))[-2:] == ["16 Nov", "23 Nov"]
    assert times_of(timed("day", 366))[:2] == ["Dec\n2025", "Jan\n2026"]


def test_hours_are_thinned_and_every_date_is_named():
    assert times_of(timed("hour", 20))[8:12] == ["19:00", "20:00", "21:00", "22:00"]
    week = times_of(timed("hour", 168))
    assert week[:3] == ["12:00\nTue\n17 Nov", "00:00\nWed\n18 Nov", "12:00"]
    month = times_of(timed("hour", 720))
    assert 10 <= len(month) <= 16 and month[0] == "Sun\n25 Oct"


def test_the_hour_that_comes_twice_has_two_bars():
    start = datetime(2026, 10, 25, 0, tzinfo=timezone(timedelta(hours=2)))
    rows = []
    for number in range(5):
        begins = (start + timedelta(hours=number)).astimezone(timezone(timedelta(hours=2 if number < 3 else 1)))
        ends = (begins + timedelta(hours=1)).isoformat()
        rows.append(
            {"group": begins.isoformat(), "start": begins.isoformat(), "end": ends, "partial": False, "usage": usage(9)}
        )
    labels = times_of(answer("hour", rows))
    assert [label[:5] for label in labels] == ["00:00", "01:00", "02:00", "02:00", "03:00"]


def test_types_and_keys_have_their_names():
    assert tick_labels(figure_of(labelled(["my", "preset", "custom"], "service-type"))) == [
        "my services",
        "preset services",
        "custom endpoints",
    ]
    by_key = labelled(["", "web-app", "a_$1_$"])
    by_key["query"]["api_keys"] = ["", "web-app", "c", "d", "e"]
    figure = figure_of(by_key)
    assert tick_labels(figure) == ["(console)", "web-app", "a_$1_$"]
    assert "keys: (console), web-app, c and 2 more" in said(figure)


LONG = "team-platform-production-service-with-a-very-long-name-%d-that-goes-on-and-on-until-it-is-one-hundred"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(timed("day", 30, source="demo"), id="30 days"),
        pytest.param(timed("hour", 168, lambda n: usage(10**7, 40, n % 9)), id="a week by hour"),
        pytest.param(timed("hour", 24), id="24 hours"),
        pytest.param(timed("hour", 72), id="72 hours"),
        pytest.param(timed("hour", 360), id="half a month by hour"),
        pytest.param(timed("day", 1), id="a day"),
        pytest.param(one_bad_day(31, 0), id="worst at the left"),
        pytest.param(one_bad_day(31, 30), id="worst at the right"),
        pytest.param(timed("day", 120), id="120 days"),
        pytest.param(timed("day", 200), id="200 days"),
        pytest.param(labelled([LONG % n for n in range(6)]), id="6 long labels"),
        pytest.param(labelled([LONG % n for n in range(12)]), id="12 long labels"),
        pytest.param(labelled(["", *(LONG % n for n in range(40))]), id="41 labels"),
        pytest.param(labelled(["k-%d" % n for n in range(200)]), id="200 labels"),
        pytest.param(timed("day", 9, lambda n: usage(10**18, 10**15, 10**15)), id="the largest figures"),
        pytest.param(
            timed("day", 9, warnings=[{"code": "no_usage", "message": "Try " + "something else " * 200}]),
            id="a long warning",
        ),
    ],
)
def test_no_text_is_cut_off_and_no_two_overlap(wanted):
    figure = figure_of(wanted)
    figure.draw_without_rendering()
    boxes = []
    for text in texts(figure):
        if text.get_text() == "DEMO DATA":
            continue
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1200 and box.y1 <= 675, text
        boxes.append((text.get_text(), box))
    for number, (text, box) in enumerate(boxes):
        for other, another in boxes[number + 1 :]:
            apart = box.x1 <= another.x0 or another.x1 <= box.x0 or box.y1 <= another.y0 or another.y1 <= box.y0
            assert apart, (text, other)
    assert axes_of(figure)["tokens"].get_window_extent().height > 150


@pytest.mark.parametrize("where", ["group", "expression", "timezone", "message"])
def test_no_control_character_reaches_the_picture(where):
    hostile = labelled(["a", "b"])
    if where == "group":
        hostile["rows"][0]["group"] = UNDO + "evil"
    elif where == "message":
        hostile["warnings"] = [{"code": "no_usage", "message": UNDO + "evil"}]
    else:
        hostile["window"][where] = UNDO + "evil"
    svg = chart_picture.encoded(figure_of(hostile), ".svg").decode()
    assert "evil" in svg
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", svg)


# --- refusals --------------------------------------------------------------------------------


def changed(path, value, base=None):
    """A good document with one member changed."""
    result = copy.deepcopy(base or timed("day", 3))
    *way, last = path
    holder = result
    for step in way:
        holder = holder[step]
    holder[last] = value
    return result


ERROR = {
    "schema_version": "1.0",
    "status": "error",
    "error": {
        "code": "throttled",
        "message": "Too many calls\x1b[2J.",
        "hint": "Wait.",
        "http_status": 429,
        "api_code": None,
        "request_id": None,
        "retryable": True,
        "retry_after_s": 9,
    },
}
CHECK = {"schema_version": "1.0", "status": "ok", "checks": [{"name": "python", "status": "ok", "message": "3.8"}]}
NO_ROWS = answer(None, [], totals=usage(5))


@pytest.mark.parametrize(
    "content, told",
    [
        pytest.param(b"", "it is empty", id="nothing"),
        pytest.param(b"\n \n", "it is empty", id="blank"),
        pytest.param(b"\x89PNG\r\n", "it is not JSON", id="binary"),
        pytest.param(b"\xff\xfe\x00", "it is not JSON", id="broken UTF-16"),
        pytest.param(b"{", "it is not JSON", id="cut off"),
        pytest.param(b'{"status": NaN}', "it is not JSON", id="no JSON number"),
        pytest.param(b'{"status": "ok", "status": "ok"}', "it is not JSON", id="a member twice"),
        pytest.param(b"[" * 100000, "it is not JSON", id="an abyss"),
        pytest.param(b"[" * 900 + b"]" * 900, "This is no JSON document of", id="a well"),
        pytest.param(b"[]", "is not of type 'object'", id="a list"),
        pytest.param(b"17", "is not of type 'object'", id="a number"),
        pytest.param({}, "is a required property", id="an empty object"),
        pytest.param({"name": "foreign"}, "is a required property", id="foreign"),
        pytest.param(changed(["schema_version"], "2.0"), "$.schema_version", id="another version"),
        pytest.param(changed(["window", "evil\x1b[2J"], 1), "$.window", id="a hostile member"),
        pytest.param(changed(["rows", 1, "usage", "total_tokens"], -1), "$.rows[1].usage.total_tokens", id="negative"),
        pytest.param(changed(["rows", 1, "usage", "total_tokens"], 10**400), "beyond all measure", id="immense"),
        pytest.param(changed(["rows", 1, "start"], "2026-13-45T00:00:00+08:00"), "does not exist", id="no such date"),
        pytest.param(changed(["window", "end"], "0001-01-01T00:00:00+08:00"), "does not exist", id="antiquity"),
        pytest.param(
            changed(["rows"], [{"group": "2026-11-24", "usage": usage(1)}]), "without their times", id="days unset"
        ),
        pytest.param(changed(["rows"], timed("day", 3)["rows"] * 300), "900 rows are too many", id="too many"),
        pytest.param(NO_ROWS, "no rows to draw. Ask again with --by day", id="no rows"),
        pytest.param(ERROR, "is an error, not an answer (throttled). It says: Too many calls", id="an error"),
        pytest.param(CHECK, "--check", id="a check"),
        pytest.param({"operation": "list-services"}, "maas_statistics_api.py", id="a sister's answer"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(kept, tmp_path, capsys, content, told):
    path = kept(content)
    assert run(path, "-o", tmp_path / "usage.png") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: ") and err.count("\n") == 1 and told in err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", err)
    assert len(err) < 500
    assert os.listdir(str(tmp_path)) == ["usage.json"]


@pytest.mark.parametrize(
    "words, told",
    [
        ((), "DOCUMENT, -o/--output"),
        (("usage.json",), "-o/--output"),
        (("usage.json", "-o"), "expected one argument"),
        (("usage.json", "other.json", "-o", "a.png"), "belongs to no option"),
        (("usage.json", "-o", "a.png", "--no-such\x1b[2J"), "belongs to no option"),
        (("usage.json", "-o", "a.pdf"), "'a.pdf' names no kind of picture. End its name in .png or .svg"),
        (("usage.json", "-o", "a"), "names no kind of picture"),
        (("usage.json", "-o", "a\x1b.jpg"), "'a\\x1b.jpg' names no kind of picture"),
        (("usage.json", "-o", "png"), "names no kind of picture"),
        (("usage.json", "-o", "nowhere/a.png"), "its folder does not exist"),
        (("usage.json", "-o", "folder.png"), "it is a folder"),
        (("usage.json", "-o", "usage.json/a.png"), "cannot be written"),
        (("missing.json", "-o", "a.png"), "'missing.json' cannot be read"),
        (("folder.png", "-o", "a.png"), "'folder.png' cannot be read"),
    ],
)
def test_a_command_line_that_cannot_be_carried_out(kept, tmp_path, monkeypatch, capsys, words, told):
    kept(timed("day", 3))
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: ") and err.count("\n") == 1 and told in err and "\x1b" not in err
    assert sorted(os.listdir(str(tmp_path))) == ["folder.png", "usage.json"]


def test_a_key_on_the_command_line_is_refused_and_not_repeated(capsys):
    key = "Ab3" * 13 + "x"
    assert run(key, "-o", "a.png") == 3
    assert key not in "".join(capsys.readouterr())


def test_a_picture_that_cannot_be_moved_there_leaves_nothing_behind(kept, tmp_path, monkeypatch, capsys):
    def full(*_paths):
        raise OSError(28, "No space left on device")

    path = kept(timed("day", 3))
    (tmp_path / "usage.svg").write_text("before")
    monkeypatch.setattr(os, "replace", full)
    assert run(path, "-o", tmp_path / "usage.svg") == 1
    assert "could not be written: No space left on device" in capsys.readouterr().err
    assert sorted(os.listdir(str(tmp_path))) == ["usage.json", "usage.svg"]
    assert (tmp_path / "usage.svg").read_text() == "before"


def test_an_interrupted_drawing_leaves_nothing_behind(kept, tmp_path, monkeypatch, capsys):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    path = kept(timed("day", 3))
    monkeypatch.setattr(files, "_mode", interrupted)
    assert run(path, "-o", tmp_path / "usage.svg") == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert os.listdir(str(tmp_path)) == ["usage.json"]


# --- the packages ----------------------------------------------------------------------------


def test_without_matplotlib_it_hands_over_or_says_how_to_get_it(kept, tmp_path, monkeypatch, capsys):
    handed = []
    monkeypatch.setattr("maas_usage.handover.lacking", lambda needed: ["matplotlib"])
    monkeypatch.setattr("maas_usage.handover.to_better_python", lambda *given: handed.append(given[:2]))
    words = [str(kept(timed("day", 3))), "-o", str(tmp_path / "usage.png")]
    assert chart.main(words, script="/bundle/scripts/maas_usage_chart.py") == 2
    assert handed == [("/bundle/scripts/maas_usage_chart.py", words)]
    err = capsys.readouterr().err
    assert err.startswith("packages_missing: ")
    assert all('"%s"' % line in err for line in declared())
    assert not (tmp_path / "usage.png").exists()


def declared():
    block = SCRIPT.read_text(encoding="utf-8").split("# ///\n")[0]
    return re.findall(r'^#   "(.+)",$', block, re.MULTILINE)


def test_help_and_usage_errors_need_the_standard_library_alone(tmp_path):
    for words, status in ((["--help"], 0), (["--version"], 0), (["a.json", "-o", "a.gif"], 2)):
        told = subprocess.run(
            [sys.executable, "-S", str(SCRIPT), *words],
            capture_output=True, cwd=str(tmp_path), timeout=30,
        )  # fmt: skip
        assert told.returncode == status, told.stderr
        assert (told.stdout if status == 0 else told.stderr).count(b"\n") >= 1
        assert b"Traceback" not in told.stderr


def test_the_declared_packages_are_the_needed_ones():
    assert tuple(re.split(r"[<>=]", line)[0] for line in declared()) == chart.NEEDED
