"""The numeric check: is a claimed gradient the derivative of what is computed?

For a scalar R of some tensors, the derivative along a direction v is

    (R(x + h v) - R(x - h v)) / 2h  =  <dR/dx, v>  +  O(h^2).

The left side needs forward passes only, the right side is what backward claims.  Each tensor is
moved by itself along a few random directions, in float64.  One that is found wrong is moved once
more element by element, to say where, and by what factor.
"""

import numpy as np

from ..arrays import get_array_module, to_host

STEP = 1e-6  # h; in float64 truncation is near 1e-12 and rounding near 1e-10
DIRECTIONS = 3
LARGE = 10_000  # elements of a tensor, for which one random direction says enough
ELEMENTS = 100  # of a wrong tensor, that are moved one by one


def numeric_errors(scalar, tensors, gradients, *, seed=0):
    """Relative errors of claimed gradients, a dict name -> float.

    scalar: a function without arguments that returns R as a number and reads the
    tensors.  tensors: dict name -> float64 array, moved in place and put back.
    gradients: dict name -> the claimed dR/d(tensor).

    The error of a tensor is |numeric - claimed| over its directional derivatives, relative to the
    larger of the two or the norm of the gradient, or to |R| / 100 where all nearly vanish;
    infinite where the gradient has another shape.
    """
    # Streams of their own: a direction equal to the input would prove nothing of a
    # BatchNorm, whose output does not change along it.
    rng = np.random.default_rng((seed, 2))
    floor = abs(float(scalar())) / 100 + np.finfo(np.float64).tiny
    errors = {}
    for name, tensor in tensors.items():
        directions = [
            rng.standard_normal(tensor.shape)
            for _ in range(DIRECTIONS if tensor.size <= LARGE else 1)
        ]
        if getattr(gradients[name], "shape", None) != tensor.shape:
            errors[name] = np.inf
            continue
        gradient = to_host(gradients[name])
        numeric = [derivative(scalar, tensor, v) for v in directions]
        claimed = [float(np.vdot(gradient, v)) for v in directions]
        scale = max(*map(np.linalg.norm, (numeric, claimed, gradient)), floor)
        errors[name] = float(np.linalg.norm(np.subtract(numeric, claimed)) / scale)
    return errors


def derivative(scalar, tensor, direction):
    """The numeric derivative of R along a direction, a host array of the tensor's shape."""
    direction = get_array_module(tensor).asarray(direction)
    before = tensor.copy()
    tensor += STEP * direction
    above = float(scalar())
    tensor[...] = before - STEP * direction
    below = float(scalar())
    tensor[...] = before
    return (above - below) / (2 * STEP)


def diagnosis(scalar, tensor, claimed, samples):
    """What is wrong with a claimed gradient, as text: the worst of ELEMENTS elements, and by what
    factor all of them are wrong.

    samples: the size of the batch, the usual forgotten factor.
    """
    if getattr(claimed, "shape", None) != tensor.shape:
        found = "missing" if claimed is None else f"of shape {claimed.shape}"
        return f"is {found}, where {tensor.shape} is the shape"
    claimed = to_host(claimed)
    places = np.unique(np.linspace(0, tensor.size - 1, ELEMENTS).astype(int))
    claims, numeric = claimed.reshape(-1)[places], np.empty(len(places))
    for i, place in enumerate(places):
        element = np.zeros(tensor.size)
        element[place] = 1
        numeric[i] = derivative(scalar, tensor, element.reshape(tensor.shape))
    worst = np.argmax(np.nan_to_num(np.abs(claims - numeric), nan=np.inf))
    index = ", ".join(str(i) for i in np.unravel_index(places[worst], tensor.shape))
    return (
        f"is worst at [{index}]: claimed {claims[worst]:.6g}, numeric {numeric[worst]:.6g}; "
        + in_words(claims, numeric, samples)
    )


def in_words(claimed, numeric, samples):
    """The factor between claimed and numeric derivatives (n,), if there is one, and its meaning."""
    large = np.abs(numeric) > 1e-3 * np.abs(numeric).max()
    if not large.any():
        return "the true gradient is zero"
    ratios = claimed[large] / numeric[large]
    ratio = np.median(ratios)
    if not np.allclose(ratios, ratio, rtol=1e-3, atol=1e-6):
        return "the ratio differs from element to element"
    for factor, meaning in (
        (1, "1 at all elements tried: others are wrong"),
        (-1, "-1: the sign"),
        (0, "0: nothing arrives"),
        (samples, f"exactly {samples}: a missing 1/{samples}, the batch"),
        (1 / samples, f"exactly 1/{samples}: divided by the batch, {samples}, once too often"),
        (2, "exactly 2: a factor 2 too many"),
        (1 / 2, "exactly 1/2: a missing factor 2"),
    ):
        if abs(ratio - factor) < 1e-4 * max(abs(factor), 0.01):
            return f"the ratio is {meaning}"
    return f"the ratio is {ratio:.6g} everywhere"
