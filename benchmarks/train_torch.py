"""A reference model trained by PyTorch, to be scored beside ours.

    python benchmarks/train_torch.py m1 --data mnist --out runs/m1_torch
    python -m minigan score runs/m1_torch

It is the example's own run, and takes its options, but its training step is PyTorch's: forward
passes by PyTorch's functions, gradients by autograd, updates by torch.optim.Adam, their bound put
on afterwards, as in tests/torch_reference.py.  The weights are tensors in the memory of our
networks, so sheets, history, moving average, checkpoint and scores are those of any run.  Data,
order of batches, initial weights, noise, labels and masks are the example's too: with one seed,
both sides differ in nothing but rounding, which grows.  Its time is no measure of PyTorch: that is
bench.py's.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from minigan import training
from minigan.errors import UserError

sys.path.append(str(Path(__file__).parent.parent / "tests"))
import parity
import torch_reference

MODELS = ("m1", "m2", "m3", "m5")


class Adam(torch_reference.Adam):
    """For a `TorchNetwork`, with the settings of `ours`, our optimizer, whose steps it counts."""

    def __init__(self, network, ours):
        super().__init__(network.params, ours.lr, (ours.b1, ours.b2), ours.eps, ours.bound)
        self.network, self.ours = network, ours

    def step(self):
        self.param_groups[0]["lr"] = self.ours.lr  # a schedule may have changed it
        super().step()
        self.ours.t += 1
        tensors = self.network.network.named_tensors()
        for param, (_, _, grad) in zip(self.network.params, tensors):
            grad[...] = param.grad  # the run measures it


def torch_step(case):
    """A function to stand for the example's train_step.  case: one of parity.CASES."""
    train_step, parts = getattr(torch_reference, f"{case.torch_step}_step"), []

    def step(G, D, opt_g, opt_d, real, z_d, z_g, *more):
        if not parts:
            if opt_g.t or True in more:
                refuse()
            networks = [torch_reference.TorchNetwork(network, share=True) for network in (G, D)]
            parts.extend([*networks, *map(Adam, networks, (opt_g, opt_d))])
        for network in parts[:2]:
            network.begin_step(opt_g.t)
        arrays = (real, z_d, z_g, *labels(case, real, more))
        values = train_step(*parts, *map(torch.from_numpy, arrays))
        return {name: real.dtype.type(value) for name, value in values.items()}

    return step


def labels(case, real, more):
    """The labels (N, 1) of D's real images, of its generated ones and of G's; none for M1.

    more: what the example's step is given besides, M5's the functions that draw D's.
    """
    if not case.labels:
        return []
    *for_d, for_g = case.labels
    place = np.empty((len(real), 1), real.dtype)
    if callable(more[0]):
        drawn = [draw(place) for draw in more]
    else:
        drawn = [np.full_like(place, low) for low, _ in for_d]
    return [*drawn, np.full_like(place, for_g)]


def refuse(*_):
    raise UserError("PyTorch takes neither --resume, nor --simultaneous, nor --original but of m1")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=MODELS, help="and then the options of its example")
    options, words = parser.parse_known_args(argv)
    case = parity.CASES[options.model]
    example = parity.example(case.script)
    example.train_step, example.simultaneous_step = torch_step(case), refuse
    return example.main(words)


if __name__ == "__main__":
    training.command(main)
