"""Chapter 4: what G's losses are worth at a logit, and how they push there."""

import numpy as np
from figure import BLUE, GREEN, ORANGE, RED, Figure, publish

from minigan.losses import least_squares, minimax, non_saturating, wasserstein

LOSSES = {
    "non-saturating": (non_saturating, BLUE),
    "minimax": (minimax, RED),
    "Wasserstein": (lambda x: wasserstein(x, -1), GREEN),
    "least squares, t = 1": (lambda x: least_squares(x, 1.0), ORANGE),
}


def numbers():
    x = np.linspace(-6, 6, 241)
    pairs = {
        name: [loss(x[i : i + 1]) for i in range(len(x))] for name, (loss, _) in LOSSES.items()
    }
    values = {name: np.array([loss for loss, _ in pair]) for name, pair in pairs.items()}
    slopes = {f"{name}'": np.concatenate([dx for _, dx in pair]) for name, pair in pairs.items()}
    return {"x": x} | values | slopes


def draw(n):
    figure = Figure(900, 360)
    ticks = dict(x_ticks=range(-6, 7, 2), x_label="the logit of a fake (D says: fake ... real)")
    left = figure.panel(
        (50, 50, 440, 300), (-6, 6), (-6, 6), "the loss", y_ticks=range(-6, 7, 2), **ticks
    )
    right = figure.panel(
        (500, 50, 890, 300),
        (-6, 6),
        (-2, 1),
        "its slope, which is what trains",
        y_ticks=(-2, -1, 0, 1),
        **ticks,
    )
    for name, (_, colour) in LOSSES.items():
        left.curve(n["x"], n[name], colour)
        right.curve(n["x"], n[f"{name}'"], colour, name)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)
