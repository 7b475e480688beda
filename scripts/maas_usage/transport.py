"""One HTTPS exchange, bounded in time and size, and what each way of failing means."""

from __future__ import annotations

import http.cookiejar
import json
import queue
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple, TypeVar
from urllib.parse import urlencode, urlsplit

import requests

from maas_usage import __version__, refusals
from maas_usage.credentials import Credentials
from maas_usage.errors import (
    DeadlineOrSilence,
    NetworkFailure,
    TlsFailure,
    UnexpectedAnswer,
    UsageStatsError,
)
from maas_usage.pace import Timing
from maas_usage.signature import Signature

LARGEST_ANSWER = 16 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Sites:
    """The base URLs of a region: https, or the embedded endpoint's http on loopback."""

    iam: str
    statistics: str

    @classmethod
    def of_region(cls, region: str, endpoint: Optional[str] = None) -> Sites:
        """The cloud's own hosts; `endpoint` replaces the statistics host."""
        host = endpoint or "modelarts.%s.myhuaweicloud.com" % region
        return cls("https://iam.%s.myhuaweicloud.com" % region, "https://%s" % host)


@dataclass(frozen=True)
class Request:
    """One call: which operation, where, and the JSON body of a POST (None: a GET)."""

    operation: str
    base_url: str
    path: str
    query: Tuple[Tuple[str, str], ...] = ()
    body: Optional[Dict[str, Any]] = None
    project_id: Optional[str] = None


@dataclass(frozen=True)
class Answer:
    """What came back: any status, the headers (in any case), and the body of at most 16 MiB."""

    status: int
    headers: Any
    body: bytes


