"""Keys: refused on a command line, gone from whatever is printed.

All keys are put together here from parts, since nothing in a file may look like one.
"""

import copy
import json
import pickle
import string
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maas_usage.errors import CredentialsInArgument
from maas_usage.secrecy import (
    REDACTED,
    REFUSAL,
    Redactor,
    Secret,
    key_in_argument,
    looks_like_api_key,
    mask,
    printable,
    refuse_keys_in_arguments,
)

# No character twice, so that any piece of one is recognised.
KEY_ID = string.digits + string.ascii_uppercase[:10]
SECRET = string.ascii_lowercase + string.digits + string.ascii_uppercase[:4]
TOKEN = "+/".join(string.ascii_letters[n : n + 8] for n in range(0, 48, 8)) + "=="

THE_TEXT = """\
For account security, please do not provide Huawei Cloud Access Key ID and Access Key Secret directly in the \
conversation.

Please use one of the following secure methods to configure credentials:

Method 1: Environment variables
export HW_ACCESS_KEY=<your-access-key-id>
export HW_SECRET_KEY=<your-access-key-secret>

Method 2: Credentials file
Create a file (e.g., ~/aksk.txt) with AK on line 1, SK on line 2.
Then use: --credentials-file ~/aksk.txt

After configuration is complete, please retry your request."""


def pieces(secret, length=5):
    return [secret[n : n + length] for n in range(len(secret) - length + 1)]


def assert_nothing_of(secret, shown):
    assert not [piece for piece in pieces(secret) if piece.lower() in shown.lower()]


def redactor(*secrets):
    made = Redactor()
    for secret in secrets:
        made.learn(secret)
    return made


# --- the refusal -----------------------------------------------------------------------------


def test_the_refusal_is_an_interface():
    assert REFUSAL == THE_TEXT
    error = key_in_argument()
    assert isinstance(error, CredentialsInArgument)
    assert error.message == THE_TEXT
    assert "Nothing was sent" in error.hint


