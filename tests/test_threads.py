"""Sharing work out over the cores: every range once, in order, and nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from helpers import FixedCores, environment, python

from minigan import threads

LARGE = threads.FEW + 1
CORES = 3


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(threads, "_blas", FixedCores(CORES))


def bounds(start, stop):
    return start, stop


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 100])
@pytest.mark.parametrize("elements", [0, threads.FEW, LARGE])
def test_the_ranges_cover_the_count_in_order(count, elements):
    ranges = threads.parallel(bounds, count, elements)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(count))
    assert all(start < stop for start, stop in ranges)
    assert len(ranges) == min(count, CORES if elements > threads.FEW else 1)


@pytest.mark.parametrize("elements", [0, LARGE])
@pytest.mark.parametrize("count, most", [(3, 5), (100, 50), (100, 17), (7, 1), (1, 1), (0, 1)])
def test_no_range_is_longer_than_allowed(count, most, elements):
    ranges = threads.parallel(bounds, count, elements, most)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(count))
    assert all(0 < stop - start <= most for start, stop in ranges)
    wanted = -(-count // most)
    if elements > threads.FEW:
        wanted = min(count, -(-wanted // CORES) * CORES)
    assert len(ranges) == wanted


def test_a_core_that_is_free_takes_the_next_range():
    def work(start, stop):
        time.sleep(0.3 if start == 0 else 0.01)
        return threading.get_ident()

    held, *others = threads.parallel(work, 12, LARGE, most=1)
    assert others.count(held) <= 2


def test_little_work_stays_in_the_calling_thread():
    together = threading.Barrier(CORES, timeout=20)

    def here(start, stop):
        return threading.get_ident()

    def meet(start, stop):
        together.wait()
        return threading.get_ident()

    assert threads.parallel(here, 100, threads.FEW) == [threading.get_ident()]
    assert threads.parallel(here, 4, threads.FEW, most=1) == 4 * [threading.get_ident()]
    found = threads.parallel(meet, 100, LARGE)
    assert threading.get_ident() in found and len(set(found)) == CORES


def test_results_are_those_of_each_call_many_times_over():
    """Also after pauses about as long as the workers wait before they sleep."""
    for call in range(100):
        if call % 10 == 0:
            time.sleep(threads.SPIN_SECONDS * (0.5 + call / 50))
        results = threads.parallel(lambda start, stop, call=call: (call, start), 7, LARGE)
        assert results == [(call, 0), (call, 2), (call, 4)]


def test_nested_calls_have_the_same_ranges():
    def outer(start, stop):
        return threads.parallel(bounds, 8, LARGE)

    assert threads.parallel(outer, 3, LARGE) == 3 * [threads.parallel(bounds, 8, LARGE)]


def test_calls_from_two_threads_have_the_same_results():
    numbers = np.random.default_rng(0).standard_normal(30_000).astype("float32")

    def total():
        return sum(threads.parallel(lambda *ends: numbers[slice(*ends)].sum(), 30_000, LARGE))

    expected, found = total(), []
    users = [
        threading.Thread(target=lambda: found.extend(total() for _ in range(100))) for _ in range(2)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert found == 200 * [expected]


@pytest.mark.parametrize("fails", range(CORES))
def test_an_exception_comes_after_every_range_has_ended(fails):
    ended = []

    def work(start, stop):
        if start == fails:
            raise ArithmeticError(f"range {start}")
        time.sleep(0.02)
        ended.append(start)

    with pytest.raises(ArithmeticError, match=f"range {fails}"):
        threads.parallel(work, CORES, LARGE)
    assert sorted(ended) == [i for i in range(CORES) if i != fails]
    assert len(threads.parallel(bounds, CORES, LARGE)) == CORES  # and all goes on


def test_errstate_reaches_the_workers():
    def work(start, stop):
        return (np.zeros(3) / np.zeros(3)).size

    with np.errstate(invalid="ignore"):
        assert threads.parallel(work, CORES, LARGE) == CORES * [3]
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        threads.parallel(work, CORES, LARGE)

    def divide(start, stop):  # the calling thread's part is harmless
        return np.float64(start > 0) / np.zeros(1) if start else None

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.parallel(divide, CORES, LARGE)


def test_an_error_lets_go_of_what_was_at_work():
    """Also without the garbage collector: a batch too large is gone when a smaller is tried."""

    class Large:
        pass

    held = Large()
    gone = weakref.ref(held)

    def fail(start, stop, held=held):
        raise MemoryError

    gc.disable()
    try:
        with pytest.raises(MemoryError) as caught:
            threads.parallel(fail, CORES, LARGE)
        del caught, fail, held
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no such thing here")
def test_each_thread_keeps_to_a_core_and_the_caller_only_meanwhile(monkeypatch):
    before = os.sched_getaffinity(0)
    for count in (len(before), len(before) + 1):
        monkeypatch.setattr(threads, "_blas", FixedCores(count))
        together = threading.Barrier(count, timeout=20)

        def home(start, stop, together=together):
            together.wait()
            return os.sched_getaffinity(0)

        homes = threads.parallel(home, count, LARGE)
        # Where threads and cores are not equally many, the scheduler has a free hand.
        apart = [{core} for core in sorted(before)]
        assert sorted(homes, key=min) == (apart if count == len(before) else count * [before])
        assert os.sched_getaffinity(0) == before

    def fail(start, stop):
        raise ArithmeticError

    monkeypatch.setattr(threads, "_blas", FixedCores(len(before)))
    with pytest.raises(ArithmeticError):
        threads.parallel(fail, CORES, LARGE)
    assert os.sched_getaffinity(0) == before


def test_idle_workers_take_no_time():
    for _ in range(2):  # asleep, awake, and asleep again
        threads.parallel(bounds, CORES, LARGE)
        for _ in range(20):  # somebody else's work may keep the one who sends them to sleep
            time.sleep(0.05)
            before = time.process_time()
            time.sleep(0.1)
            taken = time.process_time() - before
            if taken < 0.02:
                break
        assert taken < 0.02


FORK = """
import os
import numpy as np
from minigan import threads
from helpers import FixedCores

