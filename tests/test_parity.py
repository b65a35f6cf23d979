"""Training runs of the examples against the state that PyTorch arrived at."""

import numpy as np
import parity
import pytest


@pytest.mark.host
@pytest.mark.parametrize("name", parity.CASES)
def test_it_arrives_where_pytorch_does(name):
    ours = parity.condensed(parity.train_minigan(parity.CASES[name]))
    with np.load(parity.golden(name)) as golden:
        assert golden.files == list(ours)
        difference, tensor = parity.largest_difference(ours, golden)
    assert difference <= parity.TOLERANCE, f"{tensor} differs by {difference:.1e}"
