"""Figures: from the bytes of an answer to whole tokens, exactly, or a refusal that names the figure."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maas_usage.errors import UnexpectedAnswer, UsageError
from maas_usage.statistics import (
    INFER_TYPES,
    OPERATION,
    SERVICE_TYPE_NAMES,
    SERVICE_TYPES,
    Usage,
    add_up,
    checked_project_id,
    load_json,
    parse_service_types,
    path,
    request_body,
    usage_of,
)

TOKENS = {
    "total_token": "total_tokens",
    "total_prompt_token": "prompt_tokens",
    "total_completion_token": "completion_tokens",
}
COUNTS = {"total_request_count": "requests", "total_error_count": "errors"}
BATCH = {"total_completion_tasks": "batch_tasks", "total_infer_count": "batch_inferences"}
MAIN = {**TOKENS, **COUNTS}
MEMBERS = {**MAIN, **BATCH}

# An answer of the live service, as it came.
LIVE = (
    b'{"total_request_count":67188,"total_error_count":8002,"total_token":2482084.98,'
    b'"total_prompt_token":2456504.362,"total_completion_token":24872.928,'
    b'"total_completion_tasks":0,"total_infer_count":0}'
)


def answer(**literals):
    """The usage of an answer with these figures, written exactly so; the others are 0, and requests plenty."""
    figures = {**{name: "0" for name in MAIN}, "total_request_count": "1" + "0" * 18, **literals}
    members = ['"%s": %s' % (name, literal) for name, literal in figures.items() if literal is not None]
    return usage_of(load_json(("{%s}" % ", ".join(members)).encode()))


def test_a_live_answer():
    usage = usage_of(load_json(LIVE))
    assert usage == Usage(
        total_tokens=2_482_084_980,
        prompt_tokens=2_456_504_362,
        completion_tokens=24_872_928,
        requests=67_188,
        errors=8_002,
        batch_tasks=0,
        batch_inferences=0,
    )
    assert usage.total_tokens - usage.prompt_tokens - usage.completion_tokens == 707_690
    assert usage.error_rate == 8002 / 67188


# --- exactness -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thousands, tokens",
    [
        ("0", 0),
        ("-0", 0),
        ("0.000", 0),
        ("0e5", 0),
        ("1", 1000),
        ("0.001", 1),
        ("1.0", 1000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1e+3", 1_000_000),
        ("25e-3", 25),
        ("2.48208498e6", 2_482_084_980),
        # Half to even.
        ("0.0005", 0),
        ("0.0015", 2),
        ("0.0025", 2),
        ("0.0035", 4),
        ("1.0005", 1000),
        ("0.00049999999999999999999999999999999999", 0),
        ("0.00050000000000000000000000000000000001", 1),
        ("0.00149999999999999999999999999999999999", 1),
        ("0.00250000000000000000000000000000000001", 3),
        # Rounded first to fewer digits, these would come out at a half, and then at the even side of it.
        ("0.0024" + "9" * 48, 2),
        ("0.0034" + "9" * 48, 3),
        ("123456789012345678.000499999999999999999999999999999", 123_456_789_012_345_678 * 1000),
        ("123456789012345678.000500000000000000000000000000001", 123_456_789_012_345_678 * 1000 + 1),
        # What a binary fraction cannot hold.
        ("0.1", 100),
        ("1.005", 1005),
        ("9007199254740.993", 9_007_199_254_740_993),
        ("900719925474099.267", 900_719_925_474_099_267),
        ("1e-400", 0),
        ("1e-999999999", 0),
        # The largest.
        ("1e18", 10**21),
        ("1000000000000000000.000", 10**21),
        ("999999999999999999.9994", 10**21 - 1),
        ("999999999999999999.9995", 10**21),
    ],
)
@pytest.mark.parametrize("name", TOKENS)
def test_thousands_become_whole_tokens(name, thousands, tokens):
    usage = answer(**{name: thousands})
    figure = getattr(usage, TOKENS[name])
    assert (figure, type(figure)) == (tokens, int)
    others = set(TOKENS.values()) - {TOKENS[name]}
    assert {getattr(usage, other) for other in others} == {0}


def written(coefficient, exponent):
    return "%de%d" % (coefficient, exponent), Fraction(coefficient) * Fraction(10) ** exponent


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**40), st.integers(-60, -23))
@example(5, -4)
@example(15, -4)
@example(10**40 - 1, -40)
def test_the_only_rounding_is_to_a_whole_token(coefficient, exponent):
    literal, value = written(coefficient, exponent)
    assert answer(total_token=literal).total_tokens == round(value * 1000)  # fractions round half to even


@settings(deadline=None)
@given(st.integers(0, 10**21))
def test_what_the_service_documents_is_exact(tokens):
    assert answer(total_prompt_token="%d.%03d" % divmod(tokens, 1000)).prompt_tokens == tokens


@pytest.mark.parametrize("count", ["0", "-0", "1", "1.0", "1e3", "67188", "1e18", "1000000000000000000.0", "10e17"])
@pytest.mark.parametrize("name", [*COUNTS, *BATCH])
def test_counts(name, count):
    figure = getattr(answer(**{name: count}), MEMBERS[name])
    assert (figure, type(figure)) == (int(Decimal(count)), int)


def test_requests_by_the_quintillion():
    assert answer(total_request_count="999999999999999999").requests == 10**18 - 1


@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize("literal", ["null", None])
def test_a_missing_batch_figure_is_unknown(name, literal):
    usage = answer(**{**{other: "7" for other in BATCH}, name: literal})
    assert getattr(usage, BATCH[name]) is None
    assert [getattr(usage, BATCH[other]) for other in BATCH if other != name] == [7]


def test_further_members_are_ignored():
    assert answer(total_cached_token="-1", nested='{"total_token": null}', text='"x"') == answer()


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.parametrize(
    "literal, what",
    [
        (None, "is missing"),
        ("null", "is not a number"),
        ("true", "is not a number"),
        ("false", "is not a number"),
        ('"1"', "is not a number"),
        ('""', "is not a number"),
        ("[]", "is not a number"),
        ("[1]", "is not a number"),
        ("{}", "is not a number"),
        ("NaN", "is not finite"),
        ("Infinity", "is not finite"),
        ("-Infinity", "is not finite"),
        ("-1", "is negative"),
        ("-0.001", "is negative"),
        ("-1e-999999999", "is negative"),
        ("-1e400", "is negative"),
        ("1000000000000000001", r"is above 10\^18"),
        ("1000000000000000000.000000000000000000000000000001", r"is above 10\^18"),
        ("1e19", r"is above 10\^18"),
        ("1e400", r"is above 10\^18"),
        ("1e999999999", r"is above 10\^18"),
        ("9" * 100_000, r"is above 10\^18"),
    ],
)
def test_one_of_the_five_that_cannot_be_right(name, literal, what):
    with pytest.raises(UnexpectedAnswer, match="%s %s" % (name, what)) as caught:
        answer(**{name: literal})
    assert len(caught.value.message) < 200
    assert caught.value.hint


@pytest.mark.parametrize("literal", ["1e9999999999999999999999", "-1e9999999999999999999999"])
@pytest.mark.parametrize("name", MAIN)
def test_an_exponent_beyond_all_arithmetic(name, literal):
    with pytest.raises(UnexpectedAnswer, match=name):
        answer(**{name: literal})


@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize(
    "literal, what",
    [
        ("true", "is not a number"),
        ('"1"', "is not a number"),
        ("NaN", "is not finite"),
        ("-1", "is negative"),
        ("0.5", "is not a whole number"),
        ("1e19", "is above"),
    ],
)
def test_a_batch_figure_that_cannot_be_right(name, literal, what):
    with pytest.raises(UnexpectedAnswer, match="%s %s" % (name, what)):
        answer(**{name: literal})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("literal", ["0.5", "1.001", "1e-3", "1e-999999999", "999999999999999999.5"])
def test_half_a_call(name, literal):
    with pytest.raises(UnexpectedAnswer, match="%s is not a whole number" % name):
        answer(**{name: literal})


def test_more_errors_than_requests():
    assert answer(total_request_count="3", total_error_count="3").error_rate == 1
    with pytest.raises(UnexpectedAnswer, match="total_error_count is above total_request_count"):
        answer(total_request_count="3", total_error_count="4")


@pytest.mark.parametrize("text", [b"[]", b"null", b'"total_token"', b"1", b"true", b"[{}]"])
def test_an_answer_that_is_no_object(text):
    with pytest.raises(UnexpectedAnswer, match="not a JSON object"):
        usage_of(load_json(text))


def test_a_figure_that_went_through_binary_floats_is_refused():
    with pytest.raises(UnexpectedAnswer, match="total_token is not a number"):
        usage_of(json.loads(LIVE.decode()))


# --- JSON ------------------------------------------------------------------------------------


def test_every_number_is_exact():
    loaded = load_json(b'{"a": 0.1, "b": [1, 2.50, -3e-2], "c": 9007199254740993, "d": 1e400, "e": true, "f": null}')
    assert loaded == {
        "a": Decimal("0.1"),
        "b": [Decimal(1), Decimal("2.5"), Decimal("-0.03")],
        "c": Decimal(9007199254740993),
        "d": Decimal("1e400"),
        "e": True,
        "f": None,
    }
    assert all(isinstance(number, Decimal) for number in [loaded["a"], loaded["c"], *loaded["b"]])


@settings(deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(-50, 50))
def test_numbers_keep_all_their_digits(coefficient, exponent):
    literal, value = written(coefficient, exponent)
    assert Fraction(load_json(literal.encode())) == value


def test_text_is_kept():
    assert load_json('{"名": "\\u4e00\\ud83d\\ude00 é"}'.encode()) == {"名": "一😀 é"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{} x",
        b"[1,]",
        b"nan",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"0x10",
        b"1_000",
        b"'a'",
        b"{a: 1}",
        b"<html></html>",
        b'"\x00"',
        b'"\xff"',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        "１".encode(),
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "b": 2, "a": 3}',
        b'{"a": {"b": 1, "b": 2}}',
        b'[{"a": 1}, {"a": 1, "a": 1}]',
        b'{"total_token": 1, "total\\u005ftoken": 2}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json(text):
    with pytest.raises(ValueError):
        load_json(text)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]",:0123456789eE+-.truefalsnINy \\', max_size=60)))
def test_anything_at_all_is_json_or_a_value_error(text):
    try:
        loaded = load_json(text if isinstance(text, bytes) else text.encode())
    except ValueError:
        return
    with pytest.raises(UnexpectedAnswer):
        usage_of(loaded)


@pytest.mark.parametrize(
    "text, deep",
    [
        (b"[" * 100 + b"]" * 100, False),
        (b"[" * 101 + b"]" * 101, True),
        (b"[" * 99 + b"1" + b"]" * 99, False),
        (b"[" * 100 + b"1" + b"]" * 100, True),
        (b'{"a":' * 99 + b"1" + b"}" * 99, False),
        (b'{"a":' * 100 + b"1" + b"}" * 100, True),
        (b'[1, {"b": 2, "a":' * 50 + b"1" + b"}]" * 50, True),
        (b"[" + b"[[]]," * 1000 + b"[]]", False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_nesting_has_an_end(text, deep):
    if deep:
        with pytest.raises(ValueError, match="nested"):
            load_json(text)
    else:
        assert load_json(text) == json.loads(text.decode(), parse_int=Decimal)


def test_the_same_name_at_two_depths_is_fine():
    assert load_json(b'{"a": {"a": 1}, "b": {"a": 2}}') == {"a": {"a": 1}, "b": {"a": 2}}


# --- sums ------------------------------------------------------------------------------------

amounts = st.integers(0, 10**21)
unknowns = st.none() | amounts
usages = st.builds(Usage, amounts, amounts, amounts, amounts, amounts, unknowns, unknowns)


def test_a_sum_of_nothing():
    assert add_up([]) == Usage(0, 0, 0, 0, 0, None, None)


def test_a_usage_is_a_value():
    assert Usage() == Usage(0, 0, 0, 0, 0, None, None)
    assert len({Usage(1, 2), Usage(1, 2), Usage(1, 2, batch_tasks=0)}) == 2
    with pytest.raises(AttributeError):
        Usage().errors = 1


def test_a_sum_of_two():
    first, second = Usage(1, 20, 300, 4000, 50, 6, 70), Usage(9, 80, 700, 6000, 51, 4, 30)
    assert add_up([first, second]) == Usage(10, 100, 1000, 10_000, 101, 10, 100)


@pytest.mark.parametrize(
    "parts, known",
    [([1], 1), ([0], 0), ([1, 2], 3), ([None], None), ([1, None], None), ([None, 1, 2], None), ([None, None], None)],
)
def test_what_one_part_does_not_know_the_sum_does_not_know(parts, known):
    tasks = add_up([Usage(batch_tasks=part, batch_inferences=5) for part in parts])
    assert (tasks.batch_tasks, tasks.batch_inferences) == (known, 5 * len(parts))
    inferences = add_up([Usage(batch_tasks=5, batch_inferences=part) for part in parts])
    assert (inferences.batch_tasks, inferences.batch_inferences) == (5 * len(parts), known)


@settings(deadline=None)
@given(st.lists(usages, min_size=1, max_size=8), st.integers(0, 8))
def test_sums_are_exact_however_they_are_grouped(parts, at):
    total = add_up(iter(parts))
    for name in ("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    groups = [group for group in (parts[:at], parts[at:]) if group]
    assert add_up(add_up(group) for group in groups) == total
    assert add_up(reversed(parts)) == total
    assert add_up([total]) == total


@pytest.mark.parametrize(
    "errors, requests, rate", [(0, 0, None), (0, 5, 0), (5, 5, 1), (1, 4, 0.25), (8002, 67188, 8002 / 67188)]
)
def test_error_rate(errors, requests, rate):
    assert Usage(requests=requests, errors=errors).error_rate == rate


# --- what is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, types",
    [
        ("1", [1]),
        ("my", [1]),
        ("2", [2]),
        ("preset", [2]),
        ("4", [4]),
        ("custom", [4]),
        ("1,2", [1, 2]),
        ("4,1", [1, 4]),
        ("custom,preset,my", [1, 2, 4]),
        ("my,1,MY", [1]),
        (" Preset , 4 ", [2, 4]),
        ("all", [1, 2, 4]),
        (" ALL ", [1, 2, 4]),
    ],
)
def test_service_types(words, types):
    assert parse_service_types(words) == types


@pytest.mark.parametrize(
    "words",
    ["", " ", ",", "1,", ",2", "1,,2", "0", "5", "01", "+1", "1.0", "-1", "12", "²", "١", "all,1", "1 2", "presets"],
)
def test_unknown_service_types(words):
    with pytest.raises(UsageError, match="Unknown --service-type") as caught:
        parse_service_types(words)
    assert caught.value.hint == "Valid: 1 or my, 2 or preset, 4 or custom, several with commas, or all."


@pytest.mark.parametrize("words", ["3", "1,3", " 3 "])
def test_3_is_refused_with_the_reason(words):
    with pytest.raises(
        UsageError, match=r"3 stands in the documentation .* refuses it: custom endpoints are 4"
    ) as caught:
        parse_service_types(words)
    assert caught.value.hint.startswith("Valid: 1 or my")


def test_the_types_of_the_service():
    assert list(SERVICE_TYPES.items()) == [("my", 1), ("preset", 2), ("custom", 4)]
    assert SERVICE_TYPE_NAMES == {1: "my", 2: "preset", 4: "custom"}
    assert INFER_TYPES == ("real_time", "batch")


@pytest.mark.parametrize("project_id", ["0" * 32, "a" * 64, "a", "5", "ab-01"])
def test_project_ids(project_id):
    assert checked_project_id(project_id, "--project-id") == project_id


@pytest.mark.parametrize(
    "project_id", ["", "A" * 32, "a" * 65, "a b", "a/b", "../a", "a.b", "a%2f", "a?b", "a#", "a\n", "é", "a_b"]
)
@pytest.mark.parametrize("source", ["--project-id", "HW_PROJECT_ID"])
def test_what_is_no_project_id(project_id, source):
    with pytest.raises(UsageError, match="^%s is not a project id" % source) as caught:
        checked_project_id(project_id, source)
    assert "32 of a-z and 0-9" in caught.value.hint


def test_where_it_is_asked():
    assert OPERATION == "ShowStatistics"
    assert path("0" * 32) == "/v1/%s/maas/monitoring/show-statistics" % ("0" * 32)


@pytest.mark.parametrize("labels", [None, [], [""], ("web-app", "ci")])
def test_a_request(labels):
    body = request_body(
        service_type=2,
        start_ms=1778169600000,
        end_ms=1779292800000,
        infer_type="batch",
        timezone="Asia/Shanghai",
        api_keys=labels,
    )
    expected = {
        "service_type": 2,
        "start_time": 1778169600000,
        "end_time": 1779292799999,
        "timezone": "Asia/Shanghai",
        "infer_type": "batch",
    }
    assert body == (expected if labels is None else {**expected, "api_keys": list(labels)})
    assert json.loads(json.dumps(body)) == body
