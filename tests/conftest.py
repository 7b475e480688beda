"""A command line and a cloud to ask, shared by the tests that go through the front door.

    told = ask(account(), "--last", "7d", "--format", "json")
    assert told.status == 0 and told.document["totals"]["requests"] == ...

The environment of a run is built from nothing, so that no test depends on the machine's own.
"""

import contextlib
import functools
import io
import json
import os
import random
import re
import socket
import string
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import namedtuple
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional
from unittest import mock

import jsonschema
import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from maas_usage import cli, demo
from maas_usage.pace import Timing

with warnings.catch_warnings():
    # Of the newest cryptography that an old Python can have, on its own age.
    warnings.filterwarnings("ignore", message="Python 3.* is no longer supported")
    import trustme  # noqa: F401

import stage as stages
from stage import Cut, Reply, Request, Silence, json_reply

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "maas_rest_usage_stats.py"
SCHEMA = ROOT / "assets" / "usage.schema.json"
PYENV_VERSIONS = Path.home() / ".pyenv" / "versions"

REGION = "cn-southwest-2"
ZONE = "Asia/Shanghai"
IAM = "iam.cn-southwest-2.myhuaweicloud.com"
MODELARTS = "modelarts.cn-southwest-2.myhuaweicloud.com"
PROJECT_ID = ("0test" * 7)[:32]
STATISTICS_PATH = "/v1/%s/maas/monitoring/show-statistics" % PROJECT_ID

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
NOW_S = 1_795_469_530  # 2026-11-24T05:32:10+08:00
NOW_MS = NOW_S * 1000

# --- keys: drawn anew in every run, for nothing in a file may look like one ---

Keys = namedtuple("Keys", "key_id secret token")


def drawn_key_id() -> str:
    # A digit and a letter, wherever the rest of it falls.
    return "".join(["Q7", *random.SystemRandom().choices(string.ascii_uppercase + string.digits, k=18)])


def drawn_secret() -> str:
    return "".join(["aB3", *random.SystemRandom().choices(string.ascii_letters + string.digits, k=37)])


def drawn_token() -> str:
    # The characters of base64 that a URL encodes are all there.
    return "".join(["gQ+/", *random.SystemRandom().choices(string.ascii_letters + string.digits + "+/", k=300), "=="])


def drawn_keys(token: bool = False) -> Keys:
    return Keys(drawn_key_id(), drawn_secret(), drawn_token() if token else None)


KEYS = drawn_keys()


def in_environment(keys: Keys) -> Dict[str, str]:
    named = {"HW_ACCESS_KEY": keys.key_id, "HW_SECRET_KEY": keys.secret, "HW_SECURITY_TOKEN": keys.token}
    return {name: value for name, value in named.items() if value is not None}


# --- time ---


class Clock:
    """Time that passes only where somebody sleeps; `slept` keeps for how long each time."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self._start_s = now_s
        self._passed_s = 0.0
        self._lock = threading.Lock()
        self.slept: List[float] = []

    def now(self) -> float:
        return self._start_s + self._passed_s

    def monotonic(self) -> float:
        return 1000.0 + self._passed_s

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._passed_s += seconds

    def timing(self, connect_s: float = 10.0, answer_s: float = 10.0) -> Timing:
        return Timing(self.now, self.monotonic, self.sleep, lambda low, high: high, connect_s, answer_s)


# --- what the cloud answers ---


def figures(**members: Any) -> Dict[str, Any]:
    return {
        "total_request_count": 10,
        "total_error_count": 1,
        "total_token": 3.5,
        "total_prompt_token": 3,
        "total_completion_token": 0.25,
        "total_completion_tasks": 0,
        "total_infer_count": 0,
        **members,
    }


# Reported of the live service: two of the three do not add up to the third.
LIVE = (
    '{"total_request_count":67188,"total_error_count":8002,"total_token":2482084.98,'
    '"total_prompt_token":2456504.362,"total_completion_token":24872.928,'
    '"total_completion_tasks":0,"total_infer_count":0}'
)


def project(name: str = REGION, project_id: str = PROJECT_ID, **members: Any) -> Dict[str, Any]:
    return {"id": project_id, "name": name, "enabled": True, **members}


PROJECTS = json_reply(200, {"projects": [project()]})
USED = json_reply(200, figures())


def refused(status: int, code: str = "APIGW.0301", text: str = "no", **headers: str) -> Reply:
    return json_reply(status, {"error_code": code, "error_msg": text, "request_id": "req-1"}, **headers)


def answering(*statistics: Any, iam: Any = PROJECTS) -> Any:
    """An app that gives these answers to the statistics calls in turn, the last of them for ever.

    An answer may be a function of the request.
    """
    left = list(statistics or [USED])
    lock = threading.Lock()

    def app(request: Request) -> Any:
        with lock:
            chosen = iam if request.host.startswith("iam.") else left.pop(0) if len(left) > 1 else left[0]
        return chosen(request) if callable(chosen) else chosen

    return app


def on_stage(service: demo.Service) -> Any:
    """The embedded endpoint's answers as an app of a stage."""

    def app(request: Request) -> Any:
        reply = service.answer(request.method, request.target, dict(request.headers.items()), request.body)
        if reply.status == 0:
            return Silence()
        if len(reply.body) < int(reply.headers["Content-Length"]):
            return Cut(reply.body, len(reply.body) - 1)
        return Reply(reply.status, reply.body, reply.headers)

    return app