OPTIONS = [
    *("--ak", "--sk", "--AK", "--Sk", "-ak", "-sk", "--access-key", "--access_key", "--accesskey", "--ACCESS-KEY"),
    *("--access-key-id", "--accessKeyId", "--access-key-secret", "--secret", "--secret-key", "--secret_key"),
    *("--secret-access-key", "--secretAccessKey", "--security-token", "--security_token", "--token", "--password"),
    *("--hw-access-key", "--hw-secret-key", "--HW_SECURITY_TOKEN", "--huaweicloud-sdk-ak", "--HUAWEICLOUD_SDK_SK"),
]
VARIABLES = [
    *("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN", "hw_secret_key", "ak", "AK", "sk", "secret-key", "token"),
    *("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
]


@pytest.mark.parametrize(
    "argv",
    [
        *[[option] for option in OPTIONS],
        *[[option, "hunter2"] for option in OPTIONS],
        *[[option + "=hunter2"] for option in OPTIONS],
        *[[variable + "=hunter2"] for variable in VARIABLES],
        *[[variable + "="] for variable in VARIABLES],
    ],
    ids=" ".join,
)
def test_an_option_for_a_key(argv):
    for around in (argv, ["--last", "7d", *argv], [*argv, "--format", "json"]):
        with pytest.raises(CredentialsInArgument) as caught:
            refuse_keys_in_arguments(around, Redactor())
        assert caught.value.message == THE_TEXT
        assert "hunter2" not in caught.value.hint


KEYS = {
    "a key id": KEY_ID,
    "a key id of digits": "1" * 20,
    "a key id with its digit at the front": "1" + "A" * 19,
    "a key id with its digit at the end": "A" * 19 + "1",
    "a secret": SECRET,
    "a secret without digits": "aB" * 20,
    "a secret without capitals": "a1" * 20,
    "a secret of capitals and digits": "A1" * 20,
    "a secret whose last character is the odd one": "a" * 39 + "A",
    "a secret whose first character is the odd one": "1" + "a" * 39,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "words",
    [
        "%s",
        "--project-id=%s",
        "--output=/tmp/%s.txt",
        "ak:%s",
        "_%s_",
        "-%s",
        "%s,%s",
        "'%s'",
        "https://%s@host/",
        "键%s",
    ],
)
def test_a_key_anywhere_on_a_command_line(words, key):
    word = words.replace("%s", key)
    for argv in ([word], ["--api-keys", "web-app", word], [word, "--demo"], ["--last", word, "--raw"]):
        with pytest.raises(CredentialsInArgument) as caught:
            refuse_keys_in_arguments(argv, Redactor())
        told = "%s %s %r" % (caught.value.message, caught.value.hint, caught.value)
        assert key not in told


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--last", "7d"],
        ["--from", "2026-05-21T10:00+08:00", "--to=2026-05-22T10:00:00.999+08:00"],
        ["--api-keys", "web-app", "", "ak", "sk", "token", "secret"],
        ["--project-id", "0a" * 16],
        ["--region=cn-southwest-2", "--timezone", "Asia/Shanghai"],
        ["--endpoint", "modelarts.ap-southeast-1.myhuaweicloud.com"],
        ["--credentials-file", "~/aksk.txt"],
        ["--credentials-file=/home/sk/secret/token"],
        ["--service-type", "all", "--by", "api-key", "--alert-tokens", "1000000000000"],
        # One character more, one less, or of one kind alone.
        ["A" * 20],
        ["1" * 19],
        ["1" * 21],
        ["a1" * 10],
        ["A1" * 9 + "Ab"],
        ["aB3" * 13],
        ["aB3" * 13 + "ab"],
        ["a" * 40],
        ["A" * 40],
        ["1" * 40],
        ["0a" * 32],
        ["aB3" * 6 + "-" + "aB3" * 7],
        ["é" + "A" * 20],
        ["--tokens", "--akb", "--task", "--skip"],
    ],
    ids=lambda argv: " ".join(argv)[:30],
)
def test_an_innocent_command_line(argv):
    assert refuse_keys_in_arguments(argv, Redactor()) is None


@pytest.mark.parametrize("word", ["%s", "--from=%s", "x%sx"])
def test_a_known_secret_of_any_shape_on_a_command_line(word):
    secret = "zq.xv-wj~kp_yh"
    with pytest.raises(CredentialsInArgument) as caught:
        refuse_keys_in_arguments(["--raw", word % secret], redactor(secret))
    assert_nothing_of(secret, caught.value.message + caught.value.hint)
    assert refuse_keys_in_arguments(["--raw", word % secret[:-1]], redactor(secret)) is None


@pytest.mark.parametrize(
    "label, is_key",
    [
        ("aB3" * 13 + "a", True),
        ("a" * 38 + "B3", True),
        ("aB3-_" * 20, True),
        ("aB3" * 13, False),
        ("ab3" * 14, False),
        ("AB3" * 14, False),
        ("aBc" * 14, False),
        ("", False),
        ("web-app", False),
    ],
)
def test_a_label_that_may_be_an_api_key(label, is_key):
    assert looks_like_api_key(label) is is_key


# --- what is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key_id, shown",
    [
        (KEY_ID, "0123…IJ"),
        ("abcdefghijkl", "abcd…kl"),
        ("abcdefghijk", "****"),
        ("abcd", "****"),
        ("", "****"),
    ],
)
def test_a_key_id_is_its_first_four_and_last_two_characters(key_id, shown):
    assert mask(key_id) == shown


