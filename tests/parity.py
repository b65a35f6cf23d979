"""The examples beside PyTorch: the same training runs twice, step by step, in float64.

    python tests/parity.py            compare with PyTorch; exit 1 where they part
    python tests/parity.py m2 m5      these cases only
    python tests/parity.py --write    and keep what PyTorch computed in tests/golden/

Both sides start from the same weights and see the same images, noise, labels and dropout
masks.  PyTorch's gradients are autograd's, ours those of the examples' own training steps.
At the end no parameter and no moving average may differ by more than 1e-9.

`test_parity.py` makes the comparison from the golden files, without PyTorch.  All parameters
would be large (24 MB for M1), so a file keeps a sample of them and, because a sample could
miss a wrong one, projections of each whole tensor on random directions.
"""

import importlib.util
import math
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import minigan as mg

HERE = Path(__file__).parent
SEED = 11
TOLERANCE = 1e-9
SAMPLE_STRIDE = 997
PROJECTIONS = 4


@dataclass(frozen=True)
class Case:
    """One training run that both sides make.

    script: of the example.  torch_step: the training step in torch_reference.py.
    labels: ranges of the real and the fake ones and G's, for the steps that take them.
    bound: Adam's.
    eps: Adam's.  The gradient of a bias before BatchNorm is exactly zero, so what Adam makes of
    it is rounding noise over eps: with the usual 1e-8 it reaches 5e-10 on the same machine.
    options: those of the example that are not its defaults.
    """

    script: str
    torch_step: str
    lr: float
    b1: float
    labels: tuple = ()
    steps: int = 30
    batch: int = 6
    width: float = 1 / 16
    bound: float = math.inf
    eps: float = 1e-6
    options: dict = field(default_factory=dict)


SMOOTH = ((0.9, 0.9), (0.0, 0.0), 0.9)
NOISY = ((0.9, 1.0), (0.0, 0.1), 1.0)
NOISY_ORIGINAL = ((1.0, 1.1), (-0.1, 0.0), 1.0)
HARD = ((1.0, 1.0), (0.0, 0.0), 1.0)
ONE_SIDED = ((0.9, 0.9), (0.0, 0.0), 1.0)

CASES = {
    "m1": Case(
        "mnist_gan", "one_pass", 1e-3, 0.5, steps=100, batch=100, width=1.0, bound=1, eps=1e-8
    ),
    "m2": Case("mnist_dcgan", "two_pass", 1e-3, 0.4, SMOOTH),
    "m2-original": Case("mnist_dcgan", "g_first", 1e-3, 0.4, SMOOTH, options=dict(original=True)),
    "m3": Case("cifar_dcgan", "two_pass", 1e-3, 0.4, SMOOTH, options=dict(shift=0.125)),
    "m3-unmoved": Case("cifar_dcgan", "two_pass", 1e-3, 0.4, SMOOTH),
    "m3-original": Case("cifar_dcgan", "g_first", 1e-3, 0.4, SMOOTH, options=dict(original=True)),
    "m4": Case("mnist_conv_gan", "softmax", 1e-3, 0.5, width=1 / 32),
    "m4-original": Case(
        "mnist_conv_gan", "softmax_evaluated", 1e-4, 0.9, width=1 / 32, options=dict(original=True)
    ),
    "m5": Case("dcgan", "two_pass_mean", 2e-4, 0.5, NOISY),
    "m5-original": Case(
        "dcgan", "simultaneous", 2e-4, 0.5, NOISY_ORIGINAL, options=dict(original=True)
    ),
    "m5-upsample": Case(
        "dcgan", "two_pass_mean", 2e-4, 0.5, NOISY, steps=10, options=dict(upsample=True)
    ),
    "m6": Case("anime_dcgan", "same_fakes", 2e-4, 0.5, ONE_SIDED, batch=4, width=1 / 32),
    "m6-original": Case(
        "anime_dcgan",
        "same_fakes",
        2e-4,
        0.5,
        HARD,
        batch=4,
        width=1 / 32,
        options=dict(original=True),
    ),
}


def example(name):
    """The module of examples/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, HERE.parent / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example_options(**changes):
    """The options that networks are built with: any example's defaults, but for `changes`."""
    defaults = dict(
        seed=0,
        dtype="float32",
        width=1.0,
        original=False,
        upsample=False,
        dropout=0.3,
        flip=0.0,
        shift=0.0,
    )
    return types.SimpleNamespace(**defaults | changes)


def build(case):
    """(module, options, G, D) of a case."""
    module = example(case.script)
    options = example_options(seed=SEED, dtype="float64", width=case.width, **case.options)
    return module, options, module.generator(options), module.discriminator(options)


def step_inputs(case, module, G, step):
    """(real, z_d, z_g) of a step; squashed noise stands for images in [-1, 1] or [0, 1]."""
    address = dict(seed=SEED, step=step, dtype="float64")
    shape = G.output_shape((module.LATENT.size,))
    real = np.tanh(3 * mg.random.normal((case.batch, *shape), where="real", **address))
    if isinstance(G.layers[-1], mg.Sigmoid):
        real = (real + 1) / 2
    return real, *(module.LATENT.draw(case.batch, where=use, **address) for use in ("D z", "G z"))


