"""`--output`: the answer goes into the file whole or not at all, and an error never does."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from conftest import (
    KEYS,
    PROJECTS,
    SCRIPT,
    Clock,
    account,
    answering,
    ask,
    ask_json,
    bare_environment,
    last_line,
    launch,
    refused,
)
from stage import Reply

OLD = b"what stood here before\n"
FORMS = ["table", "markdown", "csv", "json"]
posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and devices are POSIX")


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


# --- whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form, lang", [*((form, "en") for form in FORMS), ("table", "zh"), ("markdown", "zh")])
def test_the_file_holds_what_stdout_would(tmp_path, form, lang):
    words = ("--last", "45d", "--format", form, "--lang", lang)
    there, here = ask(account(), *words, "--output", str(tmp_path / "answer")), ask(account(), *words)
    assert (there.status, there.out) == (0, "")
    assert there.err == here.err
    assert (tmp_path / "answer").read_bytes() == here.out.encode("utf-8")
    assert everything_in(tmp_path) == ["answer"]


@pytest.mark.parametrize(
    "words", [("--raw",), ("--format", "json", "--raw"), ("--format", "json", "--pretty")], ids=" ".join
)
def test_with_all_that_belongs_to_it(tmp_path, words):
    there, here = ask(account(), *words, "--output", str(tmp_path / "answer")), ask(account(), *words)
    assert there.said == ""
    assert (tmp_path / "answer").read_bytes() == here.out.encode("utf-8")


def test_in_place_of_what_stood_there(tmp_path):
    place = tmp_path / "answer.json"
    place.write_bytes(OLD * 1000)
    assert ask_json(account(), "--output", str(place)).status == 0
    assert json.loads(place.read_bytes())["status"] == "ok"
    assert everything_in(tmp_path) == ["answer.json"]


def test_line_ends_of_csv(tmp_path):
    ask(account(), "--format", "csv", "--output", str(tmp_path / "answer.csv"))
    content = (tmp_path / "answer.csv").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == 2 and b"\r\r" not in content


def test_a_guard_that_is_crossed_is_no_failure(tmp_path):
    place = tmp_path / "answer.json"
    assert ask_json(account(), "--alert-tokens", "1", "--output", str(place)).status == 10
    assert len(json.loads(place.read_bytes())["alerts"]) == 1


# --- places ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "answer.json",
        "a b/an answer.json",
        "文件夹/答案.json",
        "./answer",
        "a b/../answer",
        "-",
        "-x.json",
        "a'b\"c",
        "%s%d{}",
    ],
)
def test_a_path_from_where_one_stands(tmp_path, monkeypatch, name):
    for folder in ("a b", "文件夹"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    told = ask_json(None, "--demo", "--output=" + name)
    assert (told.status, told.said) == (0, "")
    assert json.loads((tmp_path / name).read_bytes())["status"] == "ok"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_process_writes_where_it_was_started_and_in_utf_8_whatever_its_console_is(tmp_path):
    (tmp_path / "文 件 夹").mkdir()
    words = ("--demo", "--lang", "zh", "--last", "10d", "--by", "day", "--output", "文 件 夹/答 案.txt")
    done = launch(*words, cwd=tmp_path, environ={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert everything_in(tmp_path) == ["文 件 夹", os.path.join("文 件 夹", "答 案.txt")]
    text = (tmp_path / "文 件 夹" / "答 案.txt").read_text(encoding="utf-8")
    assert "演示数据" in text and "█" in text and "◄" in text


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o444, 0o755])
def test_the_mode_of_the_file_is_kept(tmp_path, mode):
    place = tmp_path / "answer"
    place.write_bytes(OLD)
    place.chmod(mode)
    assert ask(account(), "--output", str(place)).status == 0
    assert stat.S_IMODE(place.stat().st_mode) == mode
    assert place.read_bytes() != OLD


@posix
@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_of_a_new_file_is_the_users(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        ask(account(), "--output", str(tmp_path / "answer"))
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "answer").stat().st_mode) == mode


@posix
class TestLinks:
    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        target = tmp_path / "elsewhere" / "answer.json"
        target.write_bytes(OLD)
        link = tmp_path / "link"
        link.symlink_to(os.path.join("elsewhere", "answer.json"))
        assert ask_json(account(), "--output", str(link)).status == 0
        assert link.is_symlink() and os.readlink(str(link)) == os.path.join("elsewhere", "answer.json")
        assert json.loads(target.read_bytes())["status"] == "ok"
        assert everything_in(tmp_path) == ["elsewhere", os.path.join("elsewhere", "answer.json"), "link"]

    def test_a_link_to_what_is_not_there_yet(self, tmp_path):
        link = tmp_path / "link"
        link.symlink_to("answer.json")
        assert ask_json(account(), "--output", str(link)).status == 0
        assert link.is_symlink()
        assert json.loads((tmp_path / "answer.json").read_bytes())["status"] == "ok"

    def test_a_link_to_a_link(self, tmp_path):
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("answer")
        (tmp_path / "answer").write_bytes(OLD)
        assert ask_json(account(), "--output", str(tmp_path / "one")).status == 0
        assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()
        assert json.loads((tmp_path / "answer").read_bytes())["status"] == "ok"

    def test_a_folder_behind_a_link(self, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("folder")
        assert ask_json(account(), "--output", str(tmp_path / "link" / "answer")).status == 0
        assert everything_in(tmp_path / "folder") == ["answer"]


# --- places that cannot be used --------------------------------------------------------------


def unusable(tmp_path, kind):
    """A place of this kind, and a word that its refusal must hold."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if kind == "no folder":
        return folder / "missing" / "answer", "folder"
    if kind == "folder":
        return folder, "folder"
    if kind == "folder behind a link":
        (tmp_path / "link").symlink_to("folder")
        return tmp_path / "link", "folder"
    if kind == "this folder":
        return ".", "folder"
    if kind == "nothing":
        return "", "written"
    if kind == "a file for a folder":
        (folder / "file").write_bytes(OLD)
        return folder / "file" / "answer", "folder"
    if kind == "device":
        return "/dev/null", "regular"
    if kind == "full device":
        return "/dev/full", "regular"
    if kind == "pipe":
        os.mkfifo(str(folder / "pipe"))
        return folder / "pipe", "regular"
    if kind == "no place to write":
        # Root may write into any folder, but not here.
        return "/proc/answer", "written"
    if kind == "link to no folder":
        (folder / "link").symlink_to(os.path.join("missing", "answer"))
        return folder / "link", "written"
    if kind == "link to no place to write":
        (folder / "link").symlink_to("/proc/answer")
        return folder / "link", "written"
    if kind == "link to itself":
        (folder / "link").symlink_to("link")
        return folder / "link", "written"
    assert kind == "long name"
    return folder / ("x" * 300), "written"


