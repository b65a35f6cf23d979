"""Fetching a file over HTTP from the first mirror that delivers it whole.

Networks fail in more ways than by an error: a name look-up hangs, a server accepts and is
silent, a transfer stops half-way or arrives damaged.  Each attempt is therefore bounded in time
and in bytes, the receiver decides what is whole, and the next mirror is tried at once; only
when all have failed does `fetch` wait a little and go round again.
"""

import math
import time

from .status import StatusLine

ROUNDS = 3  # through the mirrors
PAUSE = 0.5  # seconds before the second round, doubled before the third
SLOWEST = 20_000  # bytes a second; a transfer below it counts as stalled


class DownloadError(Exception):
    """No mirror delivered; the message is one line saying why for each."""


def fetch(urls, *, accept, limit, timeout=10.0, patience=math.inf):
    """Download one file and return `accept(content)`.

    urls: the mirrors, best first.  accept: called with the bytes; returns what to hand back, or
    raises ValueError saying why they are not the file.  limit: the most bytes to read.
    timeout: seconds that a mirror may take to answer, and then to be silent.  patience: seconds
    after which no attempt is started and none waits for an answer any longer.

    A mirror that has no such file, or cannot be reached, is not asked again; one that timed out,
    broke off, sent something else or had trouble of its own is, `ROUNDS` times in all.  A
    progress line is kept on standard error if that is a terminal.  Raises DownloadError.
    """
    from http.client import HTTPException

    give_up = time.monotonic() + patience
    mirrors, failures = list(urls), {}
    for round_ in range(ROUNDS):
        if round_:
            time.sleep(max(0, min(PAUSE * 2 ** (round_ - 1), give_up - time.monotonic())))
        for url in list(mirrors):
            left = give_up - time.monotonic()
            if left <= 0:
                break
            try:
                return accept(_get(url, limit, min(timeout, left)))
            except (OSError, HTTPException, ValueError) as error:
                failures[url], passing = _diagnose(error)
                if not passing:
                    mirrors.remove(url)
        if not mirrors:
            break
    raise DownloadError("; ".join(f"{_host(url)}: {why}" for url, why in failures.items()))


def _get(url, limit, timeout):
    """The bytes at `url`, at most `limit` of them."""
    with _open(url, timeout) as response:
        size = response.length  # None where the server does not say
        if size is not None and size > limit:
            raise ValueError(f"{size} bytes announced, at most {limit} expected")
        content, start = bytearray(), time.monotonic()
        what = f"{url.rsplit('/', 1)[-1]} from {_host(url)}"
        with StatusLine() as status:
            while piece := response.read1(1 << 16):  # returns whatever has arrived
                content += piece
                if len(content) > limit:
                    raise ValueError(f"more than the {limit} bytes expected")
                elapsed = time.monotonic() - start
                if elapsed > timeout and len(content) < SLOWEST * elapsed:
                    raise TimeoutError
                share = f" ({len(content) / size:.0%})" if size else ""
                status.show(f"{what}: {len(content) / 1e6:.1f} MB{share}")
    if size is not None and len(content) != size:
        raise ValueError(f"broke off after {len(content)} of {size} bytes")
    return bytes(content)


def _open(url, timeout):
    """An open HTTP response within `timeout` seconds, or the exception that prevented it.

    The timeout of `urlopen` holds for each step by itself (each address, each packet) and not
    for the name look-up, so it runs in a thread that is left behind when the time is up.
    """
    import queue
    import threading
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "minigan"})
    answers = queue.SimpleQueue()

    def ask():
        try:
            answer = urllib.request.urlopen(request, timeout=timeout)
        except Exception as error:
            answer = error
        answers.put(answer)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _diagnose(error):
    """Why an attempt failed, in a few words, and whether another may go better."""
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP status {error.code}", error.code >= 500 or error.code in (408, 429)
    passing = True
    if isinstance(error, URLError):  # not even connected: no such host, refused, ...
        error = error.reason
        passing = isinstance(error, (TimeoutError, ConnectionResetError))
    if isinstance(error, TimeoutError):
        return "no answer, or too slow", passing
    return getattr(error, "strerror", None) or str(error) or type(error).__name__, passing


def _host(url):
    from urllib.parse import urlsplit

    return urlsplit(url).netloc
