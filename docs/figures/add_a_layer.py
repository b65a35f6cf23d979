"""Chapter 12: softplus and its derivatives, as formulas and as differences."""

import numpy as np
from figure import BLUE, GREEN, RED, Figure, page, publish


def numbers():
    layer, h = page("add_a_layer")["Softplus"](), 1e-4
    x = np.linspace(-5, 5, 101)
    one = np.ones_like(x)

    def slope(x):
        return layer.backward(one, x)

    def f(x):
        return layer.forward(x)[0]

    return {
        "x": x,
        "f": f(x),
        "f'": slope(x),
        "f''": layer.double_backward(one, one, x)[1],
        "f' by differences": (f(x + h) - f(x - h)) / (2 * h),
        "f'' by differences": (slope(x + h) - slope(x - h)) / (2 * h),
    }


def draw(n):
    figure = Figure(900, 320)
    panel = figure.panel(
        (50, 46, 880, 270),
        (-5, 5),
        (-0.1, 2),
        "y = log(1 + exp(x)), slope and curvature",
        x_ticks=range(-5, 6),
        y_ticks=(0, 0.5, 1, 1.5, 2),
        x_label="x",
    )
    panel.curve(n["x"], n["f"], BLUE, "y: forward")
    for name, colour, text in (("f'", GREEN, "f': backward"), ("f''", RED, "f'': double_backward")):
        panel.curve(n["x"], n[name], colour, text)
        panel.dots(n["x"][2::8], n[f"{name} by differences"][2::8], colour)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)
