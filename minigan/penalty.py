"""Gradient penalties: losses on the slope of a critic, and the weight clipping they replaced.

A penalty is a function P of g = dD/dx, the gradient of the scores at the critic's *input*.
Its gradient at the weights is the derivative of a derivative, and takes four passes:

    scores = D(x)                                 forward
    g = dD/dx                                     backward, which keeps every layer's dy
    P(g) and g_bar = dP/dg                        a loss like any other
    dP/d(weights), added to `critic.grads`        double_backward, from g_bar

The score of a sample depends on that sample alone, so one backward of the summed scores
gives every sample's own gradient.  docs/gradient_penalty.md derives all of it.

Penalties are 0-d results of the array's own module: nothing here waits for a GPU.
"""

import warnings
from functools import partial

from . import random
from .arrays import get_array_module
from .condition import join
from .layers import BatchNorm
from .network import Sequential


def gradient_penalty(
    critic,
    real,
    fake,
    *,
    weight=10.0,
    one_sided=False,
    condition=None,
    train=True,
    seed=0,
    where="penalty",
    step=None,
):
    """weight * mean of (|g| - 1)^2 between real and generated samples: WGAN-GP.

    Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3.  The slopes g are taken at interpolates
    fake + epsilon (real - fake), with one epsilon ~ U(0, 1) a sample; |g| is the norm of one
    sample over all its axes.

    critic: a Sequential; BatchNorm in it brings a warning.  real, fake: (N, ...) of its dtype.
    weight: lambda in the paper.  one_sided: punish norms above 1 only (section 4 there).
    condition: codes (N, K) that the critic reads behind the features (`condition.join`);
    they are not interpolated, and the slope along them is free.  train: the critic's mode.
    seed, where, step: the address of epsilon (see `minigan.random`); a second penalty of one step
    has another `where`.  Without a step every call draws new epsilons, but no resumed run the same.

    Adds its gradients to `critic.grads`; returns the loss (0-d).
    Raises ValueError if real and fake have different shapes, for an empty batch, and unless the
    critic gives one score a sample.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real {real.shape} and fake {fake.shape} have different shapes")
    one_a_sample = (len(real),) + (1,) * (real.ndim - 1)
    epsilon = random.uniform(
        one_a_sample, seed=seed, where=where, step=random.numbered(step),
        dtype=real.dtype, xp=get_array_module(real),
    )  # fmt: skip
    k = critic.kernels[type(real)]
    x = k.interpolate(real, fake, epsilon)
    penalty = partial(k.distance_from_one, weight=weight, one_sided=one_sided)
    return _penalize(critic, x, penalty, condition, train)


def r1(critic, real, *, weight=10.0, condition=None, train=True):
    """weight / 2 * mean of |g|^2 at the real samples: R1.

    Mescheder et al. 2018 (arXiv:1801.04406), eq. 9, with their gamma as `weight`.  The
    arguments, the sum added to `critic.grads` and the result are those of `gradient_penalty`.
    """
    penalty = partial(critic.kernels[type(real)].half_square, weight=weight)
    return _penalize(critic, real, penalty, condition, train)


def r2(critic, fake, *, weight=10.0, condition=None, train=True):
    """R1 at the generated samples instead (Mescheder et al. 2018, eq. 10)."""
    penalty = partial(critic.kernels[type(fake)].half_square, weight=weight)
    return _penalize(critic, fake, penalty, condition, train)


def clip_weights(critic, limit):
    """Clip all parameters to [-limit, limit] in place, after each step of the optimizer.

    How the first WGAN bounded the slope of its critic: Arjovsky et al. 2017
    (arXiv:1701.07875), algorithm 1, with limit 0.01.  Raises ValueError unless limit > 0.
    """
    if not limit > 0:
        raise ValueError(f"limit={limit!r} is not above 0")
    critic.kernels[type(critic.params)].clip(critic.params, limit)


def _penalize(critic, x, loss_of_slope, condition, train):
    """The four passes at samples x (N, ..., C)."""
    if not x.size:
        raise ValueError(f"a penalty is a mean over the samples: {x.shape} has none")
    if train and _has_batchnorm(critic):
        warnings.warn(
            f"{critic.name} has BatchNorm: each score depends on the whole batch, so the penalty "
            "does not bound the slope of any one sample; use LayerNorm or no normalisation",
            stacklevel=3,
        )
    xp = get_array_module(x)
    scores, cache = critic.forward(x if condition is None else join(x, condition), train)
    if scores.size != len(x):
        raise ValueError(
            f"{critic.name} gives scores {scores.shape} for {len(x)} samples: a penalty is on the "
            "slope of one score a sample, so let it end in one number"
        )
    trace = []
    g = critic.backward(xp.ones_like(scores), cache, params=False, trace=trace)
    loss, g_bar = loss_of_slope(g[..., : x.shape[-1]])
    if condition is not None:
        g_bar = join(g_bar, xp.zeros_like(condition))
    critic.double_backward(g_bar, trace, cache)
    return loss


def _has_batchnorm(layer):
    if isinstance(layer, Sequential):
        return any(map(_has_batchnorm, layer.layers))
    return isinstance(layer, BatchNorm)
