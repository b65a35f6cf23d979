"""examples/toy_2d.py: its runs, its pictures, and a gate that a broken gradient does not pass."""

import contextlib
import types

import numpy as np
import parity
import pytest
from helpers import arrays, assert_same_results, run
from PIL import Image

import minigan as mg
from minigan import data
from minigan.__main__ import main as tools
from minigan.arrays import to_host
from minigan.description import RUN
from minigan.errors import UserError
from minigan.study import plane, worlds
from minigan.study.duel import GAMES, Duel, Settings
from minigan.training import Latent
from minigan.training.checkpoint import Checkpoint

SMALL = ("--limit", 40, "--batch-size", 8, "--width", 0.1)  # 5 steps an epoch


@pytest.fixture
def train(tmp_path, monkeypatch, coarse_plots):
    """A function that runs the example in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def train(*words):
        return run(parity.example("toy_2d").main, *words)

    return train


def columns(folder):
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)


class TestRuns:
    @pytest.mark.parametrize("words", [
        (), ("--world", "grid", "--loss", "hinge", "--penalty", "r1", "--d-steps", 2),
        ("--world", "moons", "--dtype", "float64", "--penalty", "none", "--average", 0),
    ])  # fmt: skip
    def test_resume_is_the_uninterrupted_run(self, words, train, tmp_path):
        assert train("--out", "whole", *SMALL, *words, "--steps", 7) == 0
        assert train("--out", "parts", *SMALL, *words, "--steps", 3) == 0
        assert train("--out", "parts", "--resume", "--steps", 7) == 0
        assert_same_results(tmp_path / "parts", tmp_path / "whole")
        left = {path.name for path in (tmp_path / "whole").rglob("*.*")}
        sheets = {f"epoch_00{epoch}.png" for epoch in range(3)}
        assert left - {".lock"} == sheets | {
            "config.json", "history.csv", "losses.png", "samples.gif", "report.html",
            "checkpoint.npz",
        }  # fmt: skip

    @pytest.mark.parametrize("words, names", [
        ((), "d_loss g_loss penalty modes good"),
        (("--penalty", "clip"), "d_loss g_loss modes good"),
        (("--world", "spiral", "--penalty", "none"), "d_loss g_loss"),
        (("--loss", "minimax"), "d_loss g_loss penalty d_real d_fake modes good"),
    ])  # fmt: skip
    def test_the_history(self, words, names, train, tmp_path):
        assert train("--out", "run", *SMALL, *words, "--steps", 2) == 0
        expected = ("step", "epoch", *names.split(), "norm_dfake")
        assert columns(tmp_path / "run").dtype.names == expected

    def test_the_history_judges_what_the_generator_draws(self, train, tmp_path, monkeypatch):
        """Its average, of the z of the step, before the step's update: the mean of its points."""
        means = lambda world, points: (points[:, 0].mean(), points[:, 1].mean())  # noqa: E731
        monkeypatch.setattr(worlds.World, "quality", means)
        assert train("--out", "run", *SMALL, "--steps", 1) == 0
        options = types.SimpleNamespace(seed=0, width=0.1)
        duel = parity.example("toy_2d").duel_of(options)
        x, y = to_host(duel.G.forward(duel.noise(8, "z for G", 0), train=False)[0]).mean(axis=0)
        history = columns(tmp_path / "run")
        assert (history["modes"], history["good"]) == pytest.approx((x, y), rel=1e-5)

    def test_what_is_trained_on(self, train, monkeypatch):
        """Every batch is of the world's points, each once an epoch."""
        seen, step = [], Duel.step

        def watched(self, real, number):
            seen.append(np.asarray(real))
            return step(self, real, number)

        monkeypatch.setattr(Duel, "step", watched)
        assert train("--out", "run", *SMALL, "--epochs", 1, "--device", "cpu") == 0
        drawn = worlds.WORLDS["ring"].sample(40, seed=0)
        assert sorted(np.concatenate(seen).tolist()) == sorted(drawn.tolist())

    def test_own_points(self, train, tmp_path, capsys):
        (tmp_path / "mine.csv").write_text("0.5,0.5\n-0.5,0.25\n")
        words = ("--data", "mine.csv", "--out", "run", *SMALL)
        assert train(*words, "--steps", 2) == 0
        assert "data: 40 points points, drawn at random" in capsys.readouterr().err
        assert train(*words[:4], "--resume", "--steps", 3) == 0
        (tmp_path / "mine.csv").write_text("0.5,0.5\n-0.5,0.5\n")
        assert train("--out", "run", "--resume", "--steps", 4) == 2
        assert "40 points points there, 40 points points here" in capsys.readouterr().err

    @pytest.mark.parametrize("content, problem", [
        ("1,2,3\n", "points given by hand are an array (n, 2)"),
        ("0,9\n", "point (0, 9) is not within 1.4"),
        ("a,b\n", "could not convert"),
        ("", "points given by hand are an array (n, 2)"),
        (None, "No such file"),
    ])  # fmt: skip
    def test_points_that_are_none(self, content, problem, train, tmp_path, capsys):
        if content is not None:
            (tmp_path / "mine.csv").write_text(content)
        assert train("--data", "mine.csv", "--out", "run", *SMALL) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "--data mine.csv: " in line and problem in line

    def test_summary_and_too_large_a_batch(self, train, capsys):
        assert train("--summary") == 0
        assert "generator" in capsys.readouterr().out
        assert train("--limit", 4, "--out", "run") == 2
        assert "--batch-size 256 is above the 4 points there are" in capsys.readouterr().err


