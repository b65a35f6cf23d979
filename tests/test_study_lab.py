"""minigan lab: the session, the server, and the page in a browser where there is one."""

import base64
import http.client
import importlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as xml
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from browser import PROGRAM, Browser
from helpers import environment, python, run

from minigan import threads
from minigan.__main__ import main
from minigan.study import formulas
from minigan.study.duel import GAMES, OPTIMIZERS, PENALTIES, STAGES, Duel, loss
from minigan.study.lab import server as server_module
from minigan.study.lab import session as session_module
from minigan.study.lab import view
from minigan.study.lab.curves import MOST, Curves
from minigan.study.lab.mathml import mathml
from minigan.study.lab.server import Server
from minigan.study.lab.session import EVERY, VALUES, Session
from minigan.study.lab.settings import FIRST, MOST_POINTS, LabSettings
from minigan.study.lab.stages import FORMULAS, described
from minigan.study.worlds import EXTENT, divergences

pytestmark = pytest.mark.host
SMALL = replace(FIRST, g_width=8, d_width=8, batch=16)
PAGE = Path(server_module.__file__).with_name("page.html").read_text(encoding="utf-8")
ONE_LINE = re.compile(r"[^\n]+\n")


@contextmanager
def session_of(settings=SMALL, **changes):
    session = Session(replace(settings, **changes))
    try:
        yield session
    finally:
        session.close()


@contextmanager
def serving(session):
    with Server(session, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def session():
    with session_of() as session:
        yield session


@pytest.fixture
def server(session):
    with serving(session) as server:
        yield server


def shown(session):
    """The frame as it is now, with its arrays unpacked."""
    frame = session.frame(0).result(10)
    return json.loads(json.dumps(frame, allow_nan=False), object_hook=unpack)


def unpack(value):
    if value.keys() != {"shape", "numbers"}:
        return value
    return np.frombuffer(base64.b64decode(value["numbers"]), "<f4").reshape(value["shape"])


def until(session, is_so):
    """The first frame of which it is so."""
    after = 0
    while not is_so(frame := session.frame(after).result(10)):
        after = frame["number"]
    return frame


# The session: what it shows is what a duel is that was stepped directly.


def directly(settings, steps):
    """A duel after so many steps, and the values of the last one."""
    duel, values = Duel(settings), {}
    d, g = settings.learns != "G", settings.learns != "D"
    for step in range(steps):
        real = settings.the_world().sample(
            settings.batch, seed=settings.seed, step=step, dtype=settings.dtype
        )
        values = {}
        for stage in duel.stages(real, step, d=d, g=g):
            values |= stage.values
    return duel, values


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(loss="wasserstein", penalty="wgan-gp", strength=1.0, d_steps=2, average=0.0),
        dict(loss="hinge", penalty="clip", noise="uniform", noise_size=1, world="moons"),
        dict(loss="least-squares", penalty="none", d_batchnorm=True, g_batchnorm=True),
        dict(learns="D", optimizer="sgd", seed=3, world="points", points=((0.5, 0.5), (-1, 0.25))),
        dict(learns="G", noise_size=5, optimizer="rmsprop", world="grid"),
    ],
    ids=lambda changes: ",".join(map(str, changes.values())) or "first",
)
def test_a_frame_has_the_numbers_of_a_duel_that_is_stepped_directly(changes):
    settings = replace(SMALL, **changes)
    with session_of(settings) as session:
        for _ in range(EVERY - 1):
            session.do({"do": "step"})
        session.do({"do": "stage"})
        assert shown(session)["stage"]["name"] in STAGES  # to look changes nothing
        session.do({"do": "step"})  # ends the step that has begun
        frame = shown(session)
    duel, values = directly(settings, EVERY)
    assert frame["step"] == EVERY and not frame["running"] and frame["stage"] is None
    x = ((np.arange(view.SIDE) + 0.5) / view.SIDE * 2 - 1) * EXTENT
    for row, column in ((0, 0), (0, -1), (-1, 0), (10, 20)):  # the first row is at the top
        place = np.array([[x[column], -x[row]]], duel.D.dtype)
        score = duel.D.forward(place, train=False)[0]
        shown_score = frame["surface"][row, column]
        assert shown_score == pytest.approx(float(score[0, 0]), rel=1e-4, abs=1e-6)
    fake = duel.generator.forward(duel.noise(view.SHOWN, "shown", 0), train=False)[0]
    np.testing.assert_array_equal(frame["fake"], fake)
    data = settings.the_world().sample(1000, seed=settings.seed, where="shown")
    np.testing.assert_array_equal(frame["about"]["real"], data[: view.SHOWN])
    judged = duel.generator.forward(duel.noise(1000, "judged", EVERY), train=False)[0]
    kl, js = divergences(judged, data)
    assert frame["now"]["kl"] == pytest.approx(kl) and frame["now"]["js"] == pytest.approx(js)
    if len(settings.the_world().centres):
        modes, good = settings.the_world().quality(judged)
        assert (frame["now"]["modes"], frame["now"]["good"]) == (modes, pytest.approx(float(good)))
    for name, point in zip(VALUES, frame["curves"]["points"][-1], strict=True):
        if name in values:
            value = values[name]
            value = float(np.linalg.norm(value) if np.ndim(value) else value)
            assert frame["now"][name] == pytest.approx(value, rel=1e-5)
            assert point == pytest.approx(value, rel=1e-5)
        else:
            assert frame["now"][name] is None and np.isnan(point)
    assert frame["judged"]["points"].shape == (1, 4) and frame["judged"]["stretch"] == EVERY


