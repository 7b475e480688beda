"""Where keys come from, and every way in which a source can be wrong, none of which shows a key.

Keys are put together here from parts, since nothing in a file may look like one.
"""

import codecs
import os
import socket
import string
import traceback

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maas_usage.credentials import LARGEST_FILE, VALID_FILE, Credentials, find, learn_environment
from maas_usage.errors import CredentialsIncomplete, CredentialsMissing, CredentialsUnreadable, UsageStatsError
from maas_usage.secrecy import Redactor

KEY_ID = string.digits + string.ascii_uppercase[:10]
SECRET = string.ascii_lowercase + string.digits + string.ascii_uppercase[:4]
TOKEN = "+/".join(string.ascii_letters[n : n + 8] for n in range(0, 48, 8)) + "=="


def pair(n):
    """Another key id and secret for each number."""
    return "%s%02d" % (KEY_ID[::-1][:18], n), "%s%02d" % (SECRET[::-1][:38], n)


HW = ("HW_ACCESS_KEY", "HW_SECRET_KEY")
SDK = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder of this test's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.fixture
def write(tmp_path):
    def write(content, name="aksk.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def profile(home, write):
    return lambda content: write(content, str(home / ".huaweicloud" / "credentials"))


def found(credentials_file=None, environ=None, redactor=None):
    return find(credentials_file, environ or {}, redactor or Redactor())


def revealed(keys):
    assert isinstance(keys, Credentials)
    token = keys.security_token and keys.security_token.reveal()
    return keys.access_key_id.reveal(), keys.secret_access_key.reveal(), token


def refused(kind, why, credentials_file=None, environ=None):
    """The error of these sources, which shows no piece of any key."""
    with pytest.raises(kind, match=why) as caught:
        found(credentials_file, environ)
    error = caught.value
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__)) + error.hint
    for secret in (KEY_ID, SECRET, TOKEN, *pair(1)):
        assert not [secret[n : n + 6] for n in range(len(secret) - 5) if secret[n : n + 6] in told]
    assert len(error.message) < 200 and error.hint
    return error


# --- which source ----------------------------------------------------------------------------


def everything(write, profile):
    """All four sources with keys of their own, the first of them first."""
    environ = {**dict(zip(HW, pair(2))), **dict(zip(SDK, pair(3)))}
    profile("[basic]\nak = %s\nsk = %s\n" % pair(4))
    return write("%s\n%s\n" % pair(1)), environ


def test_the_order_of_the_sources(write, profile):
    key_file, environ = everything(write, profile)
    order = []
    for given_file, names in ((key_file, ()), (None, ()), (None, HW), (None, HW + SDK)):
        keys = found(given_file, {name: value for name, value in environ.items() if name not in names})
        order.append((revealed(keys)[:2], keys.source))
    assert order == [
        (pair(1), "the file given with --credentials-file"),
        (pair(2), "the environment (HW_*)"),
        (pair(3), "the environment (HUAWEICLOUD_SDK_*)"),
        (pair(4), "the SDK's profile file"),
    ]


@pytest.mark.parametrize(
    "half, missing",
    [
        ({"HW_ACCESS_KEY": KEY_ID}, "HW_SECRET_KEY"),
        ({"HW_SECRET_KEY": SECRET}, "HW_ACCESS_KEY"),
        ({"HW_ACCESS_KEY": KEY_ID, "HW_SECRET_KEY": " \n"}, "HW_SECRET_KEY"),
        ({"HW_ACCESS_KEY": KEY_ID, "HW_SECURITY_TOKEN": TOKEN}, "HW_SECRET_KEY"),
    ],
)
def test_half_a_pair_is_never_completed_from_elsewhere(write, profile, half, missing):
    _, environ = everything(write, profile)
    environ = {**{name: value for name, value in environ.items() if name not in HW}, **half}
    error = refused(CredentialsIncomplete, r"HW_\*\), %s is missing" % missing, environ=environ)
    assert "another account" in error.hint


@pytest.mark.parametrize(
    "name, value, missing", [("HUAWEICLOUD_SDK_AK", KEY_ID, SDK[1]), ("HUAWEICLOUD_SDK_SK", SECRET, SDK[0])]
)
def test_half_a_pair_of_the_sdk(write, profile, name, value, missing):
    everything(write, profile)
    refused(CredentialsIncomplete, "%s is missing" % missing, environ={name: value})


