"""Progress: a bar on a terminal's stderr while many calls are made, and nothing anywhere else."""

import json
import os
import re
import select
import signal
import subprocess
import time

import pytest
from conftest import PROJECT_ID, ask, bare_environment, command, launch
from rich.cells import cell_len
from stage import closed_port

pty = pytest.importorskip("pty")

GIVEN_PROJECT = ("--project-id", PROJECT_ID)
MONTH = ("--last", "30d", "--by", "day")


class Seen:
    """How a run ended whose stderr, or stdout, was a terminal; both as they came."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


def on_a_terminal(*words, terminal="stderr", environ=None, columns=80, interrupt_at=None):
    """Runs one command line with a pseudo-terminal for one stream and a pipe for the other.

    It is interrupted as by Ctrl-C once these bytes have come.
    """
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, terminal: slave}
    built = {**bare_environment("/nonexistent"), "TERM": "xterm-256color", **(environ or {})}
    process = subprocess.Popen(command(*words), env=built, stdin=subprocess.DEVNULL, **streams)
    os.close(slave)
    other = process.stdout if terminal == "stderr" else process.stderr
    read = {master: b"", other.fileno(): b""}
    give_up_s = time.monotonic() + 20
    left = set(read)
    while left:
        assert time.monotonic() < give_up_s
        for ready in select.select(list(left), [], [], 0.5)[0]:
            try:
                content = os.read(ready, 65536)
            except OSError:  # Linux says so where the other side of a terminal has gone
                content = b""
            if content:
                read[ready] += content
                if interrupt_at is not None and interrupt_at in read[ready]:
                    interrupt_at = None
                    process.send_signal(signal.SIGINT)
            else:
                left.discard(ready)
    status = process.wait(timeout=10)
    other_text = read[other.fileno()].decode("utf-8")
    other.close()
    os.close(master)
    seen = read[master].decode("utf-8")
    return Seen(status, other_text, seen) if terminal == "stderr" else Seen(status, seen, other_text)


def without_colour(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def assert_clean_json(out, rows):
    assert "\x1b" not in out and "\r" not in out
    assert len(out.splitlines()) == 1
    assert len(json.loads(out)["rows"]) == rows


def test_a_bar_for_many_calls():
    seen = on_a_terminal("--demo", *MONTH, "--format", "json")
    assert seen.status == 0
    # 30 or 31 days, by the hour at which this runs.
    calls = json.loads(seen.out)["api_calls"]
    assert_clean_json(seen.out, calls)
    shown = without_colour(seen.err)
    assert "calls" in shown
    counts = [int(count) for count in re.findall(r"\b(\d+)/%d\b" % calls, shown)]
    assert counts[-1] == calls and counts == sorted(counts)
    # Afterwards it is gone: what is left is an erased line, and a cursor that can be seen again.
    assert seen.err.rindex("\x1b[2K") > seen.err.rindex("calls")
    assert seen.err.rindex("\x1b[?25h") > seen.err.rindex("\x1b[?25l")


def test_the_answer_is_the_same_beside_a_bar():
    words = ("--demo", "--period", "last-week", "--by", "day", "--timezone", "Asia/Shanghai")
    seen = on_a_terminal(*words)
    piped = launch(*words, environ={"FORCE_COLOR": "1", "TERM": "xterm", "CLICOLOR_FORCE": "1"})
    assert "calls" in seen.err and seen.out == piped.stdout
    assert (piped.returncode, piped.stderr) == (0, "")


def test_an_interrupted_bar_gives_the_cursor_back():
    environ = {"MAAS_USAGE_DEMO_TROUBLE": "silent"}
    seen = on_a_terminal("--demo", *MONTH, *GIVEN_PROJECT, environ=environ, interrupt_at=b"calls")
    assert (seen.status, seen.out) == (130, "")
    assert seen.err.rindex("\x1b[?25h") > seen.err.rindex("\x1b[?25l")
    assert "interrupted: " in seen.err[seen.err.rindex("calls") :]


def test_no_bar_for_one_call():
    seen = on_a_terminal("--demo", "--last", "7d", "--format", "json")
    assert (seen.status, seen.err) == (0, "")
    assert_clean_json(seen.out, 0)


def test_nothing_in_this_process():
    told = ask(None, "--demo", *MONTH)
    assert (told.status, told.err) == (0, "")


def test_what_is_told_while_the_bar_is_there_is_read_whole():
    seen = on_a_terminal("--demo", *MONTH, "--format", "json", environ={"MAAS_USAGE_DEMO_TROUBLE": "broken-once"})
    assert seen.status == 0
    # One more call than rows was sent.
    assert_clean_json(seen.out, json.loads(seen.out)["api_calls"] - 1)
    shown = re.sub(r"\s+", " ", without_colour(seen.err))
    assert re.search(r"The service failed .* Trying again in [0-9.]+ s \(1 of 3 retries\)\.", shown)


def test_a_failure_under_the_bar_is_one_line_and_the_bar_is_gone():
    seen = on_a_terminal("--demo", *MONTH, environ={"MAAS_USAGE_DEMO_TROUBLE": "bad-request"})
    assert (seen.status, seen.out) == (7, "")
    *_, last = without_colour(seen.err).replace("\x1b[?25h", "").splitlines()
    assert re.search("(^|\x1b\\[2K|\r)bad_request: ", last)
    assert seen.err.rindex("bad_request") > seen.err.rindex("calls")


def test_errors_before_any_call_have_no_bar():
    environ = {"HTTPS_PROXY": "http://127.0.0.1:%d" % closed_port()}
    seen = on_a_terminal(*MONTH, environ=environ)
    assert (seen.status, seen.out) == (3, "")
    assert seen.err.startswith("credentials_missing: ") and len(seen.err.splitlines()) == 1


def test_a_narrow_terminal_without_colour():
    seen = on_a_terminal("--demo", *MONTH, "--format", "json", columns=20, environ={"NO_COLOR": "1"})
    assert seen.status == 0
    assert_clean_json(seen.out, json.loads(seen.out)["api_calls"])
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9]*m", seen.err)


def test_a_table_on_a_terminal_is_as_wide_as_anywhere():
    seen = on_a_terminal("--demo", *MONTH, terminal="stdout", columns=200)
    assert (seen.status, seen.err) == (0, "")
    assert "\x1b[" in seen.out and "█" in seen.out
    assert max(cell_len(line) for line in without_colour(seen.out).splitlines()) <= 80
    assert "calls" not in without_colour(seen.out).split("Note:")[0]