def train_minigan(case):
    """The state after the case's steps: dict "generator 0.dense.weight" -> array."""
    module, options, G, D = build(case)
    settings = dict(b1=case.b1, eps=case.eps, bound=case.bound)
    opt_g, opt_d = (mg.Adam(net, case.lr, **settings) for net in (G, D))
    for step in range(case.steps):
        for network in (G, D):
            network.begin_step(step)
        inputs = step_inputs(case, module, G, step)
        take_step(module, options, (G, D, opt_g, opt_d), step, *inputs)
    return {
        name: array
        for network in (G, D)
        for name, array in named(
            network,
            [param for _, param, _ in network.named_tensors()],
            [getattr(layer, name) for layer in network.layers for name in layer.buffer_specs],
        ).items()
    }


def take_step(module, options, parts, step, real, z_d, z_g):
    """The example's training step; parts: G, D and their optimizers."""
    if hasattr(module, "noisy_labels"):
        labels = module.noisy_labels(options, lambda where: dict(seed=SEED, where=where, step=step))
        if options.original:
            module.simultaneous_step(*parts, real, z_d, *labels)
        else:
            module.train_step(*parts, real, z_d, z_g, *labels)
    elif module.__name__ == "anime_dcgan":
        module.train_step(*parts, real, z_d, options.original)
    elif module.__name__ in ("mnist_dcgan", "cifar_dcgan", "mnist_conv_gan"):
        module.train_step(*parts, real, z_d, z_g, options.original)
    else:
        module.train_step(*parts, real, z_d, z_g)


def train_torch(case):
    """The same with PyTorch's operations, autograd and Adam."""
    import torch
    import torch_reference

    module, _, our_G, our_D = build(case)
    G, D = torch_reference.TorchNetwork(our_G), torch_reference.TorchNetwork(our_D)
    opt_g, opt_d = (
        torch_reference.Adam(net.params, case.lr, (case.b1, 0.999), case.eps, case.bound)
        for net in (G, D)
    )
    train_step = getattr(torch_reference, f"{case.torch_step}_step")
    for step in range(case.steps):
        for network in (G, D):
            network.begin_step(step)
        inputs = (*step_inputs(case, module, our_G, step), *step_labels(case, step))
        train_step(G, D, opt_g, opt_d, *map(torch.from_numpy, inputs))
    return {
        name: array
        for ours, theirs in ((our_G, G), (our_D, D))
        for name, array in named(
            ours, [p.detach().numpy() for p in theirs.params], [b.numpy() for b in theirs.buffers]
        ).items()
    }


def step_labels(case, step):
    """The labels (N, 1) of a step for D's real and generated images and for G, or none."""
    if not case.labels:
        return
    *for_d, for_g = case.labels
    address = dict(seed=SEED, step=step, dtype="float64")
    for where, (low, high) in zip(("real labels", "fake labels"), for_d):
        yield mg.random.uniform((case.batch, 1), low, high, where=where, **address)
    yield np.full((case.batch, 1), for_g)


def named(network, params, buffers):
    """Parameters and moving averages by network and name."""
    names = [f"{network.name} {name}" for name, _, _ in network.named_tensors()]
    names += [
        f"{network.name} {index}.{name}"
        for index, layer in enumerate(network.layers)
        for name in layer.buffer_specs
    ]
    return dict(zip(names, [*params, *buffers], strict=True))


def condensed(state):
    """What a golden file keeps of each tensor: every 997th element, and projections."""
    result = {}
    for name, tensor in state.items():
        flat = tensor.reshape(-1)
        # Directions of length 1: a projection differs by no more than the tensor does, and by
        # about as much as one element where all differ.
        rng = np.random.default_rng(len(flat))
        directions = rng.choice([-1.0, 1.0], (PROJECTIONS, len(flat))) / np.sqrt(len(flat))
        result[name] = np.concatenate([flat[::SAMPLE_STRIDE], directions @ flat])
    return result


def golden(name):
    """The path of the golden file of a case."""
    return HERE / "golden" / f"{name}.npz"


def largest_difference(ours, theirs):
    """(difference, name of the tensor) where two dicts of arrays differ most."""
    return max((float(np.abs(ours[name] - theirs[name]).max()), name) for name in theirs)


def main(words):
    write = "--write" in words
    wanted = [word for word in words if word != "--write"] or CASES
    failures = 0
    for name in wanted:
        case = CASES[name]
        theirs = train_torch(case)
        difference, where = largest_difference(train_minigan(case), theirs)
        ok = difference <= TOLERANCE
        failures += not ok
        print(
            f"{name}: {case.steps} steps, float64: largest difference {difference:.1e} "
            f"in {where}: {'ok' if ok else 'FAILED'}",
            flush=True,
        )
        if write:
            np.savez_compressed(golden(name), **condensed(theirs))
            print(f"wrote {golden(name).name}, {golden(name).stat().st_size:,} bytes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
