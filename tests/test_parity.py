"""100 training steps of M1 against the parameters that PyTorch arrived at."""

import numpy as np
import parity


def test_m1_arrives_where_pytorch_does():
    ours = parity.condensed(parity.train_minigan())
    with np.load(parity.GOLDEN) as golden:
        assert golden.files == list(ours)
        difference, name = parity.largest_difference(ours, golden)
    assert difference <= parity.TOLERANCE, f"{name} differs by {difference:.1e}"
