"""The stage does what it says, seen with `requests` itself."""

import gzip
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from stage import (
    DIVERTING,
    Cut,
    Drip,
    DripHeaders,
    Garbage,
    Reply,
    Reset,
    Silence,
    Stage,
    blanks,
    closed_port,
    json_reply,
)

IAM = "https://iam.cn-southwest-2.myhuaweicloud.com"
MODELARTS = "https://modelarts.ap-southeast-1.myhuaweicloud.com"
MIB = 1024 * 1024


@pytest.fixture
def get(monkeypatch):
    """One GET through a stage whose app always gives the same answer, with real certificates and environment."""

    def get(answer, timeout_s=5.0, url=IAM + "/v3/projects?name=a", **options):
        with Stage(lambda request: answer, **options) as stage:
            stage.apply_to(monkeypatch)
            return requests.get(url, timeout=timeout_s, allow_redirects=False)

    return get


def ok(request):
    return json_reply(200, {"host": request.host})


def proxy_of(stage):
    return "127.0.0.1", int(stage.environ["HTTPS_PROXY"].rpartition(":")[2])


def tunnel(stage):
    client = socket.create_connection(proxy_of(stage))
    client.sendall(b"CONNECT iam.cn-southwest-2.myhuaweicloud.com:443 HTTP/1.1\r\n\r\n")
    assert b" 200 " in client.recv(100)
    return client


class TestTrust:
    @pytest.mark.parametrize(
        "host",
        [
            "iam.cn-southwest-2.myhuaweicloud.com",
            "modelarts.ap-southeast-1.myhuaweicloud.com",
            "modelarts.cn-southwest-2.myhuaweicloud.cn",
            "maas.myhuaweicloud.com",
            "maas.myhuaweicloud.cn",
        ],
    )
    def test_every_host_of_the_cloud_is_trusted(self, get, host):
        assert get(json_reply(200, {}), url="https://" + host).status_code == 200

    @pytest.mark.parametrize(
        "options, why",
        [
            ({"trusted": False}, "self.signed certificate|unable to get local issuer"),
            ({"hosts": ["other.example"]}, "doesn't match|not valid for|mismatch"),
            ({"hosts": ["*.myhuaweicloud.com"]}, "doesn't match|not valid for|mismatch"),
        ],
        ids=["another authority", "another host", "a wildcard is one label"],
    )
    def test_a_certificate_that_does_not_verify_ends_before_http(self, monkeypatch, options, why):
        with Stage(ok, **options) as stage:
            stage.apply_to(monkeypatch)
            with pytest.raises(requests.exceptions.SSLError, match=why):
                requests.get(IAM)
        assert stage.connects == ["iam.cn-southwest-2.myhuaweicloud.com:443"]
        assert stage.requests == []


class TestRecords:
    def test_requests_arrive_whole_and_in_order(self, monkeypatch):
        before_s = time.monotonic()
        with Stage(ok) as stage:
            stage.apply_to(monkeypatch)
            requests.get(IAM + "/v3/projects?name=a%20b", headers={"X-Sdk-Date": "20261124T000000Z"})
            requests.post(MODELARTS + "/v1/p/statistics", json={"start_time": 1})
        first, second = stage.requests
        assert (first.method, first.target, first.body) == ("GET", "/v3/projects?name=a%20b", b"")
        assert first.host == first.headers["Host"] == "iam.cn-southwest-2.myhuaweicloud.com"
        assert first.headers["x-sdk-date"] == "20261124T000000Z"
        assert (second.method, second.host) == ("POST", "modelarts.ap-southeast-1.myhuaweicloud.com")
        assert json.loads(second.body.decode()) == {"start_time": 1}
        assert before_s < first.received_s < second.received_s < time.monotonic()
        assert stage.connects == [first.host + ":443", second.host + ":443"]

    def test_a_connection_carries_many_requests(self, monkeypatch):
        with Stage(ok) as stage, requests.Session() as session:
            stage.apply_to(monkeypatch)
            for _ in range(3):
                session.get(IAM)
            session.get(IAM, headers={"Accept-Encoding": "identity"}).json()
        assert (len(stage.requests), len(stage.connects)) == (4, 1)

    def test_the_app_can_be_replaced(self, monkeypatch):
        with Stage(ok) as stage:
            stage.apply_to(monkeypatch)
            assert requests.get(IAM).status_code == 200
            stage.app = lambda request: json_reply(404, "{}")
            assert requests.get(IAM).status_code == 404

    def test_the_peak_is_exact(self, monkeypatch):
        everyone = threading.Barrier(16, timeout=5)

        def meet(request):
            everyone.wait()
            return json_reply(200, {})

        with Stage(meet) as stage, ThreadPoolExecutor(16) as pool:
            stage.apply_to(monkeypatch)
            assert {answer.status_code for answer in pool.map(requests.get, [IAM] * 16)} == {200}
        assert stage.in_flight_peak == 16

    def test_successive_requests_never_overlap(self, monkeypatch):
        answers = [json_reply(200, {}), Reply(200, [b"{", b"}"]), Drip(b"{}", 0.001), Cut(b"{}", 2)]
        with Stage(lambda request: answers[len(stage.requests) % 4]) as stage:
            stage.apply_to(monkeypatch)
            for _ in range(20):
                assert requests.get(IAM).json() == {}
        assert stage.in_flight_peak == 1