@pytest.mark.parametrize("lines, missing", [("ak = " + KEY_ID, "sk"), ("sk = " + SECRET, "ak")])
def test_half_a_pair_in_the_profile(profile, lines, missing):
    profile("[basic]\n%s\n" % lines)
    refused(CredentialsIncomplete, "profile file, %s is missing" % missing)


@pytest.mark.parametrize(
    "content, missing",
    [
        (KEY_ID, "its secret access key is missing"),
        (KEY_ID + ",", "its secret access key is missing"),
        ("," + SECRET, "its access key id is missing"),
        ("", "its access key id is missing"),
        ("# nothing yet\n\n", "its access key id is missing"),
        ("HW_ACCESS_KEY=" + KEY_ID, "HW_SECRET_KEY is missing"),
        ("HW_ACCESS_KEY=%s\nHW_SECRET_KEY=\n" % KEY_ID, "HW_SECRET_KEY is missing"),
        ("export HW_SECRET_KEY='%s'" % SECRET, "HW_ACCESS_KEY is missing"),
        ("HUAWEICLOUD_SDK_AK=" + KEY_ID, "HUAWEICLOUD_SDK_SK is missing"),
        ("sk=" + SECRET, "ak is missing"),
        ("HW_ACCESS_KEY=%s\nHUAWEICLOUD_SDK_SK=%s" % (KEY_ID, SECRET), "HW_SECRET_KEY is missing"),
        ("HW_REGION_NAME=cn-southwest-2", "names no keys"),
        ("HW_SECURITY_TOKEN=" + TOKEN, "names no keys"),
        ("USER=%s\nPASSWORD=%s" % (KEY_ID, SECRET), "names no keys"),
    ],
)
def test_half_a_pair_in_a_file(write, profile, content, missing):
    _, environ = everything(write, profile)
    refused(CredentialsIncomplete, missing, write(content), environ)


def test_a_file_that_is_not_there_is_not_replaced_by_other_sources(write, profile, tmp_path):
    _, environ = everything(write, profile)
    refused(CredentialsUnreadable, "does not exist", str(tmp_path / "nowhere"), environ)
    refused(CredentialsUnreadable, "does not exist", "", environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"HW_SECURITY_TOKEN": TOKEN},
        {"HW_ACCESS_KEY": "", "HW_SECRET_KEY": "  "},
        {"HW_PROJECT_ID": "0" * 32, "HW_REGION_NAME": "cn-southwest-2"},
    ],
)
def test_what_is_no_part_of_a_pair_decides_nothing(environ):
    assert revealed(found(None, {**environ, **dict(zip(SDK, pair(3)))}))[:2] == pair(3)


@pytest.mark.parametrize(
    "content", [None, "", "[basic]\n", "[basic]\nproject_id = x\n", "[global]\nak = %s\n" % KEY_ID]
)
def test_no_keys_anywhere(profile, content):
    if content is not None:
        profile(content)
    error = refused(CredentialsMissing, "^No Huawei Cloud keys found")
    for way in ("HW_ACCESS_KEY", "HW_SECRET_KEY", "--credentials-file", "--demo"):
        assert way in error.hint


# --- what belongs to a source ----------------------------------------------------------------


@pytest.mark.parametrize(
    "environ, token, project_id",
    [
        (dict(zip(HW, pair(1))), None, None),
        ({**dict(zip(HW, pair(1))), "HW_SECURITY_TOKEN": TOKEN}, TOKEN, None),
        ({**dict(zip(HW, pair(1))), "HW_SECURITY_TOKEN": " "}, None, None),
        ({**dict(zip(HW, pair(1))), "HUAWEICLOUD_SDK_SECURITY_TOKEN": TOKEN}, None, None),
        ({**dict(zip(HW, pair(1))), "HUAWEICLOUD_SDK_PROJECT_ID": "p1"}, None, None),
        (dict(zip(SDK, pair(1))), None, None),
        ({**dict(zip(SDK, pair(1))), "HUAWEICLOUD_SDK_SECURITY_TOKEN": TOKEN}, TOKEN, None),
        ({**dict(zip(SDK, pair(1))), "HW_SECURITY_TOKEN": TOKEN}, None, None),
        ({**dict(zip(SDK, pair(1))), "HUAWEICLOUD_SDK_PROJECT_ID": " p1 "}, None, "p1"),
    ],
)
def test_a_token_and_a_project_of_the_environment(environ, token, project_id):
    keys = found(None, environ)
    assert revealed(keys) == (*pair(1), token)
    assert (keys.project_id, keys.file_path, keys.readable_by_others) == (project_id, None, False)


