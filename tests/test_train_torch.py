"""benchmarks/train_torch.py: the examples' runs with PyTorch's step take the same course."""

from pathlib import Path

import numpy as np
import parity
import pytest
from helpers import run

import minigan as mg
from minigan.training.history import History

pytestmark = pytest.mark.host  # PyTorch's step is the CPU's
torch = pytest.importorskip("torch")


@pytest.fixture
def train_torch(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import train_torch

    return train_torch


def words(out, *more):
    return [
        *("--data", "digits", "--limit", 8, "--batch-size", 4, "--steps", 10, "--width", 0.05),
        *("--dtype", "float64", "--average", 0.9, "--out", out, *more),
    ]


@pytest.mark.parametrize("model", ["m1", "m2", "m3", "m5"])
def test_both_runs_are_one(train_torch, model, tmp_path):
    """In float64: what is logged, and the networks of the checkpoint, the average among them."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert run(parity.example(parity.CASES[model].script).main, *words(ours)) == 0
    assert run(train_torch.main, model, *words(theirs)) == 0
    expected, found = (History.read(folder / "history.csv") for folder in (ours, theirs))
    assert expected.keys() - found.keys() == {"norm_dfake"}
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, err_msg=name)
    expected, found = mg.load(ours), mg.load(theirs)
    assert expected.keys() == found.keys() > {"generator", "generator/trained"}
    for name, network in expected.items():
        for vector in ("params", "buffers"):
            a, b = getattr(found[name], vector), getattr(network, vector)
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=f"{name} {vector}")


@pytest.mark.parametrize("model, option", [
    ("m2", "--original"), ("m5", "--original"), ("m5", "--simultaneous"),
])  # fmt: skip
def test_a_step_that_is_not_theirs_is_refused(train_torch, model, option, tmp_path, capsys):
    assert run(train_torch.main, model, *words(tmp_path, option)) == 2
    assert "PyTorch takes neither" in capsys.readouterr().err


def test_it_does_not_go_on_with_moments_that_it_has_not(train_torch, tmp_path, capsys):
    assert run(train_torch.main, "m1", *words(tmp_path)) == 0
    assert run(train_torch.main, "m1", *words(tmp_path, "--resume", "--steps", 11)) == 2
    assert "PyTorch takes neither" in capsys.readouterr().err