threads._blas = FixedCores(3)

def ranges():
    return threads.parallel(lambda *ends: ends, 9, threads.FEW + 1)

expected = ranges()
child = os.fork()
if child == 0:
    os._exit(0 if ranges() == expected == [(0, 3), (3, 6), (6, 9)] else 1)
assert os.waitpid(child, 0)[1] == 0
assert ranges() == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own():
    here = os.path.dirname(__file__)
    words = python("-W", "ignore::DeprecationWarning", "-c", FORK)
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        words, cwd=here, env=variables, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_a_program_ends_with_its_workers_at_work(tmp_path):
    program = "from minigan import threads as t\nt.parallel(print, 2, t.FEW + 1)"
    done = subprocess.run(
        python("-c", program), env=environment(tmp_path) | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout and not done.stderr


@pytest.fixture
def interrupts():
    """Ctrl-C raises, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


INTERRUPTED = """
import os, random, signal, threading, time
import numpy as np
import minigan as mg
from minigan import threads

INTERRUPTS = 300
signal.signal(signal.SIGINT, signal.default_int_handler)

net = mg.Sequential([mg.Conv2d(3, 32, 3), mg.LeakyReLU(0.2), mg.Dropout(0.3), mg.Conv2d(32, 8, 3)])
x = np.random.default_rng(0).standard_normal((16, 32, 32, 3), dtype=np.float32)

def passes():
    net.begin_step(0)
    net.zero_grad()
    y, cache = net.forward(x)
    return net.backward(y, cache), net.grads.copy()

def state():
    return threads._affinity(), threads._blas._get and threads._blas._get(), threads._blas._users

expected, before, ended = passes(), state(), False

def interrupt():
    while not ended:
        time.sleep(random.uniform(0, 0.004))
        os.kill(os.getpid(), signal.SIGINT)

caught = 0
sender = threading.Thread(target=interrupt)
try:
    sender.start()
except KeyboardInterrupt:
    pass
while caught < INTERRUPTS:
    try:
        while True:
            passes()
    except KeyboardInterrupt:
        caught += 1
while not ended:
    try:
        ended = True
        sender.join()
        time.sleep(0.1)
    except KeyboardInterrupt:
        ended = False

for found, there in zip(passes(), expected):
    assert np.array_equal(found, there)
names = sorted(thread.name for thread in threading.enumerate())
assert len(names) == 3, names  # this one, the other worker of the team of two, and its watch
assert state() == before, (state(), before)
assert not threads._one_at_a_time.locked()
for _ in range(50):
    began = time.process_time()
    time.sleep(0.1)
    if time.process_time() - began < 0.02:
        break
else:
    raise AssertionError("somebody spins")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as on Unix")
def test_hundreds_of_interrupts_leave_nothing_behind(tmp_path):
    done = subprocess.run(
        python("-c", INTERRUPTED),
        env=environment(tmp_path) | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals as on Unix")
@pytest.mark.parametrize("after", [0.02, 0.1])  # while the caller works; while it waits
def test_after_an_interrupt_the_next_results_are_its_own(after, interrupts):
    def work(start, stop):
        end = time.monotonic() + (0.05 if start == 0 else 0.2)
        while time.monotonic() < end:
            time.sleep(0.005)
        return "old"

    before = threads._affinity()
    timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        threads.parallel(work, CORES, LARGE)
        time.sleep(1)
    assert threads._affinity() == before
    results = threads.parallel(lambda start, stop: ("new", start), CORES, LARGE)
    assert results == [("new", start) for start in range(CORES)]
