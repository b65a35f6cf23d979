"""Downloads from mirrors that truncate, corrupt, stall and refuse: all on this machine."""

import gzip
import hashlib
import http.server
import io
import os
import socket
import struct
import threading
import time

import pytest

from minigan import data
from minigan.data import download, mnist
from minigan.errors import UserError

# 96 kB, more than one read, that gzip cannot make shorter.
CONTENT = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(3000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Mirrors:
    """A server whose mirrors, /a/, /b/, ..., each answer by a script; the last word is repeated."""

    def __init__(self):
        self.files = {}  # name -> bytes
        self.scripts = {}  # mirror -> list of behaviours
        self.asked = []  # (mirror, behaviour), in order
        self.closing = threading.Event()
        mirrors = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                _, mirror, name = self.path.split("/")
                script = mirrors.scripts[mirror]
                behaviour = script.pop(0) if len(script) > 1 else script[0]
                mirrors.asked.append((mirror, behaviour))
                mirrors.answer(self, behaviour, mirrors.files[name])

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # clients that give up are what we test

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler, behaviour, content):
        if isinstance(behaviour, int):
            return handler.send_error(behaviour)
        if behaviour == "silent":
            return self.closing.wait(5)
        sent = {
            "corrupt": lambda: content[:50] + bytes([content[50] ^ 1]) + content[51:],
            "truncated": lambda: content[:-10],
            "stall": lambda: content[:10],
            "drip": lambda: content[:10],
            "repacked": lambda: gzip.compress(gzip.decompress(content), 1),
            "unpacked": lambda: gzip.decompress(content),
            "html": lambda: b"<html>Log in to the hotel's network</html>",
        }.get(behaviour, lambda: content)()
        handler.send_response(200)
        if behaviour in ("good", "stall", "drip", "truncated"):
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(sent)
        if behaviour == "stall":
            self.closing.wait(5)
        if behaviour == "drip":  # five seconds of it
            for _ in range(250):
                self.closing.wait(0.02)
                handler.wfile.write(b"x")
        if behaviour == "endless":  # far more than asked for
            for _ in range(1 << 10):
                handler.wfile.write(bytes(1 << 16))

    def url(self, mirror):
        return f"http://127.0.0.1:{self.server.server_port}/{mirror}/"

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirrors(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    served = Mirrors()
    served.files["file.gz"] = gzip.compress(CONTENT, mtime=0)
    yield served
    served.close()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def fetch(mirrors, limit=len(CONTENT) + 1000, timeout=0.3, **scripts):
    """Download file.gz from mirrors a, b, ... that behave as told."""
    mirrors.scripts = {mirror: list(script) for mirror, script in scripts.items()}
    return download.fetch(
        [mirrors.url(mirror) + "file.gz" for mirror in scripts],
        accept=lambda content: mnist._genuine(content, SHA256),
        limit=limit,
        timeout=timeout,
    )


@pytest.mark.parametrize("behaviour", ["good", "no length", "repacked", "unpacked"])
def test_whatever_the_packing_the_bytes_are_the_published_ones(mirrors, behaviour):
    assert fetch(mirrors, a=[behaviour], b=["good"]) == CONTENT
    assert mirrors.asked == [("a", behaviour)]


@pytest.mark.parametrize(
    "fault",
    [404, 403, 500, 503, "silent", "stall", "drip", "truncated", "corrupt", "html", "endless"],
)
def test_any_fault_leads_straight_to_the_next_mirror(mirrors, fault):
    start = time.monotonic()
    assert fetch(mirrors, a=[fault], b=["good"]) == CONTENT
    assert mirrors.asked == [("a", fault), ("b", "good")]
    assert time.monotonic() - start < 2


def test_mirrors_with_passing_trouble_are_tried_again_and_the_others_not(mirrors):
    assert fetch(mirrors, a=[500, "truncated", "good"], b=[404], c=["corrupt"]) == CONTENT
    assert mirrors.asked == [
        ("a", 500),
        ("b", 404),
        ("c", "corrupt"),
        ("a", "truncated"),
        ("c", "corrupt"),
        ("a", "good"),
    ]


def test_when_all_fail_the_error_says_why_for_each(mirrors):
    with pytest.raises(download.DownloadError) as caught:
        fetch(mirrors, a=[404], b=[500], c=["truncated"], d=["corrupt"], e=["silent"])
    whys = str(caught.value).split("; ")
    expected = ["HTTP status 404", "HTTP status 500", "broke off", "gzip|SHA-256", "no answer"]
    assert len(whys) == 5 and "\n" not in str(caught.value)
    for why, pattern in zip(whys, expected):
        assert any(word in why for word in pattern.split("|")), why
    assert len(mirrors.asked) == 1 + 4 * download.ROUNDS


def test_more_bytes_than_expected_are_not_read(mirrors):
    with pytest.raises(download.DownloadError, match="announced, at most 50 expected"):
        fetch(mirrors, limit=50, a=["good"])
    with pytest.raises(download.DownloadError, match="more than the 50 bytes"):
        fetch(mirrors, limit=50, a=["no length"])
    packed_zeros = gzip.compress(bytes(10**8))  # 100 kB that unpack to 100 MB
    with pytest.raises(ValueError, match="SHA-256"):
        mnist._genuine(packed_zeros, SHA256)
    assert len(mnist.idx.unpack(packed_zeros, most=1000)) == 1000


def test_a_closed_port_fails_at_once_and_only_once(mirrors):
    start = time.monotonic()
    with pytest.raises(download.DownloadError, match="refused"):
        download.fetch([closed_port() + "file.gz"], accept=bytes, limit=10, timeout=5)
    assert time.monotonic() - start < 1


def test_patience_bounds_the_wait_for_a_name_that_does_not_resolve(mirrors, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: mirrors.closing.wait(5) and [])
    start = time.monotonic()
    with pytest.raises(download.DownloadError, match="no answer"):
        download.fetch(
            ["http://a.invalid/x", "http://b.invalid/x"] * 2,
            accept=bytes,
            limit=10,
            timeout=0.2,
            patience=0.3,
        )
    assert 0.25 < time.monotonic() - start < 0.8


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_alone_and_wiped(mirrors, monkeypatch, capsys):
    fetch(mirrors, a=["good"])
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    fetch(mirrors, a=["good"])
    shown = terminal.getvalue()
    assert "file.gz from 127.0.0.1" in shown and "0.1 MB (100%)" in shown
    lines = shown.split("\r")
    assert lines[-1] == "" and lines[-2].strip() == "" and len(lines[-2]) == len(lines[-3])


# The same through `data.load`, with a small MNIST on the mirrors and a cache of its own.


@pytest.fixture
def published(mirrors, monkeypatch, tmp_path):
    """The cache folder to be, with a five-picture MNIST on mirrors a and b that both work."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.delenv("MINIGAN_OFFLINE", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    images = struct.pack(">4I", 2051, 5, 28, 28) + bytes(i % 256 for i in range(5 * 784))
    labels = struct.pack(">2I", 2049, 5) + bytes([3, 1, 4, 1, 5])
    names = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
    mirrors.files = {
        f"{name}.gz": gzip.compress(content) for name, content in zip(names, (images, labels))
    }
    mirrors.scripts = {"a": ["good"], "b": ["good"]}
    digests = {
        name: hashlib.sha256(content).hexdigest() for name, content in zip(names, (images, labels))
    }
    monkeypatch.setitem(mnist.SPLITS, "train", digests)
    monkeypatch.setattr(mnist, "MIRRORS", (mirrors.url("a"), mirrors.url("b")))
    return data.cache.cache_dir() / "mnist"


def load(name="mnist", **options):
    lines = []
    return data.load(name, notify=lines.append, **options), lines


def test_mnist_is_downloaded_once_and_then_found(mirrors, published):
    first, lines = load("auto")
    assert first.labels.tolist() == [3, 1, 4, 1, 5] and first.images.shape == (5, 28, 28, 1)
    assert len(lines) == 2 and str(published) in lines[0]
    assert sorted(path.name for path in published.iterdir()) == [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    ]
    assert len(mirrors.asked) == 2
    again, lines = load()
    assert (again.images == first.images).all() and lines == [] and len(mirrors.asked) == 2


def test_a_damaged_cached_file_is_downloaded_again(mirrors, published):
    load()
    path = published / "train-images-idx3-ubyte"
    good = path.read_bytes()
    for bad in (good[:-1], good[:99] + b"?" + good[100:], b""):
        mirrors.asked.clear()
        path.write_bytes(bad)
        assert len(load()[0]) == 5 and len(mirrors.asked) == 1 and path.read_bytes() == good


def test_packed_files_in_the_cache_are_as_good(mirrors, published):
    published.mkdir(parents=True)
    for name, content in mirrors.files.items():
        (published / name).write_bytes(content)
    assert len(load()[0]) == 5 and mirrors.asked == []


def test_minigan_data_wins_over_cache_and_network(mirrors, published, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train-images-idx3-ubyte").write_bytes(
        struct.pack(">4I", 2051, 2, 28, 28) + bytes(2 * 784)
    )
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "mine"))
    assert len(load("auto")[0]) == 2 and mirrors.asked == []


def test_a_failed_download_leaves_nothing_behind(mirrors, published):
    mirrors.scripts = {"a": [404], "b": ["truncated"]}
    with pytest.raises(UserError, match="HTTP status 404.*broke off.*--data FOLDER") as caught:
        load()
    assert "\n" not in str(caught.value)
    assert not published.exists() or list(published.iterdir()) == []
    assert load("auto")[0].name == "digits"


@pytest.mark.parametrize("switch", ["argument", "environment"])
def test_the_network_can_be_switched_off(mirrors, published, monkeypatch, switch):
    if switch == "environment":
        monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    options = {"download": False} if switch == "argument" else {}
    assert load("auto", **options)[0].name == "digits"
    with pytest.raises(UserError, match="switched off"):
        load(**options)
    assert mirrors.asked == []


def test_auto_gives_up_in_seconds_when_nobody_answers(mirrors, published, monkeypatch):
    assert data.AUTO_PATIENCE <= 5
    monkeypatch.setattr(data, "AUTO_PATIENCE", 0.4)
    mirrors.scripts = {"a": ["silent"], "b": ["stall"]}
    start = time.monotonic()
    loaded, lines = load("auto", limit=10)
    assert loaded.name == "digits" and len(lines) == 1 and "no answer" in lines[0]
    assert time.monotonic() - start < 3  # drawing the digits included


def test_a_cache_that_cannot_be_written_costs_a_notice(mirrors, published, tmp_path, monkeypatch):
    (tmp_path / "minigan").write_text("a file where a folder should be")
    monkeypatch.setattr(data.cache, "cache_dir", lambda: tmp_path / "minigan")
    loaded, lines = load()
    assert len(loaded) == 5 and len(lines) == 2 and all("cannot keep" in line for line in lines)


def test_runs_that_download_at_the_same_time_do_not_disturb_each_other(mirrors, published):
    results = []
    runs = [threading.Thread(target=lambda: results.append(load()[0])) for _ in range(6)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(results) == 6 and all(
        result.labels.tolist() == [3, 1, 4, 1, 5] for result in results
    )
    assert len(list(published.iterdir())) == 2  # no temporary file is left
