"""Gradient penalties and training runs with them against what PyTorch computed."""

import parity
import parity_penalty
import pytest
from parity_penalty import TOLERANCE, differences

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def golden():
    return parity_penalty.golden()


def worst(errors):
    return max((error, name) for name, error in errors.items())


def test_gradients(golden):
    error, name = worst(differences(parity_penalty.minigan_gradients(), golden["gradients"]))
    assert error <= TOLERANCE, name


@pytest.mark.parametrize("key", parity_penalty.RUNS)
def test_training_runs(golden, key):
    ours = parity.condensed(parity_penalty.train_minigan(parity_penalty.RUNS[key]))
    error, name = worst(differences(ours, golden[key]))
    assert error <= TOLERANCE, name


def test_gradients_beside_pytorch():
    pytest.importorskip("torch")
    errors = differences(parity_penalty.minigan_gradients(), parity_penalty.torch_gradients())
    assert worst(errors)[0] <= TOLERANCE, worst(errors)
