"""From the Python that was called to one that has the packages: this one, the bundle's, or uv's.

Old Pythons must be able to read this file: no syntax newer than Python 2.7's.
"""

import importlib
import os
import signal
import sys

FORMATS = ("table", "json", "markdown", "csv")
NEEDED = ("huaweicloudsdkcore", "jsonschema", "platformdirs", "requests", "rich", "tenacity", "tzlocal")
OLDEST = (3, 8)
# Tells a Python that was handed over to what was tried already, so that it never goes in a loop.
TRIED = "MAAS_USAGE_HANDED_OVER"

MESSAGE = "This Python lacks packages that the tool needs, and neither the bundle's .venv nor uv has them."
TOO_OLD = "This Python is too old: Python 3.8 or newer is needed."
INTERRUPTED = "Interrupted by Ctrl-C."
TERMINATED = "Interrupted by SIGTERM."
HINT_INTERRUPTED = "Nothing was changed anywhere: run it again when it suits."
HINT = """Make them once, in the folder that holds SKILL.md:
  python3 -m venv .venv
  .venv/bin/python -m pip install ."""
HINT_TOO_OLD = "Call the script with a newer one, for example python3.12 in place of python3."


def run(script, module, always_json=False):
    """Runs `module.main()` for a script and exits with its status; a Python below 3.8 gets one line."""
    as_json = always_json or wants_json(sys.argv[1:])
    if sys.version_info < OLDEST:
        sys.exit(_refuse("packages_missing", 2, TOO_OLD, HINT_TOO_OLD, as_json))
    try:
        signal.signal(signal.SIGTERM, _terminate)
        main = importlib.import_module(module).main
    # Before there is anybody else to catch it.
    except KeyboardInterrupt:
        sys.exit(_refuse("interrupted", 130, INTERRUPTED, HINT_INTERRUPTED, as_json))
    except Terminated:
        sys.exit(_refuse("interrupted", 143, TERMINATED, HINT_INTERRUPTED, as_json))
    sys.exit(main(script=os.path.realpath(script)))


class Terminated(BaseException):
    """SIGTERM came."""


def _terminate(_number, _frame):
    raise Terminated


def _refuse(code, status, message, hint, as_json):
    sys.stderr.write("%s: %s %s\n" % (code, message, hint))
    if as_json:
        import json

        sys.stdout.write(json.dumps(constant_document(code, message, hint)) + "\n")
    return status


def wants_json(argv):
    """Whether the words ask for JSON, recognisable even where the rest of the line is wrong."""
    said = "table"
    for before, word in zip([""] + list(argv), argv):
        value = word[len("--format=") :] if word.startswith("--format=") else word
        if value in FORMATS and (value != word or before == "--format"):
            said = value
    return said == "json"


def constant_document(code, message, hint):
    """The JSON document of an error that comes before anything could validate it."""
    return {
        "schema_version": "1.0",
        "status": "error",
        "error": {
            "code": code,
            "message": message,
            "hint": hint,
            "http_status": None,
            "api_code": None,
            "request_id": None,
            "retryable": code == "interrupted",
            "retry_after_s": None,
        },
    }


def lacking(needed=None):
    """The packages that this Python does not have, of those named or of those that a query needs."""
    from importlib.util import find_spec

    if needed is None:
        needed = NEEDED if sys.version_info >= (3, 9) else NEEDED + ("backports.zoneinfo",)
    found = []
    for name in needed:
        try:
            if find_spec(name) is None:
                found.append(name)
        except ImportError:  # the parent of a dotted name
            found.append(name)
    return found


def to_better_python(script, argv, tell):
    """Goes on in the bundle's .venv or in uv, and does not return; returns where neither is there.

    `tell` gets a line for the user when uv, which may download, takes over.
    """
    tried = os.environ.get(TRIED, "")
    if not tried:
        bundle = os.path.dirname(os.path.dirname(script))
        for python in (("bin", "python"), ("Scripts", "python.exe")):
            path = os.path.join(bundle, ".venv", *python)
            if os.path.isfile(path):
                _go_on([path, script] + argv, "venv")
    if tried != "uv":
        from shutil import which

        uv = which("uv")
        if uv is not None:
            tell("The packages are missing here: uv runs this, and may download them first.")
            command = [uv, "run", "--quiet", "--no-project", "--script", script]
            if _succeeds(command + ["--version"], "uv"):
                _go_on(command + argv, "uv")


def _succeeds(command, tried):
    import subprocess

    try:
        # uv's own talk goes to stderr and is shown; stdout belongs to the answer.
        return subprocess.call(command, stdout=subprocess.DEVNULL, env=_environ(tried)) == 0
    except OSError:
        return False


def _go_on(command, tried):
    try:
        if os.name == "posix":
            os.execve(command[0], command, _environ(tried))
        import subprocess

        sys.exit(subprocess.call(command, env=_environ(tried)))
    except OSError:
        return  # a broken .venv: try the next


def _environ(tried):
    environ = dict(os.environ)
    environ[TRIED] = tried
    return environ
