"""A run that goes wrong says so, once an epoch, with the figures; one that does not, nothing."""

import re

import numpy as np
import pytest
from helpers import STEPS_PER_EPOCH, at_step, run, words

import minigan as mg
from minigan.training import health


def notes(capsys):
    """The lines of warning of a run."""
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if re.match(r"epoch \d+: ", line)]


def test_a_run_that_learns_is_left_in_peace(gan, pictures, tmp_path, capsys):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 20)) == 0
    assert notes(capsys) == []


def test_a_learning_rate_of_one(gan, pictures, tmp_path, capsys):
    far_too_high = ["--epochs", 30, "--lr", 1, "--b1", 0.9]
    assert run(gan.main, *words(pictures, tmp_path, *far_too_high)) == 0
    lines = notes(capsys)
    assert len(lines) == len({line.split(":")[0] for line in lines})  # one an epoch
    assert any(
        re.search(r"D has won: D\(x\) is (1|0\.99\d*), D\(G\(z\)\) [\d.e-]+", line)
        for line in lines
    )


@pytest.mark.parametrize(
    "spoil, line",
    [
        (lambda G, D, opt_g, opt_d: G.layers[2].weight.fill(0), "G has collapsed: its pictures"),
        (
            lambda G, D, opt_g, opt_d: D.params.fill(0),
            "G learns nothing: its gradient is 0 at most",
        ),
        (
            lambda G, D, opt_g, opt_d: opt_d.state["v"].fill(1e37),
            "discriminator/optimizer/v reaches 1e+37, and float32 ends at 3.4e+38",
        ),
    ],
)
def test_what_is_spoilt_is_named(gan, pictures, tmp_path, capsys, spoil, line):
    at_step(gan, STEPS_PER_EPOCH, spoil)
    train_step = gan.train_step

    def without_learning(G, D, opt_g, opt_d, *more):
        opt_g.lr = opt_d.lr = 0.0
        return train_step(G, D, opt_g, opt_d, *more)

    gan.train_step = without_learning
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1, "--average", 0)) == 0
    [found] = notes(capsys)
    assert found.startswith("epoch 1: ") and line in found


@pytest.mark.parametrize(
    "real, fake, won",
    [
        (1.0, 7e-33, True),
        (0.9995, 0.0005, True),
        (0.98, 1e-9, False),
        (1.0, 0.01, False),
    ],
)
def test_d_has_won_where_both_say_so(real, fake, won):
    G = mg.Sequential([mg.Dense(2, 4)], name="generator")
    G.grads += 1
    columns = {"d_real": np.full(9, real), "d_fake": np.full(9, fake)}
    images = np.random.default_rng(0).random((1, 16, 2, 2, 1))
    line = health.warning(columns, G, images, (0, 1), {"params": G.params})
    assert (line is not None and line.startswith("D has won")) == won
    # Critics report other figures, and the beginning of a run none.
    assert health.warning({"c_loss": np.ones(9)}, G, images, (0, 1), {}) is None
    assert health.warning({"d_real": [], "d_fake": []}, G, images, (0, 1), {}) is None
