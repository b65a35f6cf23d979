"""Gradient penalties beside PyTorch, whose autograd is run twice (`create_graph`), in float64.

    python tests/parity_penalty.py            compare with PyTorch; exit 1 where they part
    python tests/parity_penalty.py --write    and keep what PyTorch computed in tests/golden/

First the gradient of every penalty for critics of every kind of layer, then training runs of
M7 and M8 made narrow: three updates of the critic and one of G a step.  Both sides have the
same weights, images, noise, epsilons and dropout masks.

`test_parity_penalty.py` makes the comparison from the golden file, without PyTorch.
"""

import sys
import types
import warnings
from pathlib import Path

import numpy as np
import parity
from test_penalty import ADDRESS, CODE, CRITICS, PENALTIES, make_steep, piecewise_linear, samples

import minigan as mg

GOLDEN = Path(__file__).parent / "golden" / "penalty.npz"
TOLERANCE = 1e-10
RUNS = {"m7": "wgan_gp", "m8": "cgan"}
STEPS, CRITIC_STEPS, BATCH, WIDTH, SEED, LR, BETAS = 5, 3, 4, 1 / 16, 11, 2e-4, (0.5, 0.9)
DRIFT = 0.1  # large enough to be seen in five steps


# The gradient of one penalty.


def penalty_cases():
    """Yields (name, critic, penalty, real, fake, train, condition)."""
    for kind in PENALTIES:
        for name, make in CRITICS.items():
            for train in (True, False):
                critic = make()
                if kind == "one-sided":
                    make_steep(critic)
                mode = "train" if train else "eval"
                yield f"{name}, {kind}, {mode}", critic, kind, *samples(name), train, None
        critic = piecewise_linear(inputs=5)
        make_steep(critic)
        yield f"conditional, {kind}", critic, kind, *samples("conv"), True, CODE