def test_blanks_around_a_key_are_not_the_key():
    keys = found(None, {"HW_ACCESS_KEY": " %s\n" % KEY_ID, "HW_SECRET_KEY": "\t%s\r\n" % SECRET})
    assert revealed(keys) == (KEY_ID, SECRET, None)


def test_a_profile(profile, write, home):
    path = profile(
        "[global]\nak = x\n[basic]\nAK = %s\nsk : %s\nsecurity_token=%s\nproject_id = p1\n" % (KEY_ID, SECRET, TOKEN)
    )
    keys = found()
    assert (revealed(keys), keys.project_id) == ((KEY_ID, SECRET, TOKEN), "p1")
    assert os.path.samefile(keys.file_path, path)

    elsewhere = write("[basic]\nak = %s\nsk = %s\n" % pair(5), "elsewhere.ini")
    for spelled in (elsewhere, " %s " % elsewhere, os.path.join("~", "..", "elsewhere.ini")):
        assert revealed(found(None, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": spelled}))[:2] == pair(5)
    assert revealed(found(None, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": " "}))[:2] == (KEY_ID, SECRET)


def test_a_percent_sign_in_a_profile_is_a_percent_sign(profile):
    profile("[basic]\nak = %s\nsk = %s\nproject_id = %%(ak)s\n" % (KEY_ID, SECRET))
    assert found().project_id == "%(ak)s"


def test_a_profile_named_but_not_there(tmp_path, profile):
    profile("[basic]\nak = %s\nsk = %s\n" % pair(1))
    refused(CredentialsUnreadable, "does not exist", None, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path / "none")})


def test_a_profile_that_is_a_dangling_link(home):
    (home / ".huaweicloud").mkdir()
    (home / ".huaweicloud" / "credentials").symlink_to(home / "nowhere")
    refused(CredentialsUnreadable, "does not exist")


@pytest.mark.parametrize(
    "content",
    [
        "%s\n%s\n" % (KEY_ID, SECRET),
        "ak = %s\nsk = %s\n" % (KEY_ID, SECRET),
        "[basic]\nak = %s\n%s\n" % (KEY_ID, SECRET),
        "[basic]\nak = %s\nak = %s\n" % (KEY_ID, SECRET),
        "[basic]\nak = x\n[basic]\nsk = %s\n" % SECRET,
        "[basic\nak = %s\n" % KEY_ID,
        "%s = 1" % SECRET,
        "[%s]\n%s" % (SECRET, KEY_ID),
    ],
)
def test_a_profile_that_is_no_ini_does_not_show_the_line(profile, content):
    profile(content)
    error = refused(CredentialsUnreadable, "profile file is not an INI file")
    assert "[basic]" in error.hint


# --- files -----------------------------------------------------------------------------------

LINES = "%s\n%s\n" % (KEY_ID, SECRET)


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        LINES.rstrip(),
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\r"),
        "\n\n  %s  \n\n\t%s\t\n\n" % (KEY_ID, SECRET),
        "# my keys\n%s\n # and\n%s\n#%s" % (KEY_ID, SECRET, TOKEN),
        codecs.BOM_UTF8 + LINES.encode(),
        codecs.BOM_UTF16_LE + LINES.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + LINES.encode("utf-16-be"),
        codecs.BOM_UTF16_LE + LINES.replace("\n", "\r\n").encode("utf-16-le"),
        "%s,%s" % (KEY_ID, SECRET),
        " %s , %s \r\n" % (KEY_ID, SECRET),
        "# AK,SK\n%s,%s\n" % (KEY_ID, SECRET),
        "HW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s\n" % (KEY_ID, SECRET),
        "HW_SECRET_KEY=%s\r\nHW_ACCESS_KEY=%s\r\n" % (SECRET, KEY_ID),
        "export HW_ACCESS_KEY=%s\nexport  HW_SECRET_KEY=%s\n" % (KEY_ID, SECRET),
        "HW_ACCESS_KEY = \"%s\"\n  HW_SECRET_KEY='%s'  \n" % (KEY_ID, SECRET),
        "# keys\nHW_REGION_NAME=cn-southwest-2\n\nHW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s\n" % (KEY_ID, SECRET),
        codecs.BOM_UTF8 + ("HW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s\n" % (KEY_ID, SECRET)).encode(),
        "HUAWEICLOUD_SDK_AK=%s\nHUAWEICLOUD_SDK_SK=%s\n" % (KEY_ID, SECRET),
        "ak=%s\nsk=%s\n" % (KEY_ID, SECRET),
        "HUAWEICLOUD_SDK_AK=%s\nHUAWEICLOUD_SDK_SK=%s\nHW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s" % (*pair(1), KEY_ID, SECRET),
    ],
)  # fmt: skip
def test_a_key_file(write, content):
    path = write(content)
    keys = found(path, dict(zip(HW, pair(2))))
    assert revealed(keys) == (KEY_ID, SECRET, None)
    assert (keys.file_path, keys.project_id) == (path, None)
    assert keys.masked_id == "0123…IJ"


