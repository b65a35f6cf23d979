"""Losses: functions that return (loss, gradient at the network's output).

Every loss is a mean over the batch, divided exactly once, so its gradient goes
straight into `network.backward`.  D's loss is the sum of two calls, one on real
and one on generated scores; G's is one call on generated scores.

Losses are 0-d results of the array's own module: nothing here waits for a GPU.  The formulas
are in `kernels/plain.py`; here is what they are for, and what they take.
"""

from numbers import Real

from . import changing, kernels, processes, random
from .arrays import get_array_module
from .condition import one_hot

# Cross-entropies.  On logits x they are made of softplus(x) = log(1 + exp(x)), which
# neither overflows nor takes the log of 0.


def bce_with_logits(logits, target):
    """Binary cross-entropy of sigmoid(logits): mean of softplus(x) - t x.

    logits: (N, 1), or any shape.  target: a number, or an array of that shape, in
    [0, 1] where it is a probability; soft and noisy labels are welcome.
    Returns (loss, dlogits), dlogits = (sigmoid(x) - t) / N.
    Raises ValueError if target has another shape.
    """
    return _kernels(logits).bce_with_logits(logits, _target_like(logits, target))


def bce(p, target, eps=1e-7):
    """Binary cross-entropy of probabilities: mean of -t log p - (1 - t) log(1 - p).

    p is clipped to [eps, 1 - eps], in the loss and in the gradient, so that a
    saturated D still gets a finite gradient.  Prefer `bce_with_logits`.
    Returns (loss, dp), dp = (p - t) / (p (1 - p)) / N.
    """
    return _kernels(p).bce(p, _target_like(p, target), eps)


def softmax_cross_entropy(logits, target):
    """Cross-entropy of softmax(logits): mean over the batch of -sum_k t_k log p_k.

    logits: (N, K).  target: class numbers, integers (N,), or probabilities (N, K).
    Returns (loss, dlogits), dlogits = (softmax(x) sum_k t_k - t) / N.
    Raises ValueError for a target of another shape, or a class that is not in [0, K) (on a GPU,
    which would have to be waited for, the loss is NaN instead).
    """
    k = _kernels(logits)
    if logits.ndim != 2:
        raise ValueError(f"softmax_cross_entropy needs logits (N, K), got {logits.shape}")
    kernels.default[type(target)]  # refuses what is no array
    if target.shape == logits.shape:
        t = target.astype(logits.dtype)
    elif target.shape == logits.shape[:1] and target.dtype.kind in "iu":
        t = one_hot(target, logits.shape[1], dtype=logits.dtype)
    else:
        raise ValueError(
            f"target of shape {target.shape} and dtype {target.dtype} does not fit logits "
            f"{logits.shape}: give class numbers (N,) or probabilities (N, K)"
        )
    return k.softmax_cross_entropy(logits, t)


# Losses on unbounded scores.


def wasserstein(scores, sign):
    """sign * mean(scores) (Arjovsky et al. 2017, eq. 2).

    The critic minimises wasserstein(fake, +1) + wasserstein(real, -1), the
    generator wasserstein(fake, -1).  Returns (loss, dscores).
    """
    return _kernels(scores).wasserstein(scores, sign)


def hinge(scores, sign):
    """mean of max(0, 1 + sign * score) (Lim and Ye 2017).

    The critic minimises hinge(fake, +1) + hinge(real, -1); the generator's loss is
    wasserstein(fake, -1).  Returns (loss, dscores).
    """
    return _kernels(scores).hinge(scores, sign)


def least_squares(scores, target):
    """mean of (score - t)^2 / 2 (Mao et al. 2017, eq. 2).  Returns (loss, dscores)."""
    return _kernels(scores).least_squares(scores, _target_like(scores, target))


# The two generator losses of Goodfellow et al. 2014, section 3.


def non_saturating(logits):
    """G minimises -log D(G(z)): mean of softplus(-x).

    Its gradient, -sigmoid(-x) / N, is largest where D is sure of a fake.  Returns (loss, dlogits).
    """
    return bce_with_logits(logits, 1.0)


def minimax(logits):
    """G minimises log(1 - D(G(z))): mean of -softplus(x), the original game.

    Its gradient, -sigmoid(x) / N, vanishes where D is sure that the sample is a fake.
    Returns (loss, dlogits).
    """
    return _kernels(logits).minimax(logits)


# Labels and probabilities.


def sigmoid(logits):
    """The probabilities that logits stand for: 1 / (1 + exp(-x)) elementwise."""
    return _kernels(logits).sigmoid(logits)


def labels(logits, low, high=None, *, flip=0.0, seed=0, where="labels", step=None):
    """Targets for the scores of one batch: soft, noisy and flipped labels.

    logits: the scores, for their shape, dtype and module.
    low, high: labels are uniform in [low, high); one number gives constant (soft) labels.
    flip: the share of labels to replace by 1 - label (Chintala et al. 2016, tricks 6).
    seed, where, step: the address of the random numbers (see `minigan.random`); another `where`
    for the real batch than for the generated one.  Without a step every call draws new ones.
    """
    xp = get_array_module(logits)
    shape, address = logits.shape, dict(seed=seed, step=random.numbered(step))
    bounds = dict(low=low, high=low if high is None else high, where=where)
    values = random.of_batch(random.uniform, shape, **bounds, dtype=logits.dtype, xp=xp, **address)
    if flip:  # drawn on the host: the same labels on every device
        share = processes.here.share
        place = dict(seed=seed, where=f"{where}/flip", share=share)
        kept = changing.of_step(
            lambda step: random.keep_mask(shape, 1 - flip, step=step, **place), address["step"]
        )
        values = xp.where(xp.asarray(kept), values, 1 - values)
    return values


def _kernels(x):
    k = kernels.default[type(x)]
    if x.size == 0:
        raise ValueError(f"a loss is a mean over the batch: scores of shape {x.shape} have none")
    return k


def _target_like(scores, target):
    # Broadcasting (N,) against (N, 1) would silently pair every score with every target.
    if isinstance(target, Real) or getattr(target, "shape", None) == ():
        return float(target)
    kernels.default[type(target)]  # refuses what is no array
    if target.shape != scores.shape:
        raise ValueError(
            f"target of shape {target.shape} does not fit scores of shape {scores.shape}; "
            "reshape it, or give one number"
        )
    return target.astype(scores.dtype, copy=False)
