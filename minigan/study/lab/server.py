"""The lab's server: a page, its frames and its commands, on this machine alone.

    GET  /               the page
    GET  /frame?after=7  JSON: what is to be seen, once there is a frame after the seventh;
                         204 where there is none for ten seconds
    POST /do             JSON: a command; 204, or 400 and a line that says what is wrong

A page asks for a frame, draws it, and asks for the next: it gets as many as it can draw, none while
it is hidden, and after a lost connection it asks again.  That is all of the protocol; a stream or a
socket would need code for what happens when either side is slow or gone.

Whoever else reaches 127.0.0.1 is refused: a page of another site (its Origin tells), and a name of
another site that leads here (its Host does).
"""

import json
import os
import sys
import webbrowser
from concurrent.futures import TimeoutError as NotYet
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

from ...errors import UserError, printable
from .session import Session
from .settings import FIRST

HOST = "127.0.0.1"
LONGEST = 2**18  # bytes of a command
LONGEST_NUMBER = 16  # digits of a frame's
LONGEST_LINE = 300  # characters of an answer that refuses
PATIENCE = 10.0  # seconds that a request waits for a frame
# The page is one file that loads nothing and talks to its own server alone.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Server(ThreadingHTTPServer):
    """Serves a `Session` on 127.0.0.1.  port: 0 for any free one.

    Raises UserError where the port is taken.
    """

    daemon_threads, block_on_close = True, False  # requests that wait do not hold up the end
    allow_reuse_address = os.name != "nt"  # there it would share the port with whoever has it

    def __init__(self, session, port):
        self.session = session
        self.page = Path(__file__).with_name("page.html").read_bytes()
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise UserError(
                f"cannot listen on port {port} of {HOST}: {error.strerror or error}; "
                "is another lab open there?  --port 0 takes any free port"
            ) from error
        port = "" if self.server_port == 80 else f":{self.server_port}"  # as browsers name it
        self.names = {f"{host}{port}" for host in (HOST, "localhost")}

    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's asks the network for our name
        self.server_name, self.server_port = self.server_address[:2]

    @property
    def url(self):
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request, client_address):
        """A page that was closed in the middle of an answer is no error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Refused(Exception):
    """A request that is answered with a status and one line."""

    def __init__(self, status, line):
        super().__init__(status, printable(line[:LONGEST_LINE]))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a request, after which a connection is closed

    def do_GET(self):
        self.answer_with(self.get)

    def do_POST(self):
        self.answer_with(self.post)

    def answer_with(self, method):
        try:
            self.check_sender()
            method(self.url())
        except Refused as refused:
            self.send_error(*refused.args)

    def url(self):
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise Refused(400, f"{self.path} is no address: {error}") from error

    def check_sender(self):
        names = self.server.names
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if host not in names:
            raise Refused(403, f"the lab answers to {self.server.url} only, not to Host: {host}")
        if origin is not None and origin not in {f"http://{name}" for name in names}:
            raise Refused(403, f"the lab answers to its own page only, not to Origin: {origin}")

    def get(self, url):
        if url.path == "/":
            self.answer(200, self.server.page, "text/html; charset=utf-8")
        elif url.path == "/frame":
            self.frame(parse_qs(url.query).get("after", ["0"])[-1])
        else:
            raise Refused(404, f"there is no {url.path}: the page is at {self.server.url}")

    def frame(self, after):
        if not after.isascii() or not after.isdigit() or len(after) > LONGEST_NUMBER:
            raise Refused(400, f"after={after[:20]}: expected a frame's number, such as after=0")
        waiting = self.server.session.frame(int(after))
        try:
            frame = json.dumps(waiting.result(PATIENCE), allow_nan=False)
            self.answer(200, frame.encode(), "application/json")
        except NotYet:
            waiting.cancel()
            self.answer(204)

    def post(self, url):
        if url.path != "/do":
            raise Refused(404, f"there is no {url.path}: commands go to /do")
        length = self.headers.get("Content-Length", "")[:20]
        if not length.isascii() or not length.isdigit() or int(length) > LONGEST:
            self.close_connection = True  # what follows on it would be read as the next request
            raise Refused(413, f"a command has a length of up to {LONGEST} bytes, not {length!r}")
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "a command is of Content-Type application/json")
        try:
            self.server.session.do(json.loads(body))
        except RecursionError:
            raise Refused(400, "the command is nested too deeply") from None
        except ValueError as error:  # of JSON, and of what the command says
            raise Refused(400, str(error)) from error
        self.answer(204)

    def answer(self, status, body=b"", kind="text/plain; charset=utf-8"):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """One line, where the standard library would write a page."""
        self.close_connection = True
        self.answer(code, f"{printable(message or HTTPStatus(code).phrase)}\n".encode())

    def log_message(self, *_):
        """The terminal is for the one who started the lab."""


def _has_screen():
    """Without one Linux would open a browser of text, here, and wait until it ends."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform != "linux" or any(map(os.environ.get, names))


def lab(options):
    """Serve the lab until Ctrl-C."""
    session = Session(FIRST)
    try:
        with Server(session, options.port) as server:
            print(f"the lab is at {server.url}  (Ctrl-C ends it)", flush=True)
            if options.browser and _has_screen():
                webbrowser.open(server.url)
            server.serve_forever()
    finally:
        session.close()