@pytest.mark.parametrize("game", GAMES)
def test_arrows_lead_down_the_loss_of_g(game):
    duel = Duel(replace(SMALL, loss=game, dtype="float64", activation="tanh"))
    points = view.samples(duel, 50)
    arrows, h = view.wishes(duel, points), 1e-5
    above, below = (
        loss(duel.game.generator, duel.D.forward(points + sign * h * arrows, train=False)[0])[0]
        for sign in (1, -1)
    )
    np.testing.assert_allclose((above - below) / (2 * h), -(arrows**2).sum(), rtol=1e-4)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_the_noise_grid_has_squares_of_equal_shares(kind):
    """Of a G that hands on its noise."""
    duel = Duel(replace(SMALL, noise=kind, g_layers=0, average=0.0))
    duel.G.layers[0].weight, duel.G.layers[0].bias = np.eye(2), np.zeros(2)
    grid = view.noise_map(duel)
    assert grid.shape == (view.CELLS + 1, view.CELLS + 1, 2)
    share = np.vectorize(NormalDist().cdf) if kind == "normal" else lambda z: (z + 1) / 2
    for axis in (0, 1):  # x goes along the columns, y along the rows
        line = grid[0, :, 0] if axis == 0 else grid[:, 0, 1]
        np.testing.assert_allclose(np.diff(share(line)), 0.96 / view.CELLS, rtol=1e-3)
    one = Duel(replace(SMALL, noise=kind, noise_size=1))
    assert view.noise_map(one).shape == (1, 8 * view.CELLS + 1, 2)
    many = Duel(replace(SMALL, noise=kind, noise_size=7))
    assert view.noise_map(many).shape == grid.shape


@pytest.mark.parametrize("penalty", PENALTIES)
def test_one_stage_after_the_other(penalty):
    with session_of(penalty=penalty, d_steps=2, loss="wasserstein") as session:
        names = [stage["name"] for stage in shown(session)["about"]["stages"]]
        ours = [name for name in STAGES if name != "penalty" or penalty in ("wgan-gp", "r1")]
        assert names == ours
        walked = []
        for _ in range(2 * ours.index("G forward") + 4):
            session.do({"do": "stage"})
            walked.append(shown(session)["stage"]["name"])
        d, g = ours[: ours.index("G forward")], ours[ours.index("G forward") :]
        assert walked == d + d + g
        assert shown(session)["step"] == 1
        session.do({"do": "stage"})
        assert shown(session)["stage"]["name"] == "D forward" and shown(session)["step"] == 1


def test_a_stage_tells_its_tensors():
    settings = replace(SMALL, penalty="none", g_layers=1, average=0.0)
    with session_of(settings) as session:
        for _ in range(6):
            session.do({"do": "stage"})
        rows = {row["name"]: row for row in shown(session)["stage"]["tensors"]}
    duel = Duel(settings)
    real = settings.the_world().sample(16, seed=0, step=0)
    gradient = [stage.values for stage in duel.stages(real, 0) if stage.name == "G backward"][0]
    weight = duel.G.layers[2].weight_grad
    row = rows["dW, dense 2"]
    assert row["shape"] == [8, 2] and row["norm"] == pytest.approx(np.linalg.norm(weight), rel=1e-5)
    assert row["first"] == pytest.approx(weight.ravel()[:3].tolist())
    assert sum(np.prod(row["shape"]) for row in rows.values()) == gradient["g_grads"].size


def test_it_runs_pauses_and_begins_anew(session):
    session.do({"do": "run"})
    frame = until(session, lambda frame: frame["step"] >= 5)
    assert frame["running"]
    session.do({"do": "pause"})
    step = shown(session)["step"]
    time.sleep(0.05)
    assert shown(session)["step"] == step
    session.do({"do": "reset"})
    frame = shown(session)
    assert frame["step"] == 0 and not frame["running"] and len(frame["curves"]["points"]) == 0
    np.testing.assert_array_equal(frame["fake"], view.samples(Duel(SMALL)))


