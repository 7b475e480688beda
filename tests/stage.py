"""A cloud on loopback for tests: real sockets, real TLS, and every way an answer can go wrong.

    def app(request):
        return json_reply(200, {"path": request.target})

    with Stage(app) as stage:
        stage.apply_to(monkeypatch)             # or: env=stage.over(os.environ) for a child process
        requests.get("https://iam.cn-southwest-2.myhuaweicloud.com/v3/projects")
        assert stage.connects == ["iam.cn-southwest-2.myhuaweicloud.com:443"]

The only doors are `HTTPS_PROXY` and `REQUESTS_CA_BUNDLE`, so the program under test runs unchanged.
"""

import atexit
import contextlib
import functools
import http.client
import itertools
import json
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Callable,
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import trustme

# A wildcard covers one label: "*.myhuaweicloud.com" does not match "iam.cn-southwest-2.myhuaweicloud.com".
CLOUD_HOSTS = tuple(
    "*." + region + "myhuaweicloud." + top
    for top in ("com", "cn")
    for region in ("", "cn-southwest-2.", "ap-southeast-1.", "cn-north-4.")
)

# In lower case these win over, or even when empty cancel, the variables of `Stage.environ`.
DIVERTING = ("https_proxy", "no_proxy")


@dataclass(frozen=True)
class Request:
    """One HTTP request as it arrived; `headers` ignore case, `host` is the one the proxy was asked for."""

    method: str
    target: str
    headers: http.client.HTTPMessage
    body: bytes
    host: str
    received_s: float  # time.monotonic()


class Wire:
    """The way back to the client for the answer to one request; its methods raise OSError once the client is gone."""

    def __init__(self, tls: ssl.SSLSocket, method: str, answered: Callable[[], None]) -> None:
        self.tls = tls
        self.method = method
        self.answered = answered

    def send(self, data: bytes) -> None:
        self.tls.sendall(data)

    def finish(self, data: bytes) -> None:
        # Counted before the last bytes are out: the client's next request can never overlap with this one.
        self.answered()
        self.tls.sendall(data)

    def wait(self, seconds: Optional[float] = None) -> None:
        """Time passes (for ever, by default) unless the client hangs up or the stage closes."""
        self.tls.settimeout(None if seconds is None else max(seconds, 0.0001))
        try:
            while self.tls.recv(1):
                pass
        except socket.timeout:
            self.tls.settimeout(None)
        else:
            raise ConnectionAbortedError("the client or the stage has gone")


# What an app may return: anything with `play(wire)`, which is true where the connection may carry another request.


@dataclass(frozen=True)
class Reply:
    """An answer as it should be, its `headers` a mapping, or pairs where a name comes twice.

    Bytes are sent with their Content-Length, an iterable of bytes as chunks, unless the headers say otherwise.
    """

    status: int = 200
    body: Union[bytes, Iterable[bytes]] = b""
    headers: Union[Mapping[str, str], Sequence[Tuple[str, str]]] = ()

    def play(self, wire: Wire) -> bool:
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        bodiless = self.status < 200 or self.status in (204, 304)
        if not bodiless and not {"content-length", "transfer-encoding"} & {name.lower() for name, _ in pairs}:
            whole = str(len(self.body)) if isinstance(self.body, bytes) else ""
            pairs.append(("Content-Length", whole) if whole else ("Transfer-Encoding", "chunked"))
        final = {name.lower(): value.lower() for name, value in pairs}
        parts: Iterable[bytes] = filter(None, [self.body] if isinstance(self.body, bytes) else self.body)
        if bodiless or wire.method == "HEAD":
            parts = ()
        elif "transfer-encoding" in final:
            parts = _chunked(parts)
        held = _head(self.status, pairs)
        for part in parts:
            wire.send(held)
            held = part
        wire.finish(held)
        return final.get("connection") != "close"


