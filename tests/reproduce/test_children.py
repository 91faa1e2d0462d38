"""Processes end with the grid that began them, whichever signal ends it."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from attention_keras.reproduce.children import Children, Stopped

SLEEP = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"]


def tell(number, seconds=0.5):
    """Send this process a signal in a moment."""
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


def test_the_exit_code_is_the_commands():
    children = Children()
    for program, code in (("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.abort()", -6)):
        assert children.run([sys.executable, "-c", program], None, os.environ) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them_and_lets_none_begin(number):
    children, earlier = Children(), [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with children.told_of_signals(), ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(children.run, SLEEP, None, os.environ) for _ in range(3)]
        tell(number)
        for future in futures:
            with pytest.raises(Stopped):
                future.result(30)
    assert children.stopped_by == number
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == earlier


def test_what_is_done_in_spite_of_a_signal_is_done():
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(2)"
    children = Children()
    with children.told_of_signals(), ThreadPoolExecutor(1) as pool:
        future = pool.submit(children.run, [sys.executable, "-c", stubborn], None, os.environ)
        tell(signal.SIGTERM, 1)
        assert future.result(30) == 0
    assert children.stopped_by == signal.SIGTERM