@pytest.mark.parametrize(
    "names",
    [
        ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN", "HW_PROJECT_ID"),
        ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HUAWEICLOUD_SDK_PROJECT_ID"),
        ("ak", "sk", "security_token", "project_id"),
    ],
    ids=["HW", "SDK", "profile"],
)
@pytest.mark.parametrize("quotes", ["", "'", '"'])
def test_a_key_file_with_a_token_and_a_project(write, names, quotes):
    values = (KEY_ID, SECRET, TOKEN, "p1")
    content = "".join("%s=%s%s%s\n" % (name, quotes, value, quotes) for name, value in zip(names, values))
    keys = found(write(content), {"HW_PROJECT_ID": "other", "HUAWEICLOUD_SDK_PROJECT_ID": "other"})
    assert (revealed(keys), keys.project_id) == ((KEY_ID, SECRET, TOKEN), "p1")


def test_a_key_file_with_a_home_in_its_name(write, home):
    write(LINES, str(home / "aksk.txt"))
    assert revealed(found("~/aksk.txt"))[:2] == (KEY_ID, SECRET)


def test_a_key_file_behind_a_link_and_an_odd_name(write, tmp_path):
    (tmp_path / "link").symlink_to(write(LINES, "my keys/密钥.txt"))
    assert revealed(found(str(tmp_path / "link")))[:2] == (KEY_ID, SECRET)


@pytest.mark.parametrize(
    "content, why",
    [
        ("%s\n%s\n%s\n" % (KEY_ID, SECRET, TOKEN), "has no form that is known"),
        ("%s,%s,%s" % (KEY_ID, SECRET, TOKEN), "has no form that is known"),
        ("[basic]\nak = %s\nsk = %s\n" % (KEY_ID, SECRET), "has no form that is known"),
        ("Access Key Id,Secret Access Key\n%s,%s\n" % (KEY_ID, SECRET), "does not look like a key"),
        ("HW_ACCESS_KEY=%s\n%s\n" % (KEY_ID, SECRET), "does not look like a key|has no form"),
        ('{"ak": "%s",\n"sk": "%s"}' % (KEY_ID, SECRET), "does not look like a key"),
        (b"\x00\x01\x02\x03" + LINES.encode(), "is not a text file"),
        (b"\x89PNG\r\n\x1a\n\x00" + b"\xff" * 100, "is not a text file"),
        (b"\xff\xfe" + LINES.encode("utf-16-le") + b"\x00", "is not a text file"),
        (LINES.encode("utf-16-le"), "is not a text file"),
        (codecs.BOM_UTF32_LE + LINES.encode("utf-32-le"), "is not a text file"),
        (LINES.encode() + b"\xe9", "is not a text file"),
        (LINES.encode() + b"\n" * LARGEST_FILE, "is far too large"),
        (b"\xff" * (LARGEST_FILE + 1), "is far too large"),
    ],
)
def test_a_file_of_another_form(write, content, why):
    refused(
        CredentialsUnreadable, "^(The file given with --credentials-file|In the file .*) (%s)" % why, write(content)
    )


def test_a_file_may_be_64_kib(write):
    comments = b"#" * (64 * 1024 - len(LINES) - 1) + b"\n"
    assert revealed(found(write(comments + LINES.encode()))) == (KEY_ID, SECRET, None)
    error = refused(CredentialsUnreadable, "is far too large", write(b"#" + comments + LINES.encode()))
    assert error.hint == VALID_FILE


