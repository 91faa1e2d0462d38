"""Can a file be downloaded? Asked first, because finding out by downloading takes minutes."""

import queue
import threading
import time
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

ANSWER_SECONDS = 8.0
TOTAL_SECONDS = 15.0


def unreachable_host(urls: Iterable[str]) -> str | None:
    """Ask the hosts of `urls` for their files, all at once.

    Args:
        urls: http or https addresses; one per host is asked, through the proxies of the environment.

    Returns:
        None as soon as one answers; else, within `TOTAL_SECONDS`, the hosts that did not.

    Example:
        >>> unreachable_host(["http://127.0.0.1:1/file"])
        '127.0.0.1:1'
    """
    by_host = {urlsplit(url).netloc: url for url in urls if url.startswith(("http://", "https://"))}
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for url in by_host.values():
        # Daemon threads, for a name lookup can block for minutes and must not keep the process alive.
        threading.Thread(target=lambda url=url: answers.put(_answers(url)), daemon=True).start()
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in by_host:
        try:
            if answers.get(timeout=max(0.0, deadline - time.monotonic())):
                return None
        except queue.Empty:
            break
    return " and ".join(by_host) or "its host"


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, headers={"User-Agent": "tensorflow-datasets"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            return True
    except (OSError, ValueError):
        return False