class TestReplies:
    def test_json_of_an_object_and_of_text(self, get):
        answer = get(json_reply(429, {"error_code": "APIG.0308"}, Retry_After="3"))
        assert (answer.status_code, answer.json()) == (429, {"error_code": "APIG.0308"})
        assert answer.headers["Retry-After"] == "3"
        assert answer.headers["Content-Type"] == "application/json"
        assert get(json_reply(200, '{"a": 1, "a": 2}')).text == '{"a": 1, "a": 2}'

    def test_a_redirect(self, get):
        answer = get(Reply(307, b"", {"Location": "https://elsewhere.example/"}))
        assert (answer.status_code, answer.headers["Location"]) == (307, "https://elsewhere.example/")

    @pytest.mark.parametrize("status", [101, 204, 304])
    def test_a_status_without_a_body(self, get, status):
        answer = get(Reply(status, b"not sent"))
        assert (answer.status_code, answer.content) == (status, b"")

    def test_a_compressed_body_is_sent_as_given(self, get):
        answer = get(Reply(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}))
        assert answer.content == b"{}"
        assert answer.headers["Content-Length"] == str(len(gzip.compress(b"{}")))

    def test_a_body_beyond_16_mib(self, get):
        answer = get(Reply(200, blanks(16 * MIB + 1)))
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert len(answer.content) == 16 * MIB + 1

    def test_a_long_body_under_a_content_length(self, get):
        answer = get(Reply(200, blanks(MIB + 1), {"Content-Length": str(MIB + 1)}))
        assert "Transfer-Encoding" not in answer.headers
        assert len(answer.content) == MIB + 1

    def test_a_header_twice(self, get):
        answer = get(Reply(200, b"{}", [("X-Request-Id", "a"), ("X-Request-Id", "b")]))
        assert answer.headers["X-Request-Id"] == "a, b"


class TestFailures:
    def test_silence(self, get):
        with pytest.raises(requests.exceptions.ReadTimeout):
            get(Silence(), timeout_s=0.1)

    def test_silence_ends_when_the_client_gives_up(self, monkeypatch):
        with Stage(lambda request: Silence()) as stage:
            stage.apply_to(monkeypatch)
            for _ in range(3):
                with pytest.raises(requests.exceptions.ReadTimeout):
                    requests.get(IAM, timeout=0.05)
        assert stage.in_flight_peak == 1

    def test_a_dripping_body_outlasts_a_read_timeout(self, get):
        started_s = time.monotonic()
        assert get(Drip(b'{"a": 1}', 0.04), timeout_s=0.25).json() == {"a": 1}
        assert time.monotonic() - started_s > 0.25

    def test_dripping_headers_never_end(self, monkeypatch):
        with ThreadPoolExecutor(1) as pool:
            with Stage(lambda request: DripHeaders(0.01)) as stage:
                stage.apply_to(monkeypatch)
                call = pool.submit(requests.get, IAM, timeout=0.3)
                time.sleep(0.5)
                assert not call.done()
                assert stage.in_flight_peak == 1
            # The end of the connection ends the headers too, for http.client; what matters is that it came.
            assert call.result(timeout=1).headers["X-Drip"].startswith("....")

    @pytest.mark.parametrize("after", [0, 5])
    def test_a_cut_is_an_incomplete_read(self, get, after):
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match=f"IncompleteRead.{after} bytes"):
            get(Cut(b'{"a": 1}', after))

    def test_a_reset(self, get):
        with pytest.raises(requests.exceptions.ConnectionError, match=r"ConnectionResetError|RemoteDisconnected"):
            get(Reset())

    def test_garbage(self, get):
        with pytest.raises(requests.exceptions.ConnectionError, match="BadStatusLine"):
            get(Garbage(b"\x00\xff not http\r\n"))
        with pytest.raises(requests.exceptions.ConnectionError, match="RemoteDisconnected"):
            get(Garbage(b""))