def test_a_run_on_the_device(traffic, train, tmp_path, monkeypatch):
    """The CPU's numbers, and within a step nothing waits for the device."""
    step, seen = Duel.step, []

    def watched(*given):
        before = len(traffic)
        made = step(*given)
        seen.extend(traffic[before:])
        return made

    words = (*SMALL, "--dtype", "float64", "--steps", 2)
    assert train("--out", "here", *words) == 0
    monkeypatch.setattr(Duel, "step", watched)
    assert train("--out", "there", *words, "--device", "gpu") == 0
    assert set(seen) <= {"upload"}
    here, there = (arrays(tmp_path / name / "checkpoint.npz") for name in ("here", "there"))
    for name in ("generator/params", "generator/trained/params", "discriminator/params"):
        np.testing.assert_allclose(there[name], here[name], atol=1e-9, err_msg=name)


class TestTheToolsOnACheckpointOfPoints:
    @pytest.fixture
    def checkpoint(self, train, tmp_path, capsys):
        assert train("--out", "run", *SMALL, "--steps", 2) == 0
        assert "more points: " in capsys.readouterr().out
        return tmp_path / "run" / "checkpoint.npz"

    def test_sample(self, checkpoint, tmp_path, capsys):
        assert run(tools, "sample", checkpoint, "--count", 5, "--out", tmp_path / "p.npy") == 0
        points = np.load(tmp_path / "p.npy")
        G = mg.load(checkpoint)["generator"]
        z = Latent(2, Settings.noise).draw(5, seed=0, where="sample")
        np.testing.assert_array_equal(points, G.forward(z, train=False)[0])
        assert run(tools, "sample", checkpoint, "--out", tmp_path / "p.png") == 2
        assert "points, which are no pictures: `sample --out FILE.npy`" in capsys.readouterr().err

    def test_info(self, checkpoint, capsys):
        assert run(tools, "info", checkpoint) == 0
        assert "toy_2d: step 2; data: 40 points ring" in capsys.readouterr().out

    def test_what_a_stranger_may_say_of_the_shape(self, checkpoint):
        """That of a point is one number, that of a picture three."""
        run = Checkpoint(checkpoint).run
        for shape, fine in (([2], True), ([3, 3, 1], True), ([2, 2], False), ([], False)):
            changed = run | {"data": run["data"] | {"shape": shape}}
            with contextlib.nullcontext() if fine else pytest.raises(ValueError, match="shape"):
                RUN(changed, "run")

    def test_anatomy_shows_pictures(self, checkpoint, tmp_path, capsys):
        assert run(tools, "anatomy", checkpoint, "--out", tmp_path / "page.html") == 2
        assert "is of a run on points" in capsys.readouterr().err


def test_points_are_not_mirrored(train, capsys):
    assert train("--out", "run", *SMALL, "--mirror") == 2
    assert "--mirror turns pictures, and these are points" in capsys.readouterr().err