def test_slow_motion_goes_stage_by_stage_and_other_paces_step_by_step(monkeypatch):
    monkeypatch.setitem(server_module.Session.__init__.__globals__["PACES"], "stages", 0.0)
    with session_of(pace="stages") as session:
        session.do({"do": "run"})
        assert until(session, lambda frame: frame["stage"])["running"]
        begun = time.monotonic()
        session.do({"do": "set", "settings": {"pace": "medium"}})
        step = shown(session)["step"]
        until(session, lambda frame: frame["step"] >= step + 4)
        assert time.monotonic() - begun > 0.25


def test_it_begins_with_a_trained_pair():
    with session_of(begin=30, pace="slow") as session:
        frame = until(session, lambda frame: not frame["running"])
        assert frame["step"] == 30 and frame["begin"] == 0
        np.testing.assert_array_equal(shown(session)["fake"], view.samples(directly(SMALL, 30)[0]))


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_networks_in_training_are_given_what_they_can_be_given(session, average):
    for _ in range(3):
        session.do({"do": "step"})
    session.do({"do": "stage"})  # which is brought to its end first
    changes = dict(g_lr=3e-3, d_lr=5e-3, penalty="none", loss="hinge", d_steps=2, batch=8)
    changes |= dict(average=average)
    session.do({"do": "set", "settings": changes})
    session.do({"do": "step"})
    before, after = Duel(SMALL), replace(SMALL, **changes)
    for step in range(4):
        before.step(SMALL.the_world().sample(16, seed=0, step=step), step)
    before.game, before.settings = GAMES["hinge"], after
    before.opt_g.lr, before.opt_d.lr = 3e-3, 5e-3
    if average:
        before.average.decay = average
    else:
        before.average, before.generator = None, before.G
    before.step(SMALL.the_world().sample(8, seed=0, step=4), 4)
    frame = shown(session)
    assert frame["step"] == 5
    np.testing.assert_array_equal(frame["fake"], view.samples(before))
    session.do({"do": "set", "settings": {"d_width": 9}})
    assert shown(session)["step"] == 0


def test_a_step_stays_as_long_as_adam_makes_it_when_its_memory_changes(session):
    for _ in range(20):
        session.do({"do": "step"})
    session.do({"do": "set", "settings": {"b2": 0.999}})
    before = session._duel.G.params.copy()
    session.do({"do": "step"})
    length = np.abs(session._duel.G.params - before).max()
    assert length <= 1.001 * SMALL.g_lr  # of the first step it is the rate, of others about that


def test_points_by_hand(session):
    session.do({"do": "set", "settings": {"world": "points"}})
    assert shown(session)["about"]["real"].shape == (0, 2)
    for command in ("run", "step", "stage"):
        with pytest.raises(ValueError, match="there are no points yet: draw some"):
            session.do({"do": command})
    session.do({"do": "set", "settings": {"points": [[1, -1], [0.5, 0.25]]}})
    real = shown(session)["about"]["real"]
    near = np.abs(real[:, None] - np.array([[1, -1], [0.5, 0.25]])).max(axis=2).min(axis=1)
    assert near.max() < 0.1
    session.do({"do": "run"})
    until(session, lambda frame: frame["step"] > 2)
    session.do({"do": "set", "settings": {"points": []}})  # there is nothing left to learn
    assert not shown(session)["running"] and shown(session)["step"] > 2


def test_numbers_that_overflow_are_told_and_stop_it():
    with session_of(optimizer="sgd", g_lr=10, d_lr=10, loss="least-squares") as session:
        session.do({"do": "run"})
        frame = until(session, lambda frame: frame["note"])
    assert re.match(r"The numbers have overflowed in step [\d,]+: ", frame["note"])
    assert not frame["running"]
    json.dumps(frame, allow_nan=False)


def test_a_last_update_that_overflows_is_told_where_points_are_judged(monkeypatch):
    """The values of the step are numbers still; what G draws after it is none."""
    monkeypatch.setattr(session_module, "EVERY", 1)
    steep = dict(loss="wasserstein", penalty="none", learns="G", optimizer="sgd", g_lr=10)
    with session_of(g_layers=5, g_width=8, average=0.0, **steep) as session:
        session.do({"do": "run"})
        frame = until(session, lambda frame: frame["note"])
        assert session._thread.is_alive()
    assert frame["now"]["g_loss"] is not None and frame["now"]["g_grads"] is not None
    assert re.match(r"The numbers have overflowed in step [\d,]+: ", frame["note"])
    assert not frame["running"]