@pytest.fixture
def places(tmp_path):
    os.mkfifo(str(tmp_path / "pipe"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        # Relative, since the path of a socket may not be long.
        before = os.getcwd()
        os.chdir(str(tmp_path))
        listener.bind("socket")
        os.chdir(before)
        yield tmp_path


@pytest.mark.parametrize(
    "name, why",
    [
        (".", "is a folder"),
        ("home", "is a folder"),
        ("pipe", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("socket", "cannot be opened"),
        ("loop", "cannot be opened"),
        ("nul\0byte", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
        ("nowhere", "does not exist: .*"),
        ("dangling", "does not exist: .*"),
        ("nowhere/aksk.txt", "does not exist: .*"),
    ],
)
def test_a_place_that_is_no_file(places, name, why):
    # A pipe without a writer would be waited for: that this returns at all is the point.
    error = refused(CredentialsUnreadable, why + r"\.$", str(places / name))
    assert error.about_file
    assert error.hint == VALID_FILE
    refused(CredentialsUnreadable, why, None, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(places / name)})


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no file at hand that opens but cannot be read")
def test_a_file_that_opens_but_cannot_be_read():
    refused(CredentialsUnreadable, "cannot be", "/proc/self/mem")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(write):
    path = write(LINES)
    os.chmod(path, 0)
    assert refused(CredentialsUnreadable, "cannot be opened", path).about_file


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files cannot be counted here")
def test_no_file_stays_open(places, write):
    before = os.listdir("/proc/self/fd")
    for path in (write(LINES), write(b"\x00"), str(places / "pipe"), str(places), "/dev/null", write("x" * 100_000)):
        try:
            found(path)
        except UsageStatsError as error:
            assert error.code.startswith("credentials_")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.skipif(os.name != "posix", reason="no such permissions")
@pytest.mark.parametrize(
    "mode, readable", [(0o600, False), (0o400, False), (0o622, False), (0o640, True), (0o604, True), (0o644, True)]
)
def test_a_file_that_others_can_read(write, profile, mode, readable):
    path = write(LINES)
    os.chmod(path, mode)
    assert found(path).readable_by_others is readable
    path = profile("[basic]\nak = %s\nsk = %s\n" % pair(1))
    os.chmod(path, mode)
    assert found().readable_by_others is readable


def test_a_file_that_is_gone_afterwards_takes_no_answer_with_it(write):
    path = write(LINES)
    keys = found(path)
    os.unlink(path)
    assert keys.readable_by_others in (True, False)


# --- what a key looks like -------------------------------------------------------------------

ODD = {
    "too short": "1234567",
    "a blank": "abcd efgh ijkl",
    "a tab": "abcd\tefgh",
    "a line break": "abcdefgh\nijkl",
    "a quote": '"abcdefgh1234"',
    "a single quote": "'abcdefgh1234'",
    "angle brackets": "<your-access-key-id>",
    "a comma": "abcdefgh,1234",
    "a colon": "ak:abcdefgh1234",
    "a variable": "$HW_ACCESS_KEY",
    "not ASCII": "abcdefghé1234",
    "wide digits": "１２３４５６７８９",
    "a control character": "abcdefgh\x1b1234",
    "a zero byte": "abcdefgh\x001234",
    "your-": "your-access-key-id",
    "YOUR_": "YOUR_SECRET_KEY",
    "x": "xxxxxxxxxxxx",
    "X": "XXXXXXXXXXXX",
    "dots": "............",
    "stars": "************",
    "too long": "a1" * 8192 + "a",
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", [*HW, "HW_SECURITY_TOKEN"])
def test_what_does_not_look_like_a_key(name, value):
    environ = {"HW_ACCESS_KEY": KEY_ID, "HW_SECRET_KEY": SECRET, name: value}
    error = refused(
        CredentialsUnreadable, r"^In the environment \(HW_\*\), %s does not look like a key" % name, None, environ
    )
    assert value not in error.message + error.hint
    assert not error.about_file
    assert "Nothing was sent" in error.hint


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_what_does_not_look_like_a_key_in_a_file(write, value):
    for content in (
        "%s\n%s\n" % (value, SECRET),
        "%s\n%s\n" % (KEY_ID, value),
        "HW_ACCESS_KEY=%s\nHW_SECRET_KEY=%s" % (KEY_ID, value),
    ):
        if value[0] in "'\"" and "=" in content:
            continue  # there, quotes are taken off
        with pytest.raises((CredentialsUnreadable, CredentialsIncomplete)) as caught:
            found(write(content))
        assert value not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "value",
    ["12345678", KEY_ID, SECRET, TOKEN, "a.b_c~d+e/f=g-h", "xxxxxxxxY", "yourkey1", "not-your-key", "a1" * 8192],
)
def test_only_the_service_knows_what_a_key_is(value):
    keys = found(None, dict.fromkeys((*HW, "HW_SECURITY_TOKEN"), value))
    assert revealed(keys) == (value,) * 3


@pytest.mark.parametrize(
    "key_id, secret, usual",
    [
        (KEY_ID, SECRET, True),
        (KEY_ID[:-1], SECRET, False),
        (KEY_ID + "A", SECRET, False),
        (KEY_ID.lower(), SECRET, False),
        (KEY_ID, SECRET[:-1], False),
        (KEY_ID, SECRET + "a", False),
        (KEY_ID, SECRET[:-1] + "/", False),
        (SECRET, KEY_ID, False),
    ],
)
def test_the_usual_shape(key_id, secret, usual):
    assert found(None, dict(zip(HW, (key_id, secret)))).usual_shape is usual


# --- secrecy ---------------------------------------------------------------------------------


def test_the_redactor_learns_what_was_found():
    redactor = Redactor()
    keys = found(None, {**dict(zip(HW, (KEY_ID, SECRET))), "HW_SECURITY_TOKEN": TOKEN}, redactor)
    assert redactor.clean("%s %s %s" % (KEY_ID, SECRET, TOKEN)) == "0123…IJ [redacted] [redacted]"
    for shown in (repr(keys), str(keys), "%s" % vars(keys)):
        assert not any(secret in shown for secret in (KEY_ID, SECRET, TOKEN))


@pytest.mark.parametrize(
    "content",
    ["%s\n%s x" % (KEY_ID, SECRET), "%s x\n%s" % (KEY_ID, SECRET), "HW_ACCESS_KEY=%s" % KEY_ID, KEY_ID, "," + SECRET],
)
def test_the_redactor_learns_what_was_refused(write, content):
    redactor = Redactor()
    with pytest.raises(UsageStatsError):
        found(write(content), {}, redactor)
    for secret in (KEY_ID, SECRET):
        if content.endswith(secret) or secret + "\n" in content:
            assert redactor.knows(secret)


def test_the_redactor_learns_the_whole_environment():
    redactor = Redactor()
    secrets = {name: "%s-secret-%d" % (name.lower(), n) for n, name in enumerate((*HW, *SDK))}
    tokens = {"HW_SECURITY_TOKEN": TOKEN, "HUAWEICLOUD_SDK_SECURITY_TOKEN": TOKEN[::-1]}
    learn_environment({**secrets, **tokens, "HW_PROJECT_ID": "project-id-1", "PATH": "/usr/local/bin"}, redactor)
    shown = redactor.clean(" ".join([*secrets.values(), *tokens.values(), "project-id-1", "/usr/local/bin"]))
    assert shown == "hw_a…-0 [redacted] huaw…-2 [redacted] [redacted] [redacted] project-id-1 /usr/local/bin"


def test_an_environment_without_keys_teaches_nothing():
    redactor = Redactor()
    learn_environment({"HW_ACCESS_KEY": " ", "HW_SECRET_KEY": "short"}, redactor)
    assert not redactor.knows("short text")


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory):
    return str(tmp_path_factory.mktemp("any") / "file")


fragments = st.sampled_from(
    [
        *(KEY_ID, SECRET, TOKEN, "[basic]\n", "ak", "sk", "ak=", "sk=", "HW_ACCESS_KEY=", "HW_SECRET_KEY=", "export "),
        *(
            "\n",
            "\r\n",
            "\n  ",
            "\t",
            " ",
            ",",
            "=",
            " = ",
            "=\n",
            ":",
            "'",
            '"',
            "#",
            ";",
            "%",
            "[",
            "]",
            "\0",
            "\x85",
            "é",
        ),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(fragments, max_size=12).map("".join), st.booleans())
@example("[basic]\n" + SECRET, True)
@example("[basic]\n= " + SECRET, True)
def test_no_file_whatever_shows_a_key_or_fails_otherwise(anywhere, content, as_profile):
    with open(anywhere, "wb") as out:
        out.write(content.encode())
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": anywhere}
    try:
        keys = found(None, environ) if as_profile else found(anywhere)
    except (CredentialsMissing, CredentialsIncomplete, CredentialsUnreadable) as error:
        told = "".join(traceback.format_exception(type(error), error, error.__traceback__)) + error.hint
        for secret in (KEY_ID, SECRET, TOKEN):
            assert secret[:8] not in told and secret[-8:] not in told
    else:
        assert all(part in content for part in revealed(keys)[:2])
