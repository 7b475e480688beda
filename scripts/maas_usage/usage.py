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
from maas_usage.window import Bucket, Segment, Window

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
class Group:
    """What one row of the answer counts: a stretch of time, service types and labels.

    `bucket` is there where the rows are days or hours.
    """

    label: str
    start_ms: int
    end_ms: int
    service_types: Tuple[int, ...]
    api_keys: Optional[Tuple[str, ...]]
    bucket: Optional[Bucket] = None


@dataclass(frozen=True)
class PlannedCall:
    """One call to make for a group: a stretch of at most 30 days and one service type."""

    group: Group
    segment: Segment
    service_type: int


@dataclass(frozen=True)
class Answered:
    """A planned call, its request, the service's own answer, and the usage that it states."""

    planned: PlannedCall
    request: Dict[str, Any]
    http_status: int
    answer: Any
    usage: Usage


def whole(query: Query, asked: Window) -> List[Group]:
    """The groups that a total needs: one, or one per label where labels are counted one by one."""
    if query.group_by == "api-key":
        return groups(query, asked)
    return [Group(asked.expression, asked.start_ms, asked.end_ms, query.service_types, query.api_keys)]


def groups(query: Query, asked: Window) -> List[Group]:
    """The rows that `--by` asks for, in their order and without gaps; one for all without it."""
    types, labels = query.service_types, query.api_keys
    if query.group_by in ("day", "hour"):
        buckets = window.days(asked) if query.group_by == "day" else window.hours(asked)
        return [Group(b.label, b.start_ms, b.end_ms, types, labels, b) for b in buckets]
    start_ms, end_ms = asked.start_ms, asked.end_ms
    if query.group_by == "service-type":
        return [Group(statistics.SERVICE_TYPE_NAMES[one], start_ms, end_ms, (one,), labels) for one in types]
    if query.group_by == "api-key":
        return [Group(label, start_ms, end_ms, types, (label,)) for label in labels or ()]
    return whole(query, asked)


def plan(rows: Sequence[Group], now_ms: int) -> List[PlannedCall]:
    """The calls whose answers, added up, are the usage of the groups."""
    kept_since = window.retained_since(now_ms)
    return [
        PlannedCall(group, segment, service_type)
        for group in rows
        for segment in window.segments(group.start_ms, group.end_ms, kept_since)
        for service_type in group.service_types
    ]


def refuse_impossible_deadline(calls: int, look_ups: int, deadline_s: float) -> None:
    """Raises UsageError where so many calls cannot all start by the deadline at the permitted rate."""
    needed_s = shortest_run_s(calls + look_ups)
    if needed_s >= deadline_s:
        raise UsageError(
            "%d calls at the permitted rate need more than %.0f s; the deadline is %g s."
            % (calls, needed_s, deadline_s),
            "Use --deadline %.0f, or ask for less." % (needed_s + 60),
        )


def run(
    cloud: Cloud,
    pace: Pace,
    query: Query,
    project_id: str,
    calls: Sequence[PlannedCall],
    answered: Callable[[], None] = lambda: None,
) -> List[Answered]:
    """The answers to all planned calls, in their order; `answered` is called after each.

    The first call goes alone, so that a wrong key is rejected once and not eight times. One call
    that fails, fails the query: its error is raised and no further call starts.
    """

    def ask(planned: PlannedCall) -> Answered:
        return _ask(cloud, query, project_id, planned)

    first = [ask(planned) for planned in calls[:1]]
    answered()
    return first + _side_by_side(ask, calls[1:], pace, answered)


def _ask(cloud: Cloud, query: Query, project_id: str, planned: PlannedCall) -> Answered:
    body = statistics.request_body(
        service_type=planned.service_type,
        start_ms=planned.segment.start_ms,
        end_ms=planned.segment.end_ms,
        infer_type=query.infer_type,
        timezone=query.timezone,
        api_keys=planned.group.api_keys,
    )
    request = Request(
        statistics.OPERATION,
        cloud.sites.statistics,
        statistics.path(project_id),
        body=body,
        project_id=project_id,
    )
    try:
        answer, usage = cloud.call(request, lambda value: (value, statistics.usage_of(value)))
    except BadRequest as error:
        # What the service answers for a time it no longer keeps is unknown: zeros, or this. Either
        # way the answer's coverage says that these are not zeros of the user's.
        if error.http_status == 400 and planned.segment.expired:
            return Answered(planned, body, 400, error.answer, Usage(batch_tasks=0, batch_inferences=0))
        raise
    return Answered(planned, body, 200, answer, usage)


def _side_by_side(
    ask: Callable[[PlannedCall], Answered], calls: Sequence[PlannedCall], pace: Pace, answered: Callable[[], None]
) -> List[Answered]:
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
        answered()
    return [answers[index] for index in range(len(calls))]


def add_up(rows: Sequence[Group], answers: Sequence[Answered]) -> List[Usage]:
    """The usage of each group, exactly."""
    parts: Dict[Group, List[Usage]] = {group: [] for group in rows}
    for one in answers:
        if one.planned.group in parts:
            parts[one.planned.group].append(one.usage)
    return [statistics.add_up(parts[group]) for group in rows]
