"""Pace: with a clock that only sleeping moves, every wait is exact."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maas_usage.errors import CredentialsRejected, DeadlineOrSilence, Throttled
from maas_usage.pace import REAL_TIME, Pace, Timing, deadline_passed, shortest_run_s

STARTED_S = 1000.0


class Clock:
    """A monotonic clock and the sleeps that moved it."""

    def __init__(self, now_s=STARTED_S):
        self.now_s = now_s
        self.sleeps = []
        self.timing = Timing(monotonic=lambda: self.now_s, sleep=self.sleep)

    def sleep(self, seconds):
        assert seconds > 0
        self.sleeps.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


def throttled(words="slow down"):
    return Throttled(words, "wait")


def admit_many(pace, clock, calls):
    """When each of so many calls started, since the beginning."""
    starts = []
    for _ in range(calls):
        pace.admit()
        starts.append(clock.now_s - STARTED_S)
    return starts


# --- the rate --------------------------------------------------------------------------------


def test_180_calls_start_at_once_and_the_next_a_minute_later(clock):
    pace = Pace(1000, clock.timing)
    assert admit_many(pace, clock, 180) == [0] * 180
    assert clock.sleeps == []
    pace.admit()
    assert clock.sleeps == [60]
    assert admit_many(pace, clock, 179) == [60] * 179
    pace.admit()
    assert clock.sleeps == [60, 60]


def test_the_181st_waits_until_the_first_is_60_s_old(clock):
    pace = Pace(1000, clock.timing)
    starts = []
    for _ in range(180):
        starts += admit_many(pace, clock, 1)
        clock.now_s += 0.25
    assert starts[-1] == 44.75
    assert admit_many(pace, clock, 3) == [60, 60.25, 60.5]
    assert clock.sleeps == [15, 0.25, 0.25]


def test_a_call_that_is_late_enough_waits_for_nothing(clock):
    pace = Pace(1000, clock.timing)
    admit_many(pace, clock, 180)
    clock.now_s += 60
    assert admit_many(pace, clock, 180) == [60] * 180
    assert clock.sleeps == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 150), st.floats(0, 40)), min_size=4, max_size=12))
def test_never_more_than_180_starts_in_any_60_seconds(bursts):
    clock = Clock()
    pace = Pace(1e9, clock.timing)
    starts = []
    for calls, gap_s in bursts:
        starts += admit_many(pace, clock, calls)
        clock.now_s += gap_s
    for earlier, later in zip(starts, starts[180:]):
        assert later - earlier >= 60 - 1e-6


def test_many_threads_share_one_rate(clock):
    pace = Pace(59, clock.timing)
    together = threading.Barrier(8, timeout=5)
    admitted = []

    def work(_):
        together.wait()
        with pytest.raises(DeadlineOrSilence):
            while True:
                pace.admit()
                admitted.append(1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(admitted) == 180


# --- the deadline ----------------------------------------------------------------------------


def test_the_deadline(clock):
    pace = Pace(100, clock.timing)
    assert pace.remaining_s() == 100
    clock.now_s += 99.5
    assert pace.remaining_s() == 0.5
    pace.admit()
    clock.now_s += 0.5
    assert pace.remaining_s() == 0
    with pytest.raises(DeadlineOrSilence, match=r"within the deadline of 100 s\.$") as caught:
        pace.admit()
    assert "--deadline" in caught.value.hint
    clock.now_s += 1000
    assert pace.remaining_s() == 0
    assert clock.sleeps == []


def test_a_run_began_before_its_pace(clock):
    pace = Pace(100, clock.timing, started=STARTED_S - 30)
    assert pace.remaining_s() == 70
    assert Pace(100, clock.timing, started=0.0).remaining_s() == 0
    assert pace.deadline_s == 100


@pytest.mark.parametrize("deadline_s, starts", [(60, False), (60.5, True)])
def test_a_wait_that_would_miss_the_deadline_is_not_begun(clock, deadline_s, starts):
    pace = Pace(deadline_s, clock.timing)
    admit_many(pace, clock, 180)
    if starts:
        pace.admit()
    else:
        with pytest.raises(DeadlineOrSilence):
            pace.admit()
    assert clock.sleeps == ([60] if starts else [])


def test_what_the_last_attempt_ended_with():
    assert deadline_passed(2.5).message == "No complete answer within the deadline of 2.5 s."
    told = deadline_passed(100, "HTTP 503")
    assert told.message == "No complete answer within the deadline of 100 s. The last attempt: HTTP 503"
    assert told.code == "timeout"


# --- pauses ----------------------------------------------------------------------------------


def test_a_pause(clock):
    pace = Pace(100, clock.timing)
    pace.pause(20, throttled())
    assert clock.sleeps == []
    pace.admit()
    pace.admit()
    assert clock.sleeps == [20]


def test_of_two_pauses_the_longer_counts(clock):
    pace = Pace(1000, clock.timing)
    pace.pause(20, throttled("first"))
    clock.now_s += 5
    pace.pause(10, throttled("second"))
    pace.admit()
    assert clock.now_s == STARTED_S + 20
    pace.pause(10, throttled("third"))
    pace.pause(40, throttled("fourth"))
    pace.admit()
    assert clock.now_s == STARTED_S + 60


def test_a_pause_during_a_wait_is_obeyed():
    clock = Clock()

    def sleep(seconds):
        if not clock.sleeps:
            pace.pause(seconds + 7, throttled())
        clock.sleep(seconds)

    pace = Pace(1000, Timing(monotonic=lambda: clock.now_s, sleep=sleep))
    pace.pause(20, throttled())
    pace.admit()
    assert clock.sleeps == [20, 7]


def test_a_sleep_that_ends_early_is_continued():
    clock = Clock()
    pace = Pace(1000, Timing(monotonic=lambda: clock.now_s, sleep=lambda seconds: clock.sleep(max(seconds / 2, 1))))
    pace.pause(20, throttled())
    pace.admit()
    assert clock.now_s >= STARTED_S + 20
    assert clock.sleeps[:2] == [10, 5]


@pytest.mark.parametrize("seconds, kind", [(99.5, None), (100, Throttled), (600, Throttled)])
def test_a_pause_beyond_the_deadline_is_the_error(clock, seconds, kind):
    pace = Pace(100, clock.timing)
    because = throttled()
    pace.pause(seconds, because)
    if kind is None:
        pace.admit()
        assert clock.sleeps == [seconds]
    else:
        with pytest.raises(kind) as caught:
            pace.admit()
        assert caught.value is because
        assert clock.sleeps == []


def test_a_pause_that_is_over_is_not_to_blame(clock):
    pace = Pace(100, clock.timing)
    pace.pause(20, throttled())
    pace.admit()
    clock.now_s = STARTED_S + 100
    with pytest.raises(DeadlineOrSilence):
        pace.admit()


def test_a_pause_is_not_to_blame_for_a_rate_that_misses_the_deadline(clock):
    pace = Pace(50, clock.timing)
    admit_many(pace, clock, 180)
    pace.pause(20, throttled())
    with pytest.raises(DeadlineOrSilence):
        pace.admit()


# --- the end ---------------------------------------------------------------------------------


def test_after_a_stop_nothing_starts(clock):
    pace = Pace(100, clock.timing)
    pace.admit()
    first, second = CredentialsRejected("first", "a"), throttled("second")
    pace.stop(first)
    pace.stop(second)
    for _ in range(2):
        with pytest.raises(CredentialsRejected) as caught:
            pace.admit()
        assert caught.value is first


def test_a_stop_wins_over_pause_and_deadline(clock):
    pace = Pace(100, clock.timing)
    pace.pause(600, throttled())
    pace.stop(CredentialsRejected("stopped", "a"))
    clock.now_s += 1000
    with pytest.raises(CredentialsRejected):
        pace.admit()


def test_a_stop_during_a_wait_is_obeyed():
    clock = Clock()

    def sleep(seconds):
        pace.stop(CredentialsRejected("stopped", "a"))
        clock.sleep(seconds)

    pace = Pace(1000, Timing(monotonic=lambda: clock.now_s, sleep=sleep))
    pace.pause(20, throttled())
    with pytest.raises(CredentialsRejected):
        pace.admit()
    assert clock.sleeps == [20]


# --- plans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calls, seconds", [(1, 0), (2, 0), (180, 0), (181, 60), (360, 60), (361, 120), (720, 180), (721, 240), (1800, 540)]
)
def test_the_shortest_run(calls, seconds):
    assert shortest_run_s(calls) == seconds
    clock = Clock()
    assert admit_many(Pace(1e6, clock.timing), clock, calls)[-1] == seconds


def test_the_real_clock_is_the_default():
    pace = Pace(100, REAL_TIME)
    pace.admit()
    assert 90 < pace.remaining_s() <= 100
    assert 0 <= REAL_TIME.uniform(0.0, 1.0) <= 1
    assert (REAL_TIME.connect_s, REAL_TIME.answer_s) == (10, 30)
    assert REAL_TIME.now() > 1_700_000_000