def service(keys: Keys = KEYS, clock: Any = lambda: NOW_S, **options: Any) -> demo.Service:
    return demo.Service(
        **{
            "access_key_id": keys.key_id,
            "secret_access_key": keys.secret,
            "security_token": keys.token,
            "project_id": PROJECT_ID,
            "clock": clock,
            **options,
        }
    )


def account(**options: Any) -> Any:
    """An app with the invented account, which checks every signature."""
    return on_stage(service(**options))


def counted(body: Dict[str, Any], **options: Any) -> Dict[str, Decimal]:
    """What the service counts for one request body, asked of it directly."""
    content = json.dumps(body).encode()
    signed = SdkRequest(
        method="POST",
        schema="https",
        host=MODELARTS,
        resource_path=STATISTICS_PATH,
        query_params=[],
        header_params={"X-Sdk-Date": "20261123T213210Z"},
        body=content,
    )
    headers = Signer(SimpleNamespace(ak=KEYS.key_id, sk=KEYS.secret)).sign(signed).header_params
    reply = service(**options).answer("POST", STATISTICS_PATH, headers, content)
    assert reply.status == 200, reply.body
    return json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)


# --- asking ---


class Stage(stages.Stage):
    """A stage that acknowledges at once.

    Through a proxy, urllib3 sends head and body of a request apart, and Nagle's algorithm would hold each body back
    for 40 ms.
    """

    def _exchange(self, tls: Any, reader: Any, host: str) -> bool:
        if hasattr(socket, "TCP_QUICKACK"):
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super()._exchange(tls, reader, host)


_shared = contextlib.ExitStack()


@functools.lru_cache(maxsize=None)
def shared_stage() -> Stage:
    """One stage for all runs that do not measure it or leave it hanging; its app changes with each of them."""
    return _shared.enter_context(Stage(answering()))


@pytest.fixture(scope="session", autouse=True)
def _closes_the_shared_stage() -> Any:
    yield
    _shared.close()


class Told:
    """How a run ended: what it said, and what the cloud saw of it."""

    def __init__(self, stage: Optional[Stage]) -> None:
        self.status = -1
        self.out = self.err = ""
        self.requests: List[Request] = []
        self.connects: List[str] = []
        self.slept: List[float] = []
        self.in_flight_peak = 0
        self._stage = stage
        self._before = (0, 0) if stage is None else (len(stage.requests), len(stage.connects))

    def ended(self, status: int, out: str, err: str, slept: List[float]) -> None:
        self.status, self.out, self.err, self.slept = status, out, err, list(slept)
        if self._stage is not None:
            self.requests = self._stage.requests[self._before[0] :]
            self.connects = self._stage.connects[self._before[1] :]
            self.in_flight_peak = self._stage.in_flight_peak
            assert self._stage.errors == []

    @property
    def document(self) -> Dict[str, Any]:
        """stdout, which is one JSON document that conforms to its schema and nothing else."""
        document = json.loads(self.out)
        assert violations(document) == []
        assert self.out.endswith("\n") and self.out.isascii()
        return document

    @property
    def error(self) -> Dict[str, Any]:
        assert self.document["status"] == "error"
        return self.document["error"]

    @property
    def statistics(self) -> List[Request]:
        return [request for request in self.requests if request.method == "POST"]

    @property
    def look_ups(self) -> List[Request]:
        return [request for request in self.requests if request.method == "GET"]

    @property
    def bodies(self) -> List[Dict[str, Any]]:
        """What the statistics calls asked, in the order of their windows."""
        bodies = [json.loads(request.body.decode("ascii")) for request in self.statistics]
        return sorted(bodies, key=lambda body: (body["start_time"], body["service_type"]))

    @property
    def said(self) -> str:
        return self.out + self.err