def test_a_secret_shows_itself_to_nobody():
    secret = Secret(SECRET)
    assert secret.reveal() == SECRET
    for shown in (str(secret), repr(secret), "%s" % secret, "{}".format(secret), f"{secret!r:>60}", repr([secret])):  # noqa: UP032
        assert_nothing_of(SECRET, shown)
        assert REDACTED in shown
    assert not hasattr(secret, "__dict__")
    for serialise in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as caught:
            serialise(secret)
        assert_nothing_of(SECRET, str(caught.value))


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain text, 中文 é 😀", "plain text, 中文 é 😀"),
        ("a\tb\nc\rd\r\n\r\ne", "a b c d e"),
        ("a\u2028b\u2029c", "a b c"),
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;9mbold", "[31mred[0m and [1;38;5;9mbold"),
        ("\x1b]0;title\x07 \x1b 7", "]0;title  7"),
        ("\x9b31m\x07\x00\x7f\x85!", "31m!"),
        ("a\u202eb\u2066c\u200bd\ufeffe\u00adf", "abcdef"),
        ("\ud800\ue000x", "x"),
        ("", ""),
    ],
)
def test_nothing_steers_a_terminal(text, shown):
    assert printable(text) == shown


@settings(deadline=None)
@given(st.text())
def test_printable_text_is_one_printable_line(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode()


# --- redaction -------------------------------------------------------------------------------

DISGUISES = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in small letters": lambda secret: quote(secret, safe="").lower(),
    "percent-encoded as a path": quote,
    "percent-encoded as a form": quote_plus,
    "percent-encoded but for =": lambda secret: quote(secret, safe="="),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("secret", [SECRET, TOKEN], ids=["secret", "token"])
def test_a_secret_in_disguise(secret, disguise):
    for text in ("%s", "key=%s&", "a\n  %s\nb", "%s%s"):
        shown = redactor(secret).clean(text.replace("%s", disguise(secret)))
        assert shown == text.replace("%s", REDACTED)


@pytest.mark.parametrize(
    "separator",
    ["\0", "\x1b", "\x07", "\x7f", "\x9b", "\u200b", "\u202e", "\ufeff", "\u00ad", "\n", "\r\n", "\t", "\u2028"],
)
@pytest.mark.parametrize("at", [1, 20, 39])
def test_a_secret_split_by_control_characters(separator, at):
    text = "before %s after" % (SECRET[:at] + separator + SECRET[at:])
    shown = redactor(SECRET).clean_foreign(text)
    assert_nothing_of(SECRET, shown)
    assert shown.startswith("before ") and shown.endswith(" after")


@pytest.mark.parametrize("secret", [SECRET, KEY_ID, TOKEN], ids=["secret", "key id", "token"])
@pytest.mark.parametrize("known", [True, False])
def test_a_cut_leaves_no_half_secret(secret, known):
    if not known and secret is TOKEN:
        pytest.skip("a token has no shape to know it by")
    cleaner = redactor(secret) if known else Redactor()
    for length in range(40):
        shown = cleaner.clean_foreign("." * length + " " + secret + " " + "." * 40, longest=40)
        assert_nothing_of(secret, shown)
        assert len(shown) <= 40


@pytest.mark.parametrize("length, shown", [(300, "x" * 300), (301, "x" * 299 + "…"), (10_000, "x" * 299 + "…")])
def test_foreign_text_is_cut(length, shown):
    assert Redactor().clean_foreign("x" * length) == shown


def test_foreign_text_is_one_clean_line():
    cleaner = redactor(TOKEN)
    text = " \n\x1b[2Jsignature of %s by %s\r\nwith %s failed\t" % (SECRET, KEY_ID, TOKEN)
    assert cleaner.clean_foreign(text) == "signature of [redacted] by [redacted] with [redacted] failed"


@pytest.mark.parametrize("before", ["\x1b[0m", "x\0", "\x1b[1;31m", "x\u200b"])
@pytest.mark.parametrize("key", [SECRET, KEY_ID], ids=["secret", "key id"])
def test_a_control_character_does_not_hide_an_unknown_key(before, key):
    assert_nothing_of(key, Redactor().clean_foreign(before + key))


@pytest.mark.parametrize("text", ["0a" * 16, "0a" * 32, "2026-05-21T10:00:00+08:00", "ModelArts.0108", "用量"])
def test_innocent_foreign_text_is_kept(text):
    assert redactor(SECRET).clean_foreign("id %s." % text) == "id %s." % text


def test_a_key_id_is_shown_as_its_mask():
    cleaner = Redactor()
    cleaner.learn(KEY_ID, mask(KEY_ID))
    cleaner.learn(SECRET)
    assert cleaner.clean("ak:%s sk:%s\n" % (KEY_ID, SECRET)) == "ak:0123…IJ sk:[redacted]\n"
    assert cleaner.clean_foreign("ak:%s sk:%s\n" % (KEY_ID.lower(), SECRET)) == "ak:0123…IJ sk:[redacted]"


@pytest.mark.parametrize("shown_as", ["\\1", "\\g<0>", "%s", "$1"])
def test_what_is_shown_instead_is_taken_literally(shown_as):
    cleaner = Redactor()
    cleaner.learn(SECRET, shown_as)
    assert cleaner.clean("<%s>" % SECRET) == "<%s>" % shown_as


def test_a_secret_with_characters_that_mean_something_in_a_pattern():
    secret = ".*|(a+)[b]$^?"
    cleaner = redactor(secret)
    assert cleaner.clean("x %s y" % secret) == "x [redacted] y"
    assert cleaner.clean("x .* aaa b y") == "x .* aaa b y"
    assert not cleaner.knows("xyz")


@pytest.mark.parametrize("nothing", [None, "", "a", "1234567"])
def test_what_is_too_short_for_a_secret_is_not_learnt(nothing):
    cleaner = redactor(nothing)
    assert cleaner.clean("1234567 and a word") == "1234567 and a word"
    assert not cleaner.knows("1234567 and a word")


def test_eight_characters_are_a_secret():
    cleaner = redactor("12345678")
    assert cleaner.knows("x12345678x")
    assert cleaner.clean("x12345678x") == "x[redacted]x"


@pytest.mark.parametrize("first", [0, 1])
def test_a_secret_that_is_a_part_of_another(first):
    # A key that was pasted without its end, and the whole one.
    both = [SECRET[:25], SECRET]
    cleaner = redactor(both[first], both[1 - first])
    assert_nothing_of(SECRET, cleaner.clean("a %s b %s c" % (SECRET, SECRET[:25])))


# None of these stands in what is shown instead, nor in what stands around.
KEY_CHARACTERS = "zxXY12_.~+/=-"
keys = st.text(alphabet=KEY_CHARACTERS, min_size=8, max_size=60)
surroundings = st.text(alphabet="用量统计 \n:,{}<>\"'\x1b\x00", max_size=40)


@settings(max_examples=150, deadline=None)
@given(keys, surroundings, surroundings, st.sampled_from(sorted(DISGUISES)))
def test_no_secret_survives(secret, before, after, disguise):
    text = before + DISGUISES[disguise](secret) + after
    cleaner = redactor(secret)
    assert cleaner.knows(text)
    for shown in (cleaner.clean(text), cleaner.clean_foreign(text), cleaner.clean_value([text])[0]):
        assert REDACTED in shown
        assert not set(shown) & set(KEY_CHARACTERS + "%")


@settings(deadline=None)
@given(surroundings, st.text(alphabet=string.ascii_uppercase + string.digits, min_size=19, max_size=19), surroundings)
def test_no_key_id_survives_even_unknown(before, characters, after):
    key_id = characters + "7"
    assert key_id not in Redactor().clean_foreign(before + key_id + after)


def test_values_are_cleaned_all_the_way_down():
    value = {
        "text": "a\nb",
        "list": [SECRET, {"deep": "\x1b%s" % KEY_ID}, Decimal("0.001"), 5, None, True],
        "name %s" % SECRET: 1,
        "long": "x" * 5000,
    }
    assert redactor(SECRET).clean_value(value) == {
        "text": "a b",
        "list": [REDACTED, {"deep": REDACTED}, Decimal("0.001"), 5, None, True],
        "name %s" % REDACTED: 1,
        "long": "x" * 5000,
    }
    assert value["list"][0] == SECRET, "the original is left alone"