@dataclass(frozen=True)
class Silence:
    """No answer, until the client gives up or the stage closes."""

    def play(self, wire: Wire) -> bool:
        wire.wait()
        return False


@dataclass(frozen=True)
class Drip:
    """A JSON answer whose headers come at once and whose body comes a byte at a time, to the end."""

    body: bytes
    interval_s: float

    def play(self, wire: Wire) -> bool:
        wire.send(_json_head(self.body))
        for byte in self.body[:-1]:
            wire.send(bytes([byte]))
            wire.wait(self.interval_s)
        wire.finish(self.body[-1:])
        return True


@dataclass(frozen=True)
class DripHeaders:
    """A status line, then a header that never ends, a byte at a time."""

    interval_s: float

    def play(self, wire: Wire) -> bool:
        wire.send(b"HTTP/1.1 200 OK\r\n")
        for byte in itertools.chain(b"X-Drip: ", itertools.repeat(ord("."))):
            wire.send(bytes([byte]))
            wire.wait(self.interval_s)
        return False


@dataclass(frozen=True)
class Cut:
    """A JSON answer with the Content-Length of its whole body, cut off `after` so many bytes of it."""

    body: bytes
    after: int

    def play(self, wire: Wire) -> bool:
        wire.finish(_json_head(self.body) + self.body[: self.after])
        return False


@dataclass(frozen=True)
class Reset:
    """RST instead of an answer."""

    def play(self, wire: Wire) -> bool:
        # Lingering for no time turns the FIN of the coming close into RST.
        wire.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


@dataclass(frozen=True)
class Garbage:
    """These bytes where HTTP should be, and the end of the connection."""

    data: bytes

    def play(self, wire: Wire) -> bool:
        wire.finish(self.data)
        return False