def test_small_products_wake_no_other_threads():
    users = threads._blas._users
    with session_of() as session:
        shown(session)
        assert threads._blas._users == users + 1
    assert threads._blas._users == users


def test_frames_are_numbered_and_made_when_there_is_something_new(session):
    first = session.frame(0).result(10)
    waiting = session.frame(first["number"])
    time.sleep(0.05)
    assert not waiting.done()
    session.do({"do": "step"})
    second = waiting.result(10)
    assert second["number"] > first["number"] and "about" in first and "about" not in second
    session.do({"do": "set", "settings": {"g_lr": 2e-3}})
    third = session.frame(second["number"]).result(10)
    assert third["about"]["settings"]["g_lr"] == 2e-3
    with pytest.raises(ValueError):
        session.do({"do": "set", "settings": {"g_lr": 0}})
    about = session.frame(third["number"]).result(10)["about"]  # for a page that shows the 0
    assert about["settings"]["g_lr"] == 2e-3
    with session_of() as later:  # a page of the session before is not left waiting
        assert later.frame(second["number"]).result(10)["step"] == 0


@pytest.mark.parametrize("steps", [3, MOST, 2 * MOST, 2 * MOST + 1, 9 * MOST + 5])
def test_curves_are_means_over_ever_longer_stretches(steps):
    values, curves = np.random.default_rng(0).standard_normal((steps, 3)), Curves(3)
    for row in values:
        curves.add(row)
    points, stretch = curves.points(), curves.stretch
    assert len(points) < 2 * MOST and len(points) == steps // stretch
    whole = values[: len(points) * stretch].reshape(len(points), stretch, 3)
    np.testing.assert_allclose(points, whole.mean(axis=1), atol=1e-12)


# What the page says of the stages.


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_stages_are_described_with_formulas_and_code_that_is_there(game, penalty):
    for optimizer in OPTIMIZERS:
        for stage in described(replace(SMALL, loss=game, penalty=penalty, optimizer=optimizer)):
            assert stage["text"].endswith(".") and stage["code"]
            for formula in stage["formulas"]:
                assert xml.fromstring(formula.replace("&#x2061;", "")).tag == "math"
            for function in stage["code"]:
                file, line = function["place"].split(":")
                lines = (formulas.PACKAGE / file).read_text(encoding="utf-8").splitlines()
                assert lines[int(line) - 1].startswith(f"def {function['name']}(")


def test_code_is_what_a_stage_calls():
    stages = {stage["name"]: [function["name"] for function in stage["code"]]
              for stage in described(replace(SMALL, penalty="wgan-gp", loss="hinge"))}  # fmt: skip
    assert stages["D forward"] == ["dense", "relu", "hinge"]
    assert "distance_from_one" in stages["penalty"] and "interpolate" in stages["penalty"]
    assert stages["D update"] == ["adam"] and stages["G update"] == ["adam", "average"]
    assert stages["through D"][-1] == "wasserstein" and "dense_dx" in stages["through D"]


@pytest.mark.parametrize("part", FORMULAS, ids=str)
def test_formulas_of_the_losses_are_what_runs(part):
    """As Python: the mean of the first is the loss, the second over N its gradient."""
    a = np.random.default_rng(0).standard_normal((7, 1))
    names = dict(
        a=a,
        log=np.log,
        sigma=lambda x: 1 / (1 + np.exp(-x)),
        max=np.maximum,
        indicator=lambda x: x * 1.0,
    )

    def value(tex):
        text = tex.replace(r"\frac{1}{2}", "0.5 *").replace("a_i^2", "a_i**2").replace("^2", "**2")
        text = re.sub(r"\[(.*)\]", r"indicator(\1)", text.replace("a_i", "a"))
        text = text.replace(r"\log \sigma(a)", "log(sigma(a))").replace("\\", "")
        return eval(text, names) + np.zeros_like(a)

    expected, gradient = loss(part, a)
    mean, slope = FORMULAS[part]
    np.testing.assert_allclose(value(mean).mean(), expected)
    np.testing.assert_allclose(value(slope) / len(a), gradient)


def test_mathml():
    assert mathml(r"x_i^2 - \frac{1}{\lambda}") == (
        '<math display="block"><mrow><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup><mo>−</mo>'
        "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>λ</mi></mrow></mfrac></mrow></math>"
    )
    assert "<mtext>a &lt; b</mtext>" in mathml(r"\text{a < b}")
    assert "<msub><mover" in mathml(r"\tilde a_i") and "<munder><mo>∑" in mathml(r"\sum_i")
    with pytest.raises(KeyError):
        mathml(r"\unknown")


