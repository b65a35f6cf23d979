"""Chapter 9: what Adam's memory does in the Dirac-GAN."""

import numpy as np
from figure import BLUE, GREEN, RED, Figure, page, publish

COLOURS = {0.9: RED, 0.5: GREEN, 0.0: BLUE}


def numbers():
    return {f"{b1} {r1}": way for (b1, r1), way in page("optimizers")["plays"].items()}


def draw(n):
    figure = Figure(900, 330)
    for index, (r1, title) in enumerate(
        ((0.0, "Adam: distance from the right place"), (0.5, "the same with R1, weight 0.5"))
    ):
        left = 50 + 440 * index
        panel = figure.panel(
            (left, 46, left + 390, 270),
            (0, 2000),
            (0, 3.3),
            title,
            x_label="step",
            x_ticks=range(0, 2001, 500),
            y_ticks=(0, 0.5, 1, 1.5, 2, 2.5),
        )
        for b1, colour in COLOURS.items():
            way = n[f"{b1} {r1}"]
            panel.curve(np.arange(1, 2001), way, colour, f"b1 = {b1:g}")
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)