def json_reply(status: int, content: Any, **headers: str) -> Reply:
    """A JSON answer; text and bytes go out verbatim, and `Retry_After="3"` is the header Retry-After."""
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    named = {"Content-Type": "application/json"}
    named.update((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(status, text.encode() if isinstance(text, str) else text, named)


def blanks(size: int) -> Iterator[bytes]:
    """So many spaces, in chunks: a body of any size that costs no memory."""
    chunk = b" " * 65536
    for left in range(size, 0, -len(chunk)):
        yield chunk[:left]


@functools.lru_cache(maxsize=None)
def closed_port() -> int:
    """A port of 127.0.0.1 where nothing listens, nor will while this process lives."""
    # Bound and never listening: refused by the kernel, and out of reach of other processes.
    holder = socket.socket()
    atexit.register(holder.close)
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1]


class Stage:
    """A TLS server for every host of the cloud, behind a CONNECT proxy, trusted through a private authority.

    `app`, `proxy_status` and `unresolvable` may be replaced while it runs. The app is called from many threads at once;
    what it raises (a failed assertion too) ends the connection and is raised again when the stage closes.
    """

    def __init__(
        self,
        app: Callable[[Request], Any],
        *,
        hosts: Sequence[str] = CLOUD_HOSTS,
        trusted: bool = True,
        proxy_status: int = 200,
        unresolvable: Container[str] = (),
    ) -> None:
        self.app = app
        self.proxy_status = proxy_status  # of every CONNECT; none but 200 opens a tunnel
        self.unresolvable = unresolvable  # hosts whose CONNECT is answered 502
        self.environ: Dict[str, str] = {}
        self.requests: List[Request] = []
        self.connects: List[str] = []
        self.in_flight_peak = 0
        self.errors: List[BaseException] = []
        self._hosts = hosts
        self._trusted = trusted
        self._lock = threading.Lock()
        self._in_flight: set = set()
        self._sockets: Dict[threading.Thread, socket.socket] = {}
        self._closing = False

    def __enter__(self) -> "Stage":
        authority = trustme.CA()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self._hosts).configure_cert(self._tls)
        self._folder = tempfile.TemporaryDirectory(prefix="stage-")
        bundle = Path(self._folder.name) / "authority.pem"
        (authority if self._trusted else trustme.CA()).cert_pem.write_to_path(str(bundle))
        self._server = _Server(("127.0.0.1", 0), self._serve)  # type: ignore[arg-type]
        self.environ = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_address[1]}",
            "NO_PROXY": "",
            "REQUESTS_CA_BUNDLE": str(bundle),
        }
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            self._closing = True
            open_now = dict(self._sockets)
        for client in open_now.values():
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which pulls the TLS layer from under the thread that is using it.
                socket.socket.shutdown(client, socket.SHUT_RDWR)
        give_up_s = time.monotonic() + 2
        for thread in open_now:
            thread.join(max(0, give_up_s - time.monotonic()))
        self._folder.cleanup()
        if self.errors:
            raise self.errors[0]

    def over(self, base: Mapping[str, str]) -> Dict[str, str]:
        """A copy of the environment `base` in which `requests` comes here."""
        return {**{name: value for name, value in base.items() if name not in DIVERTING}, **self.environ}

    def apply_to(self, monkeypatch: Any) -> None:
        """The same for this process, through pytest's monkeypatch."""
        for name in DIVERTING:
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def _serve(self, raw: socket.socket, _address: object, _server: object) -> None:
        try:
            self._hold(raw)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a drip is a packet
            host = self._accept_connect(raw)
            if host:
                with self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as tls:
                    self._hold(tls)
                    tls.do_handshake()
                    with tls.makefile("rb") as reader:
                        while self._exchange(tls, reader, host):
                            pass
        except OSError:
            pass  # clients that hang up, refuse certificates or lose patience are what the tests are about
        except BaseException as error:  # pytest.fail() is no Exception
            self.errors.append(error)
        finally:
            with self._lock:
                del self._sockets[threading.current_thread()]

    def _hold(self, client: socket.socket) -> None:
        with self._lock:
            self._sockets[threading.current_thread()] = client
            if self._closing:
                raise ConnectionAbortedError("the stage has gone")

    def _accept_connect(self, raw: socket.socket) -> str:
        # Closed before TLS begins, so that no buffer of ours swallows the first bytes of the handshake.
        with raw.makefile("rb") as reader:
            line = reader.readline(65537)
            if not line:
                return ""
            method, authority, _version = line.decode("latin-1").split()
            http.client.parse_headers(reader)
        if method != "CONNECT":
            raise AssertionError(f"plain HTTP came to the proxy: {method} {authority}")
        self.connects.append(authority)
        host = authority.rpartition(":")[0]
        status = 502 if host in self.unresolvable else self.proxy_status
        raw.sendall(_head(status, [] if status == 200 else [("Content-Length", "0")]))
        return host if status == 200 else ""

    def _exchange(self, tls: ssl.SSLSocket, reader: Any, host: str) -> bool:
        line = reader.readline(65537)
        if not line:
            return False
        method, target, _version = line.decode("latin-1").split()
        headers = http.client.parse_headers(reader)
        if "Transfer-Encoding" in headers:
            raise NotImplementedError("a request whose length is not known beforehand")
        length = int(headers.get("Content-Length", "0"))
        body = reader.read(length)
        if len(body) < length:
            return False
        request = Request(method, target, headers, body, host, time.monotonic())
        token = object()
        with self._lock:
            self.requests.append(request)
            self._in_flight.add(token)
            self.in_flight_peak = max(self.in_flight_peak, len(self._in_flight))
        wire = Wire(tls, method, functools.partial(self._in_flight.discard, token))
        try:
            return self._ask_app(request).play(wire)
        finally:
            wire.answered()

    def _ask_app(self, request: Request) -> Any:
        try:
            return self.app(request)
        except OSError as error:  # not to be taken for a client that hung up
            raise RuntimeError("the app failed") from error


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def _head(status: int, headers: Iterable[Tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _json_head(body: bytes) -> bytes:
    return _head(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])


def _chunked(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"
