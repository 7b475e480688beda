"""One signed call: permission to start, retries, and what an answer other than 200 means."""

from __future__ import annotations

import math
import re
import threading
from datetime import datetime
from typing import Any, Callable, Dict, Optional, TypeVar

import tenacity

from maas_usage import refusals
from maas_usage.credentials import Credentials
from maas_usage.errors import Throttled, UnexpectedAnswer
from maas_usage.pace import Pace, Timing, deadline_passed
from maas_usage.secrecy import Redactor
from maas_usage.statistics import load_json
from maas_usage.transport import Answer, OutOfTime, Request, Sites, Transient, Transport, silence, unexpected

MOST_SENDS = 4
LONGEST_RETRY_AFTER_S = 60
PAUSE_WITHOUT_RETRY_AFTER_S = 60
TRANSIENT_STATUSES = (429, 500, 502, 503, 504)

T = TypeVar("T")


class Cloud:
    """Signed calls with one pair of keys; safe to use from many threads.

    `tell` receives what a person should know while a call waits. `sends` counts the sends of each
    operation, retries included.
    """

    def __init__(
        self,
        credentials: Credentials,
        redactor: Redactor,
        sites: Sites,
        pace: Pace,
        timing: Timing,
        tell: Callable[[str], None],
    ) -> None:
        self.sites = sites
        self._credentials = credentials
        self._redactor = redactor
        self._pace = pace
        self._timing = timing
        self._tell = tell
        self._transport = Transport(credentials, sites, timing)
        self._lock = threading.Lock()
        self.sends: Dict[str, int] = {}
        self.answered = False  # by anybody, whatever the status
        self.clock_offset_s: Optional[float] = None  # the service's clock less this machine's

    def close(self) -> None:
        """Ends the connections that are still open."""
        self._transport.close()

    def call(self, request: Request, read: Callable[[Any], T]) -> T:
        """What `read` makes of the JSON value of a 200 answer, whose numbers are Decimal.

        Raises the errors that refusals and transport know, and UnexpectedAnswer where `read` does;
        after a 401 no further call starts.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            wait=self._wait_s,
            stop=self._last_attempt,
            sleep=self._timing.sleep,
            before_sleep=self._announce,
            reraise=True,
        )
        try:
            result: T = retrying(self._send, request, read)
            return result
        except Transient as last:
            cut_short = retrying.statistics["attempt_number"] < MOST_SENDS
            if cut_short and not isinstance(last.error, Throttled):
                raise deadline_passed(self._pace.deadline_s, last.error.message) from None
            raise last.error from None

    # --- retrying ---

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        failure = _failure(state)
        if failure.retry_after_s is not None:
            return float(failure.retry_after_s)
        if isinstance(failure.error, Throttled):
            return float(PAUSE_WITHOUT_RETRY_AFTER_S)
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        return self._timing.uniform(0.0, float(2 ** (state.attempt_number - 1)))

    def _last_attempt(self, state: tenacity.RetryCallState) -> bool:
        too_late = state.upcoming_sleep >= self._pace.remaining_s()
        return too_late or state.attempt_number >= MOST_SENDS

    def _announce(self, state: tenacity.RetryCallState) -> None:
        failure = _failure(state)
        if isinstance(failure.error, Throttled):
            self._pace.pause(state.upcoming_sleep, failure.error)
        self._tell(
            "%s Trying again in %.2g s (%d of %d retries)."
            % (failure.error.message, state.upcoming_sleep, state.attempt_number, MOST_SENDS - 1)
        )

    # --- one send ---

    def _send(self, request: Request, read: Callable[[Any], T]) -> T:
        self._pace.admit()
        with self._lock:
            self.sends[request.operation] = self.sends.get(request.operation, 0) + 1
        patience_s = self._timing.connect_s + self._timing.answer_s
        remaining_s = self._pace.remaining_s()
        try:
            answer = self._transport.send(request, min(patience_s, remaining_s))
        except OutOfTime as error:
            if remaining_s <= patience_s:
                raise deadline_passed(self._pace.deadline_s) from None
            if not error.again:
                raise silence(request) from None
            raise Transient(silence(request)) from None
        self.answered = True
        server_time = refusals.http_date(answer.headers.get("Date"))
        if server_time is not None:
            self.clock_offset_s = server_time.timestamp() - self._timing.now()
        if answer.status == 200:
            try:
                return read(_json_answer(answer.body))
            except UnexpectedAnswer as error:
                refusal = refusals.read(answer.status, answer.headers, None, self._redactor)
                error.http_status, error.request_id = refusal.http_status, refusal.request_id
                raise
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> Exception:
        try:
            members = load_json(answer.body)
        except ValueError:
            members = None
        refusal = refusals.read(answer.status, answer.headers, members, self._redactor)
        retry_after_s = _retry_after_s(answer.headers, refusal.server_time, self._timing.now())
        error = refusals.error_of(
            refusal,
            self._timing.now(),
            self._credentials.masked_id,
            self._credentials.source,
            retry_after_s,
        )
        error.answer = members
        if answer.status == 401:
            self._pace.stop(error)
        if answer.status not in TRANSIENT_STATUSES:
            return error
        if retry_after_s is not None and retry_after_s > LONGEST_RETRY_AFTER_S:
            return Throttled(
                "The service asks to wait for %d s (HTTP %d)." % (retry_after_s, answer.status),
                "Wait that long, then run the same command again.",
                http_status=answer.status,
                api_code=refusal.api_code,
                request_id=refusal.request_id,
                retry_after_s=retry_after_s,
            )
        return Transient(error, retry_after_s)


def _json_answer(body: bytes) -> Any:
    try:
        return load_json(body)
    except ValueError:
        raise unexpected("is not sound JSON") from None


def _failure(state: tenacity.RetryCallState) -> Transient:
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, Transient)
    return failure


def _retry_after_s(headers: Any, server_time: Optional[datetime], now: float) -> Optional[int]:
    stated = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", stated):
        return int(stated)
    moment = refusals.http_date(stated)
    if moment is None:
        return None
    since = server_time.timestamp() if server_time else now
    return max(0, math.ceil(moment.timestamp() - since))