@functools.lru_cache(maxsize=None)
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def violations(document: Any) -> List[str]:
    return [error.message for error in _validator().iter_errors(document)]


_KEPT = ("PATH", "SYSTEMROOT", "COMSPEC", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH")


def bare_environment(home: Any) -> Dict[str, str]:
    """The least that a process needs: no keys, no proxies, no zone, an own home; coverage may look on."""
    kept = {n: v for n, v in os.environ.items() if n in _KEPT or n.startswith("COVERAGE")}
    return {
        **kept,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": ZONE,
    }


@contextlib.contextmanager
def _environment(home: Any, environ: Any, stage: Optional[Stage], keys: Optional[Keys]) -> Any:
    with tempfile.TemporaryDirectory(prefix="home-") as empty:
        built = bare_environment(empty if home is None else home)
        if keys is not None:
            built.update(in_environment(keys))
        if stage is not None:
            built.update(stage.environ)
        built.update(environ or {})
        yield {name: value for name, value in built.items() if value is not None}


def ask(
    app: Any,
    *words: str,
    environ: Optional[Dict[str, Optional[str]]] = None,
    keys: Optional[Keys] = KEYS,
    home: Any = None,
    clock: Optional[Clock] = None,
    timing: Optional[Timing] = None,
    alone: bool = False,
    **stage_options: Any,
) -> Told:
    """One command line, run in this process against a stage with this app; None: without any stage.

    The run is in Shanghai unless the words name a zone. In `environ`, None takes a variable away. A run that measures
    the stage, or leaves calls behind, must have one for itself, `alone`; so has one with options of its own for it.
    """
    clock = clock or Clock()
    zoned = any(word.partition("=")[0] == "--timezone" for word in words)
    spelled = list(words) if zoned else [*words, "--timezone", ZONE]
    with contextlib.ExitStack() as stack:
        stage = None
        if app is not None:
            own = alone or stage_options
            stage = stack.enter_context(Stage(app, **stage_options)) if own else shared_stage()
            stage.app = app
        built = stack.enter_context(_environment(home, environ, stage, keys))
        stack.enter_context(mock.patch.dict(os.environ, built, clear=True))
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        err = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        told = Told(stage)
        try:
            status = cli.main(spelled, timing=timing or clock.timing())
        except SystemExit as ended:  # --help and --version
            status = ended.code or 0
        told.ended(status, out.getvalue(), err.getvalue(), clock.slept)
        return told


def ask_json(app: Any, *words: str, **options: Any) -> Told:
    return ask(app, *words, "--format", "json", **options)


def command(*words: str, python: Any = sys.executable, script: Any = SCRIPT) -> List[str]:
    return [str(python), str(script), *words]


def launch(
    *words: str,
    stage: Optional[Stage] = None,
    environ: Optional[Dict[str, Optional[str]]] = None,
    keys: Optional[Keys] = KEYS,
    home: Any = None,
    cwd: Any = None,
    text: bool = True,
    **options: Any,
) -> Any:
    """One command line in a process of its own, at the real time; what subprocess.run returns."""
    with _environment(home, environ, stage, keys) as built, tempfile.TemporaryDirectory() as elsewhere:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        given.update({name: options.pop(name) for name in ("stdout", "stderr", "stdin") if name in options})
        return subprocess.run(
            command(*words, **options),
            env=built,
            cwd=str(elsewhere if cwd is None else cwd),
            timeout=30,
            encoding="utf-8" if text else None,
            **given,
        )


def as_words(value: Any) -> Optional[str]:
    """The id of a test by the words that it types; of other values pytest makes its own."""
    typed = isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)
    return " ".join(value) or "nothing" if typed else None


def last_line(err: str) -> str:
    """The line that says how a run failed; those before it may only tell of waiting."""
    *progress, last = err.splitlines()
    assert err.endswith("\n")
    assert all("Trying again in" in line for line in progress), err
    return last


def assert_clean(text: str) -> None:
    """Nothing that steers a terminal, hides or turns text around, and no traceback."""
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", text), repr(text)
    assert "Traceback" not in text