# The server.


def ask(server, method, path, body=None, headers=None):
    """(status, headers, text) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def tell(server, command, **headers):
    body = command if isinstance(command, str) else json.dumps(command)
    return ask(server, "POST", "/do", body, {"Content-Type": "application/json"} | headers)


def test_it_serves_a_page_that_loads_nothing(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200 and page == PAGE
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not re.search(r"(src|href)=\"?(https?:)?//|@import|url\(|import ", PAGE)


def test_commands_and_frames(server):
    assert tell(server, {"do": "step"})[0] == 204
    status, headers, text = ask(server, "GET", "/frame?after=0")
    frame = json.loads(text)
    assert (status, frame["step"]) == (200, 1) and headers["Content-Type"] == "application/json"
    assert tell(server, {"do": "set", "settings": {"world": "grid"}})[0] == 204
    later = json.loads(ask(server, "GET", f"/frame?after={frame['number']}")[2])
    assert later["about"]["settings"]["world"] == "grid" and later["about"]["modes"] == 25


def test_a_page_that_has_seen_it_all_is_told_so_in_a_while(server, monkeypatch):
    number = json.loads(ask(server, "GET", "/frame?after=0")[2])["number"]
    monkeypatch.setattr(server_module, "PATIENCE", 0.05)
    status, _, text = ask(server, "GET", f"/frame?after={number}")
    assert (status, text) == (204, "")
    assert [future.cancelled() for _, future in server.session._waiting] == [True]
    assert tell(server, {"do": "step"})[0] == 204  # the request is not waited for


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://evil.example:{port}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_others_are_refused(server, headers):
    headers = {name: text.format(port=server.server_port) for name, text in headers.items()}
    for answer in (
        ask(server, "GET", "/", headers=headers),
        ask(server, "GET", "/frame?after=0", headers=headers),
        tell(server, {"do": "step"}, **headers),
    ):
        assert answer[0] == 403 and ONE_LINE.fullmatch(answer[2]) and "only, not to" in answer[2]
    assert json.loads(ask(server, "GET", "/frame")[2])["step"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_its_own_page_is_answered(server, host):
    name = f"{host}:{server.server_port}"
    assert tell(server, {"do": "step"}, Host=name, Origin=f"http://{name}")[0] == 204


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "method, path, body, headers, status, message",
    [
        ("GET", "/nothing", None, {}, 404, "there is no /nothing: the page is at http://127"),
        ("GET", "/" + "x" * 5000, None, {}, 404, "there is no /xxx"),
        ("GET", "/frame?after=-1", None, {}, 400, "after=-1: expected a frame's number"),
        ("GET", "/frame?after=" + "9" * 5000, None, {}, 400, "expected a frame's number"),
        ("POST", "/frame", "{}", JSON, 404, "there is no /frame: commands go to /do"),
        ("GET", "x://[", None, {}, 400, "x://[ is no address: Invalid IPv6 URL"),
        ("POST", "/do", "x", JSON | {"Content-Length": "9" * 5000}, 413, "of up to 262144 bytes"),
        ("PUT", "/do", "{}", JSON, 501, "Unsupported method ('PUT')"),
        ("POST", "/do", "{}", {}, 415, "a command is of Content-Type application/json"),
        ("POST", "/do", "x", JSON | {"Content-Length": "9999999"}, 413, "of up to 262144 bytes"),
        ("POST", "/do", None, JSON | {"Content-Length": "-1"}, 413, "bytes, not '-1'"),
        ("POST", "/do", "{", JSON, 400, "Expecting property name"),
        ("POST", "/do", "[" * 100_000, JSON, 400, ""),
        ("POST", "/do", b"\xff\xfe", JSON, 400, ""),
        ("POST", "/do", "9" * 10_000, JSON, 400, ""),
        ("POST", "/do", "[]", JSON, 400, "[] is no command: do is one of run, pause, step"),
        ("POST", "/do", '{"do": ["run"]}', JSON, 400, "is no command: do is one of"),
        ("POST", "/do", '{"do": "run", "settings": {}}', JSON, 400, "settings go with do=set"),
        ("POST", "/do", '{"do": "set"}', JSON, 400, "settings go with do=set"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_bad_request_gets_one_line(server, method, path, body, headers, status, message):
    answered, _, text = ask(server, method, path, body, headers)
    assert answered == status and ONE_LINE.fullmatch(text) and message in text
    assert len(text) < 400
    assert tell(server, {"do": "step"})[0] == 204  # it goes on


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\r\n"]
)
def test_what_is_no_request_gets_one_line(server, sent):
    with socket.create_connection(server.server_address, timeout=10) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert ONE_LINE.fullmatch(answer.rpartition("\r\n")[2] or answer), answer


@pytest.mark.parametrize(
    "settings, message",
    [
        (3, "settings are names with values, not 3"),
        ({"colour": 1}, "there is no setting 'colour'"),
        ({"loss": ["hinge"]}, "loss=['hinge'] is not one of non-saturating, minimax"),
        ({"g_width": 0}, "g_width=0 is not between 1 and 1024"),
        ({"g_width": "8"}, "g_width='8' is not int"),
        ({"g_lr": float("nan")}, "g_lr=nan is not between"),
        ({"batch": 10**9}, "batch=1000000000 is not between 2 and 4096"),
        ({"points": [[0, 2]]}, "points[0]=[0, 2] is not [x, y], both numbers from -1.4 to 1.4"),
        ({"points": [[0, 0], 5]}, "points[1]=5 is not [x, y]"),
        ({"points": [[0, 0]] * (MOST_POINTS + 1)}, f"at most {MOST_POINTS} are taken"),
        ({"points": "x"}, "points='x' is not tuple"),
        ({"d_batchnorm": True}, "take one of them"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_cannot_be_get_one_line_and_change_nothing(server, settings, message):
    before = json.loads(ask(server, "GET", "/frame")[2])["about"]["settings"]
    status, _, text = tell(server, {"do": "set", "settings": settings})
    assert status == 400 and ONE_LINE.fullmatch(text) and message in text
    assert json.loads(ask(server, "GET", "/frame")[2])["about"]["settings"] == before


def test_a_page_that_goes_away_is_no_error(server, capfd):
    with socket.create_connection(server.server_address) as connection:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # it is reset
        connection.sendall(f"GET /frame HTTP/1.1\r\nHost: {server.url[7:-1]}\r\n\r\n".encode())
    assert tell(server, {"do": "step"})[0] == 204
    time.sleep(0.05)
    assert capfd.readouterr() == ("", "")


# The command.


@pytest.mark.parametrize(
    "words, screen, opened", [([], ":0", 1), (["--no-browser"], ":0", 0), ([], "", 0)]
)
def test_the_command_opens_the_page(words, screen, opened, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    urls = []
    monkeypatch.setattr(server_module.webbrowser, "open", urls.append)

    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    assert run(main, "lab", "--port", 0, *words) == 130
    assert len(urls) == opened and all(url in capsys.readouterr().out for url in urls)
    assert not any(thread.name == "minigan-lab" for thread in threading.enumerate())


@contextmanager
def lab_process(folder):
    """The command as a process of its own, and where it listens."""
    command = [*python("-m", "minigan", "lab", "--port", 0, "--no-browser")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=folder, env=environment(folder)) as process:  # fmt: skip
        url = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        yield process, SimpleNamespace(url=url[0], server_port=int(url[1]))
        if process.poll() is None:
            process.kill()


def test_ctrl_c_ends_it(tmp_path):
    with lab_process(tmp_path) as (process, server):
        assert tell(server, {"do": "run"})[0] == 204
        assert json.loads(ask(server, "GET", "/frame")[2])["running"]
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and out == "" and ONE_LINE.fullmatch(errors)


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(main, "lab", "--port", port, "--no-browser") == 2
    error = capsys.readouterr().err
    assert ONE_LINE.fullmatch(error) and f"port {port} " in error and "--port 0" in error


def test_the_benchmark_measures_the_lab(monkeypatch):
    monkeypatch.syspath_prepend(formulas.PACKAGE.parent / "benchmarks")
    speeds = importlib.import_module("lab_speed")
    assert list(speeds.USUAL) == list(GAMES)
    monkeypatch.setattr(speeds, "USUAL", {"hinge": ("r1", 0.03)})
    with speeds.lab() as url:
        client = speeds.Client(url)
        [(loss, penalty, steps, frames)] = speeds.measure(client, client.speed, 0.2)
        client.connection.close()
    assert (loss, penalty) == ("hinge", "r1") and steps > 0 and frames > 0


def test_all_pages_are_in_the_package():
    root = formulas.PACKAGE.parent
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.findall(r'^"(minigan[.\w]*)" = \["\*\.html"\]$', project, re.MULTILINE)
    packed = {path for name in packages for path in (root / name.replace(".", "/")).glob("*.html")}
    assert packed == set(formulas.PACKAGE.rglob("*.html"))


# The page, in a browser.

in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt-get install it")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser
    assert browser.errors == []


def visit(browser, server, address="", **how):
    browser.open(server.url + address, **how)
    browser.wait("document.body.dataset.ready")


@in_a_browser
def test_training_by_keyboard_alone(browser, server):
    visit(browser, server)
    browser.press("Tab")
    assert browser.value("document.activeElement.id") == "run"
    browser.press("Enter")
    browser.wait("frame.running && frame.step > 3")
    browser.press("p")
    browser.wait("!frame.running")
    step = browser.value("frame.step")
    browser.wait(f"id('count').textContent === '{step:,}'")  # drawn with the next picture
    browser.press("s")
    browser.wait(f"frame.step === {step + 1}")
    browser.press("r")
    browser.wait("frame.step === 0")


@in_a_browser
def test_every_control_has_a_name_and_is_reached_by_keyboard(browser, server):
    visit(browser, server, "#world=points&points=0_0")
    controls = """[...document.querySelectorAll("button, select, input, summary, [tabindex]")]
        .filter(e => !e.disabled && e.offsetParent)"""
    nameless = browser.value(f"""{controls}.filter(e => !e.labels?.[0]?.textContent
        && !e.ariaLabel && !e.textContent.trim()).map(e => e.outerHTML)""")
    assert nameless == []
    # Of a group of radio buttons one is in the order; the arrow keys lead to the others.
    names = f"[...new Set({controls}.map(e => e.name || e.id || e.textContent))]"
    expected, reached = set(browser.value(names)), set()
    for _ in range(2 * len(expected)):
        browser.press("Tab")
        reached.add(browser.value("(e => e.name || e.id || e.textContent)(document.activeElement)"))
        if expected <= reached:
            break
        assert browser.value("""(e => e === document.body || [...e.parentNode.children].some(
            each => getComputedStyle(each).outlineStyle !== "none"))(document.activeElement)""")
    assert expected <= reached
    settings = {setting.name for setting in fields(LabSettings)} - {"dtype", "points"}
    assert settings <= reached


OTHERS = dict(
    loss="hinge", penalty="r1", strength=0.3, g_layers=1, d_layers=4, g_width=16, d_width=12,
    g_batchnorm=True, activation="tanh", optimizer="rmsprop", g_lr=3e-3, d_lr=2.5e-3, b1=0.25,
    b2=0.99, d_steps=2, average=0.9, noise="normal", noise_size=3, seed=7, world="points",
    points=[[0.5, -0.25], [-1, 1.01]], batch=32, begin=3, learns="G", pace="slow",
)  # fmt: skip


@in_a_browser
def test_a_link_restores_all_settings(browser, server):
    assert all(value != asdict(FIRST)[name] for name, value in OTHERS.items())
    left = {setting.name for setting in fields(LabSettings)} - OTHERS.keys()
    assert left == {"d_batchnorm", "dtype"}
    tell(server, {"do": "set", "settings": OTHERS})
    visit(browser, server)
    browser.value("id('layers').querySelector('[name=grid]').click()")
    link = browser.value("toAddress(), location.hash")
    tell(server, {"do": "set", "settings": asdict(FIRST)})
    visit(browser, server, link)
    assert browser.value("about.settings") == asdict(LabSettings()) | asdict(FIRST) | OTHERS
    assert "grid" in browser.value("[...shown]")
    controls = browser.value("""Object.fromEntries(
        [...document.querySelectorAll("select, #settings input, #pace input")]
        .filter(e => e.type !== "radio" || e.checked)
        .map(e => [e.name, e.type === "checkbox" ? e.checked : e.value]))""")
    for name, value in OTHERS.items():
        if name != "points":
            assert controls[name] == (value if value is True else str(value)), name
    assert browser.value("location.hash") == link


@in_a_browser
def test_a_choice_goes_to_the_engine_and_into_the_address(browser, server):
    visit(browser, server)
    browser.value("document.querySelector('[name=loss]').focus()")
    for letter in "hinge":
        browser.press(letter)
    browser.wait("about.settings.loss === 'hinge' && location.hash.includes('loss=hinge')")
    browser.value("document.querySelector('[name=d_batchnorm]').click()")  # not with R1
    browser.wait("id('says').textContent.includes('take one of them')")
    browser.wait("!document.querySelector('[name=d_batchnorm]').checked")
    browser.value("document.querySelector('[value=grid]').focus()")
    browser.press("ArrowRight")
    browser.wait("about.settings.world === 'moons'")
    browser.value("location.hash = '#loss=minimax&nonsense=1'")
    browser.wait("id('says').textContent.includes(\"there is no setting 'nonsense'\")")
    browser.wait("location.hash.includes('loss=hinge')")  # as it is


@in_a_browser
def test_points_are_drawn_by_mouse_and_keyboard(browser, server):
    visit(browser, server, "#world=points", width=800, height=900)
    box = browser.value("(r => [r.left, r.top, r.width])(id('plane').getBoundingClientRect())")

    def at(x, y):  # of the plane
        return (box[0] + (x + 1.4) / 2.8 * box[2], box[1] + (1.4 - y) / 2.8 * box[2])

    browser.mouse("mousePressed", *at(-1, 0.5))
    for x in (-0.5, 0, 0.5):
        browser.mouse("mouseMoved", *at(x, 0.5))
    browser.mouse("mouseReleased", *at(0.5, 0.5))
    browser.wait("about.settings.points.length === 4 && !wanted")
    np.testing.assert_allclose(
        server.session._settings.points, [[-1, 0.5], [-0.5, 0.5], [0, 0.5], [0.5, 0.5]], atol=0.011
    )
    browser.value("id('plane').focus(), cross = [0, 0]")
    browser.press("ArrowRight", 3)
    browser.press("ArrowDown", 2)
    says = browser.value("(e => [e.textContent, e.className])(id('says'))")
    assert says == ["At 0.3, −0.2", "soft"]
    browser.press("Enter")
    browser.wait("about.settings.points.length === 5 && !wanted")
    assert server.session._settings.points[4] == pytest.approx([0.3, -0.2])
    browser.press("Backspace", 2)
    browser.wait("about.settings.points.length === 3 && !wanted")
    browser.press("s")
    browser.wait("frame.step === 1")


@in_a_browser
def test_inside_a_step(browser, server):
    visit(browser, server)
    for name in STAGES:
        browser.press("t")
        browser.wait(f"id('stages').querySelector('[aria-current]')?.textContent === '{name}'")
        assert browser.value("id('detail').querySelectorAll('math mi').length") > 1
        assert browser.value("id('overview').querySelectorAll('.lit').length") > 1
        rows = browser.value("[...id('detail').querySelectorAll('tbody tr')].map(r => r.innerText)")
        tensors = shown(server.session)["stage"]["tensors"]
        assert [row.split("\t")[0] for row in rows] == [tensor["name"] for tensor in tensors]
        assert "kernels/plain.py" in browser.value("id('detail').querySelector('pre').textContent")
    assert browser.value("Object.keys(PARTS)") == list(STAGES)


@in_a_browser
def test_the_picture_is_of_d_s_scores(browser, server):
    """In the corners, where D's surface alone is shown: green where it is above the middle."""
    visit(browser, server, "#loss=minimax&g_width=8&d_width=8&begin=40&show=surface")
    browser.wait("frame.step === 40 && !frame.running")
    time.sleep(0.1)
    scores = shown(server.session)["surface"]
    pixels = browser.value("""(c => [[.01, .01], [.99, .01], [.01, .99], [.99, .99], [.5, .5]].map(
        ([x, y]) => [...c.getContext("2d").getImageData(x * c.width, y * c.height, 1, 1).data]
    ))(id("plane"))""")
    places = [scores[0, 0], scores[0, -1], scores[-1, 0], scores[-1, -1], scores[24, 24]]
    for score, (red, green, blue, alpha) in zip(places, pixels, strict=True):
        assert alpha == pytest.approx(105 * abs(np.tanh(score / 2)), abs=6)
        if alpha > 20:
            assert (green > red) == (score > 0), (score, red, green, blue)