KINDS = ["no folder", "folder", "folder behind a link", "this folder", "nothing", "a file for a folder", "device"]
KINDS += [
    "full device",
    "pipe",
    "no place to write",
    "link to no folder",
    "link to no place to write",
    "link to itself",
]
KINDS += ["long name"]


@posix
@pytest.mark.parametrize("kind", KINDS)
def test_an_unusable_place_is_found_before_anything_is_sent(tmp_path, kind):
    place, word = unusable(tmp_path, kind)
    before = everything_in(tmp_path)
    for words in ((), ("--check",), ("--by", "day", "--demo"))[: 3 if kind == "no folder" else 1]:
        told = ask_json(account(), *words, "--output", str(place))
        assert (told.status, told.error["code"]) == (2, "usage")
        assert word in told.error["message"] + told.error["hint"]
        assert told.connects == []
        assert last_line(told.err).startswith("usage: ")
    assert everything_in(tmp_path) == before


@posix
def test_a_folder_that_may_not_be_written(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write into any folder")
    tmp_path.chmod(0o555)
    try:
        told = ask_json(account(), "--output", str(tmp_path / "answer"))
    finally:
        tmp_path.chmod(0o755)
    assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


def test_without_a_file_it_is_a_usage_error():
    for words in (("--output",), ("--output", "--demo")):
        told = ask_json(account(), *words)
        assert (told.status, told.error["code"], told.connects) == (2, "usage", [])


# --- not at all ------------------------------------------------------------------------------

FAILURES = {
    "503": (refused(503), 7, "service_error"),
    "400": (refused(400), 7, "bad_request"),
    "401": (refused(401, "APIGW.0301", "ak not exist"), 3, "credentials_rejected"),
    "403": (refused(403), 4, "permission_denied"),
}


@pytest.mark.parametrize("form, there", [("table", True), ("json", True), ("json", False), ("csv", False)])
@pytest.mark.parametrize("name", FAILURES)
def test_an_error_goes_to_stdout_and_stderr(tmp_path, name, form, there):
    answer, status, code = FAILURES[name]
    place = tmp_path / "answer"
    if there:
        place.write_bytes(OLD)
    told = ask(answering(answer), "--format", form, "--output", str(place))
    assert told.status == status
    assert last_line(told.err).startswith(code + ": ")
    assert told.error["code"] == code if form == "json" else told.out == ""
    assert everything_in(tmp_path) == (["answer"] if there else [])
    assert not there or place.read_bytes() == OLD


@pytest.mark.parametrize("words", [("--last", "x"), ("--by", "api-key"), ("--nope",)], ids=" ".join)
def test_a_usage_error_leaves_the_file_alone(tmp_path, words):
    place = tmp_path / "answer"
    place.write_bytes(OLD)
    told = ask_json(account(), *words, "--output", str(place))
    assert (told.status, told.error["code"], place.read_bytes()) == (2, "usage", OLD)


def test_missing_keys_leave_the_file_alone(tmp_path):
    place = tmp_path / "answer"
    place.write_bytes(OLD)
    told = ask_json(account(), "--output", str(place), keys=None)
    assert (told.status, told.error["code"], place.read_bytes()) == (3, "credentials_missing", OLD)


def test_a_failed_row_leaves_the_file_alone(tmp_path):
    place = tmp_path / "answer"
    place.write_bytes(OLD)
    sound, seen, lock = account(), [], threading.Lock()

    def app(request):
        with lock:
            seen.append(request)
            fails = len(seen) > 4
        return refused(400) if fails else sound(request)

    told = ask(app, "--last", "6d", "--by", "day", "--output", str(place), alone=True)
    assert (told.status, told.out, place.read_bytes()) == (7, "", OLD)
    assert everything_in(tmp_path) == ["answer"]


ON_A_FULL_DISK = """\
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@posix
@pytest.mark.parametrize("form, there", [("table", True), ("json", False)])
def test_what_cannot_be_written_whole_is_not_written(tmp_path, form, there):
    """No file may grow beyond 200 bytes, as if the disk were full."""
    place = tmp_path / "answer"
    if there:
        place.write_bytes(OLD)
        place.chmod(0o640)
    words = ["--demo", "--format", form, "--by", "day", "--output", str(place)]
    environ = {n: v for n, v in bare_environment(tmp_path).items() if not n.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(SCRIPT), *words],
        env=environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        timeout=30,
    )
    assert done.returncode == 1
    line = last_line(done.stderr)
    assert line.startswith("internal: ") and "could not be written" in line and "Traceback" not in done.stderr
    if form == "json":
        assert json.loads(done.stdout)["error"]["code"] == "internal"
    else:
        assert done.stdout == ""
    assert everything_in(tmp_path) == (["answer"] if there else [])
    if there:
        assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (OLD, 0o640)


@pytest.mark.parametrize("change", ["gone", "a folder now"])
def test_a_place_that_changes_meanwhile(tmp_path, change):
    folder = tmp_path / "folder"
    folder.mkdir()

    def app(request):
        if request.method == "GET":
            return PROJECTS
        if change == "gone":
            folder.rmdir()
        else:
            (folder / "answer").mkdir()
        return answering()(request)

    told = ask_json(app, "--output", str(folder / "answer"))
    assert (told.status, told.error["code"]) == (1, "internal")
    # It is the place that failed, and no defect to be reported.
    assert "could not be written" in told.error["message"]
    assert everything_in(tmp_path) == ([] if change == "gone" else ["folder", os.path.join("folder", "answer")])


def test_nothing_is_left_where_temporary_files_go(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    ask(None, "--demo", "--output", str(tmp_path / "out" / "answer"), clock=Clock())
    assert everything_in(tmp_path) == ["out", os.path.join("out", "answer"), "tmp"]


@posix
def test_keys_do_not_reach_the_file(tmp_path):
    place = tmp_path / "answer.json"
    echo = json.dumps({"key": KEYS.key_id, "secret": KEYS.secret})
    figures = '{"total_request_count":1,"total_error_count":0,"total_token":1,"total_prompt_token":1,'
    body = (figures + '"total_completion_token":0,"echo":%s}' % echo).encode()
    told = ask_json(answering(Reply(200, body)), "--raw", "--output", str(place))
    assert told.status == 0
    content = place.read_bytes().decode("ascii")
    assert KEYS.secret not in content and KEYS.key_id not in content and '"echo"' in content


@pytest.mark.parametrize(("trouble", "status"), [(None, 0), ("forbidden", 4)])
def test_a_failed_check_goes_to_stdout(tmp_path, trouble, status):
    path = tmp_path / "check.json"
    words = ("--demo", "--check", "--format", "json", "--output", str(path))
    told = ask(None, *words, environ={"MAAS_USAGE_DEMO_TROUBLE": trouble})
    assert told.status == status
    assert path.exists() is (status == 0)
    document = json.loads(path.read_text() if status == 0 else told.out)
    assert ("error" in document) is (status != 0)