class Transient(Exception):
    """A failure that another attempt may mend."""

    def __init__(self, error: UsageStatsError, retry_after_s: Optional[int] = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_s = retry_after_s


class Transport:
    """Sends signed requests, each over a connection that no other thread uses meanwhile."""

    def __init__(self, credentials: Credentials, sites: Sites, timing: Timing) -> None:
        self.sites = sites
        self._credentials = credentials
        self._timing = timing
        self._idle: queue.LifoQueue[requests.Session] = queue.LifoQueue()

    def send(self, request: Request, limit_s: float) -> Answer:
        """The answer, whatever its status.

        Raises OutOfTime after `limit_s` seconds, Transient for a failure that another attempt may
        mend, and TlsFailure, NetworkFailure, RegionUnsupported or UnexpectedAnswer for others.
        """
        answering = threading.Event()
        try:
            return within(limit_s, lambda: self._attempt(request, answering))
        except OutOfTime:
            if answering.is_set():
                raise
            # Perhaps it has not been sent yet, and will be: another attempt could be rejected twice.
            raise OutOfTime(again=False) from None

    def _attempt(self, request: Request, answering: threading.Event) -> Answer:
        try:
            return self._exchange(request, answering)
        except UsageStatsError:
            raise
        except Exception as error:
            # Not RequestException alone: some failures of lower layers come through as they are.
            raise self._connection_error(error, request) from error

    def _exchange(self, request: Request, answering: threading.Event) -> Answer:
        body = None if request.body is None else json.dumps(request.body).encode("ascii")
        url = request.base_url + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        session = self._session()
        with session.request(
            "GET" if body is None else "POST",
            url,
            data=body,
            headers=_headers(request),
            auth=Signature(self._credentials, self._timing.now),
            timeout=(self._timing.connect_s, self._timing.answer_s),
            allow_redirects=False,
            stream=True,
        ) as response:
            answering.set()
            answer = Answer(response.status_code, response.headers, _body(response))
        self._idle.put(session)  # only after success: a broken connection is not used again
        return answer

    def close(self) -> None:
        """Ends the connections that are still open."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def _session(self) -> requests.Session:
        """A session that no other thread uses."""
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            session = requests.Session()
            # requests parses a Location, and reads the whole answer, even where it may not follow.
            session.get_redirect_target = lambda _response: None  # type: ignore[method-assign,assignment]
            session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
            # Plain HTTP is the embedded endpoint's on loopback, which no proxy can reach.
            session.trust_env = self.sites.statistics.startswith("https:")
            return session

    def _connection_error(self, error: Exception, request: Request) -> Exception:
        causes = list(_causes(error))
        host = urlsplit(request.base_url).hostname or ""

        def caused_by(*kinds: type) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if isinstance(error, OSError) and _is_about_the_bundle(causes):
            return TlsFailure(
                "The file named by REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE holds no certificates.",
                "Correct REQUESTS_CA_BUNDLE, or unset it to use the authorities that come with the packages.",
            )
        if _is_tls_trouble(causes):
            return TlsFailure(
                "The certificate of %s could not be verified." % host,
                "Something between this machine and Huawei Cloud presents another certificate: if it"
                " is your organisation's proxy, set REQUESTS_CA_BUNDLE to the file with its authority.",
            )
        if caused_by(requests.exceptions.ProxyError):
            if any("Tunnel connection failed: 407" in str(cause) for cause in causes):
                return _final(
                    "The proxy asks for a user name and password (407).",
                    "Put them into HTTPS_PROXY; NO_PROXY lists hosts that need no proxy.",
                )
            return Transient(
                NetworkFailure(
                    "The proxy cannot be reached, or does not connect to %s." % host,
                    "Check HTTPS_PROXY; NO_PROXY lists hosts that need no proxy.",
                )
            )
        if isinstance(error, ValueError):  # a malformed proxy URL, above all
            return _final(
                "No connection to %s can be made with these settings (%s)." % (host, type(error).__name__),
                "Check HTTPS_PROXY and REQUESTS_CA_BUNDLE.",
            )
        if caused_by(socket.gaierror):
            return self._unresolvable(request, host)
        if caused_by(requests.exceptions.Timeout, socket.timeout):
            return Transient(silence(request))
        return Transient(
            NetworkFailure(
                "The connection to %s failed or was cut." % host,
                "Check this machine's network and proxy, then run it again.",
            )
        )

    def _unresolvable(self, request: Request, host: str) -> Exception:
        if request.base_url == self.sites.statistics and _resolves(self.sites.iam):
            return refusals.region_unsupported(None, host)
        return Transient(
            NetworkFailure(
                "The host name %s cannot be resolved." % host,
                "Check this machine's network (HTTPS_PROXY, if it needs one), and the region's name.",
            )
        )


def _final(message: str, hint: str) -> NetworkFailure:
    """A network failure that does not go away by itself."""
    error = NetworkFailure(message, hint)
    error.retryable = False
    return error


def _headers(request: Request) -> Dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "huawei-cloud-maas-tokens-usage/%s" % __version__,
    }
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.project_id is not None:
        headers["X-Project-Id"] = request.project_id
    return headers


def _body(response: requests.Response) -> bytes:
    """The body of an answer; what cannot be an answer of the service is not read to its end."""
    encoded = response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")
    body = b""
    if not encoded:
        chunks: List[bytes] = []
        size = 0
        for chunk in response.iter_content(64 * 1024):
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_ANSWER:
                break
        body = b"".join(chunks)
    if response.status_code == 200 and (encoded or len(body) > LARGEST_ANSWER):
        raise unexpected("is compressed" if encoded else "is larger than 16 MiB")
    return body


def unexpected(what: str) -> UnexpectedAnswer:
    """The error of an answer that the service itself would not give."""
    return UnexpectedAnswer(
        "The answer %s, so it does not come from the service as documented." % what,
        "Check --endpoint and any proxy in between, then run it again.",
        http_status=200,
    )


def silence(request: Request) -> DeadlineOrSilence:
    """The error of a host that does not answer in time."""
    return DeadlineOrSilence(
        "%s does not answer." % (urlsplit(request.base_url).hostname or "The service"),
        "Check this machine's network and proxy, then run it again.",
    )


def _causes(error: Optional[BaseException]) -> Iterator[BaseException]:
    """An exception and all that it was made from, however its library keeps them."""
    seen: Set[int] = set()
    waiting: List[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            context = None if cause.__suppress_context__ else cause.__context__
            waiting += [cause.__cause__, context, getattr(cause, "reason", None)]
            waiting += cause.args


def _is_tls_trouble(causes: List[BaseException]) -> bool:
    # A connection that is cut during the handshake is no word about the certificate.
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    kinds = (ssl.SSLError, ssl.CertificateError, requests.exceptions.SSLError)
    return any(isinstance(c, kinds) for c in causes) and not any(isinstance(c, cut) for c in causes)


def _is_about_the_bundle(causes: List[BaseException]) -> bool:
    # requests: a REQUESTS_CA_BUNDLE that is no file; OpenSSL: one that is no PEM.
    words = ("TLS CA certificate bundle", "NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE")
    return any(word in str(cause) for cause in causes for word in words)


def _resolves(base_url: str) -> bool:
    try:
        return bool(socket.getaddrinfo(urlsplit(base_url).hostname, 443))
    except OSError:
        return False


class OutOfTime(Exception):
    """The time for a call is up; `again` tells whether another attempt can do no harm."""

    def __init__(self, again: bool = True) -> None:
        super().__init__()
        self.again = again


def within(limit_s: float, work: Callable[[], T]) -> T:
    """What `work` returns, or OutOfTime.

    A socket's own timeout starts anew with every byte, so a server that drips could hold a call
    for ever: the work runs in a thread of its own, which is left behind when the time is up.
    """
    outcome: queue.SimpleQueue[Tuple[Optional[T], Optional[BaseException]]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=max(0.0, limit_s))
    except queue.Empty:
        raise OutOfTime from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