def test_a_dataset_of_points():
    points = np.array([(0.5, -0.5), (0.0, 1.0)])
    made = data.Dataset(points, None, "mine", "made here")
    assert made.images is points and len(made.limit(1)) == 1
    with pytest.raises(ValueError, match="points must be finite"):
        data.Dataset(np.full((1, 2), np.inf), None, "mine", "made here")
    with pytest.raises(UserError, match="limit 3"):
        made.limit(3)


def plain_d(weights):
    """A linear D: its score is the product of a point with two weights."""
    D = mg.Sequential([mg.Dense(2, 1)], name="D", dtype="float64")
    D.layers[0].weight[...] = D.xp.asarray(np.array(weights, float)[:, None])
    return D


class TestPicture:
    def test_the_top_row_is_the_top_of_the_plane(self):
        up, right = (plane.scores_on_grid(plain_d(w), side=4) for w in ((0, 1), (1, 0)))
        edge = 0.75 * worlds.EXTENT  # the middle of the outermost of four cells
        assert up[:, 0] == pytest.approx([edge, edge / 3, -edge / 3, -edge])
        assert right[0] == pytest.approx(-up[:, 0])

    @pytest.mark.parametrize("loss", GAMES)
    def test_arrows_point_to_higher_scores(self, loss):
        fake = worlds.WORLDS["ring"].sample(6, seed=0, dtype="float64") / 4
        pushed = -plane.gradient(plain_d((3.0, 1.0)), GAMES[loss], fake)
        assert (pushed > 0).all() and pushed[:, 0] == pytest.approx(3 * pushed[:, 1])

    def test_what_is_where(self):
        """Blue above, orange below; a real point at the right, a generated one at the left."""
        real, fake = np.array([(1.0, 0.0)]), np.array([(-1.0, 0.0)])
        made = plane.picture(plain_d((0, 1)), GAMES["wasserstein"], real, fake, "")
        assert made.shape == (plane.SIDE + 2 * plane.MARGIN, plane.SIDE, 3)
        assert made.dtype == np.uint8
        top, bottom = made[plane.MARGIN + 2, 240], made[-plane.MARGIN - 3, 240]
        assert np.array_equal(top, plane.HIGH) and np.array_equal(bottom, plane.LOW)

        def pixel(point):
            x, y = plane._pixels(np.array([point]))[0]
            return made[plane.MARGIN + round(y), round(x)]

        assert np.array_equal(pixel((1.0, 0.0)), plane.REAL)
        assert np.array_equal(pixel((-1.0, 0.18)), plane.ARROW)  # the head, upwards
        assert (pixel((-1.0, -0.1)) > 150).all()

    def test_points_far_away(self):
        """A G that has run off is not in the picture, whatever its numbers are."""
        away = np.array([(1e30, 0), (np.nan, 0), (-np.inf, np.inf), (0, 1.5)])
        nothing = np.empty((0, 2))
        D, game = plain_d((0, 1)), GAMES["wasserstein"]
        assert np.array_equal(
            plane.drawing(D, game, nothing, away), plane.drawing(D, game, nothing, nothing)
        )

    def test_a_flat_d(self):
        """Neither scores nor gradients to tell apart: no arrow, no warning."""
        made = plane.picture(plain_d((0, 0)), GAMES["wasserstein"], *np.zeros((2, 1, 2)), "flat")
        assert made.std() > 0

    def test_the_sheets_of_a_run_are_such_pictures(self, train, tmp_path):
        assert train("--out", "run", *SMALL, "--steps", 2) == 0
        with Image.open(tmp_path / "run" / "samples" / "epoch_001.png") as sheet:
            assert sheet.size == (480, 540) and sheet.mode == "RGB"


@pytest.mark.host
def test_gate():
    """The defaults on the ring, a fifth of the way: a broken gradient does not get here.

    `benchmarks/toy_table.py --gate` goes all the way, over five seeds and on the grid too.
    """
    ring, duel = worlds.WORLDS["ring"], Duel(Settings())
    duel.train(ring, 400)
    modes, good = ring.quality(duel.samples())
    assert modes == 8 and good > 0.1