@in_a_browser
def test_it_fits_the_window_light_and_dark(browser, server):
    visit(browser, server, "#penalty=wgan-gp")
    for _ in range(2):
        browser.press("t")  # all of D's gradients in a table
    browser.wait("id('detail').querySelector('table')")
    papers = set()
    for width in (360, 800, 1400):
        for dark in (False, True):
            browser.look(width=width, dark=dark)
            assert browser.value("document.documentElement.scrollWidth") <= width
            papers.add(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2


@in_a_browser
def test_frames_are_few_without_motion_and_none_when_nothing_is_new(browser, server):
    visit(browser, server, still=True)
    browser.press("p")
    browser.wait("frame.step > 3 && times.length > 3")
    assert browser.value("(times.at(-1) - times[0]) / (times.length - 1)") > 300
    browser.press("p")
    browser.wait("!frame.running")
    time.sleep(0.5)
    number = browser.value("frame.number")
    drawn = browser.value("times.at(-1)")
    time.sleep(0.6)
    assert browser.value("[frame.number, times.at(-1)]") == [number, drawn]


@in_a_browser
def test_a_lab_that_has_ended_is_told(browser, tmp_path):
    with lab_process(tmp_path) as (process, server):
        visit(browser, server)
        process.kill()
        browser.wait("id('says').textContent.startsWith('The lab does not answer')")
