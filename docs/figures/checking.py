"""Chapter 11: the error of a difference quotient against its step."""

import numpy as np
from figure import BLUE, RED, Figure, publish

import minigan as mg

TEST = {}  # rounding, which it shows, is another on each machine: a test only draws
H = 10.0 ** np.arange(-12, 0.01, 0.25)


def numbers():
    return {dtype: errors(dtype) for dtype in ("float64", "float32")}


def errors(dtype):
    """log10 of the quotient's relative error, (steps,)."""
    rng = np.random.default_rng(0)
    layers = [mg.Dense(10, 8), mg.Tanh(), mg.Dense(8, 1)]
    network = mg.Sequential(layers, dtype=dtype, kernels="plain")
    x, v = rng.standard_normal((2, 6, 10)).astype(dtype)
    r = rng.standard_normal((6, 1)).astype(dtype)

    def along(t):
        return float((network.forward((x + t * v).astype(dtype))[0] * r).sum())

    claimed = float((network.backward(r, network.forward(x)[1]) * v).sum())
    quotients = np.array([(along(h) - along(-h)) / (2 * h) for h in H])
    return np.log10(np.abs(quotients / claimed - 1) + 1e-13)


def draw(n):
    figure = Figure(900, 340)
    panel = figure.panel(
        (70, 46, 870, 280),
        (-12, 0),
        (-12, 1),
        "relative error of (R(x + hv) - R(x - hv)) / 2h",
        x_ticks=range(-12, 1, 2),
        y_ticks=range(-12, 1, 3),
        x_label="step h",
        form="1e{:g}",
    )
    panel.curve(np.log10(H), n["float64"], BLUE, "float64")
    panel.curve(np.log10(H), n["float32"], RED, "float32")
    panel.note(-11.6, -2.6, "rounding: 1/h", size=14)
    panel.note(-3.1, -8.4, "truncation: h squared", size=14)
    panel.note(-6, -11.3, "h = 1e-6 is what minigan takes", BLUE, 0.5)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)
