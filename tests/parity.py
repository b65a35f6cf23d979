"""M1 beside PyTorch: the same training run twice, step by step, in float64.

    python tests/parity.py            compare with PyTorch; exit 1 where they part
    python tests/parity.py --write    and keep what PyTorch computed in tests/golden/

Both sides start from the same weights and see the same images, noise and dropout
masks.  PyTorch's gradients are autograd's, ours those of `train_step` in
examples/mnist_gan.py.  After 100 steps no parameter may differ by more than 1e-9.

`test_parity.py` makes the comparison from the golden file, without PyTorch.  The
parameters would be 24 MB, so the file keeps a sample of them and, because a sample
could miss a wrong one, projections of each whole tensor on random directions.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

import minigan as mg

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "m1.npz"
STEPS, BATCH, SEED, LR, B1 = 100, 100, 11, 2e-4, 0.5
TOLERANCE = 1e-9
SAMPLE_STRIDE = 997
PROJECTIONS = 4


def example(name):
    """The module of examples/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, HERE.parent / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def networks():
    """(the example's module, G, D): M1 in float64 from a fixed seed."""
    m1 = example("mnist_gan")
    options = types.SimpleNamespace(seed=SEED, dtype="float64", original=False)
    return m1, m1.generator(options), m1.discriminator(options)


def step_inputs(step):
    """(real, z_d, z_g) of a step; squashed noise stands for images in [-1, 1]."""
    address = dict(seed=SEED, step=step, dtype="float64")
    real = np.tanh(3 * mg.random.normal((BATCH, 28, 28, 1), where="real", **address))
    return real, *(mg.random.normal((BATCH, 100), where=use, **address) for use in ("D z", "G z"))


def train_minigan():
    """The parameters after STEPS steps: dict "generator 0.dense.weight" -> array."""
    m1, G, D = networks()
    opt_g, opt_d = mg.Adam(G, LR, b1=B1), mg.Adam(D, LR, b1=B1)
    for step in range(STEPS):
        D.begin_step(step)
        m1.train_step(G, D, opt_g, opt_d, *step_inputs(step))
    return named(G, [param for _, param, _ in G.named_tensors()]) | named(
        D, [param for _, param, _ in D.named_tensors()]
    )


def train_torch():
    """The same with PyTorch's operations, autograd and Adam."""
    import torch
    from torch_reference import TorchNetwork

    _, our_G, our_D = networks()
    G, D = TorchNetwork(our_G), TorchNetwork(our_D)
    opt_g = torch.optim.Adam(G.params, LR, betas=(B1, 0.999))
    opt_d = torch.optim.Adam(D.params, LR, betas=(B1, 0.999))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(BATCH, 1).double(), torch.zeros(BATCH, 1).double()
    for step in range(STEPS):
        real, z_d, z_g = map(torch.from_numpy, step_inputs(step))
        D.begin_step(step)
        opt_d.zero_grad()
        logits = D(torch.cat([real, G(z_d).detach()]))
        (bce(logits[:BATCH], ones) + bce(logits[BATCH:], zeros)).backward()
        opt_d.step()
        opt_g.zero_grad()
        bce(D(G(z_g)), ones).backward()
        opt_g.step()
    return {
        name: param
        for ours, theirs in ((our_G, G), (our_D, D))
        for name, param in named(ours, [p.detach().numpy() for p in theirs.params]).items()
    }


def named(network, params):
    """Parameter tensors by network and name."""
    names = [f"{network.name} {name}" for name, _, _ in network.named_tensors()]
    return dict(zip(names, params, strict=True))


def condensed(params):
    """What the golden file keeps of each tensor: every 997th element, and projections."""
    result = {}
    for name, param in params.items():
        flat = param.reshape(-1)
        # Directions of length 1: a projection differs by no more than the tensor does, and by
        # about as much as one element where all differ.
        rng = np.random.default_rng(len(flat))
        directions = rng.choice([-1.0, 1.0], (PROJECTIONS, len(flat))) / np.sqrt(len(flat))
        result[name] = np.concatenate([flat[::SAMPLE_STRIDE], directions @ flat])
    return result


def largest_difference(ours, theirs):
    """(difference, name of the tensor) where two dicts of arrays differ most."""
    return max((float(np.abs(ours[name] - theirs[name]).max()), name) for name in theirs)


def main():
    theirs = train_torch()
    difference, name = largest_difference(train_minigan(), theirs)
    verdict = "ok" if difference <= TOLERANCE else "FAILED"
    print(f"M1, {STEPS} steps, float64: largest difference {difference:.1e} in {name}: {verdict}")
    if "--write" in sys.argv[1:]:
        np.savez_compressed(GOLDEN, **condensed(theirs))
        print(f"wrote {GOLDEN.name}, {GOLDEN.stat().st_size:,} bytes")
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