def minigan_gradients():
    """Loss and parameter gradients of each case in one vector: dict name -> (1 + params,)."""
    results = {}
    for name, critic, kind, real, fake, train, condition in penalty_cases():
        critic.begin_step(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of BatchNorm, which is what we want to see
            loss = PENALTIES[kind](critic, real, fake, train=train, condition=condition)
        results[name] = np.concatenate([[loss], critic.grads])
    return results


def torch_gradients():
    """The same with PyTorch."""
    import torch

    results = {}
    for name, critic, kind, real, fake, train, condition in penalty_cases():
        net = torch_network(critic)
        net.begin_step(0)
        real, fake = map(torch.from_numpy, (real, fake))
        condition = None if condition is None else torch.from_numpy(condition)
        loss = torch_penalty(net, kind, real, fake, train, condition, ADDRESS)
        grads = torch.autograd.grad(loss, net.params, allow_unused=True, materialize_grads=True)
        results[name] = torch.cat([loss[None], *(g.reshape(-1) for g in grads)]).detach().numpy()
    return results


def torch_penalty(net, kind, real, fake, train, condition, address):
    import torch

    shape = (len(real),) + (1,) * (real.ndim - 1)
    epsilon = torch.from_numpy(mg.random.uniform(shape, **address, dtype="float64"))
    x = {"R1": real, "R2": fake}.get(kind, epsilon * real + (1 - epsilon) * fake)
    x = x.clone().requires_grad_()
    scores = net(x if condition is None else torch_join(x, condition), train)
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    squares = slope.flatten(1).square().sum(1)
    if kind in ("R1", "R2"):
        return {"R1": 10.0, "R2": 3.0}[kind] / 2 * squares.mean()
    excess = squares.sqrt() - 1
    return 10 * (excess.relu() if kind == "one-sided" else excess).square().mean()


def torch_join(x, code):
    import torch

    planes = code.reshape(len(code), *(1,) * (x.ndim - 2), -1).expand(*x.shape[:-1], -1)
    return torch.cat([x, planes], -1)


def torch_network(network):
    """A TorchNetwork that knows LayerNorm and networks within networks too."""
    import torch
    from torch_reference import TorchNetwork

    class Network(TorchNetwork):
        def _layer(self, layer, x, params, buffers, train):
            if isinstance(layer, mg.Sequential):
                for inner in layer.layers:
                    x = self._layer(inner, x, params, buffers, train)
                return x
            if isinstance(layer, mg.LayerNorm):
                gamma, beta = next(params), next(params)
                return torch.nn.functional.layer_norm(x, layer.shape, gamma, beta, layer.eps)
            return super()._layer(layer, x, params, buffers, train)

    return Network(network)


# Training runs.


def build(script):
    """(module, options, G, C) of an example, narrow and in float64."""
    module = parity.example(script)
    options = types.SimpleNamespace(
        seed=SEED, dtype="float64", width=WIDTH, gp_weight=10.0, r1=None, clip=None, drift=DRIFT
    )
    return module, options, module.generator(options), module.critic(options)


def run_inputs(script, step):
    """(real, code or None, the z of each update, the addresses of epsilon) of a step."""
    address = dict(seed=SEED, step=step)
    noise = mg.random.normal((BATCH, 64, 64, 3), where="real", **address, dtype="float64")
    real = np.tanh(3 * noise)
    code = None if script == "wgan_gp" else np.eye(2)[np.arange(BATCH) % 2]
    size = 128 if code is None else 32
    z = [
        mg.random.normal((BATCH, size), where=f"z {i}", **address, dtype="float64")
        for i in range(CRITIC_STEPS + 1)
    ]
    return real, code, z, [dict(where=f"epsilon {i}", **address) for i in range(CRITIC_STEPS)]


def train_minigan(script):
    """Parameters and moving averages after the steps: dict name -> array."""
    module, options, G, C = build(script)
    opt_g, opt_c = (mg.Adam(net, LR, b1=BETAS[0], b2=BETAS[1]) for net in (G, C))
    for step in range(STEPS):
        C.begin_step(step)
        real, code, (*for_critic, for_g), epsilons = run_inputs(script, step)
        labels = () if code is None else (code,)
        for z, epsilon in zip(for_critic, epsilons):
            module.critic_step(G, C, opt_c, real, *labels, z, options, epsilon)
        module.generator_step(G, C, opt_g, *labels, for_g)
    return final_state((net, net.params, net.buffers) for net in (G, C))


def train_torch(script):
    """The same with PyTorch."""
    import torch

    _, options, our_G, our_C = build(script)
    G, C = torch_network(our_G), torch_network(our_C)
    opt_g, opt_c = (torch.optim.Adam(net.params, LR, betas=BETAS) for net in (G, C))
    for step in range(STEPS):
        C.begin_step(step)
        real, code, noise, epsilons = run_inputs(script, step)
        real, code = torch.from_numpy(real), code if code is None else torch.from_numpy(code)

        def labelled(x, n=1):
            return x if code is None else torch_join(x, code.repeat(n, 1))

        *for_critic, for_g = map(torch.from_numpy, noise)
        for z, epsilon in zip(for_critic, epsilons):
            fake = G(labelled(z)).detach()
            opt_c.zero_grad()
            loss = torch_penalty(C, "gradient penalty", real, fake, True, code, epsilon)
            scores = C(labelled(torch.cat([real, fake]), 2))
            distance = scores[BATCH:].mean() - scores[:BATCH].mean()
            (loss + distance + DRIFT * scores.square().mean()).backward()
            opt_c.step()
        opt_g.zero_grad()
        (-C(labelled(G(labelled(for_g)))).mean()).backward()
        opt_g.step()

    def joined(tensors):
        return np.concatenate([t.detach().numpy().reshape(-1) for t in tensors] or [[]])

    return final_state(
        (ours, joined(net.params), joined(net.buffers)) for ours, net in ((our_G, G), (our_C, C))
    )


def final_state(networks):
    """Flat vectors by name, for (network, params, buffers) of each."""
    return {
        f"{net.name} {name}": vector
        for net, params, buffers in networks
        for name, vector in (("params", params), ("buffers", buffers))
        if len(vector)
    }


# The comparison.


def differences(ours, theirs):
    """name -> |ours - theirs| relative to |theirs|."""
    assert list(ours) == list(theirs)
    return {
        name: float(np.linalg.norm(ours[name] - theirs[name]) / np.linalg.norm(theirs[name]))
        for name in theirs
    }


def golden():
    """What PyTorch computed: dict "gradients", "m7", "m8" -> dict name -> vector."""
    with np.load(GOLDEN) as file:
        groups = {}
        for key in file.files:
            group, name = key.split(": ")
            groups.setdefault(group, {})[name] = file[key]
    return groups


def main():
    pairs = {"gradients": (minigan_gradients(), torch_gradients())}
    for key, script in RUNS.items():
        pairs[key] = (train_minigan(script), train_torch(script))
    failed = False
    for key, (ours, theirs) in pairs.items():
        error, name = max((error, name) for name, error in differences(ours, theirs).items())
        failed |= not error <= TOLERANCE
        print(
            f"{key}, float64: largest difference {error:.1e} in {name}: "
            f"{'ok' if error <= TOLERANCE else 'FAILED'}"
        )
    if "--write" in sys.argv[1:]:
        vectors = {}
        for key, (_, theirs) in pairs.items():
            kept = parity.condensed(theirs) if key in RUNS else theirs
            vectors |= {f"{key}: {name}": vector for name, vector in kept.items()}
        np.savez_compressed(GOLDEN, **vectors)
        print(f"wrote {GOLDEN.name}, {GOLDEN.stat().st_size:,} bytes")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