class TestProxy:
    def test_a_refusing_proxy(self, monkeypatch):
        with Stage(ok, proxy_status=407) as stage:
            stage.apply_to(monkeypatch)
            with pytest.raises(requests.exceptions.ProxyError, match="407"):
                requests.get(IAM)
        assert (len(stage.connects), stage.requests) == (1, [])

    def test_a_host_that_does_not_resolve_while_another_does(self, monkeypatch):
        with Stage(ok, unresolvable={"modelarts.ap-southeast-1.myhuaweicloud.com"}) as stage:
            stage.apply_to(monkeypatch)
            assert requests.get(IAM).status_code == 200
            with pytest.raises(requests.exceptions.ProxyError, match="502"):
                requests.get(MODELARTS)
        assert [request.host for request in stage.requests] == ["iam.cn-southwest-2.myhuaweicloud.com"]

    def test_a_dead_proxy(self, monkeypatch):
        for name in DIVERTING:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
        with pytest.raises(requests.exceptions.ProxyError, match="refused"):
            requests.get(IAM)

    def test_an_environment_for_a_child_has_nothing_that_diverts(self):
        with Stage(ok) as stage:
            child = stage.over({"https_proxy": "", "no_proxy": "*", "NO_PROXY": "*", "PATH": "/bin"})
            assert child == {"PATH": "/bin", **stage.environ}


class TestClosing:
    @pytest.mark.parametrize("error", [AssertionError("wrong signature"), FileNotFoundError("no such answer")])
    def test_what_the_app_raises_is_not_lost(self, monkeypatch, error):
        def app(request):
            raise error

        with pytest.raises((AssertionError, RuntimeError)) as caught, Stage(app) as stage:
            stage.apply_to(monkeypatch)
            with pytest.raises(requests.exceptions.ConnectionError):
                requests.get(IAM)
        assert error in (caught.value, caught.value.__cause__)

    def test_clients_that_leave_are_no_news(self, monkeypatch, capfd):
        with Stage(lambda request: Reply(200, blanks(64 * MIB))) as stage:
            stage.apply_to(monkeypatch)
            requests.get(IAM, stream=True).close()
            tunnel(stage).close()
            with tunnel(stage) as client:
                client.sendall(b"not a handshake")
            # Nothing at all is not an error either.
            socket.create_connection(proxy_of(stage)).close()
        assert capfd.readouterr() == ("", "")

    def test_nothing_is_left(self, monkeypatch):
        threads = set(threading.enumerate())
        with ThreadPoolExecutor(4) as pool:
            with Stage(lambda request: Silence()) as stage:
                stage.apply_to(monkeypatch)
                calls = [pool.submit(requests.get, IAM, timeout=5) for _ in range(4)]
                while len(stage.requests) < 4:
                    time.sleep(0.01)
                idle = tunnel(stage)
            for call in calls:
                with pytest.raises(requests.exceptions.ConnectionError):
                    call.result(timeout=1)
        with idle:
            assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            tunnel(stage)
        assert not os.path.exists(stage.environ["REQUESTS_CA_BUNDLE"])
        assert set(threading.enumerate()) <= threads
