"""Plans the calls of a query, runs them side by side, and adds their answers up exactly."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from maas_usage import statistics, window
from maas_usage.cloud import Cloud
from maas_usage.errors import BadRequest, UsageError, UsageStatsError
from maas_usage.pace import Pace, shortest_run_s
from maas_usage.statistics import Usage
from maas_usage.transport import Request
from maas_usage.window import Segment, Window

OPERATION = statistics.OPERATION
SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Query:
    """What is asked, apart from the window."""

    region: str
    service_types: Tuple[int, ...]
    infer_type: str
    api_keys: Optional[Tuple[str, ...]]
    timezone: str
    group_by: Optional[str] = None
    compare: bool = False


@dataclass(frozen=True)
class PlannedCall:
    """One call to make: a stretch of at most 30 days, one service type, and the row it counts for."""

    row: int
    segment: Segment
    service_type: int
    api_keys: Optional[Tuple[str, ...]]


@dataclass(frozen=True)
class Answered:
    """A planned call, its request and the service's own answer; `usage` is None where it is no longer kept."""

    planned: PlannedCall
    request: Dict[str, Any]
    http_status: int
    answer: Any
    usage: Optional[Usage]


def plan(query: Query, asked: Window) -> List[PlannedCall]:
    """The calls whose answers, added up, are the usage of the window."""
    kept_since = window.retained_since(asked.now_ms)
    return [
        PlannedCall(0, segment, service_type, query.api_keys)
        for segment in window.segments(asked.start_ms, asked.end_ms, kept_since)
        for service_type in query.service_types
    ]


def refuse_impossible_deadline(calls: int, deadline_s: float) -> None:
    """Raises UsageError where so many calls cannot all start by the deadline at the permitted rate."""
    needed_s = shortest_run_s(calls)
    if needed_s >= deadline_s:
        raise UsageError(
            "%d calls at the permitted rate need more than %.0f s; the deadline is %g s."
            % (calls, needed_s, deadline_s),
            "Use --deadline %.0f, or ask for less." % (needed_s + 60),
        )


def run(cloud: Cloud, pace: Pace, query: Query, project_id: str, calls: Sequence[PlannedCall]) -> List[Answered]:
    """The answers to all planned calls, in their order.

    The first call goes alone, so that a wrong key is rejected once and not eight times. One call
    that fails, fails the query: its error is raised and no further call starts.
    """

    def ask(planned: PlannedCall) -> Answered:
        return _ask(cloud, query, project_id, planned)

    first = [ask(planned) for planned in calls[:1]]
    return first + _side_by_side(ask, calls[1:], pace)


def _ask(cloud: Cloud, query: Query, project_id: str, planned: PlannedCall) -> Answered:
    body = statistics.request_body(
        service_type=planned.service_type,
        start_ms=planned.segment.start_ms,
        end_ms=planned.segment.end_ms,
        infer_type=query.infer_type,
        timezone=query.timezone,
        api_keys=planned.api_keys,
    )
    request = Request(
        statistics.OPERATION,
        cloud.sites.statistics,
        statistics.path(project_id),
        body=body,
        project_id=project_id,
    )
    try:
        answer = cloud.call(request)
    except BadRequest as error:
        # What the service answers for a time it no longer keeps is unknown: zeros, or this.
        if error.http_status == 400 and planned.segment.expired:
            return Answered(planned, body, 400, error.answer, None)
        raise
    return Answered(planned, body, 200, answer, statistics.usage_of(answer))


def _side_by_side(ask: Callable[[PlannedCall], Answered], calls: Sequence[PlannedCall], pace: Pace) -> List[Answered]:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[Tuple[int, Any]] = queue.SimpleQueue()
    for index in range(len(calls)):
        waiting.put(index)

    def work() -> None:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, ask(calls[index])))
            except BaseException as error:
                done.put((index, error))
                return

    for _ in range(min(SIDE_BY_SIDE, len(calls))):
        # Daemons: Ctrl-C and the deadline must not wait for a silent server.
        threading.Thread(target=work, daemon=True).start()
    answers: Dict[int, Answered] = {}
    while len(answers) < len(calls):
        index, outcome = done.get()
        if isinstance(outcome, BaseException):
            if isinstance(outcome, UsageStatsError):
                pace.stop(outcome)
            raise outcome
        answers[index] = outcome
    return [answers[index] for index in range(len(calls))]


def add_up(answers: Sequence[Answered]) -> Usage:
    """The usage of all answers; what is no longer kept adds nothing, and coverage says so."""
    return statistics.add_up(answer.usage for answer in answers if answer.usage is not None)
