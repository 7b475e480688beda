"""When a call may start: the deadline of the run, the permitted rate, pauses, and the end of it all."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Optional

from maas_usage.errors import DeadlineOrSilence, UsageStatsError

# Of the 200 a minute that the service permits a user, the rest is left to the user's other tools.
STARTS_PER_MINUTE = 180
MINUTE_S = 60.0


@dataclass(frozen=True)
class Timing:
    """Clock, sleep, randomness and patience, in seconds; the defaults are the real ones."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform
    connect_s: float = 10.0
    answer_s: float = 30.0


REAL_TIME = Timing()


class Pace:
    """The gate that every call of a run passes before it is sent; safe to use from many threads."""

    def __init__(self, deadline_s: float, timing: Timing, started: Optional[float] = None) -> None:
        self.deadline_s = deadline_s
        self._timing = timing
        self._ends = (timing.monotonic() if started is None else started) + deadline_s
        self._lock = threading.Lock()
        self._starts: Deque[float] = deque(maxlen=STARTS_PER_MINUTE)
        self._paused_until = 0.0
        self._paused_by: Optional[UsageStatsError] = None
        self._stopped_by: Optional[UsageStatsError] = None

    def remaining_s(self) -> float:
        """Seconds until the deadline, 0 after it."""
        return max(0.0, self._ends - self._timing.monotonic())

    def stop(self, error: UsageStatsError) -> None:
        """From now on no call starts."""
        with self._lock:
            self._stopped_by = self._stopped_by or error

    def pause(self, seconds: float, because: UsageStatsError) -> None:
        """No call starts for so long; `because` is the error if that is beyond the deadline."""
        with self._lock:
            until = self._timing.monotonic() + seconds
            if until > self._paused_until:
                self._paused_until, self._paused_by = until, because

    def admit(self) -> None:
        """Waits until a call may start.

        Raises what stopped the run, what paused it beyond the deadline, or DeadlineOrSilence.
        """
        while True:
            with self._lock:
                if self._stopped_by is not None:
                    raise self._stopped_by
                now = self._timing.monotonic()
                full = len(self._starts) == STARTS_PER_MINUTE
                allowed_at = max(self._paused_until, self._starts[0] + MINUTE_S if full else now)
                if max(now, allowed_at) >= self._ends:
                    if self._paused_by is not None and self._paused_until >= self._ends:
                        raise self._paused_by
                    raise deadline_passed(self.deadline_s)
                if allowed_at <= now:
                    self._starts.append(now)
                    return
            self._timing.sleep(allowed_at - now)


def shortest_run_s(calls: int) -> float:
    """Seconds before which the last of so many calls cannot even start at the permitted rate."""
    return MINUTE_S * ((calls - 1) // STARTS_PER_MINUTE)


def deadline_passed(deadline_s: float, last: str = "") -> DeadlineOrSilence:
    """The error of a run that is out of time; `last` is what the last attempt ended with."""
    return DeadlineOrSilence(
        "No complete answer within the deadline of %g s.%s"
        % (deadline_s, " The last attempt: %s" % last if last else ""),
        "Run it again, ask for a shorter window, or allow more time with --deadline.",
    )
